"""The operator in virtual time: what it would see, the very `decide()` it runs, what it would do.

A worker sees a drain mark at its heartbeat, up to 5 s late, or before it takes a chunk; pods are
seen as the API server has them. All that have drained go by luck, not in turn: in fifteen runs that
moved GPU-hours by 0.2 %, latencies by 0.3 % and scale events by 5 % at most.
"""

import time
import timeit
from collections import deque
from typing import Final

from autoscaling_cluster import Cluster, Pod

from ocrplus_operator.control import types as t
from ocrplus_operator.control.law import decide
from ocrplus_operator.control.spec import Limits, PoolSpec, TargetRef

TICK_SECONDS: Final = 3.0
EPOCH: Final = 1_767_571_200.0  # a Monday, 00:00 UTC: second 0 of a trace
_HEARTBEAT_SECONDS: Final = 5.0
_ARRIVALS_SECONDS: Final = 600.0
_LEAST_SPAN_SECONDS: Final = 120.0
_MINUTES: Final = 10


class Operator:
    """Drives `decide()` as a law of the simulated cluster."""

    period = TICK_SECONDS

    def __init__(self, spec: PoolSpec, name: str = "ocrplus") -> None:
        self.name = name
        self.memory = t.Memory()
        self.decision: t.Decision | None = None
        self._spec = spec
        self._window: deque[tuple[float, int, int]] = deque()
        self._pages = self._chunks = self._squares = 0
        self._last_at = 0.0
        self._minute = 0
        self._by_minute = [0] * _MINUTES

    def tick(self, cluster: Cluster) -> None:
        snapshot = self.snapshot(cluster)
        self.decision, self.memory = decide(snapshot, self.memory, self._spec)
        self.act(cluster, self.decision)

    def snapshot(self, cluster: Cluster) -> t.Snapshot:
        """What Redis and the API server would answer now."""
        pods = []
        workers = []
        marked = []
        for pod in cluster.pods.values():
            name = str(pod.id)
            pods.append(
                t.Pod(
                    name=name,
                    created_at=EPOCH + pod.born,
                    ready=pod.phase != "starting",
                    terminating=pod.ending,
                    deletion_cost=pod.cost,
                )
            )
            workers.append(_worker(name, pod, cluster.now))
            if pod.marked:
                marked.append(name)
        reading = t.Reading(
            waiting_chunks=len(cluster.queue),
            waiting_pages=cluster.queue.pages,
            doorbells=len(cluster.queue),
            arrivals=self._arrivals(cluster),
            workers=tuple(workers),
            draining=frozenset(marked),
        )
        return t.Snapshot(EPOCH + cluster.now, t.Cluster(cluster.replicas, tuple(pods)), reading)

    def act(self, cluster: Cluster, decision: t.Decision) -> None:
        """Carry a decision out, in its order."""
        for name in decision.unmark:
            pod = cluster.pods[int(name)]
            pod.cost = 0
            cluster.mark(pod, False, _until_heartbeat(pod, cluster.now))
        for name in decision.mark:
            pod = cluster.pods[int(name)]
            cluster.mark(pod, True, _until_heartbeat(pod, cluster.now))
        for name in decision.cheapen:
            cluster.pods[int(name)].cost = t.DRAINED_DELETION_COST
        if decision.scale_to is not None:
            cluster.scale(decision.scale_to)

    def _arrivals(self, cluster: Cluster) -> t.Arrivals:
        minute = int(cluster.now // 60)
        while self._minute < minute:
            self._minute += 1
            self._by_minute[self._minute % _MINUTES] = 0
        while cluster.arrivals:
            at, pages, chunks = cluster.arrivals.popleft()
            self._window.append((at, pages, chunks))
            self._count(pages, chunks, 1)
            self._last_at = at
            self._by_minute[int(at // 60) % _MINUTES] += pages
        while self._window and self._window[0][0] < cluster.now - _ARRIVALS_SECONDS:
            _, pages, chunks = self._window.popleft()
            self._count(pages, chunks, -1)
        span = min(_ARRIVALS_SECONDS, max(_LEAST_SPAN_SECONDS, cluster.now))
        last_at = EPOCH + self._last_at if self._last_at else 0.0
        return t.Arrivals(
            self._pages, self._chunks, self._squares, span, last_at, tuple(self._by_minute)
        )

    def _count(self, pages: int, chunks: int, sign: int) -> None:
        self._pages += sign * pages
        self._chunks += sign * chunks
        self._squares += sign * chunks * chunks


def _until_heartbeat(pod: Pod, now: float) -> float:
    return _HEARTBEAT_SECONDS - (now - pod.born) % _HEARTBEAT_SECONDS


def _worker(name: str, pod: Pod, now: float) -> t.Worker:
    if pod.chunk is None:
        if pod.told:
            phase = t.WorkerPhase.DRAINED
        else:
            phase = t.WorkerPhase.WARMING if pod.phase == "starting" else t.WorkerPhase.IDLE
        return t.Worker(
            id=name,
            pod=name,
            phase=phase,
            seconds_per_page=pod.pace,
            cold_start_seconds=0.0 if pod.phase == "starting" else pod.will_be_warm - pod.born,
            idle_since=EPOCH + pod.idle_since,
        )
    pages = pod.chunk.pages
    each = pod.chunk.seconds / pages
    done = min(pages - 1, int((now - pod.taken_at) / each))
    return t.Worker(
        id=name,
        pod=name,
        phase=t.WorkerPhase.DRAINING if pod.told else t.WorkerPhase.BUSY,
        chunk_pages=pages,
        pages_left=pages - done,
        page_started_at=EPOCH + pod.taken_at + done * each,
        chunk_started_at=EPOCH + pod.taken_at,
        seconds_per_page=pod.pace,
        cold_start_seconds=pod.will_be_warm - pod.born,
        idle_since=EPOCH + pod.idle_since,
    )


def decision_milliseconds(workers: int, repeat: int = 50) -> float:
    """CPU time of a decision over so many busy workers; the least of some: noise only adds."""
    spec = PoolSpec(TargetRef("w"), limits=Limits(max_replicas=2 * workers))
    names = [f"p{i}" for i in range(workers)]
    records = tuple(
        t.Worker(f"{n}.0", n, t.WorkerPhase.BUSY, 16, 1 + i % 16, EPOCH - 1, EPOCH - 9, 0.6, 60.0)
        for i, n in enumerate(names)
    )
    cluster = t.Cluster(workers, tuple(t.Pod(n, EPOCH - 600) for n in names))
    reading = t.Reading(50 * workers, 800 * workers, workers=records)
    snapshot = t.Snapshot(EPOCH, cluster, reading)
    _, memory = decide(snapshot, t.Memory(), spec)

    def once() -> None:
        decide(snapshot, memory, spec)

    return min(timeit.repeat(once, timer=time.process_time, number=1, repeat=repeat)) * 1000
