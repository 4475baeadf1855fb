"""The pong barrier: how far a client that knows nothing of positions has really read.

After a burst the gateway sends a WebSocket ping that carries the position of the last event; every
RFC 6455 client answers it after it has taken the frames before. ASGI has no pings, so this extends
uvicorn's protocol class, whose version is pinned; a test proves the behaviour.
"""

from asyncio import BaseTransport
from collections.abc import Callable, Generator
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.streams import StreamReader

from ocrplus_gateway.turns import LARGE_BYTES, Turns

CLOSE_NO_PONG: Final = 4012
EXTENSION: Final = "ocrplus.barrier"
_MARK: Final = b"at:"

# Of one connection: one chunk of 256 KiB may hold 40,000 frames, which take half a second.
_FRAMES_AT_ONCE: Final = 64
_CROWDED_SECONDS: Final = 0.01

Confirmed = Callable[[str], None]
"""Called with the position that a pong brought back."""


class _Reader(StreamReader):
    """Gives a large frame away without a copy: copying 28 MB takes the event loop 7 to 24 ms.
    Lets the parser begin so many frames, then waits until it may go on.
    """

    frames_left = _FRAMES_AT_ONCE

    def at_eof(self) -> Generator[None, None, bool]:
        while not self.frames_left:
            yield
        self.frames_left -= 1  # the parser asks once for each frame
        return (yield from super().at_eof())

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        if n <= LARGE_BYTES:
            return (yield from super().read_exact(n))
        while len(self.buffer) < n and not self.eof:
            yield
        if len(self.buffer) < n:
            raise EOFError(f"stream ends after {len(self.buffer)} bytes, expected {n} bytes")
        whole, self.buffer = self.buffer, self.buffer[n:]
        del whole[n:]
        return whole


class BarrierProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol with pings of our own, large frames in turn, small ones in turn
    with everybody else's."""

    on_confirmed: Confirmed | None = None
    crowded = False  # whether frames wait to be parsed; nothing is read meanwhile
    turns: Final = Turns()  # of all connections of the process

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.conn.reader.__class__ = _Reader  # the library's parser has hold of the object already

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)  # absent when the handshake was refused
        if scope is not None:
            scope["extensions"][EXTENSION] = self

    def data_received(self, data: bytes) -> None:
        reader: Any = self.conn.reader
        reader.frames_left = _FRAMES_AT_ONCE
        super().data_received(data)
        self.turns.received(self, len(reader.buffer))
        self.crowded = bool(reader.buffer) and not reader.frames_left
        if self.crowded and not self.transport.is_closing():
            self.transport.pause_reading()
            self.loop.call_later(_CROWDED_SECONDS, self._go_on)

    def _go_on(self) -> None:
        if self.disconnected or self.transport.is_closing():
            return
        self.data_received(b"")
        if not (self.crowded or self.read_paused or self.turns.is_waiting(self)):
            self.resume_receiving()

    async def receive(self) -> Any:
        message = await super().receive()
        if self.crowded and not self.transport.is_closing():
            self.transport.pause_reading()  # the server has just resumed it
        return message

    def connection_lost(self, exc: Exception | None) -> None:
        self.turns.left(self)
        super().connection_lost(exc)

    @property
    def receiving(self) -> bool:
        """Whether a message has begun to arrive."""
        return bool(self.frames or self.conn.reader.buffer)

    def pause_receiving(self) -> None:
        """For `turns`: in the middle of a frame the server itself is reading."""
        self.transport.pause_reading()

    def resume_receiving(self) -> None:
        """For `turns`."""
        if not (self.crowded or self.transport.is_closing()):
            self.transport.resume_reading()

    def handle_cont(self, event: Any) -> None:
        if event.data or event.fin:
            # As one piece: a list of the smallest would take 40 times their size.
            first: Any = self.frames[0] if self.frames else b""  # bytes or bytearray: used alike
            whole = first if isinstance(first, bytearray) else bytearray(first)
            whole += event.data
            frames: list[Any] = self.frames
            frames[:] = [whole]
        if event.fin:
            self.send_receive_event_to_app()

    def handle_ping(self) -> None:
        pongs = b"".join(self.conn.data_to_send())
        if self.writable.is_set():  # for who takes nothing they would only lie in memory
            self.transport.write(pongs)

    def try_send(self, text: str) -> bool:
        """Send a message if that takes no waiting; whether it was sent."""
        if self.close_sent or self.transport.is_closing() or not self.writable.is_set():
            return False
        try:
            self.conn.send_text(text.encode())
        except InvalidState:  # the client has begun to close
            return False
        self.transport.write(b"".join(self.conn.data_to_send()))
        return True

    def send_barrier(self, at: str) -> None:
        """Ask the client to confirm everything up to `at` (at most 120 bytes)."""
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.send_ping(_MARK + at.encode())
        self.transport.write(b"".join(self.conn.data_to_send()))

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is None:  # the handshake itself cannot be read: nobody would answer
            self.transport.close()
        else:
            super().handle_parser_exception()

    def keepalive_timeout(self) -> None:
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(CLOSE_NO_PONG, "no pong")  # the server's own code, 1011, says "a fault here"
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()

    def handle_pong(self, event: Any) -> None:
        data = bytes(event.data)
        if data.startswith(_MARK) and self.on_confirmed is not None:
            self.on_confirmed(data[len(_MARK) :].decode())
        else:
            super().handle_pong(event)
