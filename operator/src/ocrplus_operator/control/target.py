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


def up(
    measures: Measures, reading: Reading, fleet: Fleet, aim: Objective, *, back: int
) -> tuple[int, Reason]:
    """Replicas that known work asks for now, never fewer than are present.

    `back`: draining replicas that are warm and can be taken back. They cost no cold start, so that
    they come before any order, and a new worker must find work that they leave.
    """
    k, present = fleet.workers_per_replica, fleet.present
    wanted, reason = present, Reason.HOLD
    if present == 0 and (measures.work_seconds or reading.expired_leases or reading.waiting_chunks):
        wanted, reason = _from_zero(measures, fleet, aim, back), Reason.FROM_ZERO
    elif present and measures.work_seconds > measures.capacity(aim.target_drain_seconds):
        more = _for_backlog(measures, fleet, aim, back)
        wanted, reason = present + more, Reason.BACKLOG if more else Reason.HOLD
    if reading.waiting_chunks:
        by_rate = replicas_of(math.floor(measures.rate_workers + 0.5), k)
        if by_rate > wanted:
            wanted, reason = by_rate, Reason.RATE
    return wanted, reason


def _from_zero(measures: Measures, fleet: Fleet, aim: Objective, back: int) -> int:
    if back:
        return max(1, _for_backlog(measures, fleet, aim, back))
    workers = math.ceil(measures.work_seconds / max(aim.min_useful_seconds, 1.0))
    return replicas_of(max(1, workers), fleet.workers_per_replica)


def _for_backlog(measures: Measures, fleet: Fleet, aim: Objective, back: int) -> int:
    """Replicas more: those taken back until the drain target holds, then new ones."""
    k, work, cold = fleet.workers_per_replica, measures.work_seconds, measures.cold_start_seconds
    target = max(aim.target_drain_seconds, 1.0)
    again = min(back, replicas_of((work - measures.capacity(target)) / target, k))
    horizon = max(target, cold + aim.min_useful_seconds)
    short = work - measures.capacity(horizon) - again * k * horizon
    if again == back and short > 0:
        return again + replicas_of(math.ceil(short / max(horizon - cold, 1.0)), k)
    return again


def need_workers(measures: Measures, aim: Objective) -> float:
    """What would be enough right now: for the rate, or for the known work in the drain target."""
    return max(measures.rate_workers, measures.work_seconds / max(aim.target_drain_seconds, 1.0))


def hold_workers(largest_need: float) -> int:
    """Round the window's largest need, halves down."""
    return math.ceil(largest_need - 0.5)


def down(fleet: Fleet, measures: Measures, hold: int, aim: Objective) -> int:
    """Replicas to fall to while something may still come: one stays, and so does who works.

    Those who stay do the known work within the target: starting ones were ordered for it.
    """
    k, target = fleet.workers_per_replica, max(aim.target_drain_seconds, 1.0)
    spare = measures.capacity(target) - measures.work_seconds
    enough = fleet.present - max(0, math.floor(spare / (target * k)))
    busy = sum(1 for view in fleet.useful if view.busy)
    return min(fleet.present, max(1, replicas_of(hold, k), busy, enough))


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
