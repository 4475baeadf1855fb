"""Who waits in a process: figures for a place to be prepared at, and for what others hear.

A logo on 200 pages must not hold every thread while a slow model is asked about it once: a few of
its figures stay, the others go back behind the rest. Their doorbells ring when its turn ends here;
if it is another process's, whoever reconciles rings for them.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from ocrplus_contract.names import Permit

_LOOK_AGAIN_SECONDS: Final = 0.2
_MOST_OWED: Final = 10_000


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

    def __init__(self, picture: str) -> None:
        self.picture = picture
        super().__init__(picture)


class Crowd:
    """Figures that wait for what another one of their picture hears; lives on the process's loop.

    A picture is named by its user, terms and digest, a figure by its user and chunk.
    """

    def __init__(self, most: int, ring: Callable[[int], None]) -> None:
        self._most = most
        self._ring = ring
        self._waiting = 0
        self._gave_way: dict[str, set[str]] = {}
        self._pictures: dict[str, str] = {}  # by figure

    @contextmanager
    def joined(self, picture: str) -> Iterator[None]:
        """Wait among the others.

        Raises:
            Crowded: there are enough.
        """
        if self._waiting >= self._most:
            raise Crowded(picture)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def turn_away(self, figure: str) -> None:
        """Look at nothing of a figure that gave way before, while it would again.

        Raises:
            Crowded: it would.
        """
        picture = self._pictures.get(figure)
        if picture is not None and self._waiting >= self._most:
            raise Crowded(picture)

    async def pause(self) -> None:
        """A moment, before looking again."""
        await asyncio.sleep(_LOOK_AGAIN_SECONDS * (1 + secrets.randbelow(1000) / 1000))

    def owe(self, picture: str, figure: str) -> None:
        """A figure gave way: ring for it when its picture's turn has ended. Of turns that end in
        another process nothing is heard here, so when very many are owed all are rung for.
        """
        if len(self._pictures) >= _MOST_OWED:
            self.scatter()
        self._gave_way.setdefault(picture, set()).add(figure)
        self._pictures[figure] = picture

    def turn_ended(self, picture: str) -> None:
        """Something was heard of a picture, or will not be: who gave way may look now."""
        figures = self._gave_way.pop(picture, set())
        for figure in figures:
            self._pictures.pop(figure, None)
        if figures:
            asyncio.get_running_loop().run_in_executor(None, self._ring, len(figures))

    def scatter(self) -> None:
        """This process will hear no more: ring for all."""
        for picture in list(self._gave_way):
            self.turn_ended(picture)
