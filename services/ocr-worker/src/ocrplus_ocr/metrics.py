"""The worker's metrics. Children write to files that the parent serves (prometheus multiprocess).

`prometheus_client` chooses its storage when it is first imported, so this module is imported only
after `__main__` has set the folder.
"""

import importlib.metadata
import time
from itertools import product
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from ocrplus_contract import metrics as names
from ocrplus_contract.ledger import Lease
from ocrplus_contract.names import Pool, made_at
from ocrplus_contract.states import PageState, TextSource, WorkerState
from ocrplus_ocr.engine import PageResult

STAGES: Final = ("render", "text", "engine")

_PAGES = Counter(
    names.OCR_PAGES,
    "Pages committed, by outcome and where their text came from.",
    ["outcome", "source"],
)
_WAIT = Histogram(
    names.WAIT_SECONDS,
    "Seconds that work waited in the queue before it was taken.",
    ["pool"],
    buckets=names.WAIT_SECONDS_BUCKETS,
)
_PAGE_SECONDS = Histogram(
    names.OCR_PAGE_SECONDS,
    "Wall seconds of a page by stage.",
    ["stage"],
    buckets=names.PAGE_SECONDS_BUCKETS,
)
_WARMUP = Gauge(
    names.OCR_WARMUP_SECONDS,
    "Seconds from a child's start to its warm engine.",
    multiprocess_mode="livemax",
)

_STATE = Gauge(
    names.OCR_WORKER_STATE,
    "Engine processes by state.",
    ["state"],
    multiprocess_mode="livesum",
)
_BUILD = Gauge(
    names.BUILD_INFO,
    "Always 1; its label is the version that runs.",
    ["version"],
    multiprocess_mode="livemax",
)


class OcrMetrics:
    """What a child counts."""

    def __init__(self) -> None:
        for outcome, source in product(PageState, TextSource):
            _PAGES.labels(outcome, source)
        for stage in STAGES:
            _PAGE_SECONDS.labels(stage)
        _WAIT.labels(Pool.OCR)

    def taken(self, lease: Lease) -> None:
        """Note how long what was taken had waited."""
        _WAIT.labels(Pool.OCR).observe(max(0.0, time.time() - made_at(lease.permit)))

    def page_done(self, result: PageResult) -> None:
        """Count a committed page and its stages."""
        _PAGES.labels(result.state, result.source).inc()
        for stage, seconds in result.timings.items():
            _PAGE_SECONDS.labels(stage).observe(seconds)

    def warmed(self, seconds: float) -> None:
        """Note how long the engine took to get ready."""
        _WARMUP.set(seconds)
        _BUILD.labels(importlib.metadata.version("ocrplus")).set(1)

    def state(self, state: WorkerState) -> None:
        """Note what this process does now."""
        for each in WorkerState:
            _STATE.labels(each).set(each is state)
