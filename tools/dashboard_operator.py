"""*Operator*: how large the pools are, and why."""

from typing import Final

from panels import Dashboard, Panel, Query, Row

_POOLS: Final = Row(
    "Pools",
    (
        Panel(
            "Replicas of pool ocr",
            "desired is the law's answer, ordered what the cluster was told. Ordered above ready for long: pods that cannot start.",
            "short",
            (Query('max by (kind) (ocrplus_operator_replicas{$ns, pool="ocr"})', "{{kind}}"),),
            width=12,
        ),
        Panel(
            "Replicas of pool caption",
            "As above.",
            "short",
            (Query('max by (kind) (ocrplus_operator_replicas{$ns, pool="caption"})', "{{kind}}"),),
            width=12,
        ),
        Panel(
            "Known work",
            "Seconds that one worker would need for what waits and is in flight, as the operator reckons.",
            "s",
            (Query("max by (pool) (ocrplus_operator_work_seconds{$ns})", "{{pool}}"),),
        ),
        Panel(
            "Decisions by reason",
            "The words of status.lastDecision.reason: Backlog and Rate grow a pool, Drain and Idle shrink it, Hold waits.",
            "ops",
            (
                Query(
                    "sum by (reason) (rate(ocrplus_operator_decisions_total{$ns}[$__rate_interval])) > 0",
                    "{{reason}}",
                ),
            ),
            "stack",
        ),
        Panel(
            "Conditions",
            "1 true, 0 false, -1 unknown. MetricsAvailable below 1: sizes are held; ScalingLimited at 1: a limit holds.",
            "short",
            (Query("max by (pool, type) (ocrplus_operator_condition{$ns})", "{{pool}} {{type}}"),),
            least=-1,
        ),
    ),
)
_ITSELF: Final = Row(
    "The operator itself",
    (
        Panel(
            "Leaders",
            "Exactly one replica leads.",
            "short",
            (Query("sum(ocrplus_operator_leads{$ns})", "leading"),),
        ),
        Panel(
            "Readings that failed",
            "By reason. A failed reading is never taken for zero: the pool keeps its size.",
            "ops",
            (
                Query(
                    "sum by (pool, reason) (rate(ocrplus_operator_observation_failures_total{$ns}[$__rate_interval]))",
                    "{{pool}} {{reason}}",
                ),
            ),
        ),
        Panel(
            "Seconds of a tick, 95 %",
            "Look, decide, act. Seconds: the API server or Redis is slow.",
            "s",
            (
                Query(
                    "histogram_quantile(0.95, sum by (pool, le) (rate(ocrplus_operator_tick_seconds_bucket{$ns}[$__rate_interval])))",
                    "{{pool}}",
                ),
            ),
        ),
    ),
)

DASHBOARD: Final = Dashboard(
    "ocrplus-operator",
    "OcrPlus / Operator",
    "How large the pools are, why, and whether the operator sees what it decides by.",
    (_POOLS, _ITSELF),
)
