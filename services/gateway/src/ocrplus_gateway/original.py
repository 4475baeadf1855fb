"""The original protocol: submit a PDF as base64, receive `submitted`, then the result.

A session is derived from the user's event stream: what it sends is what the events mean in the
original's words, so a client that comes back gets what it has not received, from any gateway. Where
events are gone, the job records say what they said.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import redis.asyncio
from fastapi import WebSocket
from redis.exceptions import RedisError

from ocrplus_contract.errors import ErrorCode, JobRefused
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Call, Ledger, run_async
from ocrplus_contract.messages import ErrorObject, Failed, Finished, Submitted
from ocrplus_contract.names import TaskId, UserId, valid_id
from ocrplus_contract.options import JobOptions
from ocrplus_contract.records import JobRecord
from ocrplus_gateway.events import START, Event, Lost, position
from ocrplus_gateway.jobs import is_open
from ocrplus_gateway.session import Send, Session, Shared
from ocrplus_gateway.submission import Submission

CLOSE_TOO_BIG: Final = 1009

_EVENTS_A_BARRIER: Final = 20
_MOST_TRIES: Final = 3
_LARGE_RESULT_BYTES: Final = 64 * 1024
_SURELY_LARGE_BYTES: Final = 1 << 20  # the usual limit of clients that refuse large frames
_MOST_ASKED: Final = 256  # barriers that may be on their way; older ones a later one confirms too
_RECORD_POSITION: Final = 2**62  # behind every event of the millisecond in which a job ended


class Positions:
    """Where users' original clients stand, as this process moves it."""

    def __init__(
        self, client: "redis.asyncio.Redis", keys: Keys, ledger: Ledger, name: str
    ) -> None:
        self._client = client
        self._keys = keys
        self._ledger = ledger
        self._name = name
        self._count = 0
        self._storing: dict[UserId, set[asyncio.Task[None]]] = {}
        self._latest: dict[str, tuple[str, str]] = {}  # by socket: confirmed, not yet being stored

    async def join(self, user: UserId) -> tuple[str, str]:
        """A new socket's name, and the position it begins behind."""
        storing = self._storing.get(user)
        if storing:  # a client that comes right back may be faster than what it confirmed last
            await asyncio.wait(storing)
        self._count += 1
        socket = f"{self._name}.{self._count}"
        return socket, await run_async(self._client, self._ledger.join(user, socket))

    def confirm(self, user: UserId, socket: str, at: str, epoch: str) -> None:
        """A socket has taken everything up to `at`; stored in the background, the last one only."""
        waits = socket in self._latest
        self._latest[socket] = at, epoch
        if not waits:
            self._store(user, lambda: self._ledger.confirm(user, socket, *self._latest.pop(socket)))

    def leave(self, user: UserId, socket: str) -> None:
        """A socket has closed."""
        self._store(user, lambda: self._ledger.leave(user, socket))

    def _store(self, user: UserId, call: Callable[[], Call[bool]]) -> None:
        before = self._storing.setdefault(user, set())
        task = asyncio.create_task(self._run(call, tuple(before)))
        before.add(task)
        task.add_done_callback(lambda done: self._stored(user, done))

    async def _run(
        self, call: Callable[[], Call[bool]], before: tuple[asyncio.Task[None], ...]
    ) -> None:
        if before:
            await asyncio.wait(before)
        with suppress(RedisError, OSError):  # the next barrier brings it again
            await run_async(self._client, call())

    def _stored(self, user: UserId, task: asyncio.Task[None]) -> None:
        tasks = self._storing.get(user, set())
        tasks.discard(task)
        if not tasks:
            self._storing.pop(user, None)

    async def kept(self, user: UserId, at: str) -> tuple[str, int]:
        """Epoch and seq of the event at a position; "" and 0 where it is not kept."""
        if at == START:
            return "", 0
        entries: Any = await self._client.xrange(self._keys.stream(user), at, at)
        if not entries:
            return "", 0
        event = Event.parse(at, entries[0][1][b"event"])
        return event.epoch, event.seq

    async def tries(self, user: UserId, stream_id: str) -> int:
        """How often the result at a position could not be delivered."""
        return int(await self._client.get(self._keys.tries(user, stream_id)) or 0)

    async def failed(self, user: UserId, stream_id: str) -> None:
        """Count a result that could not be delivered."""
        key = self._keys.tries(user, stream_id)
        with suppress(RedisError, OSError):
            await self._client.incr(key)
            await self._client.expire(key, self._ledger.ttl_seconds)


class OriginalSession(Session):
    """One socket of a client that knows nothing of positions."""

    protocol_name = "original"

    def __init__(
        self,
        shared: Shared,
        socket: WebSocket,
        user: UserId,
        send: Send,
        positions: Positions,
    ) -> None:
        super().__init__(shared, socket, user, send)
        self._positions = positions
        self._name = ""
        self._epoch = ""  # of all that was asked and confirmed
        self._confirmed = (0, 0)
        self._asked: deque[str] = deque(maxlen=_MOST_ASKED)
        self._recovered: dict[str, tuple[str, set[str]]] = {}  # task: `begins`, what was said
        self._large: list[tuple[str, int]] = []  # unconfirmed large results: position, bytes

    # events → messages

    async def deliver(self) -> None:
        self._name, at = await self._positions.join(self.user)
        if self.barrier is not None:
            self.barrier.on_confirmed = self._on_confirmed
        epoch, seq = await self._positions.kept(self.user, at)
        location = await self.shared.jobs.locate(self.user)
        self._epoch = location.epoch
        if not location.oldest_seq:  # there may be jobs without events
            at = await self._recover(at)
        subscription = await self.shared.hub.attach(self.user, at, epoch, seq)
        since = time.time()
        unasked = 0  # a replay fills the queue as fast as it is sent: empty may never come
        try:
            while True:
                item = await subscription.next()
                if isinstance(item, Lost):
                    if item.epoch != self._epoch:
                        at = await self._begin_anew(item.epoch)
                    at = await self._recover(at)
                    continue
                await self._send_event(item, at)
                self.delivered(item, since)
                at = item.stream_id
                unasked += 1
                if subscription.empty or unasked == _EVENTS_A_BARRIER:
                    self._ask(at)
                    unasked = 0
        finally:
            await self.shared.hub.detach(subscription)

    async def _send_event(self, event: Event, before: str) -> None:
        if self._was_said(event):
            return
        if event.type == "submitted":
            await self.send(Submitted(task_id=event.task).model_dump_json())
        elif event.type == "result":
            text = await self._result(TaskId(event.task), event)
            if text is not None:
                await self._send_result(event.task, event.stream_id, before, text)

    def _was_said(self, event: Event) -> bool:
        """Whether the records have said it already, of this use of the task's name."""
        begins, said = self._recovered.get(event.task, ("", set()))
        if event.type == "submitted" and begins != f"{event.epoch}-{event.seq}":
            self._recovered.pop(event.task, None)
            return False
        return event.type in said

    async def _send_result(self, task: str, at: str, before: str, text: str) -> None:
        """A result that a client cannot take must not block what follows."""
        size = len(text.encode())
        if size > _LARGE_RESULT_BYTES:
            if await self._positions.tries(self.user, at) >= _MOST_TRIES:
                text = _failed(
                    task,
                    ErrorCode.UNDELIVERABLE,
                    "The result is too large for this connection. Fetch it by HTTP: "
                    f"/v1/tasks/{task}/result",
                )
            else:
                self._large.append((at, size))
                self._ask(before)  # what the client has taken until here stays taken
        await self.send(text)
        if size > _LARGE_RESULT_BYTES:
            self._ask(at)

    async def _result(self, task: TaskId, event: Event | None = None) -> str | None:
        try:
            job = await self.shared.jobs.find(self.user, task)
        except JobRefused as refusal:
            if event is None:
                return None
            error = event.data["error"]  # deleted or expired meanwhile: the client still waits
            return _failed(task, ErrorCode(error) if error else refusal.code)
        return None if is_open(job) else await self._end_of(job)

    async def _end_of(self, job: JobRecord) -> str:
        if job.error:
            return _failed(job.task_id, ErrorCode(job.error))
        result = await self.shared.jobs.result(
            self.user, job, figures_at=f"/v1/tasks/{job.task_id}/figures/"
        )
        return await asyncio.to_thread(Finished(task_id=job.task_id, result=result).model_dump_json)

    # where events are gone

    async def _begin_anew(self, epoch: str) -> str:
        """Stand where another server says: its ids and the old one's do not compare."""
        self._positions.leave(self.user, self._name)
        self._epoch, self._confirmed = epoch, (0, 0)
        self._asked.clear()
        self._large.clear()
        self._recovered.clear()
        self._name, at = await self._positions.join(self.user)
        return at

    async def _recover(self, after: str) -> str:
        """Say what the job records know to have happened behind a position, in order."""
        happened = []
        newest_first = [job async for job in self.shared.jobs.every(self.user)]
        for number, job in enumerate(reversed(newest_first)):
            times = {False: job.created_at, True: job.finished_at}
            for has_ended, seconds in times.items():
                if seconds is not None and _position_of(seconds) > position(after):
                    happened.append((_position_of(seconds), number, has_ended, job))
        # Of one millisecond: the older job whole, then the younger one.
        for at, _, has_ended, job in sorted(happened, key=lambda entry: entry[:3]):
            before, after = after, f"{at[0]}-{at[1]}"
            if has_ended:
                await self._send_result(job.task_id, after, before, await self._end_of(job))
            else:
                await self.send(Submitted(task_id=job.task_id).model_dump_json())
            known = self._recovered.get(job.task_id)
            if known is None or known[0] != job.begins:
                known = self._recovered[job.task_id] = (job.begins, set())
            known[1].add("result" if has_ended else "submitted")
        if happened:
            self._ask(after)
        return after

    # positions

    def _ask(self, at: str) -> None:
        """Have the client confirm, by its pong, that it has taken everything up to here."""
        if self.barrier is not None:
            self._asked.append(at)
            self.barrier.send_barrier(at)

    def _on_confirmed(self, at: str) -> None:
        if at not in self._asked:  # a pong may hold anything: only what was asked counts
            return
        while self._asked.popleft() != at:
            pass
        if position(at) > self._confirmed:
            self._confirmed = position(at)
            self._large = [one for one in self._large if position(one[0]) > self._confirmed]
            self._positions.confirm(self.user, self._name, at, self._epoch)

    async def leaving(self) -> None:
        if self._large:
            stream_id, size = self._large[0]
            left = self.close_code in (1005, 1006) and size >= _SURELY_LARGE_BYTES
            if left or self.close_code == CLOSE_TOO_BIG:
                await self._positions.failed(self.user, stream_id)
        if self._name:
            self._positions.leave(self.user, self._name)

    # messages from the client

    async def handle(self, frame: dict[str, Any], text: str, span: tuple[int, int] | None) -> None:
        task, encoded = frame.get("task_id"), frame.get("pdf_file")
        if not isinstance(task, str) or not valid_id(task):
            raise JobRefused(
                ErrorCode.BAD_MESSAGE,
                "'task_id' must be 1 to 128 letters, digits or . _ @ - and begin with one of "
                "the first two.",
            )
        if not isinstance(encoded, str):
            raise JobRefused(ErrorCode.BAD_MESSAGE, "'pdf_file' must be the PDF as base64.")

        def submission(file: Path) -> Submission:
            return Submission(self.user, TaskId(task), file, f"{task}.pdf", JobOptions())

        source = (text, span) if span is not None else (encoded, (0, len(encoded)))
        admitted = await self.admit(TaskId(task), source, submission)
        if admitted.duplicate_of is not None:  # it makes no event: answer it here
            await self.send(Submitted(task_id=task).model_dump_json())
            message = await self._result(TaskId(task))
            if message is not None:
                await self.send(message)

    async def refuse(self, frame: dict[str, Any], refusal: JobRefused) -> None:
        named = frame.get("task_id")
        task = named if isinstance(named, str) and valid_id(named) else None
        await self.send(_failed(task, refusal.code, refusal.message))


def _failed(task: str | None, code: ErrorCode, message: str | None = None) -> str:
    return Failed(task_id=task, error=ErrorObject.of(code, message)).model_dump_json()


def _position_of(unix_seconds: float) -> tuple[int, int]:
    return round(unix_seconds * 1000), _RECORD_POSITION
