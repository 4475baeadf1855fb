"""What records teach: seconds per page, the cold start, the gaps between arrivals.

Seconds per page is folded in page by page, from what each worker did between two looks. A mean
over time would let slow documents count twice, a mean over reports would let fast ones.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from ocrplus_operator.control.spec import ScaleToZero, Startup
from ocrplus_operator.control.types import Gaps, Memory, Progress, Worker, WorkerPhase

PRIOR_SECONDS_PER_PAGE: Final = 0.6
_WEIGHT_OF_A_PAGE: Final = 0.002  # one page of 500: documents differ threefold, engines do not
_SECONDS_PER_PAGE: Final = (0.02, 30.0)  # a mean outside is a broken clock, not a page
_COLD_START: Final = (1.0, 3600.0)
_COLD_QUANTILE: Final = 0.75
_WEIGHT_OF_A_GAP: Final = 0.1
_LEAST_GAPS: Final = 4
_WORTH_WAITING: Final = 1.5  # mean gaps longer than this many silences are not waited out
_GAPS_WAITED: Final = 6.0  # of memoryless arrivals, 1 in 400 comes later than six mean gaps
_LONGEST_SILENCE: Final = 6.0


def progress(workers: Iterable[Worker]) -> tuple[Progress, ...]:
    """What the next look will compare with."""
    return tuple(
        (w.id, w.chunk_started_at, w.pages_left, w.page_started_at) for w in workers if w.pages_left
    )


def seconds_per_page(
    memory: Memory, workers: Sequence[Worker], *, by_report: bool = False
) -> float | None:
    """Fold in the pages done since the last look; None while nothing has ever been reported.

    `by_report`: workers with several things in hand at once tell it themselves, as what overlaps
    cannot be told apart from outside.
    """
    known = memory.seconds_per_page
    if known is None or by_report:
        reports = [w.seconds_per_page for w in workers if w.seconds_per_page > 0.0]
        return _clamped(sum(reports) / len(reports)) if reports else known
    before = {seen[0]: seen for seen in memory.progress}
    for worker in workers:
        seen = before.get(worker.id)
        for pages, seconds in _done(worker, seen):
            if pages > 0 and seconds > 0.0:
                weight = min(1.0, _WEIGHT_OF_A_PAGE * pages)
                known += weight * (_clamped(seconds / pages) - known)
    return known


def _done(worker: Worker, seen: Progress | None) -> Iterable[tuple[int, float]]:
    """Pages and seconds of a worker since the last look, a pair for each chunk."""
    same = seen is not None and seen[1] == worker.chunk_started_at and worker.pages_left > 0
    if seen is not None and same:
        yield seen[2] - worker.pages_left, worker.page_started_at - seen[3]
        return
    if seen is not None:  # that chunk ended; at the latest when the next began
        ended = worker.chunk_started_at if worker.pages_left else worker.idle_since
        yield seen[2], ended - seen[3]
    if worker.pages_left and worker.phase is WorkerPhase.BUSY:
        done = worker.chunk_pages - worker.pages_left
        yield done, worker.page_started_at - worker.chunk_started_at


def _clamped(seconds: float) -> float:
    low, high = _SECONDS_PER_PAGE
    return min(max(seconds, low), high)


def cold_start_seconds(
    known: float | None, workers: Iterable[Worker], spec: Startup
) -> float | None:
    """Three quarters of the workers here were warm this fast; else the last known.

    None while no worker has said: then the spec's counts, also after somebody changed it.
    """
    if not spec.learn:
        return None
    low, high = _COLD_START
    reports = sorted(w.cold_start_seconds for w in workers if w.cold_start_seconds > 0.0)
    if not reports:
        return known
    return min(max(reports[math.ceil(_COLD_QUANTILE * len(reports)) - 1], low), high)


def gaps(known: Gaps, last_at: float) -> Gaps:
    """Fold in the gap that an arrival since the last look has ended."""
    if last_at <= known.last_at:
        return known
    if not known.last_at:
        return Gaps(last_at=last_at)
    gap = last_at - known.last_at
    weight = max(_WEIGHT_OF_A_GAP, 1 / (known.count + 1))
    mean = known.mean_seconds + weight * (gap - known.mean_seconds)
    return Gaps(mean, known.count + 1, last_at)


def silence_seconds(known: Gaps, spec: ScaleToZero) -> float:
    """How long nothing must come before the pool sleeps.

    Where work comes again within the plain silence, or a little later, sleeping saves little and
    every document after it waits for a cold start: then six mean gaps are waited out.
    """
    plain = spec.after_seconds
    if not spec.adaptive or known.count < _LEAST_GAPS:
        return plain
    if known.mean_seconds > _WORTH_WAITING * plain:
        return plain
    return min(max(plain, _GAPS_WAITED * known.mean_seconds), _LONGEST_SILENCE * plain)
