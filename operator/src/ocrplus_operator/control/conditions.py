"""The resource's conditions, from what a decision saw; reasons are CamelCase constants."""

from dataclasses import dataclass
from typing import Final

from ocrplus_operator.control.measures import Measures
from ocrplus_operator.control.spec import PoolSpec
from ocrplus_operator.control.target import Bounds, Target
from ocrplus_operator.control.types import (
    Cluster,
    Condition,
    ConditionType,
    Memory,
    Reading,
    Snapshot,
    Unknown,
)

DOORBELL_PATIENCE_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class View:
    """What a decision worked out, as far as it came."""

    snapshot: Snapshot
    memory: Memory
    spec: PoolSpec
    measures: Measures | None = None
    bounds: Bounds | None = None
    target: Target | None = None
    blocked_by: str = ""


def conditions(view: View) -> tuple[Condition, ...]:
    """All eight, each time."""
    return (
        _ready(view),
        _active(view),
        _metrics(view),
        _limited(view),
        _attainable(view),
        _paused(view),
        _conflict(view),
        _doorbells(view),
    )


def _ready(view: View) -> Condition:
    cluster = view.snapshot.cluster
    if isinstance(cluster, Unknown):
        return Condition(ConditionType.READY, False, cluster.reason, cluster.message)
    if cluster.conflict:
        told = f"nothing is scaled: {cluster.conflict} claims the same target or work"
        return Condition(ConditionType.READY, False, "Conflict", told)
    if isinstance(view.snapshot.redis, Unknown):
        why = view.snapshot.redis
        return Condition(ConditionType.READY, False, why.reason, f"holds: {why.message}")
    return Condition(ConditionType.READY, True, "Deciding", "target and work can be read")


def _active(view: View) -> Condition:
    reading = view.snapshot.redis
    if isinstance(reading, Unknown) or view.measures is None:
        return Condition(ConditionType.ACTIVE, None, "Unknown", "work cannot be read")
    waiting, in_flight = reading.waiting_chunks, view.measures.in_flight
    if waiting or in_flight or reading.expired_leases:
        told = f"{waiting} chunks wait, {in_flight} are in flight"
        return Condition(ConditionType.ACTIVE, True, "Work", told)
    return Condition(ConditionType.ACTIVE, False, "NoWork", "nothing waits or is in flight")


def _metrics(view: View) -> Condition:
    reading = view.snapshot.redis
    if isinstance(reading, Unknown):
        return Condition(
            ConditionType.METRICS_AVAILABLE, False, reason_of(reading), reading.message
        )
    return Condition(ConditionType.METRICS_AVAILABLE, True, "Read", "every number is known")


def reason_of(unknown: Unknown) -> str:
    """The reason, never empty: an empty one is not a valid condition."""
    return unknown.reason or "Unknown"


def _limited(view: View) -> Condition:
    target, bounds = view.target, view.bounds
    if target is None or bounds is None:
        return Condition(ConditionType.SCALING_LIMITED, None, "Unknown", "nothing was decided")
    if target.unbounded > target.desired:
        told = f"work asks for {target.unbounded} replicas, {target.desired} may be"
        return Condition(ConditionType.SCALING_LIMITED, True, bounds.why or "Maximum", told)
    if view.blocked_by:
        told = f"cannot shrink: {view.blocked_by}"
        return Condition(ConditionType.SCALING_LIMITED, True, "DrainBlocked", told)
    return Condition(ConditionType.SCALING_LIMITED, False, "WithinLimits", "no limit binds")


def _attainable(view: View) -> Condition:
    measures, bounds, target = view.measures, view.bounds, view.target
    if measures is None or bounds is None or target is None:
        return Condition(ConditionType.SLO_ATTAINABLE, None, "Unknown", "work cannot be read")
    aim = view.spec.objective.target_drain_seconds
    if target.unbounded > target.desired and measures.work_seconds > measures.capacity(aim):
        told = f"{measures.work_seconds:.0f} s of work, and {target.desired} replicas may be"
        return Condition(ConditionType.SLO_ATTAINABLE, False, "Limited", told)
    cold = measures.cold_start_seconds
    if bounds.floor == 0 and cold > aim:
        told = f"from zero the first work waits {cold:.0f} s; minReplicas or a schedule avoid it"
        return Condition(ConditionType.SLO_ATTAINABLE, False, "ColdStart", told)
    told = f"known work can be done in {aim:.0f} s"
    return Condition(ConditionType.SLO_ATTAINABLE, True, "WithinTarget", told)


def _paused(view: View) -> Condition:
    pause = view.snapshot.pause
    if pause.all:
        return Condition(ConditionType.PAUSED, True, "Annotation", "replicas stay as they are")
    if pause.scale_down:
        return Condition(ConditionType.PAUSED, True, "ScaleDownOnly", "replicas do not fall")
    return Condition(ConditionType.PAUSED, False, "NotPaused", "no annotation pauses")


def _conflict(view: View) -> Condition:
    cluster = view.snapshot.cluster
    if not isinstance(cluster, Cluster):
        return Condition(ConditionType.CONFLICT, None, "Unknown", "the cluster cannot be read")
    if cluster.conflict:
        told = f"{cluster.conflict} claims the same target or work: remove one of the two"
        return Condition(ConditionType.CONFLICT, True, "OtherScaler", told)
    return Condition(
        ConditionType.CONFLICT, False, "OneWriter", "nothing else claims target or work"
    )


def no_doorbells(memory: Memory, now: float) -> bool:
    """Whether idle workers have long not been rung though chunks wait."""
    since = memory.doorbells_missing_since
    return since is not None and now - since >= DOORBELL_PATIENCE_SECONDS


def _doorbells(view: View) -> Condition:
    reading = view.snapshot.redis
    if not isinstance(reading, Reading):
        return Condition(ConditionType.DOORBELLS_MISSING, None, "Unknown", "work cannot be read")
    if no_doorbells(view.memory, view.snapshot.now):
        told = f"{reading.waiting_chunks} chunks wait, workers idle, no doorbell in the queue"
        return Condition(ConditionType.DOORBELLS_MISSING, True, "QueueEmpty", told)
    return Condition(ConditionType.DOORBELLS_MISSING, False, "Ringing", "idle workers are rung")
