"""Pods and workers as one picture: who works, who warms, who drains, who may go.

A worker belongs to the pod that its record names. A pod counts by what its workers say; where
they say nothing, by its age: it warms, is late, or is stuck.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ocrplus_operator.control.types import (
    Cluster,
    Counts,
    Pod,
    Reading,
    Worker,
    WorkerPhase,
)

Rank = tuple[bool, bool, bool, int]
STUCK: Final = float("inf")  # warm-up left of a pod that no longer counts on becoming warm
_LATE: Final = 2.0  # cold starts after which a silent pod is thought to begin anew
_NONE: Final[tuple[Worker, ...]] = ()


@dataclass(frozen=True, slots=True)
class Timing:
    """What a picture needs to know of time: now, the cold start, when waiting is hopeless."""

    now: float
    cold_start_seconds: float
    provisioning_timeout_seconds: float
    seconds_per_page: float


class PodView(NamedTuple):
    """One pod that is not terminating, with its workers (a tuple: a thousand are made each look).

    `warm` workers take or do work, `cold` ones are still to come, each in `warm_in_seconds`;
    `left_seconds` is the rest of what `busy` ones have in hand.
    `confirmed`: every worker of it has a record and says `drained`. `silent`: no records at all.
    """

    pod: Pod
    marked: bool
    warm: int
    cold: int
    warm_in_seconds: float
    busy: int
    left_seconds: float
    idle_since: float
    confirmed: bool
    silent: bool

    @property
    def name(self) -> str:
        return self.pod.name

    @property
    def cheap(self) -> bool:
        return self.pod.cheap

    @property
    def rank(self) -> Rank:
        """The ReplicaSet's order of deletion, lowest first, as far as it does not need luck."""
        return (self.pod.scheduled, self.pod.running, self.pod.ready, self.pod.deletion_cost)


@dataclass(frozen=True, slots=True)
class Fleet:
    """All pods of the pool that are not terminating, and what the target's spec says.

    `ordered`: replicas that have no pod yet. `leaving`: pods that the target's spec has already
    given up. `present`: replicas that count: without those that drain or leave.
    """

    pods: tuple[PodView, ...]
    replicas: int
    ordered: int
    leaving: int
    present: int
    gone_marks: tuple[str, ...]
    workers_per_replica: int
    draining: tuple[PodView, ...]
    useful: tuple[PodView, ...]


def picture(cluster: Cluster, reading: Reading, timing: Timing, per_replica: int) -> Fleet:
    """Join pods and worker records."""
    by_pod = _by_pod(reading.workers)
    marks = reading.draining
    views = tuple(
        _view(pod, by_pod.get(pod.name, _NONE), pod.name in marks, (timing, per_replica))
        for pod in cluster.pods
        if not pod.terminating
    )
    count = len(views)
    draining = tuple(view for view in views if view.marked)
    leaving = max(0, count - cluster.replicas)
    if cluster.rollout:  # new pods beside old ones, or an order that its controller has not seen
        leaving = min(leaving, sum(view.cheap for view in draining))
    names = {pod.name for pod in cluster.pods}
    return Fleet(
        pods=views,
        replicas=cluster.replicas,
        ordered=max(0, cluster.replicas - count),
        leaving=leaving,
        present=max(0, cluster.replicas - max(0, len(draining) - leaving)),
        gone_marks=tuple(sorted(marks - names)),
        workers_per_replica=per_replica,
        draining=draining,
        useful=tuple(view for view in views if not view.marked) if draining else views,
    )


def _by_pod(workers: Sequence[Worker]) -> Mapping[str, Sequence[Worker]]:
    by_pod: dict[str, list[Worker]] = {}
    for worker in workers:
        known = by_pod.get(worker.pod)
        if known is None:
            by_pod[worker.pod] = [worker]
        else:
            known.append(worker)
    return by_pod


def _view(
    pod: Pod, workers: Sequence[Worker], marked: bool, context: tuple[Timing, int]
) -> PodView:
    timing, per_replica = context
    warm = busy = drained = 0
    left = idle_since = 0.0
    for worker in workers:
        warm += worker.phase is not WorkerPhase.WARMING
        drained += worker.phase is WorkerPhase.DRAINED
        idle_since = max(idle_since, worker.idle_since)
        if worker.holds_work:
            busy += 1
            left += seconds_left(worker, timing)
    cold = max(0, per_replica - warm)
    return PodView(
        pod=pod,
        marked=marked,
        warm=warm,
        cold=cold,
        warm_in_seconds=_warm_in(pod, timing, warm) if cold else 0.0,
        busy=busy,
        left_seconds=left,
        idle_since=idle_since,
        confirmed=marked and drained == len(workers) >= per_replica,
        silent=not workers,
    )


def seconds_left(worker: Worker, timing: Timing) -> float:
    """Expected rest of the chunk in a worker's hands."""
    if not worker.pages_left:
        return 0.0
    elapsed = timing.now - worker.page_started_at
    return max(0.0, timing.seconds_per_page * worker.pages_left - max(0.0, elapsed))


def _warm_in(pod: Pod, timing: Timing, warm: int) -> float:
    cold = timing.cold_start_seconds
    age = timing.now - max(pod.created_at, pod.unready_since)
    stuck_after = max(timing.provisioning_timeout_seconds, _LATE * cold)
    if age > stuck_after and not warm and not (pod.ready and pod.running):
        return STUCK
    if not pod.scheduled or age > _LATE * cold:
        return cold  # waits for a node, or begins anew: all of the warm-up is still to come
    return max(0.0, cold - age)


def stuck(fleet: Fleet) -> list[PodView]:
    """Pods that should have been warm long ago."""
    return [view for view in fleet.pods if not view.marked and view.warm_in_seconds == STUCK]


def counts(fleet: Fleet) -> Counts:
    """Pods by what they do."""
    busy = warming = ready = draining = 0
    for view in fleet.pods:
        ready += view.pod.ready
        if view.marked:
            draining += 1
        elif view.busy:
            busy += 1
        elif not view.warm:
            warming += 1
    return Counts(len(fleet.pods), ready, warming, busy, draining)
