"""A pool in virtual time for the drain's tests: pods, workers, a ReplicaSet, rollouts.

It moves in steps of a second. Workers see the drain set at their heartbeat and before they take;
the ReplicaSet follows its spec some seconds later and chooses as the real one does, by luck where
that is left open. A pod that fails in the very moment between an order and its removal is not in
here: that one is left to the grace period.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from ocrplus_operator.control.types import (
    Arrivals,
    Cluster,
    Decision,
    Pod,
    Reading,
    Snapshot,
    Worker,
    WorkerPhase,
)

_HEARTBEAT_SECONDS = 5


@dataclass(slots=True)
class VirtualPod:
    """One pod with one worker."""

    name: str
    created_at: float
    scheduled_at: float
    warm_at: float
    chunk: tuple[float, int] | None = None  # begun, seconds
    idle_since: float = 0.0
    told: bool = False
    cost: int = 0
    sick_until: float = 0.0
    terminating: bool = False


@dataclass(frozen=True, slots=True)
class Removal:
    """What the ReplicaSet took, and whether it held or could have held work."""

    name: str
    confirmed: bool
    started: bool
    with_chunk: bool


@dataclass
class VirtualPool:
    """The world; `act` carries out decisions, `step` lets a second pass."""

    seed: int = 0
    cold_start: int = 20
    now: float = 1_767_571_200.0
    replicas: int = 0
    pods: dict[str, VirtualPod] = field(default_factory=dict)
    draining: set[str] = field(default_factory=set)
    waiting: list[int] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    orders: list[int] = field(default_factory=list)
    done: int = 0
    sickness: float = 0.0  # chance a pod and second
    rollout_until: float = 0.0
    placing: int = 0  # seconds until a new pod has a node

    def __post_init__(self) -> None:
        self._luck = random.Random(self.seed)
        self._number = 0
        self._acts_at = 0.0
        self._arrived_at = 0.0

    # ------------------------------------------------------------------ seen by the operator

    def snapshot(self) -> Snapshot:
        """What the API server and Redis answer."""
        pods = tuple(self._pod(p) for p in self.pods.values())
        workers = tuple(self._worker(p) for p in self.pods.values() if self.now >= p.scheduled_at)
        reading = Reading(
            waiting_chunks=len(self.waiting),
            waiting_pages=sum(self.waiting),
            doorbells=len(self.waiting),
            arrivals=Arrivals(last_at=self._arrived_at),
            workers=workers,
            draining=frozenset(self.draining),
        )
        # An order that its controller has not seen looks like a rollout, too.
        rollout = self.now < max(self.rollout_until, self._acts_at)
        return Snapshot(self.now, Cluster(self.replicas, pods, rollout=rollout), reading)

    def _pod(self, pod: VirtualPod) -> Pod:
        placed = self.now >= pod.scheduled_at
        ready = self.now >= max(pod.warm_at, pod.sick_until)
        return Pod(
            pod.name, pod.created_at, placed, placed, ready, pod.terminating, pod.cost
        )  # fmt: skip

    def _worker(self, pod: VirtualPod) -> Worker:
        phase = self._phase(pod)
        left, begun = 0, 0.0
        if pod.chunk:
            begun = pod.chunk[0]
            left = max(1, round(begun + pod.chunk[1] - self.now))
        return Worker(
            f"{pod.name}.0", pod.name, phase, pages_left=left, page_started_at=begun,
            chunk_started_at=begun, seconds_per_page=1.0, idle_since=pod.idle_since,
        )  # fmt: skip

    def _phase(self, pod: VirtualPod) -> WorkerPhase:
        if pod.chunk:
            return WorkerPhase.DRAINING if pod.told else WorkerPhase.BUSY
        if pod.told:
            return WorkerPhase.DRAINED
        return WorkerPhase.IDLE if self.now >= pod.warm_at else WorkerPhase.WARMING

    # ------------------------------------------------------------------ done by the operator

    def actions(self, decision: Decision) -> Iterator[None]:
        """Carry a decision out, one call after the other: stop early and the rest is not done."""
        for name in decision.unmark:
            if name in self.pods:
                self.pods[name].cost = 0
            yield
            self.draining.discard(name)
            yield
        for name in decision.forget:
            self.draining.discard(name)
            yield
        for name in decision.mark:
            self.draining.add(name)
            yield
        for name in decision.cheapen:
            self.pods[name].cost = decision.deletion_cost
            yield
        if decision.scale_to is not None:
            self.orders.append(decision.scale_to)
            self.replicas = decision.scale_to
            self._acts_at = self.now + self._luck.choice([0, 0, 1, 4])
            yield

    def act(self, decision: Decision) -> None:
        """All of it."""
        for _ in self.actions(decision):
            pass

    # ------------------------------------------------------------------ the world goes on

    def arrive(self, *pages: int) -> None:
        """Chunks of so many pages, a second each."""
        self.waiting.extend(pages)
        self._arrived_at = self.now

    def begin_rollout(self, seconds: float) -> None:
        """A new pod comes beside the old ones; when it ends, one of those has gone."""
        self.rollout_until = self.now + seconds
        self._create()

    def step(self) -> None:
        """Let a second pass."""
        if self.now >= self._acts_at:
            self._reconcile()
        self.now += 1
        rolling = self.rollout_until and self.now >= self.rollout_until
        if rolling:
            self.rollout_until = 0.0
            self._replace_one()
        settled = len(self._live()) == self.replicas
        for pod in list(self.pods.values()):
            self._live_on(pod)
            if settled and self._luck.random() < self.sickness:
                pod.sick_until = self.now + self._luck.randrange(5, 40)

    def _live(self) -> list[VirtualPod]:
        return [p for p in self.pods.values() if not p.terminating]

    def _create(self) -> None:
        self._number += 1
        name = f"p{self._number}"
        placed = self.now + self.placing
        self.pods[name] = VirtualPod(name, self.now, placed, placed + self.cold_start)

    def _replace_one(self) -> None:
        live = self._live()
        if len(live) > self.replicas:
            self._terminate(self._luck.choice(live[: self.replicas] or live))

    def _reconcile(self) -> None:
        if self.now < self.rollout_until:
            return
        live = self._live()
        for _ in range(self.replicas - len(live)):
            self._create()
        excess = len(live) - self.replicas
        if excess > 0:
            self._luck.shuffle(live)
            for pod in sorted(live, key=self._rank)[:excess]:
                confirmed = pod.name in self.draining and pod.told and pod.chunk is None
                started = self.now >= pod.scheduled_at
                self.removals.append(Removal(pod.name, confirmed, started, pod.chunk is not None))
                self._terminate(pod)

    def _rank(self, pod: VirtualPod) -> tuple[bool, bool, bool, int]:
        seen = self._pod(pod)
        return (seen.scheduled, seen.running, seen.ready, seen.deletion_cost)

    def _terminate(self, pod: VirtualPod) -> None:
        pod.terminating = True
        if pod.chunk is None:
            del self.pods[pod.name]

    def _live_on(self, pod: VirtualPod) -> None:
        if self.now < pod.scheduled_at:
            return
        if pod.chunk and self.now >= pod.chunk[0] + pod.chunk[1]:
            pod.chunk, pod.idle_since = None, self.now
            self.done += 1
            pod.told = pod.name in self.draining
            if pod.terminating:
                del self.pods[pod.name]
                return
        if (self.now - pod.created_at) % _HEARTBEAT_SECONDS == 0:
            pod.told = pod.name in self.draining
        free = pod.chunk is None and self.now >= pod.warm_at and not pod.terminating
        if free and self.waiting and not pod.told:
            pod.told = pod.name in self.draining  # it looks before it takes
            if not pod.told:
                pod.chunk = (self.now, self.waiting.pop(0))
