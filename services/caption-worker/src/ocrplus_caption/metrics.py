"""What one caption worker counts, on a registry of its own."""

import importlib.metadata
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ocrplus_caption.captioner import Answer
from ocrplus_contract import metrics as names
from ocrplus_contract.caption_settings import CaptionSettings
from ocrplus_contract.captions import CaptionRecord, CaptionState
from ocrplus_contract.states import WorkerState

_BREAKER_STATES: Final = ("closed", "half_open", "open")


class CaptionMetrics:
    """The process's metrics; labels come from closed sets."""

    def __init__(self, settings: CaptionSettings) -> None:
        self._settings = settings
        self.registry = registry = CollectorRegistry()
        Gauge(names.BUILD_INFO, "Version.", ["version"], registry=registry).labels(
            importlib.metadata.version("ocrplus")
        ).set(1)
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
        self.breaker("closed")

    def call(self, outcome: str, seconds: float) -> None:
        """Count a call."""
        self._calls.labels(outcome).inc()
        self._call_seconds.observe(seconds)

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
            record.state, "none" if record.state is CaptionState.OK else str(record.reason)
        ).inc()

    def breaker(self, state: str) -> None:
        """Note the breaker's state."""
        for each in _BREAKER_STATES:
            self._breaker.labels(each).set(each == state)

    def beat(self, state: WorkerState, oldest_seconds: float) -> None:
        """Note what this process does now."""
        for each in WorkerState:
            self._state.labels(each).set(each is state)
        self._oldest.set(oldest_seconds)
