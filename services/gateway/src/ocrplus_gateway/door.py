"""The WebSocket's door: which user, from which page, by which token, in which protocol.

It is plain ASGI before the framework: thousands of idle sockets should cost little.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final  # Any: ASGI scopes and messages

from fastapi import WebSocket
from fastapi.responses import JSONResponse

from ocrplus_contract import logs, tracing
from ocrplus_contract.errors import ErrorCode, JobRefused
from ocrplus_contract.names import UserId, valid_id
from ocrplus_contract.trace import TraceContext, current_or_new, within
from ocrplus_contract.wire import SUBPROTOCOL
from ocrplus_gateway.auth import Doorkeeper, Subject
from ocrplus_gateway.barrier import EXTENSION
from ocrplus_gateway.http import error_response
from ocrplus_gateway.metrics import GatewayMetrics
from ocrplus_gateway.original import OriginalSession, Positions
from ocrplus_gateway.session import Send, Session, Shared
from ocrplus_gateway.sessions import Sessions
from ocrplus_gateway.v2 import V2Session

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)

_PATH: Final = re.compile(r"/ws/([^/]+)")
TRACE_RESPONSE: Final = "traceresponse"
"""Header of every answer: the trace that the request was part of, as a `traceparent`."""


def _trace_of(scope: Scope) -> TraceContext:
    """The client's trace, or a new one."""
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return TraceContext.parse(value.decode("latin-1")) or tracing.new_trace()
    return tracing.new_trace()


class _Answer:
    """An answer on its way out: its trace goes in a header, what came of it into the log."""

    def __init__(self, send: Send, trace: TraceContext) -> None:
        self._send = send
        self._header = (TRACE_RESPONSE.encode(), trace.traceparent.encode())
        self._began = time.monotonic()
        self._status = 0
        self._whole = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message["headers"] = [*message.get("headers", ()), self._header]
        await self._send(message)
        self._whole = message["type"] == "http.response.body" and not message.get("more_body")

    @property
    def tells_failure(self) -> bool:
        """Whether a failure of ours was answered for."""
        return self._whole and self._status == HTTPStatus.INTERNAL_SERVER_ERROR

    def tell(self, scope: Scope) -> None:
        """The route and not the path, which names users and tasks."""
        refused = self._status >= HTTPStatus.BAD_REQUEST
        log.log(
            logging.INFO if refused else logging.DEBUG,
            "request refused"
            if refused
            else ("request answered" if self._whole else "request broken off"),
            extra={
                "method": scope["method"],
                "route": getattr(scope.get("route"), "path", None),
                "status": self._status,
                "seconds": round(time.monotonic() - self._began, 3),
            },
        )


class Door:
    """ASGI: WebSockets are served here, all else by the application behind."""

    def __init__(
        self,
        app: App,
        shared: Shared,
        sessions: Sessions,
        doorkeeper: Doorkeeper,
        positions: Positions,
        metrics: GatewayMetrics,
    ) -> None:
        self._app = app
        self._shared = shared
        self._sessions = sessions
        self._doorkeeper = doorkeeper
        self._positions = positions
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        trace = _trace_of(scope)
        with within(trace):
            if scope["type"] == "websocket":
                await self._serve(WebSocket(scope, receive, send), send)
                return
            answer = _Answer(send, trace)
            try:
                await self._app(scope, receive, answer.send)
            except Exception:
                if not answer.tells_failure:  # else it was logged; the server would again
                    raise
            finally:
                answer.tell(scope)

    async def _serve(self, socket: WebSocket, send: Send) -> None:
        try:
            user, subject = await self._admitted(socket)
        except JobRefused as refusal:
            self._metrics.refused(refusal.code)
            log.info("connection refused", extra={"code": refusal.code})
            response: JSONResponse = error_response(refusal, None)
            response.headers[TRACE_RESPONSE] = current_or_new().traceparent
            await socket.send_denial_response(response)
            if (protocol := socket.scope["extensions"].get(EXTENSION)) is not None:
                protocol.handshake_complete = True  # or the server logs each refusal as an error
            return
        logs.note(user=logs.hashed(user))
        session = await self._accepted(socket, user, subject, send)
        if session is not None:
            await self._sessions.serve(session)

    async def _admitted(self, socket: WebSocket) -> tuple[UserId, Subject | None]:
        path = _PATH.fullmatch(socket.scope["path"])
        if path is None:
            raise JobRefused(ErrorCode.NOT_FOUND, "There is no such path; use /ws/{user_id}.")
        user = path[1]
        if not valid_id(user):
            raise JobRefused(ErrorCode.BAD_MESSAGE, "The user id is not valid.")
        if not self._doorkeeper.may_ask(socket.headers):
            raise JobRefused(ErrorCode.FORBIDDEN, "This origin is not allowed.")
        offered = socket.scope["subprotocols"]
        subject = await self._doorkeeper.by_handshake(socket.headers, offered)
        if subject is not None:
            subject.acting_as(user, user)
        elif SUBPROTOCOL not in offered:  # only v2 may bring its token in the first frame
            raise JobRefused(ErrorCode.UNAUTHORIZED)
        return UserId(user), subject

    async def _accepted(
        self, socket: WebSocket, user: UserId, subject: Subject | None, send: Send
    ) -> Session | None:
        """The session, or None for one too many."""
        speaks_v2 = SUBPROTOCOL in socket.scope["subprotocols"]
        await socket.accept(SUBPROTOCOL if speaks_v2 else None)
        known = subject is not None
        refused = self._sessions.refusal(user, known=known)
        if refused is not None:
            await socket.close(refused.code, refused.reason)
            return None
        if speaks_v2:
            return V2Session(self._shared, socket, user, send, self._doorkeeper, known)
        return OriginalSession(self._shared, socket, user, send, self._positions)
