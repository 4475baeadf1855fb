"""What every WebSocket has: sends that cannot hang, bounded receiving, commands in order."""

import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final  # Any: ASGI messages, JSON

from fastapi import WebSocket, WebSocketDisconnect
from redis.exceptions import RedisError

from ocrplus_contract import logs, tracing
from ocrplus_contract.errors import ErrorCode, JobRefused
from ocrplus_contract.ledger import Ledger
from ocrplus_contract.names import TaskId, UserId
from ocrplus_contract.trace import TraceContext, within
from ocrplus_gateway.admission import Admission
from ocrplus_gateway.barrier import EXTENSION
from ocrplus_gateway.cancellation import ended
from ocrplus_gateway.events import Event, Gap, SlowConsumer
from ocrplus_gateway.frames import split_frame, write_decoded
from ocrplus_gateway.hub import Hub
from ocrplus_gateway.jobs import Jobs
from ocrplus_gateway.metrics import GatewayMetrics
from ocrplus_gateway.rate import RATE_SECONDS, Rate
from ocrplus_gateway.submission import Admitted, Submission
from ocrplus_gateway.traces import JobTraces

log = logging.getLogger(__name__)

CLOSE_RESTART: Final = 1012
CLOSE_OVERLOADED: Final = 1013
CLOSE_PROTOCOL: Final = 4001
CLOSE_SLOW: Final = 4008
CLOSE_GAP: Final = 4010
CLOSE_UNAUTHORIZED: Final = 4401
CLOSE_FORBIDDEN: Final = 4403
CLOSE_CONNECTIONS: Final = 4409
CLOSE_RATE: Final = 4429

UPLOAD_PREFIX: Final = "ocrplus-upload-"
_MOST_BAD_MESSAGES: Final = 20
_BAD: Final = frozenset({ErrorCode.BAD_JSON, ErrorCode.BAD_MESSAGE, ErrorCode.UNKNOWN_TYPE})
_LARGE_FRAME: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What a client may do: bytes of a PDF and of a frame, pages, tasks, messages a second;
    and how often he is pinged."""

    pdf_bytes: int
    frame_bytes: int
    pages: int
    tasks: int
    messages_per_second: float
    ping_seconds: int


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions of a process work with."""

    hub: Hub
    jobs: Jobs
    ledger: Ledger
    admission: Admission
    metrics: GatewayMetrics
    traces: JobTraces
    limits: SessionLimits
    large_frames: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """One large frame is decoded at a time: each stalls the loop a little."""


Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
"""ASGI's way to send."""


class Refused(Exception):
    """The session closes the socket with this code."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


class Session:
    """One accepted socket of one user. Subclasses speak a protocol."""

    protocol_name = ""
    known = True  # whose token says so; one who is still to show it counts for no user

    def __init__(self, shared: Shared, socket: WebSocket, user: UserId, send: Send) -> None:
        self._send = send  # the server's own: the way of every event is short
        self.shared = shared
        self.user = user
        self.close_code = 0
        self.barrier: Any = socket.scope.get("extensions", {}).get(EXTENSION)
        self._socket = socket
        self._sending = asyncio.Lock()
        self._command: asyncio.Task[None] | None = None
        self._messages = Rate()
        self._bad = Rate()
        self.introduce: Callable[[], None] = lambda: None  # set by `Sessions`
        self._ending: asyncio.Future[Refused] = asyncio.get_running_loop().create_future()

    # what a protocol brings

    async def deliver(self) -> None:
        """Send the user's events, for ever."""
        raise NotImplementedError

    async def handle(self, frame: dict[str, Any], text: str, span: tuple[int, int] | None) -> None:
        """Follow one command; JobRefused and RedisError become a refusal."""
        raise NotImplementedError

    async def refuse(self, frame: dict[str, Any], refusal: JobRefused) -> None:
        """Tell the client that a command is refused."""
        raise NotImplementedError

    def at_once(self, frame: dict[str, Any]) -> Awaitable[None] | None:
        """Answer what need not wait for earlier commands; None for all else."""
        return None

    def asks_nothing(self, frame: dict[str, Any]) -> bool:
        """Whether a message wants no answer; there may be as many as events."""
        return False

    def delivered(self, event: Event, since: float) -> None:
        """Note an event that was sent on this socket, which opened at `since`."""
        trace = None
        if tracing.is_on():
            trace = self.shared.traces.delivered(event, self.user, self.protocol_name, since)
        self.shared.metrics.delivered(event, since, trace)

    def goodbye(self, seconds: float) -> None:
        """The process ends within `seconds`; the client may be told."""

    async def leaving(self) -> None:
        """Called once at the end, however it came."""

    # running

    async def run(self) -> None:
        """Serve the socket until it closes."""
        sender = asyncio.create_task(self.deliver())
        receiver = asyncio.create_task(self._receive())
        try:
            watched: set[asyncio.Future[Any]] = {sender, receiver, self._ending}
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if self._ending.done():
                await self._end_by(self._ending.result())
            for task in (receiver, sender):
                if task.done() and (error := task.exception()) is not None:
                    await self._end_by(error)
        finally:
            await ended(sender, receiver, *([self._command] if self._command else []))
            await self.leaving()

    async def _end_by(self, error: BaseException) -> None:
        if isinstance(error, SlowConsumer):
            await self._close(CLOSE_SLOW, "slow consumer")
        elif isinstance(error, Refused):
            await self._close(error.code, error.reason)
        elif isinstance(error, RedisError | OSError | TimeoutError):
            log.warning("a session lost its events; its client comes back", exc_info=error)
            await self._close(CLOSE_GAP, "events cannot be read now")
        elif isinstance(error, Gap):
            await self._close(CLOSE_GAP, "events cannot be heard now")
        elif not isinstance(error, WebSocketDisconnect | RuntimeError):
            log.error("a session failed", exc_info=error)
            await self._close(1011, "internal error")

    def end(self, code: int, reason: str) -> None:
        """Have the session close its socket soon."""
        if not self._ending.done():
            self._ending.set_result(Refused(code, reason))

    async def _close(self, code: int, reason: str) -> None:
        self.close_code = code
        with suppress(RuntimeError, WebSocketDisconnect):
            await self._socket.close(code, reason)

    async def send(self, text: str) -> None:
        """Send one message; a client that takes nothing is cut by the protocol."""
        async with self._sending:
            try:
                await self._send({"type": "websocket.send", "text": text})
            except OSError as gone:  # the client's connection, not the store's
                raise WebSocketDisconnect(1006) from gone

    def try_send(self, text: str) -> bool:
        """Send one message if that takes no waiting, nor overtakes another; whether it was sent."""
        protocol = self.barrier
        return protocol is not None and not self._sending.locked() and protocol.try_send(text)

    async def _receive(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                self.close_code = int(message.get("code") or 1006)
                return
            await self._take(message.get("text"))

    async def _take(self, text: str | None) -> None:
        try:
            if text is None:
                raise JobRefused(ErrorCode.BAD_MESSAGE, "Send text frames.")
            frame, span = split_frame(text)
        except JobRefused as refusal:
            await self._refuse({}, refusal)
            return
        if self.asks_nothing(frame):
            await asyncio.sleep(0)
            return
        if self._messages.more_than(self.shared.limits.messages_per_second * RATE_SECONDS):
            raise Refused(CLOSE_RATE, "too many messages")
        quick = self.at_once(frame)
        if quick is not None:
            await quick
            await asyncio.sleep(0)  # many that lie here already take turns with others'
            return
        # One command at a time, in order; while it runs pongs and acks are still read.
        if self._command is not None:
            await self._command
        self._command = asyncio.create_task(self._traced(frame, text, span))

    async def _traced(self, frame: dict[str, Any], text: str, span: tuple[int, int] | None) -> None:
        """Each command begins a trace, or goes on with the client's."""
        with within(TraceContext.parse(frame.get("traceparent")) or tracing.new_trace()):
            await self._follow(frame, text, span)

    async def _follow(self, frame: dict[str, Any], text: str, span: tuple[int, int] | None) -> None:
        try:
            await self.handle(frame, text, span)
        except JobRefused as refusal:
            await self._refuse(frame, refusal)
        except (RedisError, OSError):
            log.exception("a command failed")
            await self._refuse(frame, JobRefused(ErrorCode.INTERNAL))
        except (WebSocketDisconnect, RuntimeError):
            pass  # the client left while it was being answered
        except Refused as refused:
            self.end(refused.code, refused.reason)
        except Exception:  # a command's outermost: nobody else would see it, nor answer
            log.exception("a command failed unexpectedly")
            await self._refuse(frame, JobRefused(ErrorCode.INTERNAL))

    async def _refuse(self, frame: dict[str, Any], refusal: JobRefused) -> None:
        if "pdf_file" in frame or refusal.code in _BAD:  # as over HTTP, no other command counts
            self.shared.metrics.refused(refusal.code)
        with suppress(WebSocketDisconnect, RuntimeError):
            await self.refuse(frame, refusal)
        if refusal.code in _BAD and self._bad.more_than(_MOST_BAD_MESSAGES - 1):
            self.end(CLOSE_RATE, "too many bad messages")

    async def admit(
        self,
        task: TaskId,
        encoded: tuple[str, tuple[int, int]],
        submission: Callable[[Path], Submission],
    ) -> Admitted:
        """Decode a frame's base64 into a file and submit that.

        Raises:
            JobRefused: with the code the client is told.
        """
        text, span = encoded
        logs.note(job_id=task)
        began, large = time.time(), span[1] - span[0] > _LARGE_FRAME
        with tempfile.TemporaryDirectory(prefix=UPLOAD_PREFIX) as folder:
            file = Path(folder) / "upload.pdf"
            async with self.shared.large_frames if large else nullcontext():
                await write_decoded(text, span, file, self.shared.limits.pdf_bytes)
            admitted = await self.shared.admission.admit(replace(submission(file), began=began))
        self.shared.metrics.submitted(duplicate=admitted.duplicate_of is not None)
        return admitted
