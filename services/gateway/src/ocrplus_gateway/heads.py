"""HTTP requests whose head has an end: the server's protocol collects headers without a limit.

Who sends one without end, fast or slowly, needs no token for it: 60 MB took as much memory.
"""

import asyncio
from asyncio import Transport
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_HEAD_BYTES: Final = 64 * 1024
_HEAD_SECONDS: Final = 30.0


class HeadProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with a limit on what is no body, and on the time of a head."""

    _bytes = 0  # since the last piece of a body, or the end of a head
    _moved = False  # whether there was one in what came last
    _in_head = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as there
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what follows a body is of no use here
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._moved = True
        self._end()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._moved = True
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        self._moved = False
        super().data_received(data)
        self._bytes = 0 if self._moved else self._bytes + len(data)
        if self._bytes > _MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The request's head is too large.")

    def _begin(self) -> None:
        self._end()
        self._in_head = True
        loop: Any = self.loop
        self._head_timer = loop.call_later(_HEAD_SECONDS, self._too_late)

    def _end(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()

    def _too_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
