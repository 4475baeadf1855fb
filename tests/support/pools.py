"""Snapshots of a pool for the law's tests: short words for pods, workers and what waits."""

from dataclasses import replace
from typing import Any

from ocrplus_operator.control.law import decide
from ocrplus_operator.control.spec import (
    Limits,
    MissingMetrics,
    Mode,
    Objective,
    PoolSpec,
    ScaleDown,
    ScaleToZero,
    Schedule,
    Startup,
    TargetRef,
)
from ocrplus_operator.control.types import (
    DRAINED_DELETION_COST,
    Arrivals,
    Cluster,
    Condition,
    ConditionType,
    Decision,
    Memory,
    Pause,
    Pod,
    Reading,
    Snapshot,
    Unknown,
    Worker,
    WorkerPhase,
)

NOW = 1_767_571_200.0  # a Monday, 00:00 UTC
SPEC = PoolSpec(
    TargetRef("ocr-worker"),
    objective=Objective(min_useful_seconds=30),
    scale_down=ScaleDown(window_seconds=60),
)
WATCHED = Memory(since=NOW - 3600, last_at=NOW - 3, seconds_per_page=1.0, cold_start_seconds=60.0)
"""An operator that has watched for an hour and knows that a page takes a second."""

_BLOCKS = {
    "limits": Limits,
    "objective": Objective,
    "scale_down": ScaleDown,
    "scale_to_zero": ScaleToZero,
    "startup": Startup,
    "missing_metrics": MissingMetrics,
}


def spec(**fields: Any) -> PoolSpec:
    """The default spec with these fields; blocks as dictionaries."""
    changes = {k: _BLOCKS[k](**v) if k in _BLOCKS else v for k, v in fields.items()}
    return replace(SPEC, **changes)


def pod(name: str, *, age: float = 600.0, now: float = NOW, **fields: Any) -> Pod:
    """A ready pod of this age."""
    return Pod(name, created_at=now - age, **fields)


def starting(name: str, *, age: float = 0.0, **fields: Any) -> Pod:
    """A pod whose worker warms."""
    return pod(name, age=age, ready=False, **fields)


def idle(name: str, *, seconds: float = 10.0, slot: int = 0) -> Worker:
    """A worker of that pod with nothing in hand."""
    return Worker(f"{name}.{slot}", name, WorkerPhase.IDLE, idle_since=NOW - seconds)


def busy(name: str, *, pages: int = 8, slot: int = 0, elapsed: float = 0.0) -> Worker:
    """A worker of that pod with so many pages left."""
    return Worker(
        f"{name}.{slot}",
        name,
        WorkerPhase.BUSY,
        chunk_pages=16,
        pages_left=pages,
        page_started_at=NOW - elapsed,
        chunk_started_at=NOW - 20,
        idle_since=NOW - 30,
    )


def drained(name: str, *, slot: int = 0) -> Worker:
    """A worker of that pod that has confirmed."""
    return Worker(f"{name}.{slot}", name, WorkerPhase.DRAINED, idle_since=NOW - 30)


def cheap(name: str, **fields: Any) -> Pod:
    """A ready pod that was made the cheapest to delete."""
    return pod(name, deletion_cost=DRAINED_DELETION_COST, **fields)


def look(
    pods: tuple[Pod, ...] = (),
    workers: tuple[Worker, ...] = (),
    *,
    replicas: int | None = None,
    pages: int = 0,
    draining: tuple[str, ...] = (),
    now: float = NOW,
    **fields: Any,
) -> Snapshot:
    """One snapshot; `fields` go to the reading, the cluster or the snapshot, whoever has them."""
    cluster = {k: fields.pop(k) for k in ("quota_replicas", "rollout", "conflict") if k in fields}
    pause = fields.pop("pause", Pause())
    fields.setdefault("waiting_chunks", -(-pages // 16))
    fields.setdefault("doorbells", 1 if pages else 0)
    reading = Reading(waiting_pages=pages, workers=workers, draining=frozenset(draining), **fields)
    live = sum(not p.terminating for p in pods)
    return Snapshot(
        now,
        Cluster(live if replicas is None else replicas, pods, **cluster),
        reading,
        pause,
    )


def unread(snapshot: Snapshot, reason: str = "Timeout") -> Snapshot:
    """The same with Redis unreadable."""
    return replace(snapshot, redis=Unknown(reason, "no answer"))


def answer(snapshot: Snapshot, memory: Memory = WATCHED, pool: PoolSpec = SPEC) -> Decision:
    """Only the decision."""
    return decide(snapshot, memory, pool)[0]


def condition(decision: Decision, kind: ConditionType) -> Condition:
    """One of the eight."""
    return next(c for c in decision.conditions if c.type is kind)


def fleet_of(count: int) -> tuple[tuple[Pod, ...], tuple[Worker, ...]]:
    """Ready pods with idle workers."""
    names = [f"p{i}" for i in range(count)]
    return tuple(pod(n) for n in names), tuple(idle(n) for n in names)


__all__ = [
    "NOW",
    "SPEC",
    "WATCHED",
    "Arrivals",
    "Mode",
    "Schedule",
    "answer",
    "busy",
    "cheap",
    "condition",
    "drained",
    "fleet_of",
    "idle",
    "look",
    "pod",
    "spec",
    "starting",
    "unread",
]
