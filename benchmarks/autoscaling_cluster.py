"""A cluster in virtual time: a queue, pods that warm, work and go, and a law that sets replicas.

Assumptions: one worker a pod, one chunk at a time; an idle worker takes at once, the one idle
longest first; a cold start takes 60 s; at most 16 pods, ending ones included. A pod that ends
stops taking and finishes its chunk, unless its grace is over: then the chunk is lost until the
broker gives it back. The ReplicaSet removes pods that are not ready first, then the lowest
deletion cost, then by luck.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from autoscaling_queue import Chunk, Fair, Fifo, Queue
from autoscaling_traces import Trace

QUOTA: Final = 16
COLD_START_SECONDS: Final = 60.0
_MOST_HOURS: Final = 40
_SEED_OFFSET: Final = 777


@dataclass(frozen=True, slots=True)
class Setting:
    """Around the law: seconds of grace, when the broker gives a lost chunk back, the order."""

    grace: float = 300.0
    visibility: float = 300.0
    sweep: float = 10.0
    fair: bool = False
    cold_start: float = COLD_START_SECONDS
    free_start: bool = False  # every worker is warm when ordered; its warm-up is still paid


class Pod:
    """One pod with its worker; `phase` is starting, idle or busy."""

    __slots__ = (
        "born", "chunk", "cost", "ending", "gone", "id", "idle_since", "marked",
        "pace", "phase", "taken_at", "told", "will_be_warm",
    )  # fmt: skip

    def __init__(self, number: int, now: float) -> None:
        self.id = number
        self.born = now
        self.phase = "starting"
        self.chunk: Chunk | None = None
        self.taken_at = self.idle_since = self.will_be_warm = 0.0
        self.ending = self.gone = False
        self.marked = self.told = False  # in the drain set; the worker has seen so
        self.cost = 0
        self.pace = 0.0


class Law(Protocol):
    """Sets replicas at its own ticks."""

    name: str
    period: float

    def tick(self, cluster: "Cluster") -> None:
        """Look and act."""


@dataclass(slots=True)
class Tally:
    """What a run cost."""

    worker_seconds: float = 0.0
    work_seconds: float = 0.0
    wasted_seconds: float = 0.0
    killed: int = 0
    interrupted: int = 0  # pods that went with a chunk in hand, however they ended
    events: int = 0
    starts: int = 0


class Cluster:
    """The world of one run; a law sees it by its public attributes."""

    def __init__(self, trace: Trace, law: Law, seed: int, setting: Setting) -> None:
        self.now = 0.0
        self.replicas = 0
        self.pods: dict[int, Pod] = {}
        self.queue: Queue = Fair() if setting.fair else Fifo()
        self.lost = 0
        self.arrivals: deque[tuple[float, int, int]] = deque()
        self.tally = Tally()
        self.timeline: list[tuple[float, int, int, int, int]] | None = None
        self._trace, self._law, self._setting = trace, law, setting
        self._rng = np.random.default_rng(_SEED_OFFSET + seed)
        self._idle: deque[Pod] = deque()
        self._events: list[tuple[float, int, str, Any]] = []  # Any: what each kind of event carries
        self._entry = self._number = 0
        count = len(trace.documents)
        self._chunks_left = [len(d.chunks) for d in trace.documents]
        self.finished = [0.0] * count
        self.began = [-1.0] * count
        self._open = count
        for i, document in enumerate(trace.documents):
            self._later(document.at, "arrive", i)
        self._later(0.0, "tick", None)

    # -------------------------------------------------------------- what laws see and do

    def staying(self) -> list[Pod]:
        """Pods that are not ending."""
        return [pod for pod in self.pods.values() if not pod.ending]

    def in_hand(self) -> int:
        """Chunks taken and not finished, lost ones included."""
        return sum(1 for pod in self.pods.values() if pod.chunk) + self.lost

    def scale(self, replicas: int) -> None:
        """Patch the scale subresource."""
        replicas = max(0, min(QUOTA, replicas))
        self.tally.events += replicas != self.replicas
        self.replicas = replicas
        self._reconcile()

    def mark(self, pod: Pod, marked: bool, after: float) -> None:
        """Add a pod to the drain set or take it out; its worker sees so a while later."""
        pod.marked = marked
        self._later(self.now + after, "told", pod)

    # -------------------------------------------------------------- the ReplicaSet

    def _reconcile(self) -> None:
        staying = self.staying()
        if len(staying) > self.replicas:
            starting = sorted((p for p in staying if p.phase == "starting"), key=_youngest)
            ready = [p for p in staying if p.phase != "starting"]
            self._rng.shuffle(ready)
            order = sorted(starting, key=_cost) + sorted(ready, key=_cost)
            for pod in order[: len(staying) - self.replicas]:
                self._end(pod)
        while len(self.staying()) < self.replicas and len(self.pods) < QUOTA:
            self._entry += 1
            pod = Pod(self._entry, self.now)
            self.pods[pod.id] = pod
            self.tally.starts += 1
            cold = 0.0 if self._setting.free_start else self._setting.cold_start
            self.tally.worker_seconds += self._setting.cold_start - cold
            pod.will_be_warm = self.now + cold
            self._later(pod.will_be_warm, "warm", pod)

    def _end(self, pod: Pod) -> None:
        pod.ending = True
        if pod.chunk is None:
            self._remove(pod)
        else:
            self.tally.interrupted += 1
            self._later(self.now + self._setting.grace, "kill", pod)

    def _remove(self, pod: Pod) -> None:
        if pod.gone:
            return
        pod.gone = True
        del self.pods[pod.id]
        self.tally.worker_seconds += self.now - pod.born
        if pod in self._idle:
            self._idle.remove(pod)
        self._reconcile()

    # -------------------------------------------------------------- events

    def _later(self, at: float, kind: str, what: Any) -> None:  # Any: as above
        self._entry += 1
        heapq.heappush(self._events, (at, self._entry, kind, what))

    def run(self) -> None:
        """To the end of the trace and of all work."""
        handlers: dict[str, Callable[[Any], None]] = {  # Any: as above
            "arrive": self._arrive, "tick": self._tick, "warm": self._warm, "done": self._done,
            "kill": self._kill, "again": self._again, "told": self._told,
        }  # fmt: skip
        while self._events:
            self.now, _, kind, what = heapq.heappop(self._events)
            handlers[kind](what)
        end = max(self._trace.seconds, *self.finished)
        for pod in self.pods.values():
            self.tally.worker_seconds += max(0.0, end - pod.born)

    def _tick(self, _: None) -> None:
        self._law.tick(self)
        self._feed()
        if self.timeline is not None:
            self._note()
        if self.now < self._trace.seconds or self._open:
            self._later(self.now + self._law.period, "tick", None)
        if self.now > self._trace.seconds + _MOST_HOURS * 3600:
            raise RuntimeError(f"{self._law.name} never finishes {self._trace.name}")

    def _note(self) -> None:
        busy = sum(1 for pod in self.pods.values() if pod.chunk)
        ready = sum(1 for pod in self.pods.values() if pod.phase != "starting")
        assert self.timeline is not None
        self.timeline.append((self.now, self.queue.pages, len(self.pods), ready, busy))

    def _arrive(self, i: int) -> None:
        document = self._trace.documents[i]
        self.arrivals.append((self.now, document.pages, len(document.chunks)))
        chunks = [Chunk(i, pages, seconds) for pages, seconds in document.chunks]
        self.queue.admit(document, chunks)
        self._feed()

    def _warm(self, pod: Pod) -> None:
        if not pod.gone and pod.phase == "starting":
            self._rest(pod)
            self._feed()

    def _rest(self, pod: Pod) -> None:
        pod.phase = "idle"
        pod.idle_since = self.now
        if pod.marked:
            pod.told = True  # a worker looks before it takes
        else:
            self._idle.append(pod)

    def _told(self, pod: Pod) -> None:
        if pod.gone or pod.told == pod.marked:
            return
        if pod.marked:
            pod.told = True
            if pod in self._idle:
                self._idle.remove(pod)
        else:
            pod.told = False
            if pod.phase == "idle" and pod not in self._idle:
                self._idle.append(pod)
                self._feed()

    def _feed(self) -> None:
        while self._idle and self.queue:
            pod = self._idle.popleft()
            if pod.ending:
                continue
            if pod.marked:  # it looks at the drain set before it takes
                pod.told = True
                continue
            chunk = self.queue.take()
            pod.chunk, pod.taken_at, pod.phase = chunk, self.now, "busy"
            if self.began[chunk.document] < 0:
                self.began[chunk.document] = self.now
            self._later(self.now + chunk.seconds, "done", (pod, chunk))

    def _done(self, what: tuple[Pod, Chunk]) -> None:
        pod, chunk = what
        if pod.chunk is not chunk:
            return
        pod.chunk = None
        self.tally.work_seconds += chunk.seconds
        kept = 0.9**chunk.pages
        mean = chunk.seconds / chunk.pages
        pod.pace = mean if not pod.pace else kept * pod.pace + (1 - kept) * mean
        self._chunks_left[chunk.document] -= 1
        if not self._chunks_left[chunk.document]:
            self.finished[chunk.document] = self.now
            self._open -= 1
        if pod.ending:
            self._remove(pod)
        else:
            self._rest(pod)
            self._feed()

    def _kill(self, pod: Pod) -> None:
        if pod.gone:
            return
        if pod.chunk:
            self.tally.wasted_seconds += self.now - pod.taken_at
            self.tally.killed += 1
            self.lost += 1
            back = max(self.now, pod.taken_at + self._setting.visibility)
            self._later(back + self._rng.uniform(0, self._setting.sweep), "again", pod.chunk)
            pod.chunk = None
        self._remove(pod)

    def _again(self, chunk: Chunk) -> None:
        self.lost -= 1
        self.queue.back(chunk)
        self._feed()


def _youngest(pod: Pod) -> float:
    return -pod.born


def _cost(pod: Pod) -> int:
    return pod.cost


def figures(trace: Trace, cluster: Cluster) -> dict[str, float]:
    """Seconds from arrival to the last page, worker-hours, events."""
    arrived = np.array([d.at for d in trace.documents])
    took = np.array(cluster.finished) - arrived
    waited = np.array(cluster.began) - arrived
    p50, p95, p99 = (float(x) for x in np.percentile(took, [50, 95, 99]))
    t = cluster.tally
    return {
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "wait_p95": float(np.percentile(waited, 95)),
        "gpu_hours": t.worker_seconds / 3600,
        "work_hours": t.work_seconds / 3600,
        "scale_events": t.events,
        "pod_starts": t.starts,
        "killed_chunks": t.killed,
        "interrupted_chunks": t.interrupted,
        "wasted_seconds": t.wasted_seconds,
    }
