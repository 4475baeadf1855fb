"""Every metric of every process, with its labels' closed sets: what documents and tests go by.

Names, kinds, sentences and label names are read from the registries of the code; what values a
label may take stands here, taken from the constants that the code counts by. A label without a set
fails: it could grow without bound.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Final  # prometheus_client keeps what a metric is in private fields

from prometheus_client import REGISTRY, CollectorRegistry

import ocrplus_ocr.metrics as ocr
from ocrplus_caption import metrics as caption
from ocrplus_contract.caption_settings import CaptionSettings
from ocrplus_contract.names import Pool
from ocrplus_contract.states import PageState, TextSource, WorkerState
from ocrplus_gateway import metrics as gateway
from ocrplus_operator import metrics as operator
from ocrplus_operator.control.types import ConditionType, Reason

ANY_VERSION: Final = ("version",)
OWN_CURRENCY: Final = (CaptionSettings().currency,)
UNKNOWN_READINGS: Final = (
    "ApiUnavailable",
    "Forbidden",
    "GroupMissing",
    "InvalidSpec",
    "LagUnknown",
    "Loading",
    "PodsUnknown",
    "RecordUnreadable",
    "ReplyUnreadable",
    "SecretMissing",
    "ServerError",
    "SourceUnknown",
    "TargetMissing",
    "Timeout",
    "Unauthorised",
    "Unreachable",
    "UrlUnreadable",
    "WrongType",
)

LABELS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("ocrplus_build_info", "version"): ANY_VERSION,
    ("ocrplus_gateway_connections", "protocol"): gateway.PROTOCOLS,
    ("ocrplus_gateway_jobs_total", "outcome"): gateway.SUBMISSIONS,
    ("ocrplus_gateway_job_ends_total", "status"): gateway.ENDS,
    ("ocrplus_gateway_job_seconds", "size"): gateway.SIZES,
    ("ocrplus_gateway_delivery_seconds", "kind"): gateway.WAYS,
    ("ocrplus_gateway_history_lost_total", "reason"): gateway.LOST_REASONS,
    ("ocrplus_gateway_gc_pause_seconds", "generation"): gateway.GENERATIONS,
    ("ocrplus_ocr_pages_total", "outcome"): tuple(PageState),
    ("ocrplus_ocr_pages_total", "source"): tuple(TextSource),
    ("ocrplus_ocr_page_seconds", "stage"): ocr.STAGES,
    ("ocrplus_ocr_worker_state", "state"): tuple(WorkerState),
    ("ocrplus_caption_given_up_total", "reason"): gateway.GIVEN_UP,
    ("ocrplus_caption_calls_total", "outcome"): caption.CALL_OUTCOMES,
    ("ocrplus_caption_figures_total", "outcome"): tuple(
        dict.fromkeys(state for state, _ in caption.FIGURE_ENDS)
    ),
    ("ocrplus_caption_figures_total", "reason"): tuple(
        dict.fromkeys(reason for _, reason in caption.FIGURE_ENDS)
    ),
    ("ocrplus_caption_tokens_total", "kind"): caption.TOKEN_KINDS,
    ("ocrplus_caption_cost_total", "currency"): OWN_CURRENCY,
    ("ocrplus_caption_breaker_state", "state"): caption.BREAKER_STATES,
    ("ocrplus_caption_worker_state", "state"): tuple(WorkerState),
    ("ocrplus_operator_replicas", "kind"): operator.KINDS,
    ("ocrplus_operator_decisions_total", "reason"): tuple(Reason),
    ("ocrplus_operator_observation_failures_total", "reason"): UNKNOWN_READINGS,
    ("ocrplus_operator_condition", "type"): tuple(ConditionType),
}
POOLS: Final[dict[str, tuple[str, ...]]] = {
    "gateway": tuple(Pool),
    "ocr-worker": (Pool.OCR,),
    "caption-worker": (Pool.CAPTION,),
    "operator": tuple(Pool),
}
TOGETHER: Final = {"ocrplus_caption_figures_total": len(caption.FIGURE_ENDS)}
"""Labels of which not every pair exists: how many do."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of one component; `buckets` of a histogram, +Inf included."""

    component: str
    name: str
    kind: str
    sentence: str
    labels: dict[str, tuple[str, ...]]
    buckets: int

    @property
    def unit(self) -> str:
        """Of the values: base units, as the name says."""
        for unit in ("seconds", "bytes"):
            if f"_{unit}" in self.name:
                return unit
        return "count" if self.kind != "gauge" else "number"

    @property
    def names(self) -> tuple[str, ...]:
        """What a query may name."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)

    @property
    def series(self) -> int:
        """How many series one process may have of it."""
        pairs = TOGETHER.get(self.name) or prod(len(values) for values in self.labels.values())
        return pairs * (self.buckets + 2 if self.buckets else 1)


def registries() -> dict[str, CollectorRegistry]:
    """The registry of each component's process, as it is built."""
    return {
        "gateway": _gateway(),
        "ocr-worker": REGISTRY,
        "caption-worker": caption.CaptionMetrics(CaptionSettings()).registry,
        "operator": operator.OperatorMetrics().registry,
    }


def _gateway() -> CollectorRegistry:
    """With everything that is not there before it was read."""
    metrics = gateway.GatewayMetrics()
    metrics.counts.expired = dict.fromkeys(Pool, 0)
    metrics.counts.poisoned = dict.fromkeys(Pool, 0)
    metrics.captions.late, metrics.captions.given_up = 0, dict.fromkeys(gateway.GIVEN_UP, 0)
    return metrics.registry


def metrics() -> list[Metric]:
    """All of them, by component and name."""
    return [
        metric
        for component, registry in registries().items()
        for metric in sorted(_of(component, registry), key=lambda metric: metric.name)
    ]


def _of(component: str, registry: CollectorRegistry) -> Iterator[Metric]:
    collectors: Any = registry._collector_to_names
    for collector, names in collectors.items():
        if not hasattr(collector, "_type"):  # it makes its families as it is asked
            if not names:  # Python's own, of the default registry, say theirs
                yield from _families(component, collector)
            continue
        kind = collector._type
        name = collector._name + ("_total" if kind == "counter" else "")
        labels = {label: _values(component, name, label) for label in collector._labelnames}
        buckets = len(collector._upper_bounds) if kind == "histogram" else 0
        yield Metric(component, name, kind, collector._documentation, labels, buckets)


def _families(component: str, collector: Any) -> Iterator[Metric]:
    for family in collector.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label: _values(component, name, label) for label in family.samples[0].labels}
        yield Metric(component, name, family.type, family.documentation, labels, 0)


def _values(component: str, name: str, label: str) -> tuple[str, ...]:
    if label == "pool":
        return POOLS[component]
    return tuple(str(value) for value in LABELS[name, label])


_HEAD: Final = """\
# Metrics

Each process serves `/metrics` on a port of its own (`OCRPLUS_METRICS_PORT`). Units are base units,
labels come from closed sets, nothing is by user, task or file. What stands in Redis (`ocrplus_queue_…`,
`ocrplus_redis_…`) every gateway tells alike: take the largest, not the sum. What cannot be read is NaN, never zero.

<!-- generated by `make docs` from the registries of the code -->

"""
_TITLES: Final = {
    "gateway": "Gateway",
    "ocr-worker": "OCR worker",
    "caption-worker": "Caption worker",
    "operator": "Operator",
}


def page() -> str:
    """docs/metrics.md."""
    parts, found = [_HEAD], metrics()
    for component, title in _TITLES.items():
        parts.append(
            f"## {title}\n\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n"
        )
        parts += [_row(metric) for metric in found if metric.component == component]
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"


def _row(metric: Metric) -> str:
    labels = "<br>".join(
        f"`{label}`: {', '.join(values)}" for label, values in metric.labels.items()
    )
    cells = (f"`{metric.name}`", metric.kind, metric.unit, labels or "–", metric.sentence)
    return f"| {' | '.join(cells)} |\n"
