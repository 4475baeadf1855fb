"""The gateway's metrics, on a registry of their own.

What stands in Redis (queues, memory, how often leases expired) every gateway tells alike: take the
largest, not the sum. A closed set of label values is there from the start, at zero: the first
increase of a counter that appears with it is none to Prometheus. What the ledger has counted for
long is the other way round: it is not there until it was read, or each new gateway would tell of a
jump from zero to all that ever was.
"""

import importlib.metadata
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from ocrplus_contract import metrics as names
from ocrplus_contract.captions import CaptionReason
from ocrplus_contract.errors import ErrorCode
from ocrplus_contract.names import Pool
from ocrplus_contract.states import OPEN_JOB_STATES, JobState
from ocrplus_contract.trace import TraceContext
from ocrplus_contract.tracing import exemplar
from ocrplus_gateway.events import Event

_MOST_JOURNEYS: Final = 10_000
PROTOCOLS: Final = ("original", "ocrplus.v2", "sse")
SIZES: Final = ("small", "medium", "large")
LOST_REASONS: Final = ("epoch", "future_position", "trimmed")
SUBMISSIONS: Final = ("accepted", "duplicate", *ErrorCode)
ENDS: Final = tuple(state for state in JobState if state not in OPEN_JOB_STATES)
WAYS: Final = ("live", "replayed")
GENERATIONS: Final = ("0", "1", "2")
GIVEN_UP: Final = (CaptionReason.UNAVAILABLE, CaptionReason.POISON)


class QueueCounts(Collector):
    """What the ledger has counted of each pool, whoever did it; every gateway tells the same.

    Empty until it was read.
    """

    def __init__(self) -> None:
        self.expired: dict[Pool, int] = {}
        self.poisoned: dict[Pool, int] = {}

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        expired = "Chunks taken back from workers that went silent."
        poisoned = "Pages or figures given up because three workers died over them."
        for name, sentence, counts in (
            (names.LEASES_EXPIRED, expired, self.expired),
            (names.POISONED, poisoned, self.poisoned),
        ):
            family = CounterMetricFamily(name, sentence, labels=["pool"])
            for pool, count in counts.items():
                family.add_metric([pool], count)
            yield family


class CaptionCounts(Collector):
    """What the ledger has counted of figures that no worker ended; every gateway tells the same.

    Empty until it was read.
    """

    def __init__(self) -> None:
        self.late: int | None = None
        self.given_up: dict[CaptionReason, int] = {}

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        late = CounterMetricFamily(names.CAPTION_LATE, "Figures that a result did not wait for.")
        if self.late is not None:
            late.add_metric([], self.late)
        yield late
        given_up = CounterMetricFamily(
            names.CAPTION_GIVEN_UP, "Figures that were given up, by reason.", labels=["reason"]
        )
        for reason, count in self.given_up.items():
            given_up.add_metric([reason], count)
        yield given_up


class GatewayMetrics:
    """What one gateway process counts."""

    def __init__(self) -> None:
        # A second series beside each counter, which nobody reads:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there
        # Least recently heard of first: some users leave before their job ends.
        self._journeys: OrderedDict[tuple[str, str], tuple[float, bool]] = OrderedDict()
        self.registry = CollectorRegistry()
        Gauge(
            names.BUILD_INFO,
            "Always 1; its label is the version that runs.",
            ["version"],
            registry=self.registry,
        ).labels(importlib.metadata.version("ocrplus")).set(1)
        self._of_users()
        self._of_the_queue()
        self._of_the_process()
        self._live, self._replayed = (self._delivery.labels(way) for way in WAYS)
        self._begin_at_zero()

    def _of_users(self) -> None:
        registry = self.registry
        self._connections = Gauge(
            names.CONNECTIONS, "Open WebSockets and event streams.", ["protocol"], registry=registry
        )
        self._jobs = Counter(
            names.JOBS,
            "Submissions by what became of them; refused connections and unreadable messages, too.",
            ["outcome"],
            registry=registry,
        )
        self._job_ends = Counter(
            names.JOB_ENDS,
            "Ends of jobs of users connected to this process, by how they ended.",
            ["status"],
            registry=registry,
        )
        self._job_seconds = Histogram(
            names.JOB_SECONDS,
            "Seconds from a submission to its end, of users connected to this process.",
            ["size"],
            buckets=names.JOB_SECONDS_BUCKETS,
            registry=registry,
        )
        self._first_page = Histogram(
            names.FIRST_PAGE_SECONDS,
            "Seconds from a submission to its first page, of users connected to this process.",
            buckets=names.JOB_SECONDS_BUCKETS,
            registry=registry,
        )
        self._delivery = Histogram(
            names.DELIVERY_SECONDS,
            "Seconds from an event to its sending on a WebSocket; replayed: made before it opened.",
            ["kind"],
            buckets=names.DELIVERY_SECONDS_BUCKETS,
            registry=registry,
        )
        self._history_lost = Counter(
            names.HISTORY_LOST,
            "Clients that were told that events of theirs are gone, by why.",
            ["reason"],
            registry=registry,
        )

    def _of_the_queue(self) -> None:
        registry, pool = self.registry, ["pool"]
        self.waiting_chunks = Gauge(
            names.WAITING_CHUNKS, "Chunks nobody has taken.", pool, registry=registry
        )
        self.waiting_pages = Gauge(
            names.WAITING_PAGES, "Pages of waiting chunks.", pool, registry=registry
        )
        self.inflight_chunks = Gauge(
            names.INFLIGHT_CHUNKS, "Chunks being worked on.", pool, registry=registry
        )
        self.doorbells = Gauge(
            names.DOORBELLS, "Doorbells in the Celery queue.", pool, registry=registry
        )
        self.oldest = Gauge(
            names.OLDEST_SECONDS,
            "Age of the oldest waiting chunk, at least.",
            pool,
            registry=registry,
        )
        self.counts = QueueCounts()
        registry.register(self.counts)
        self.captions = CaptionCounts()
        registry.register(self.captions)

    def _of_the_process(self) -> None:
        registry = self.registry
        self.loop_lag = Gauge(
            names.LOOP_LAG_SECONDS,
            "Longest delay of the event loop in the last 15 to 30 s, a stall that lasts included.",
            registry=registry,
        )
        self.gc_pause = Histogram(
            names.GC_PAUSE_SECONDS,
            "Pauses of the process for garbage collection, by generation.",
            ["generation"],
            buckets=names.DELIVERY_SECONDS_BUCKETS,
            registry=registry,
        )
        self.blob_room = Gauge(
            names.BLOB_ROOM_BYTES,
            "Bytes that the store of documents and figures still takes.",
            registry=registry,
        )
        self.redis_up = Gauge(
            names.REDIS_UP, "Whether the Redis server answers this gateway.", registry=registry
        )
        self.redis_memory = Gauge(
            names.REDIS_MEMORY_BYTES, "Memory that the Redis server uses.", registry=registry
        )
        self.redis_memory_limit = Gauge(
            names.REDIS_MEMORY_LIMIT_BYTES,
            "Memory at which the Redis server refuses writes: its maxmemory, else the machine's.",
            registry=registry,
        )

    def _begin_at_zero(self) -> None:
        for metric, values in (
            (self._connections, PROTOCOLS),
            (self._jobs, SUBMISSIONS),
            (self._job_ends, ENDS),
            (self._job_seconds, SIZES),
            (self._history_lost, LOST_REASONS),
            (self._delivery, WAYS),
            (self.gc_pause, GENERATIONS),
        ):
            for value in values:
                metric.labels(value)

    def history_lost(self, reason: str) -> None:
        """Count a client that was told that its history is lost."""
        self._history_lost.labels(reason).inc()

    def delivered(self, event: Event, since: float, trace: TraceContext | None = None) -> None:
        """Note an event's way from the server's clock to a socket that opened at `since`."""
        made = event.made
        way = self._replayed if made < since else self._live
        way.observe(max(0.0, time.time() - made), exemplar(trace))

    def observe(self, stream: str, event: Event, trace: TraceContext | None = None) -> None:
        """Note a live event of a connected user: how long first pages and whole jobs take."""
        journey = (stream, event.task)
        if event.type == "submitted":
            self._journeys[journey] = (event.made, False)
            if len(self._journeys) > _MOST_JOURNEYS:
                self._journeys.popitem(last=False)
        elif journey in self._journeys:
            self._journeys.move_to_end(journey)
            began, has_pages = self._journeys[journey]
            if event.type == "page" and not has_pages:
                self._journeys[journey] = (began, True)
                self._first_page.observe(event.made - began, exemplar(trace))
            elif event.type == "result":
                del self._journeys[journey]
                result = event.data
                self._job_ends.labels(result["status"]).inc()
                pages = result["pages"]
                size = "small" if pages <= 5 else "medium" if pages <= 50 else "large"
                self._job_seconds.labels(size).observe(event.made - began, exemplar(trace))

    @contextmanager
    def connected(self, protocol: str) -> Iterator[None]:
        """Count a socket while it is open."""
        gauge = self._connections.labels(protocol)
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    def submitted(self, *, duplicate: bool) -> None:
        """Count an accepted document."""
        self._jobs.labels("duplicate" if duplicate else "accepted").inc()

    def refused(self, code: ErrorCode) -> None:
        """Count a refused document or connection, or an unreadable message, by its code."""
        self._jobs.labels(str(code)).inc()

    def queue_unknown(self) -> None:
        """The queue could not be read: what was there before is no longer told."""
        for gauge in (
            self.waiting_chunks,
            self.waiting_pages,
            self.inflight_chunks,
            self.doorbells,
            self.oldest,
        ):
            for pool in Pool:
                gauge.labels(pool).set(float("nan"))
