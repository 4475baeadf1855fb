"""How long a document will take. Pure.

Workers share their time evenly among the users who wait, so a user whose work ends after `own`
seconds of service has by then seen every other one served for at most as long.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_UNKNOWN_START_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Queue:
    """Work by its expected seconds: of the user himself, of each other user, in flight."""

    own: float
    others: tuple[float, ...]
    in_flight: float


@dataclass(frozen=True, slots=True)
class Workers:
    """Workers that read, workers that are warming up, and what a warm-up takes in seconds."""

    ready: int
    warming: int
    start_seconds: float | None


def estimated_seconds(work: float, chunks: int, queue: Queue, workers: Workers) -> float:
    """Seconds from now to the end of a document of `work` seconds in `chunks` pieces."""
    count = max(1, workers.ready + workers.warming)
    mine = queue.own + work
    before = queue.in_flight + queue.own + sum(min(other, mine) for other in queue.others)
    start = 0.0 if workers.ready else workers.start_seconds or _UNKNOWN_START_SECONDS
    # A document of one chunk keeps one worker busy, however many there are.
    return start + before / count + work / min(count, max(1, chunks))


def pace(load: Iterable[tuple[str, float]], kind: str) -> float:
    """What work of a kind takes against what was expected, from `spent:` and `planned:` sums."""
    sums = dict(load)
    spent, planned = sums.get(f"spent:{kind}", 0.0), sums.get(f"planned:{kind}", 0.0)
    return min(20.0, max(0.05, spent / planned)) if planned > 0 else 1.0
