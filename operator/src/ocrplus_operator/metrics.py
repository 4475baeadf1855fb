"""The operator's metrics, on a registry of their own. `pool` is the kind of work (ocr, caption).

No pool's series are there before its first tick; its counters then begin with all their reasons."""

import importlib.metadata
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from ocrplus_operator.control.types import ConditionType, Decision, Reason, Unknown

BUILD_INFO: Final = "ocrplus_build_info"
REPLICAS: Final = "ocrplus_operator_replicas"
DECISIONS: Final = "ocrplus_operator_decisions_total"
WORK_SECONDS: Final = "ocrplus_operator_work_seconds"
OBSERVATION_FAILURES: Final = "ocrplus_operator_observation_failures_total"
TICK_SECONDS: Final = "ocrplus_operator_tick_seconds"
LEADS: Final = "ocrplus_operator_leads"
CONDITION: Final = "ocrplus_operator_condition"

KINDS: Final = ("desired", "ordered", "pods", "ready", "warming", "busy", "draining")

_TICK_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 10)


class OperatorMetrics:
    """What one operator process counts."""

    def __init__(self) -> None:
        # A second series beside each counter, which nobody reads:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there
        self.registry = registry = CollectorRegistry()
        Gauge(
            BUILD_INFO,
            "Always 1; its label is the version that runs.",
            ["version"],
            registry=registry,
        ).labels(importlib.metadata.version("ocrplus")).set(1)
        self._replicas = Gauge(
            REPLICAS,
            "Replicas by kind: desired, ordered (spec.replicas), pods, ready, warming, busy, "
            "draining.",
            ["pool", "kind"],
            registry=registry,
        )
        self._decisions = Counter(
            DECISIONS, "Decisions by reason.", ["pool", "reason"], registry=registry
        )
        self._work = Gauge(
            WORK_SECONDS, "Known work in worker seconds.", ["pool"], registry=registry
        )
        self._failures = Counter(
            OBSERVATION_FAILURES,
            "Readings that were unknown, by reason.",
            ["pool", "reason"],
            registry=registry,
        )
        self._condition = Gauge(
            CONDITION,
            "Conditions of the pool: 1 true, 0 false, -1 unknown.",
            ["pool", "type"],
            registry=registry,
        )
        self.tick = Histogram(
            TICK_SECONDS,
            "Seconds of one look, decision and act.",
            ["pool"],
            buckets=_TICK_BUCKETS,
            registry=registry,
        )
        self.leads = Gauge(LEADS, "Whether this replica leads.", registry=registry)

    def decided(self, pool: str, decision: Decision, replicas: int | None) -> None:
        """Note a decision."""
        for reason in Reason:  # at zero, all of them: an increase needs something before it
            self._decisions.labels(pool, str(reason))
        self._decisions.labels(pool, str(decision.reason)).inc()
        counts = decision.counts
        values = (
            decision.desired,
            replicas,
            counts.pods,
            counts.ready,
            counts.warming,
            counts.busy,
            counts.draining,
        )
        for kind, count in zip(KINDS, values, strict=True):
            self._replicas.labels(pool, kind).set(float("nan") if count is None else count)
        self._work.labels(pool).set(decision.inputs.work_seconds)
        for condition in decision.conditions:
            truth = -1 if condition.status is None else int(condition.status)
            self._condition.labels(pool, str(condition.type)).set(truth)

    def unready(self, pool: str) -> None:
        """Its spec cannot be acted on, or what was decided was refused."""
        self._condition.labels(pool, str(ConditionType.READY)).set(0)

    def failed(self, pool: str, unknown: Unknown) -> None:
        """Count a reading that was unknown."""
        self._failures.labels(pool, unknown.reason).inc()

    def forget(self, pool: str) -> None:
        """A pool is gone, or another replica leads it: its gauges must not go on telling."""
        for gauge in (self._replicas, self._condition, self._work):
            gauge.remove_by_labels({"pool": pool})
