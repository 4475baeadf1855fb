"""From a picture to numbers: work, capacity, rate (design page, "The law")."""

import math
from dataclasses import dataclass
from typing import Final

from ocrplus_operator.control.fleet import STUCK, Fleet, Timing
from ocrplus_operator.control.types import Arrivals, Reading

_MOST_CHUNKS_AT_ONCE: Final = 2.25
_MOST_OF_A_MINUTE: Final = 3.0
_LEAST_MINUTES: Final = 5
_LEAST_PAGES: Final = 60.0


@dataclass(frozen=True, slots=True)
class Measures:
    """Numbers of one look; capacities and rates in workers, work in seconds of one worker."""

    seconds_per_page: float
    cold_start_seconds: float
    work_seconds: float
    pages_per_second: float
    rate_workers: float
    in_flight: int
    ready_workers: int
    warm_in: tuple[float, ...]

    def capacity(self, horizon_seconds: float) -> float:
        """Seconds of work that ready and starting workers do within the horizon."""
        return self.ready_workers * horizon_seconds + sum(
            horizon_seconds - wait for wait in self.warm_in if wait < horizon_seconds
        )


def lasting_pages(arrivals: Arrivals) -> float:
    """Pages of the span without what came at once: that is known work, and no sign of more.

    A minute counts at most `_MOST_OF_A_MINUTE` times the mean of the others: a burst would else
    keep workers for ten minutes after it is done.
    """
    minutes = arrivals.pages_by_minute
    if len(minutes) < _LEAST_MINUTES:
        return float(arrivals.pages)
    largest = max(minutes)
    others = (sum(minutes) - largest) / (len(minutes) - 1)
    return arrivals.pages - max(0.0, largest - max(_MOST_OF_A_MINUTE * others, _LEAST_PAGES))


def rate_workers(arrivals: Arrivals, seconds_per_page: float, headroom: float) -> float:
    """Square-root staffing: the offered load and room for its swings."""
    pages = lasting_pages(arrivals)
    if pages <= 0 or arrivals.span_seconds <= 0:
        return 0.0
    load = pages / arrivals.span_seconds * seconds_per_page
    swing = min(arrivals.chunks_squared / max(1, arrivals.chunks), _MOST_CHUNKS_AT_ONCE)
    return load + headroom * math.sqrt(load * swing)


def measure(reading: Reading, fleet: Fleet, *, timing: Timing, headroom: float) -> Measures:
    """Count what is there and what waits."""
    s = timing.seconds_per_page
    work = s * (reading.waiting_pages + reading.expired_pages)
    ready = 0
    warm_in: list[float] = []
    for view in fleet.useful:
        ready += view.warm
        work += view.left_seconds
        if view.cold and view.warm_in_seconds < STUCK:
            warm_in += [view.warm_in_seconds] * view.cold
    warm_in += [timing.cold_start_seconds] * (fleet.ordered * fleet.workers_per_replica)
    arrivals = reading.arrivals
    return Measures(
        seconds_per_page=s,
        cold_start_seconds=timing.cold_start_seconds,
        work_seconds=work,
        pages_per_second=arrivals.pages / arrivals.span_seconds if arrivals.span_seconds else 0.0,
        rate_workers=rate_workers(arrivals, s, headroom),
        in_flight=sum(1 for worker in reading.workers if worker.holds_work),
        ready_workers=ready,
        warm_in=tuple(warm_in),
    )
