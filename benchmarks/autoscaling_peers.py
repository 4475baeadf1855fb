"""The peers' laws at their defaults, and the oracle's bound.

KEDA's Redis list trigger under a HorizontalPodAutoscaler, Knative's KPA, Ray Serve's policy for
asynchronous inference: their formulas and defaults as their sources have them.
"""

import math
from collections import deque
from typing import Final

from autoscaling_cluster import COLD_START_SECONDS, QUOTA, Cluster, Setting, figures
from autoscaling_traces import Trace

_HPA_SYNC: Final = 15
_HPA_PHASE: Final = 3
_KEDA_PHASE: Final = 7


class Keda:
    """A list's length over a target, averaged over pods; polls wake and put to sleep."""

    period = 1.0

    def __init__(
        self, name: str = "keda", *, target: int = 5, poll: int = 30, stabilisation: float = 300
    ) -> None:
        self.name = name
        self._target, self._poll, self._stabilisation = target, poll, stabilisation
        self._cooldown = 300.0
        self._active_at = -1e9
        self._recommended: deque[tuple[float, int]] = deque()
        self._raised: deque[tuple[float, int]] = deque()

    def length(self, cluster: Cluster) -> int:
        """What the trigger counts."""
        return len(cluster.queue)

    def tick(self, cluster: Cluster) -> None:
        second = int(cluster.now)
        if second % self._poll == _KEDA_PHASE % self._poll and self._slept(cluster):
            return
        if second % _HPA_SYNC == _HPA_PHASE and cluster.replicas > 0:
            self._sync(cluster)

    def _slept(self, cluster: Cluster) -> bool:
        if self.length(cluster) > 0:
            self._active_at = cluster.now
            if cluster.replicas == 0:
                cluster.scale(1)
                self._recommended.clear()
        elif cluster.replicas > 0 and cluster.now - self._active_at > self._cooldown:
            cluster.scale(0)
            return True
        return False

    def _sync(self, cluster: Cluster) -> None:
        metric, current, now = self.length(cluster), cluster.replicas, cluster.now
        ratio = metric / (self._target * max(1, len(cluster.staying())))
        wanted = math.ceil(metric / self._target) if abs(1 - ratio) > 0.1 else current
        wanted = max(1, min(QUOTA, wanted))
        self._recommended.append((now, wanted))
        while self._recommended[0][0] < now - self._stabilisation:
            self._recommended.popleft()
        if wanted < current:
            wanted = min(current, max(d for _, d in self._recommended))
        elif wanted > current:
            base = current - sum(n for at, n in self._raised if at > now - _HPA_SYNC)
            wanted = min(wanted, max(base + 4, base * 2))
            self._raised.append((now, max(0, wanted - current)))
            while self._raised[0][0] < now - 60:
                self._raised.popleft()
        if wanted != current:
            cluster.scale(wanted)


class Kpa:
    """Chunks queued and running over 70 % of five a pod, stable over 60 s, panic over 6 s."""

    period = 2.0
    name = "kpa"
    _target, _stable, _panic, _zero_grace = 3.5, 60.0, 6.0, 30.0

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._panic_at: float | None = None
        self._panic_most = 0
        self._zero_at: float | None = None

    def tick(self, cluster: Cluster) -> None:
        now = cluster.now
        self._seen.append((now, len(cluster.queue) + cluster.in_hand()))
        while self._seen[0][0] <= now - self._stable:
            self._seen.popleft()
        stable = sum(v for _, v in self._seen) / len(self._seen)
        recent = [v for at, v in self._seen if at > now - self._panic]
        by_panic = math.ceil(sum(recent) / len(recent) / self._target)
        if cluster.replicas == 0:
            if len(cluster.queue):
                cluster.scale(max(1, by_panic))
                self._zero_at = None
            return
        wanted = self._wanted(cluster, math.ceil(stable / self._target), by_panic)
        if stable == 0:
            # a start at second 0 counts as none: the clock of a run begins there
            self._zero_at = self._zero_at or now
            if now - self._zero_at >= self._zero_grace:
                cluster.scale(0)
                return
        else:
            self._zero_at = None
        cluster.scale(max(1, wanted))

    def _wanted(self, cluster: Cluster, by_stable: int, by_panic: int) -> int:
        now = cluster.now
        ready = max(1, sum(1 for pod in cluster.staying() if pod.phase != "starting"))
        most, least = math.ceil(1000 * ready), math.floor(ready / 2)
        stable = min(max(by_stable, least), most)
        panic = min(max(by_panic, least), most)
        if by_panic / ready >= 2:
            self._panic_at = now
        elif self._panic_at is not None and now - self._panic_at > self._stable:
            self._panic_at, self._panic_most = None, 0
        if self._panic_at is None:
            return stable
        self._panic_most = max(self._panic_most, stable, panic)
        return self._panic_most


class RayServe:
    """Requests, queued ones too, over two a replica; up after 30 s of agreement, down after 600."""

    period = 1.0
    name = "rayserve"
    _target, _up, _down, _look = 2, 30, 600, 30

    def __init__(self) -> None:
        self._seen: deque[int] = deque(maxlen=self._look)
        self._agreed = 0

    def tick(self, cluster: Cluster) -> None:
        total = len(cluster.queue) + cluster.in_hand()
        self._seen.append(total)
        if cluster.replicas == 0:
            if total:
                cluster.scale(1)
            self._agreed = 0
            return
        wanted = math.ceil(sum(self._seen) / len(self._seen) / self._target)
        if wanted > cluster.replicas:
            self._agreed = max(0, self._agreed) + 1
            if self._agreed > self._up:
                self._agreed = 0
                cluster.scale(wanted)
        elif wanted < cluster.replicas:
            self._agreed = min(0, self._agreed) - 1
            if self._agreed < -self._down:
                self._agreed = 0
                cluster.scale(max(1, wanted) if cluster.replicas > 1 else wanted)
        else:
            self._agreed = 0


class Always:
    """All workers, always."""

    period = 60.0
    name = "oracle"

    def tick(self, cluster: Cluster) -> None:
        if cluster.replicas == 0:
            cluster.scale(QUOTA)


class _Eager(Cluster):
    """Gives work to the worker that was busy last, so that the others' gaps are long."""

    spans: dict[int, list[tuple[float, float]]]

    def _feed(self) -> None:
        while self._idle and self.queue:
            pod = self._idle.pop()
            chunk = self.queue.take()
            pod.chunk, pod.taken_at, pod.phase = chunk, self.now, "busy"
            if self.began[chunk.document] < 0:
                self.began[chunk.document] = self.now
            self.spans.setdefault(pod.id, []).append((self.now, self.now + chunk.seconds))
            self._later(self.now + chunk.seconds, "done", (pod, chunk))


def oracle(trace: Trace, seed: int) -> dict[str, float]:
    """Who knows the future: the latency of all workers always on, each paid only while it works,
    through gaps shorter than a cold start, and for one warm-up before each stretch of work."""
    cluster = _Eager(trace, Always(), seed, Setting(cold_start=0.0))
    cluster.spans = {}
    cluster.run()
    seconds, stretches = 0.0, 0
    for spans in cluster.spans.values():
        last = -math.inf
        for begin, end in spans:
            gap = begin - last
            stretches += gap > COLD_START_SECONDS
            seconds += min(gap, COLD_START_SECONDS) + end - begin
            last = end
    result = figures(trace, cluster)
    result["gpu_hours"] = seconds / 3600
    result["pod_starts"], result["scale_events"] = stretches, 2 * stretches
    return result
