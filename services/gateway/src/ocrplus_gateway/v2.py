"""`ocrplus.v2`: pages as they are read, positions that the client keeps, commands with answers."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from fastapi import WebSocket
from pydantic import BaseModel, TypeAdapter, ValidationError

from ocrplus_contract import wire
from ocrplus_contract.errors import ErrorCode, JobRefused
from ocrplus_contract.names import TaskId, UserId, valid_id
from ocrplus_contract.trace import current_or_new
from ocrplus_gateway.auth import Doorkeeper
from ocrplus_gateway.deliver import delivered, history_lost, is_whole
from ocrplus_gateway.events import Event, Lost, Subscription, just_before
from ocrplus_gateway.jobs import is_open, status
from ocrplus_gateway.session import (
    CLOSE_FORBIDDEN,
    CLOSE_PROTOCOL,
    CLOSE_UNAUTHORIZED,
    Refused,
    Send,
    Session,
    Shared,
)
from ocrplus_gateway.submission import Submission

log = logging.getLogger(__name__)

_FIRST_FRAME_SECONDS: Final = 5.0
_UNKNOWN_CLIENT_FRAME_BYTES: Final = 64 * 1024
_EARLIEST_RECONNECT_MS: Final = 500
_EVERY_TASK: Final = "*"
_REQUEST: Final[TypeAdapter[str]] = TypeAdapter(wire.Request)

_M = TypeVar("_M", bound=BaseModel)


class V2Session(Session):
    """One socket of a client that speaks `ocrplus.v2`."""

    protocol_name = wire.SUBPROTOCOL

    def __init__(
        self,
        shared: Shared,
        socket: WebSocket,
        user: UserId,
        send: Send,
        doorkeeper: Doorkeeper,
        known: bool,
    ) -> None:
        super().__init__(shared, socket, user, send)
        self._doorkeeper = doorkeeper
        self.known = known
        self._hello: asyncio.Future[wire.Hello] = asyncio.get_running_loop().create_future()
        self._tasks = frozenset([_EVERY_TASK])
        self._coalesce = False
        if not known and self.barrier is not None:  # nobody fills our memory before he is known
            self.barrier.conn.max_message_size = _UNKNOWN_CLIENT_FRAME_BYTES

    # events → messages

    async def deliver(self) -> None:
        while not self._hello.done():
            await asyncio.wait([self._hello], timeout=_FIRST_FRAME_SECONDS)
            if self._hello.done() or (self.known and self._receiving()):
                continue  # a first frame may be a large document on a slow line
            code = CLOSE_PROTOCOL if self.known else CLOSE_UNAUTHORIZED
            raise Refused(code, "no hello in time" if self.known else "no token in time")
        subscription, since = await self._welcome(self._hello.result()), time.time()
        subscription.at_once = partial(self._deliver_at_once, since)
        try:
            while True:
                item = await subscription.next()
                if isinstance(item, Lost):
                    await self._history_lost(item)
                elif self._wants(item, waiting=not subscription.empty):
                    await self.send(await delivered(item, self.user, self.shared.jobs))
                    self.delivered(item, since)
        finally:
            await self.shared.hub.detach(subscription)

    def _receiving(self) -> bool:
        return self.barrier is not None and self.barrier.receiving

    def _deliver_at_once(self, since: float, event: Event) -> bool:
        """Deliver an event that needs nothing else, to a client that takes it now."""
        if not self._wants(event, waiting=False):
            return True
        if not is_whole(event) or not self.try_send(event.text):
            return False
        self.delivered(event, since)
        return True

    def _wants(self, event: Event, *, waiting: bool) -> bool:
        """Whether the client wants an event behind which others are waiting, or none."""
        if self._coalesce and event.type == "progress" and waiting:
            return False
        return _EVERY_TASK in self._tasks or event.task in self._tasks

    async def _welcome(self, hello: wire.Hello) -> Subscription:
        resume, limits = hello.resume, self.shared.limits
        at = await self.shared.jobs.locate(
            self.user, resume.epoch if resume else "", resume.seq if resume else None
        )
        seq = resume.seq if resume and not at.lost else at.seq
        welcome = wire.Welcome(
            epoch=at.epoch,
            seq=at.seq,
            oldest_seq=at.oldest_seq,
            replay=at.seq - seq,
            ping_s=limits.ping_seconds,
            limits=wire.Limits(
                max_pdf_bytes=limits.pdf_bytes,
                max_frame_bytes=limits.frame_bytes,
                max_pages=limits.pages,
                max_tasks=limits.tasks,
            ),
        )
        await self._say(welcome)
        if at.lost:
            await self._history_lost(Lost(at.lost, at.epoch, at.seq))
        after = just_before(at.stream_id) if at.including else at.stream_id
        return await self.shared.hub.attach(self.user, after, at.epoch, seq)

    async def _history_lost(self, lost: Lost) -> None:
        self.shared.metrics.history_lost(lost.reason)
        await self._say(await history_lost(lost, self.user, self.shared.jobs))

    async def _say(self, message: BaseModel) -> None:
        await self.send(message.model_dump_json())

    def goodbye(self, seconds: float) -> None:
        earliest = _EARLIEST_RECONNECT_MS
        away = wire.Goaway(reconnect_in_ms=(earliest, earliest + int(seconds * 1000)))
        task = asyncio.create_task(self._say(away))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    # messages from the client

    def at_once(self, frame: dict[str, Any]) -> Awaitable[None] | None:
        if not self.known or frame.get("type") != "ping":
            return None
        t = frame.get("t")
        return self._say(wire.Pong(t=t if isinstance(t, int | float) else None))

    def asks_nothing(self, frame: dict[str, Any]) -> bool:
        # The position is the client's own: nothing depends on an ack here.
        return self.known and frame.get("type") == "ack"

    async def handle(self, frame: dict[str, Any], text: str, span: tuple[int, int] | None) -> None:
        kind = frame.get("type")
        if kind is None and "pdf_file" in frame:
            kind = "submit"  # the original's frame
        if not self.known:
            await self._authenticate(kind, frame)
            return
        command = wire.COMMANDS.get(kind) if isinstance(kind, str) else None
        if command is None:
            raise JobRefused(ErrorCode.UNKNOWN_TYPE)
        if not self._hello.done():
            self._greet(frame if kind == "hello" else {"type": "hello"})
        match _parsed(command, frame):
            case wire.Submit() as submit:
                await self._submit(submit, (text, span) if span is not None else None)
            case wire.Cancel() as cancel:
                await self.shared.jobs.cancel(self.user, TaskId(cancel.task_id))
                await self._status(cancel.task_id, cancel.req)
            case wire.AskStatus() as ask:
                await self._status(ask.task_id, ask.req)
            case wire.Subscribe() as subscribe:
                self._tasks = frozenset(subscribe.tasks)
                await self._say(wire.Subscribed(req=subscribe.req, tasks=subscribe.tasks))
            case _:
                pass  # auth of one who is known already; hello was taken note of

    async def _authenticate(self, kind: object, frame: dict[str, Any]) -> None:
        try:
            if kind != "auth":
                raise JobRefused(ErrorCode.UNAUTHORIZED)
            subject = await self._doorkeeper.by_token(_parsed(wire.Auth, frame).token)
            subject.acting_as(self.user, self.user)
        except JobRefused as refusal:
            await self.refuse(frame, refusal)
            forbidden = refusal.code is ErrorCode.FORBIDDEN
            code = CLOSE_FORBIDDEN if forbidden else CLOSE_UNAUTHORIZED
            raise Refused(code, str(refusal.code)) from refusal
        self.introduce()
        if self.barrier is not None:
            self.barrier.conn.max_message_size = self.shared.limits.frame_bytes

    def _greet(self, frame: dict[str, Any]) -> None:
        """Whoever gives a command without hello begins now, with everything."""
        hello = _parsed(wire.Hello, frame)
        self._tasks = frozenset(hello.tasks)
        self._coalesce = "coalesce" in hello.caps
        self._hello.set_result(hello)

    async def _submit(
        self, submit: wire.Submit, outside: tuple[str, tuple[int, int]] | None
    ) -> None:
        task = TaskId(submit.task_id)
        name = submit.name or f"{task}.pdf"

        def submission(file: Path) -> Submission:
            return Submission(self.user, task, file, name, submit.options)

        encoded = submit.pdf_file
        admitted = await self.admit(task, outside or (encoded, (0, len(encoded))), submission)
        if admitted.duplicate_of is None:
            return  # the event says so
        job = await self.shared.jobs.find(self.user, task)
        await self._say(
            wire.Duplicate(
                req=submit.req, task_id=task, pages_total=job.pages_total, status=job.state
            )
        )
        if not is_open(job):
            await self._status(task, submit.req)

    async def _status(self, task: str, req: str | None) -> None:
        job = await self.shared.jobs.find(self.user, TaskId(task))
        await self.send(json.dumps({"type": "status", "req": req, **status(job)}))

    async def refuse(self, frame: dict[str, Any], refusal: JobRefused) -> None:
        task = frame.get("task_id")
        trace = current_or_new().trace_id
        log.info("command refused", extra={"code": refusal.code})
        after = refusal.retry_after_seconds
        await self._say(
            wire.Error(
                code=refusal.code,
                message=refusal.message,
                retryable=refusal.retryable,
                task_id=task if isinstance(task, str) and valid_id(task) else None,
                req=_request_of(frame),
                retry_after_ms=None if after is None else int(after * 1000),
                trace=trace,
            )
        )


def _request_of(frame: dict[str, Any]) -> str | None:
    """The client's own name for a command, None where it cannot be said back."""
    try:
        return _REQUEST.validate_python(frame.get("req"))
    except ValidationError:
        return None


def _parsed(kind: type[_M], frame: dict[str, Any]) -> _M:
    try:
        return kind.model_validate(frame)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise JobRefused(ErrorCode.BAD_MESSAGE, f"'{where}': {first['msg']}.") from error
