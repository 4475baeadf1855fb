"""The gateway's metrics, on a registry of their own."""

import importlib.metadata
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from ocrplus_contract import metrics as names
from ocrplus_contract.captions import CaptionReason
from ocrplus_contract.errors import ErrorCode
from ocrplus_contract.names import Pool
from ocrplus_gateway.events import Event

_MOST_JOURNEYS: Final = 10_000


class CaptionCounts(Collector):
    """What the ledger has counted of figures that no worker ended; every gateway tells the same."""

    def __init__(self) -> None:
        self.late = 0
        self.given_up = dict.fromkeys((CaptionReason.UNAVAILABLE, CaptionReason.POISON), 0)

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        yield CounterMetricFamily(
            names.CAPTION_LATE, "Figures that a result did not wait for.", value=self.late
        )
        given_up = CounterMetricFamily(
            names.CAPTION_GIVEN_UP, "Figures that were given up, by reason.", labels=["reason"]
        )
        for reason, count in self.given_up.items():
            given_up.add_metric([reason], count)
        yield given_up


class GatewayMetrics:
    """What one gateway process counts."""

    def __init__(self) -> None:
        # Least recently heard of first: some users leave before their job ends.
        self._journeys: OrderedDict[tuple[str, str], tuple[float, bool]] = OrderedDict()
        self.registry = registry = CollectorRegistry()
        Gauge(names.BUILD_INFO, "Version.", ["version"], registry=registry).labels(
            importlib.metadata.version("ocrplus")
        ).set(1)
        self._connections = Gauge(
            names.CONNECTIONS, "Open WebSockets.", ["protocol"], registry=registry
        )
        self._jobs = Counter(
            names.JOBS, "Submissions by what became of them.", ["outcome"], registry=registry
        )
        self._loop_lag = Gauge(
            names.LOOP_LAG_SECONDS,
            "Longest delay of the event loop in the last seconds.",
            registry=registry,
        )
        pool = ["pool"]
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
            names.OLDEST_SECONDS, "Age of the oldest waiting permit.", pool, registry=registry
        )
        self._expired = Counter(
            names.LEASES_EXPIRED, "Leases that ran out.", pool, registry=registry
        )
        for each in Pool:
            self._expired.labels(each)
        self._job_seconds = Histogram(
            names.JOB_SECONDS,
            "Seconds from a submission to its end, of users connected to this process.",
            ["size"],
            buckets=names.JOB_SECONDS_BUCKETS,
            registry=registry,
        )

        self._history_lost = Counter(
            names.HISTORY_LOST,
            "Resumes that found events missing.",
            ["reason"],
            registry=registry,
        )
        self._delivery = Histogram(
            names.DELIVERY_SECONDS,
            "Seconds from an event to its sending, live and replayed.",
            buckets=names.DELIVERY_SECONDS_BUCKETS,
            registry=registry,
        )
        self._first_page = Histogram(
            names.FIRST_PAGE_SECONDS,
            "Seconds from a submission to its first page, of users connected to this process.",
            buckets=names.JOB_SECONDS_BUCKETS,
            registry=registry,
        )
        self.captions = CaptionCounts()
        registry.register(self.captions)
        self.gc_pause = Histogram(
            names.GC_PAUSE_SECONDS,
            "Pauses for garbage collection.",
            ["generation"],
            buckets=names.DELIVERY_SECONDS_BUCKETS,
            registry=registry,
        )

    def history_lost(self, reason: str) -> None:
        """Count a client that was told that its history is lost."""
        self._history_lost.labels(reason).inc()

    def delivered(self, event: Event) -> None:
        """Note an event's way from the server's clock to the socket."""
        self._delivery.observe(max(0.0, time.time() - event.made))

    def observe(self, stream: str, event: Event) -> None:
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
                self._first_page.observe(event.made - began)
            elif event.type == "result":
                del self._journeys[journey]
                pages = event.data["pages"]
                size = "small" if pages <= 5 else "medium" if pages <= 50 else "large"
                self._job_seconds.labels(size).observe(event.made - began)

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
        """Count a refused document or message by its code."""
        self._jobs.labels(str(code)).inc()

    def leases_expired(self, pool: Pool, count: int) -> None:
        """Count leases that this process found expired."""
        self._expired.labels(pool).inc(count)

    def loop_lag(self, seconds: float) -> None:
        """Note the longest recent delay of the event loop."""
        self._loop_lag.set(seconds)
