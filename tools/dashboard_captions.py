"""*Captions*: the vision-language model, what it costs, and the figures that get nothing."""

from typing import Final

from panels import Dashboard, Panel, Query, Row

_FIGURES: Final = Row(
    "Figures",
    (
        Panel(
            "Figures by what became of them",
            "Skipped ones were too small, of an odd shape or over a budget; failed ones were asked about in vain.",
            "reqps",
            (
                Query(
                    "sum by (outcome) (rate(ocrplus_caption_figures_total{$ns}[$__rate_interval]))",
                    "{{outcome}}",
                ),
            ),
            "stack",
        ),
        Panel(
            "Why figures have no description",
            "By reason, as results tell it; given up are those that no worker ended.",
            "reqps",
            (
                Query(
                    "max by (reason) (rate(ocrplus_caption_given_up_total{$ns}[$__rate_interval]))",
                    "{{reason}} (given up)",
                ),
                Query(
                    'sum by (reason) (rate(ocrplus_caption_figures_total{$ns, reason!="none"}[$__rate_interval]))',
                    "{{reason}}",
                ),
            ),
        ),
        Panel(
            "Figures that wait and are in hand",
            "Waiting while the breaker is open is right: they are described when the model is back.",
            "short",
            (
                Query('max(ocrplus_queue_waiting_chunks{$ns, pool="caption"})', "waiting"),
                Query('max(ocrplus_queue_inflight_chunks{$ns, pool="caption"})', "in hand"),
            ),
        ),
        Panel(
            "Wait before a worker takes a figure, 95 %",
            "Documents wait for captions only so long; later ones follow as events.",
            "s",
            (
                Query(
                    'histogram_quantile(0.95, sum by (le) (rate(ocrplus_queue_wait_seconds_bucket{$ns, pool="caption"}[$__rate_interval])))',
                    "95%",
                ),
            ),
        ),
        Panel(
            "Late figures",
            "Figures that a result did not wait for: their descriptions come as events of their own.",
            "reqps",
            (Query("max(rate(ocrplus_caption_late_total{$ns}[$__rate_interval]))", "late"),),
        ),
        Panel(
            "Oldest figure in hand",
            "Far above a call's time: calls hang.",
            "s",
            (
                Query(
                    "max by (instance) (ocrplus_caption_oldest_in_hand_seconds{$ns})",
                    "{{instance}}",
                ),
            ),
        ),
        Panel(
            "Workers by state",
            "Caption workers, as the operator sees them.",
            "short",
            (Query("sum by (state) (ocrplus_caption_worker_state{$ns})", "{{state}}"),),
            "stack",
        ),
    ),
)
_MODEL: Final = Row(
    "The model",
    (
        Panel(
            "Calls by outcome",
            "limited: the endpoint asks for patience; fatal: key, address or model name are wrong.",
            "reqps",
            (
                Query(
                    "sum by (outcome) (rate(ocrplus_caption_calls_total{$ns}[$__rate_interval]))",
                    "{{outcome}}",
                ),
            ),
            "stack",
        ),
        Panel(
            "Seconds of a call",
            "Whatever came of it.",
            "s",
            tuple(
                Query(
                    f"histogram_quantile({share}, sum by (le) (rate(ocrplus_caption_call_seconds_bucket{{$ns}}[$__rate_interval])))",
                    f"{share:.0%}",
                )
                for share in (0.5, 0.95)
            ),
        ),
        Panel(
            "Breaker",
            "Share of workers that see it in each state. Open: calls failed in a row, nobody calls for a while.",
            "percentunit",
            (Query("avg by (state) (ocrplus_caption_breaker_state{$ns})", "{{state}}"),),
            "stack",
        ),
        Panel(
            "Calls saved, share",
            "Figures whose picture had been described before.",
            "percentunit",
            (
                Query(
                    "sum(rate(ocrplus_caption_cache_hits_total{$ns}[$__rate_interval])) / (sum(rate(ocrplus_caption_cache_hits_total{$ns}[$__rate_interval]))"
                    " + sum(rate(ocrplus_caption_calls_total{$ns}[$__rate_interval])))",
                    "saved",
                ),
            ),
        ),
        Panel(
            "Tokens a minute",
            "Sent (pictures are most of them) and answered.",
            "short",
            (
                Query(
                    "sum by (kind) (rate(ocrplus_caption_tokens_total{$ns}[$__rate_interval])) * 60",
                    "{{kind}}",
                ),
            ),
        ),
        Panel(
            "Cost an hour",
            "By the prices that are configured, in the currency that is; 0 where there are none.",
            "short",
            (
                Query(
                    "sum by (currency) (rate(ocrplus_caption_cost_total{$ns}[$__rate_interval])) * 3600",
                    "{{currency}}",
                ),
            ),
        ),
    ),
)

DASHBOARD: Final = Dashboard(
    "ocrplus-captions",
    "OcrPlus / Captions",
    "The vision-language model: its speed, its failures, its cost, and the figures without a description.",
    (_FIGURES, _MODEL),
)
