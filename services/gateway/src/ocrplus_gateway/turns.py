"""Large frames come in one at a time: the end of each stalls the event loop for some 25 ms.

A frame is unmasked and decoded when its last byte is there. Six that end together would stall every
connection six times as long, and lie in memory together. So while one connection receives a large
frame the others that are about to do so are not read; a slow one loses its turn, not its frame.
"""

import asyncio
from collections import deque
from typing import Final, Protocol

LARGE_BYTES: Final = 512 * 1024
_TURN_SECONDS: Final = 2.0


class Receiver(Protocol):
    """A connection that is received from, or not."""

    def pause_receiving(self) -> None:
        """Read nothing more for now."""
        ...

    def resume_receiving(self) -> None:
        """Read again."""
        ...


class Turns:
    """Whose turn it is to receive a large frame."""

    def __init__(self) -> None:
        self._holder: Receiver | None = None
        self._waiting: deque[Receiver] = deque()
        self._slow: set[Receiver] = set()  # had their turn, and have not finished their frame
        self._end: asyncio.TimerHandle | None = None

    def received(self, receiver: Receiver, unfinished_bytes: int) -> None:
        """Note how much of an unfinished frame a connection has received."""
        if unfinished_bytes <= LARGE_BYTES:
            self._slow.discard(receiver)
            if receiver is self._holder:
                self._next()
        elif receiver is self._holder or receiver in self._slow:
            pass
        elif self._holder is None:
            self._give(receiver)
        elif receiver not in self._waiting:
            self._waiting.append(receiver)
            receiver.pause_receiving()

    def is_waiting(self, receiver: Receiver) -> bool:
        """Whether a connection is not to be read before its turn."""
        return receiver in self._waiting

    def left(self, receiver: Receiver) -> None:
        """A connection has closed."""
        self._slow.discard(receiver)
        if receiver in self._waiting:
            self._waiting.remove(receiver)
        if receiver is self._holder:
            self._next()

    def _give(self, receiver: Receiver) -> None:
        self._holder = receiver
        self._end = asyncio.get_running_loop().call_later(_TURN_SECONDS, self._too_slow)

    def _too_slow(self) -> None:
        if self._holder is not None:
            self._slow.add(self._holder)
        self._next()

    def _next(self) -> None:
        if self._end is not None:
            self._end.cancel()
        self._holder = None
        if self._waiting:
            receiver = self._waiting.popleft()
            self._give(receiver)
            receiver.resume_receiving()
