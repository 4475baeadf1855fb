"""Figures that wait for what another one of the same picture hears: a few stay, the rest give way.

A logo on 200 pages must not hold every thread while a slow model is asked about it once. Who finds
enough waiting goes back behind the other figures, and its doorbell rings later: at once when a turn
ends here, after a while in any case.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from ocrplus_contract.names import Permit

_LOOK_AGAIN_SECONDS: Final = 0.2
_FIRST_PATIENCE_SECONDS: Final = 0.5
_MOST_PATIENCE_SECONDS: Final = 8.0


class Desks:
    """Places to prepare figures at: few, so that the first are ready first, and all calls are out
    before more figures are read ahead.
    """

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._sitting: set[Permit] = set()

    async def sit_down(self, permit: Permit) -> None:
        """Wait for a place for the figure held under a permit."""
        await self._places.acquire()
        self._sitting.add(permit)

    def leave(self, permit: Permit) -> None:
        """It waits for somebody else now, or has ended; harmless when it has left before."""
        if permit in self._sitting:
            self._sitting.remove(permit)
            self._places.release()


class Crowded(Exception):
    """Enough figures wait already."""


class Crowd:
    """Those of one process; lives on its loop."""

    def __init__(self, most: int, ring: Callable[[int], None]) -> None:
        self._most = most
        self._ring = ring
        self._waiting = 0
        self._owed = 0
        self._patience = _FIRST_PATIENCE_SECONDS
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Wait among the others.

        Raises:
            Crowded: there are enough.
        """
        if self._waiting >= self._most:
            raise Crowded
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def pause(self) -> None:
        """A moment, before looking again."""
        await asyncio.sleep(_LOOK_AGAIN_SECONDS * (1 + secrets.randbelow(1000) / 1000))

    def owe(self, doorbells: int) -> None:
        """Ring for figures that gave way, later: the longer nothing is heard, the later."""
        self._owed += doorbells
        if self._timer is None and self._owed:
            self._timer = asyncio.get_running_loop().call_later(self._patience, self._ring_owed)
            self._patience = min(2 * self._patience, _MOST_PATIENCE_SECONDS)

    def turn_ended(self) -> None:
        """Something was heard: who gave way may look now."""
        self._patience = _FIRST_PATIENCE_SECONDS
        self._ring_owed()

    def _ring_owed(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        doorbells, self._owed = self._owed, 0
        if doorbells:
            asyncio.get_running_loop().run_in_executor(None, self._ring, doorbells)
