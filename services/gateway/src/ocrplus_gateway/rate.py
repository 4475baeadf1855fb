"""How often a client does something: counted coarsely, since it costs each message."""

import time
from typing import Final

RATE_SECONDS: Final = 10.0


class Rate:
    """Counts events of the last ten seconds."""

    __slots__ = ("_began", "_count")

    def __init__(self) -> None:
        self._began = 0.0
        self._count = 0

    def more_than(self, most: float) -> bool:
        """Count one; whether there were more than `most` within ten seconds."""
        now = time.monotonic()
        if now - self._began > RATE_SECONDS:
            self._began, self._count = now, 0
        self._count += 1
        return self._count > most
