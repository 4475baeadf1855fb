"""A decision in words and numbers: the sentence that answers "why so many?", and its inputs.

Times are told as times, not as ages: a sentence that changes with each look would be written to
status for ever.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ocrplus_operator.control.conditions import no_doorbells
from ocrplus_operator.control.fleet import Fleet
from ocrplus_operator.control.measures import Measures
from ocrplus_operator.control.spec import Mode, PoolSpec
from ocrplus_operator.control.target import Bounds, Target, hold_workers
from ocrplus_operator.control.types import Inputs, Memory, Reading, Reason

_BOUNDS: Final = {
    "Maximum": "limits.maxReplicas allows",
    "Quota": "the ResourceQuota leaves",
    "MaxPending": "limits.maxPending allows for now",
    "Provisioning": "pods that are not warm in time allow",
}


@dataclass(frozen=True, slots=True)
class Case:
    """All that a sentence about one look may speak of."""

    now: float
    spec: PoolSpec
    fleet: Fleet
    reading: Reading
    measures: Measures
    memory: Memory
    bounds: Bounds
    target: Target


def clock(at: float) -> str:
    """A time of day, or with its date where it is told of something that may be long ago."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def message(case: Case, why: str) -> str:
    """The sentence: what changes, why, and what bounds it. `why` replaces the law's numbers."""
    told = why or _numbers(case)
    return "; ".join([f"{_change(case)}: {told}", *_limits(case)])


def _change(case: Case) -> str:
    present, desired = case.fleet.present, case.target.desired
    if desired == present:
        change = f"{present} stay"
    elif case.spec.mode is Mode.DRY_RUN:
        change = f"{present} stay (DryRun), {desired} would be right"
    else:
        change = f"{present} -> {desired}"
    return f"{change}, {len(case.fleet.draining)} drain" if case.fleet.draining else change


def _numbers(case: Case) -> str:
    m, aim = case.measures, case.spec.objective.target_drain_seconds
    told = (
        f"{m.work_seconds:.0f} s of work ({case.reading.waiting_pages} pages wait, "
        f"{m.in_flight} chunks in flight), {m.capacity(aim):.0f} s done in {aim:.0f} s, "
        f"arrivals ask for {m.rate_workers:.1f} workers"
    )
    held = hold_workers(case.memory.needs[0][1]) if case.memory.needs else 0
    window, since = case.spec.scale_down.window_seconds, case.memory.since
    if case.target.reason in (Reason.HOLD, Reason.DRAIN) and held:
        told += f", {held} were needed within {window:.0f} s"
    if since is not None and case.now - since < window and held < case.fleet.present:
        told += f"; none is let go before {window:.0f} s were watched"
    return told


def _limits(case: Case) -> list[str]:
    target, bounds, told = case.target, case.bounds, []
    if target.unbounded > target.desired:
        allowed = _BOUNDS.get(bounds.why, f"{bounds.why} allows")
        told.append(f"{target.unbounded} are asked for, {allowed} {target.desired}")
    elif bounds.floor and target.desired == bounds.floor:
        told.append(f"{_floor(case)} keeps at least {bounds.floor}")
    if no_doorbells(case.memory, case.now):
        told.append("idle workers are not rung (DoorbellsMissing)")
    return told


def _floor(case: Case) -> str:
    if case.bounds.floor_reason is Reason.SCHEDULE:
        return "a schedule"
    return "limits.minReplicas" if case.spec.limits.min_replicas else "scaleToZero.enabled: false"


def inputs(case: Case) -> Inputs:
    """The numbers."""
    m, reading, bounds = case.measures, case.reading, case.bounds
    return Inputs(
        waiting_chunks=reading.waiting_chunks,
        waiting_pages=reading.waiting_pages,
        in_flight=m.in_flight,
        expired=reading.expired_leases,
        oldest_wait_seconds=reading.oldest_wait_seconds,
        work_seconds=m.work_seconds,
        capacity_seconds=m.capacity(case.spec.objective.target_drain_seconds),
        pages_per_second=m.pages_per_second,
        seconds_per_page=m.seconds_per_page,
        cold_start_seconds=m.cold_start_seconds,
        rate_workers=m.rate_workers,
        hold_workers=hold_workers(case.memory.needs[0][1]) if case.memory.needs else 0,
        ready_workers=m.ready_workers,
        starting_workers=len(m.warm_in),
        floor_replicas=bounds.floor,
        ceiling_replicas=bounds.ceiling,
    )
