"""Clients that take nothing are cut: what they are sent would lie in memory, and its sender wait.

A slow one is not: as long as some of what waits goes out it may take its time, or a large result
would never reach a thin line. ASGI tells nothing of this, so it stands in the server's protocols.
"""

import asyncio
from typing import Any, Final, TypeVar

_P = TypeVar("_P", bound=type)
_LOOKS: Final = 4  # in the time that a client has


class _Watched:
    """Before a protocol class of uvicorn."""

    send_seconds = 0.0
    _look_timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """More waits than the transport likes to hold: nobody writes until it is less."""
        super().pause_writing()  # type: ignore[misc]  # the protocol's
        self._look_again(self._waiting_bytes, _LOOKS)

    def resume_writing(self) -> None:
        """It was taken."""
        self._end_looking()
        super().resume_writing()  # type: ignore[misc]

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is left to take it."""
        self._end_looking()
        super().connection_lost(exc)  # type: ignore[misc]

    @property
    def _waiting_bytes(self) -> int:
        transport: Any = self.transport  # type: ignore[attr-defined]
        size: int = transport.get_write_buffer_size()
        return size

    def _look_again(self, least: int, looks: int) -> None:
        loop = asyncio.get_running_loop()
        self._look_timer = loop.call_later(self.send_seconds / _LOOKS, self._look, least, looks)

    def _look(self, least: int, looks: int) -> None:
        waiting = self._waiting_bytes
        if waiting < least:
            self._look_again(waiting, _LOOKS)
        elif looks > 1:
            self._look_again(least, looks - 1)
        else:
            self.transport.abort()  # type: ignore[attr-defined]

    def _end_looking(self) -> None:
        if self._look_timer is not None:
            self._look_timer.cancel()


def watched(protocol: _P, send_seconds: float) -> _P:
    """The protocol, with connections cut whose client takes nothing for so long."""
    kind: Any = type(protocol.__name__, (_Watched, protocol), {"send_seconds": send_seconds})
    found: _P = kind
    return found
