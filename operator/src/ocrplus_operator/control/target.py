"""How many replicas: up at once, down by the window, to zero after a silence, within bounds.

Workers inside, replicas outside: a worker short is a replica short.
"""

import math
from dataclasses import dataclass

from ocrplus_operator.control.fleet import Fleet
from ocrplus_operator.control.measures import Measures
from ocrplus_operator.control.spec import Objective
from ocrplus_operator.control.types import Reading, Reason


@dataclass(frozen=True, slots=True)
class Bounds:
    """Replicas between which the answer lies.

    `ceiling`: the most that may be; `most_now`: the most that may be ordered in this look, because
    of pods that still wait for a place; `why`: what the narrowest bound above is called.
    """

    floor: int
    ceiling: int
    most_now: int
    why: str
    floor_reason: Reason = Reason.MINIMUM


@dataclass(frozen=True, slots=True)
class Target:
    """Replicas wanted, why, and what was wanted before the bounds."""

    desired: int
    reason: Reason
    unbounded: int


def replicas_of(workers: float, per_replica: int) -> int:
    """Whole replicas for so many workers."""
    return math.ceil(workers / per_replica)


def up(measures: Measures, reading: Reading, fleet: Fleet, aim: Objective) -> tuple[int, Reason]:
    """Replicas that known work asks for now, never fewer than are present."""
    k = fleet.workers_per_replica
    present = fleet.present
    work = measures.work_seconds
    cold = measures.cold_start_seconds
    wanted, reason = present, Reason.HOLD
    if present == 0:
        if work > 0 or reading.expired_leases or reading.waiting_chunks:
            workers = max(1, math.ceil(work / max(aim.min_useful_seconds, 1.0)))
            wanted, reason = replicas_of(workers, k), Reason.FROM_ZERO
    elif work > measures.capacity(aim.target_drain_seconds):
        horizon = max(aim.target_drain_seconds, cold + aim.min_useful_seconds)
        short = work - measures.capacity(horizon)
        if short > 0:
            more = math.ceil(short / max(horizon - cold, 1.0))
            wanted, reason = present + replicas_of(more, k), Reason.BACKLOG
    if reading.waiting_chunks:
        by_rate = replicas_of(math.floor(measures.rate_workers + 0.5), k)
        if by_rate > wanted:
            wanted, reason = by_rate, Reason.RATE
    return wanted, reason


def need_workers(measures: Measures, aim: Objective) -> float:
    """What would be enough right now: for the rate, or for the known work in the drain target."""
    return max(measures.rate_workers, measures.work_seconds / max(aim.target_drain_seconds, 1.0))


def hold_workers(largest_need: float) -> int:
    """Round the window's largest need, halves down."""
    return math.ceil(largest_need - 0.5)


def down(fleet: Fleet, hold: int) -> int:
    """Replicas to fall to while something may still come: one stays, and so does who works."""
    busy = sum(1 for view in fleet.useful if view.busy)
    return min(fleet.present, max(1, replicas_of(hold, fleet.workers_per_replica), busy))


def bounded(wanted: int, reason: Reason, fleet: Fleet, bounds: Bounds) -> Target:
    """Keep within the bounds and say so where they bind."""
    desired = wanted
    if desired < bounds.floor:
        desired = bounds.floor
        # nothing fell: the floor keeps what is there
        reason = bounds.floor_reason if desired != fleet.present else Reason.HOLD
    top = bounds.ceiling if desired <= fleet.present else min(bounds.ceiling, bounds.most_now)
    if desired > top:
        desired, reason = max(top, min(fleet.present, bounds.ceiling)), Reason.LIMITED
    return Target(desired, reason, wanted)
