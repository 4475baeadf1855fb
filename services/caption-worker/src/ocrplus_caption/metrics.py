"""What one caption worker counts, on a registry of its own."""

import importlib.metadata
import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from ocrplus_caption.captioner import Answer
from ocrplus_contract import metrics as names
from ocrplus_contract.caption_settings import CaptionSettings
from ocrplus_contract.captions import CaptionReason, CaptionRecord, CaptionState
from ocrplus_contract.ledger import Lease
from ocrplus_contract.names import Pool, made_at
from ocrplus_contract.states import WorkerState
from ocrplus_contract.trace import current
from ocrplus_contract.tracing import exemplar

BREAKER_STATES: Final = ("closed", "half_open", "open")
CALL_OUTCOMES: Final = (
    "ok",
    "broken_off",
    "limited",
    "fatal",
    "model_failed",
    "timeout",
    "bad_answer",
    "refused",
    "rejected",
)
TOKEN_KINDS: Final = ("input", "output")
NO_REASON: Final = "none"
_SKIPPED: Final = (
    CaptionReason.TOO_SMALL,
    CaptionReason.SHAPE,
    CaptionReason.BUDGET_JOB,
    CaptionReason.BUDGET_USER,
)
_ENDED_BY_THE_LEDGER: Final = (  # every gateway counts those
    CaptionReason.LATE,
    CaptionReason.UNAVAILABLE,
    CaptionReason.POISON,
)
FIGURE_ENDS: Final = (
    (CaptionState.OK, NO_REASON),
    *((CaptionState.SKIPPED, reason) for reason in _SKIPPED),
    *(
        (CaptionState.FAILED, reason)
        for reason in CaptionReason
        if reason not in _SKIPPED and reason not in _ENDED_BY_THE_LEDGER
    ),
)
"""How a worker may end a figure."""


class CaptionMetrics:
    """The process's metrics; labels come from closed sets."""

    def __init__(self, settings: CaptionSettings) -> None:
        self._settings = settings
        # A second series beside each counter, which nobody reads:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there
        self.registry = registry = CollectorRegistry()
        Gauge(
            names.BUILD_INFO,
            "Always 1; its label is the version that runs.",
            ["version"],
            registry=registry,
        ).labels(importlib.metadata.version("ocrplus")).set(1)
        self._calls = Counter(
            names.CAPTION_CALLS, "Calls to the model by outcome.", ["outcome"], registry=registry
        )
        self._call_seconds = Histogram(
            names.CAPTION_CALL_SECONDS,
            "Seconds of a call, whatever came of it.",
            buckets=names.CALL_SECONDS_BUCKETS,
            registry=registry,
        )
        self._figures = Counter(
            names.CAPTION_FIGURES,
            "Figures by what became of them; reason: none for described ones.",
            ["outcome", "reason"],
            registry=registry,
        )
        self._hits = Counter(
            names.CAPTION_CACHE_HITS,
            "Calls saved because the same picture was described before.",
            registry=registry,
        )
        self._tokens = Counter(
            names.CAPTION_TOKENS, "Tokens sent and answered.", ["kind"], registry=registry
        )
        self._cost = Counter(
            names.CAPTION_COST,
            "Estimated cost by the configured prices.",
            ["currency"],
            registry=registry,
        )
        self._cost.labels(settings.currency)
        self._breaker = Gauge(
            names.CAPTION_BREAKER_STATE, "1 for the breaker's state.", ["state"], registry=registry
        )
        self._state = Gauge(
            names.CAPTION_WORKER_STATE, "1 for the worker's state.", ["state"], registry=registry
        )
        self._oldest = Gauge(
            names.CAPTION_OLDEST_SECONDS,
            "Seconds that the oldest figure in hand has been in hand.",
            registry=registry,
        )
        self._wait = Histogram(
            names.WAIT_SECONDS,
            "Seconds that work waited in the queue before it was taken.",
            ["pool"],
            buckets=names.WAIT_SECONDS_BUCKETS,
            registry=registry,
        )
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        for outcome in CALL_OUTCOMES:
            self._calls.labels(outcome)
        for kind in TOKEN_KINDS:
            self._tokens.labels(kind)
        for state, reason in FIGURE_ENDS:
            self._figures.labels(state, reason)
        self._wait.labels(Pool.CAPTION)
        self.breaker("closed")

    def taken(self, lease: Lease) -> None:
        """Note how long what was taken had waited."""
        waited = max(0.0, time.time() - made_at(lease.permit))
        self._wait.labels(Pool.CAPTION).observe(waited, exemplar(lease.trace))

    def call(self, outcome: str, seconds: float) -> None:
        """Count a call."""
        self._calls.labels(outcome).inc()
        self._call_seconds.observe(seconds, exemplar(current()))

    def spent(self, answer: Answer) -> None:
        """Count an answer's tokens, and what they cost."""
        self._tokens.labels("input").inc(answer.input_tokens)
        self._tokens.labels("output").inc(answer.output_tokens)
        cost = (
            answer.input_tokens * self._settings.price_input
            + answer.output_tokens * self._settings.price_output
        )
        self._cost.labels(self._settings.currency).inc(cost / 1e6)

    def saved(self) -> None:
        """Count a call that was not needed."""
        self._hits.inc()

    def ended(self, record: CaptionRecord) -> None:
        """Count a figure that has ended."""
        self._figures.labels(
            record.state, NO_REASON if record.state is CaptionState.OK else str(record.reason)
        ).inc()

    def breaker(self, state: str) -> None:
        """Note the breaker's state."""
        for each in BREAKER_STATES:
            self._breaker.labels(each).set(each == state)

    def beat(self, state: WorkerState, oldest_seconds: float) -> None:
        """Note what this process does now."""
        for each in WorkerState:
            self._state.labels(each).set(each is state)
        self._oldest.set(oldest_seconds)
