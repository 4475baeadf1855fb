"""The original protocol: submit a PDF as base64, receive `submitted`, then the result.

A session is derived from the user's event stream: what it sends is what the events mean in the
original's words, so a client that comes back gets what it has not received, from any gateway.
"""

import asyncio
import logging
import tempfile
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis.asyncio
from fastapi import WebSocket, WebSocketDisconnect

from ocrplus_contract.errors import ErrorCode, JobRefused
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Ledger, run_async
from ocrplus_contract.messages import ErrorObject, Failed, Finished, Submitted
from ocrplus_contract.names import TaskId, UserId, valid_id
from ocrplus_contract.options import JobOptions
from ocrplus_gateway.admission import Admission, Submission
from ocrplus_gateway.barrier import EXTENSION
from ocrplus_gateway.frames import split_frame, write_decoded
from ocrplus_gateway.hub import Event, Hub, SlowConsumer, position
from ocrplus_gateway.jobs import Jobs, is_open
from ocrplus_gateway.metrics import GatewayMetrics

log = logging.getLogger(__name__)

CLOSE_SLOW: Final = 4008
CLOSE_RATE: Final = 4429
_MOST_BAD_MESSAGES: Final = 20
_BAD_MESSAGE_SECONDS: Final = 10.0
_LARGE_FRAME: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class OriginalProtocol:
    """What every session of the original protocol shares."""

    client: "redis.asyncio.Redis"
    keys: Keys
    ledger: Ledger
    hub: Hub
    jobs: Jobs
    admission: Admission
    metrics: GatewayMetrics
    most_pdf_bytes: int
    large_frames: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    confirmed: dict[UserId, dict[int, str]] = field(default_factory=dict)
    storing: dict[UserId, str] = field(default_factory=dict)

    async def serve(self, socket: WebSocket, user: UserId) -> None:
        """Serve one accepted socket until it closes."""
        session = _Session(self, socket, user)
        with self.metrics.connected("original"):
            await session.run()


class _Session:
    """One socket of one user."""

    def __init__(self, shared: OriginalProtocol, socket: WebSocket, user: UserId) -> None:
        self._shared = shared
        self._socket = socket
        self._user = user
        self._sending = asyncio.Lock()
        self._protocol: Any = socket.scope.get("extensions", {}).get(EXTENSION)
        self._bad: list[float] = []
        self._background: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        shared = self._shared
        after = await self._confirmed_position()
        subscription = await shared.hub.attach(self._user, after)
        shared.confirmed.setdefault(self._user, {})[id(self)] = after
        if self._protocol is not None:
            self._protocol.on_confirmed = self._on_confirmed
        sender = asyncio.create_task(self._send_events(subscription))
        receiver = asyncio.create_task(self._receive())
        try:
            done, _ = await asyncio.wait({sender, receiver}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except SlowConsumer:
            await self._close(CLOSE_SLOW, "slow consumer")
        except (WebSocketDisconnect, RuntimeError):
            pass  # the client left, possibly in the middle of a send
        finally:
            for task in (sender, receiver):
                task.cancel()
            # Positions on their way are stored all the same: the client has taken its events.
            await asyncio.gather(sender, receiver, *self._background, return_exceptions=True)
            await shared.hub.detach(subscription)
            self._forget_position()

    async def _close(self, code: int, reason: str) -> None:
        with suppress(RuntimeError, WebSocketDisconnect):
            await self._socket.close(code, reason)

    # events → messages

    async def _send_events(self, subscription: Any) -> None:
        while True:
            event: Event = await subscription.next()
            message = await self._message(event)
            if message is not None:
                await self._send(message)
            if subscription.empty and self._protocol is not None:
                self._protocol.send_barrier(event.stream_id)

    async def _message(self, event: Event) -> str | None:
        """An event in the original's words; None for what it does not know."""
        data = event.data
        task = TaskId(str(data.get("task_id")))
        if data["type"] == "submitted":
            return Submitted(task_id=task).model_dump_json()
        if data["type"] == "result":
            return await self._result(task)
        return None

    async def _result(self, task: TaskId) -> str | None:
        try:
            job = await self._shared.jobs.find(self._user, task)
        except JobRefused:
            return None  # deleted or expired meanwhile: there is nothing to deliver
        if is_open(job):
            return None  # an earlier job of this name; the new one's result follows
        if job.error:
            return Failed(
                task_id=task, error=ErrorObject.of(ErrorCode(job.error))
            ).model_dump_json()
        result = await self._shared.jobs.result(
            self._user, job, figures_at=f"/v1/tasks/{task}/figures/"
        )
        return await asyncio.to_thread(Finished(task_id=task, result=result).model_dump_json)

    async def _send(self, text: str) -> None:
        async with self._sending:
            await self._socket.send_text(text)

    # positions

    async def _confirmed_position(self) -> str:
        """Where the user's original clients stand; one that comes right back may be faster than
        the storing of what it confirmed last."""
        shared = self._shared
        stored: Any = await shared.client.hget(shared.keys.last_id(), self._user)
        known = [stored.decode() if stored else "0", shared.storing.get(self._user, "0")]
        return max(known, key=position)

    def _on_confirmed(self, at: str) -> None:
        positions = self._shared.confirmed.get(self._user)
        if positions is None or id(self) not in positions:
            return
        positions[id(self)] = at
        # Several sockets of one user share the position: the least has been taken by all.
        least = min(positions.values(), key=position)
        if least != "0":
            task = asyncio.create_task(self._store_position(least))
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def _store_position(self, at: str) -> None:
        storing = self._shared.storing
        storing[self._user] = at
        with suppress(redis.RedisError, OSError):  # the next barrier brings it again
            await run_async(self._shared.client, self._shared.ledger.confirm(self._user, at))
        if storing.get(self._user) == at:
            del storing[self._user]

    def _forget_position(self) -> None:
        positions = self._shared.confirmed.get(self._user, {})
        positions.pop(id(self), None)
        if not positions:
            self._shared.confirmed.pop(self._user, None)

    # messages from the client

    async def _receive(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                await self._refuse(None, JobRefused(ErrorCode.BAD_MESSAGE, "Send text frames."))
            else:
                await self._handle(text)
            if self._too_many_bad():
                await self._close(CLOSE_RATE, "too many bad messages")
                return

    async def _handle(self, text: str) -> None:
        task: str | None = None
        try:
            frame, span = split_frame(text)
            named = frame.get("task_id")
            task = named if isinstance(named, str) and valid_id(named) else None
            await self._submit(frame, text, span)
        except JobRefused as refusal:
            await self._refuse(task, refusal)
        except (redis.RedisError, OSError):
            log.exception("a submission failed", extra={"job_id": task})
            await self._refuse(task, JobRefused(ErrorCode.INTERNAL))

    async def _submit(self, frame: dict[str, Any], text: str, span: tuple[int, int] | None) -> None:
        task, encoded = frame.get("task_id"), frame.get("pdf_file")
        if not isinstance(task, str) or not valid_id(task):
            raise JobRefused(
                ErrorCode.BAD_MESSAGE,
                "'task_id' must be 1 to 128 letters, digits or . _ @ - and begin with one of "
                "the first two.",
            )
        if not isinstance(encoded, str):
            raise JobRefused(ErrorCode.BAD_MESSAGE, "'pdf_file' must be the PDF as base64.")
        with tempfile.TemporaryDirectory(prefix="ocrplus-upload-") as folder:
            file = Path(folder) / "upload.pdf"
            if span is None:
                text, span = encoded, (0, len(encoded))
            large = span[1] - span[0] > _LARGE_FRAME
            async with self._shared.large_frames if large else nullcontext():
                await write_decoded(text, span, file, self._shared.most_pdf_bytes)
            submission = Submission(
                self._user, TaskId(task), file, name=f"{task}.pdf", options=JobOptions()
            )
            admitted = await self._shared.admission.admit(submission)
        self._shared.metrics.submitted(duplicate=admitted.duplicate_of is not None)
        if admitted.duplicate_of is not None:
            await self._send_again(TaskId(task))

    async def _send_again(self, task: TaskId) -> None:
        """A repeated submission makes no event: answer it here."""
        await self._send(Submitted(task_id=task).model_dump_json())
        message = await self._result(task)
        if message is not None:
            await self._send(message)

    async def _refuse(self, task: str | None, refusal: JobRefused) -> None:
        self._bad.append(time.monotonic())
        self._shared.metrics.refused(refusal.code)
        error = ErrorObject.of(refusal.code, refusal.message)
        await self._send(Failed(task_id=task, error=error).model_dump_json())

    def _too_many_bad(self) -> bool:
        since = time.monotonic() - _BAD_MESSAGE_SECONDS
        self._bad = [at for at in self._bad if at > since]
        return len(self._bad) >= _MOST_BAD_MESSAGES
