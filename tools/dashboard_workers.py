"""*Workers and GPUs*: how fast pages are read, by whom, and what the engines cost idle."""

from typing import Final

from panels import Dashboard, Panel, Query, Row

_READING: Final = Row(
    "Reading",
    (
        Panel(
            "Pages by outcome",
            "Failed pages have an error of their own in the result. A share above 1 % burns the objective.",
            "reqps",
            (Query("sum by (outcome) (ocrplus:pages:rate5m{$ns})", "{{outcome}}"),),
            "stack",
        ),
        Panel(
            "Pages by source",
            "Text layers are ten times cheaper than OCR: their share decides how many workers are needed.",
            "reqps",
            (Query("sum by (source) (ocrplus:pages:rate5m{$ns})", "{{source}}"),),
            "stack",
        ),
        Panel(
            "Failed pages, share",
            "Of all pages done.",
            "percentunit",
            (
                Query(
                    'sum(ocrplus:pages:rate5m{$ns, outcome="failed"}) / sum(ocrplus:pages:rate5m{$ns})',
                    "failed",
                ),
            ),
        ),
        Panel(
            "Seconds of a page by stage, 95 %",
            "render and text are PDFium's, engine is the models'. Render that grows: odd documents; engine: a slow or shared card.",
            "s",
            (Query("max by (stage) (ocrplus:page_seconds:p95_5m{$ns})", "{{stage}}"),),
        ),
        Panel(
            "Seconds of a page by stage, mean",
            "Their sum is what one page costs an engine; capacity is engines divided by it.",
            "s",
            (
                Query(
                    "sum by (stage) (rate(ocrplus_ocr_page_seconds_sum{$ns}[$__rate_interval]))"
                    " / sum by (stage) (rate(ocrplus_ocr_page_seconds_count{$ns}[$__rate_interval]))",
                    "{{stage}}",
                ),
            ),
            "stack",
        ),
        Panel(
            "Pages a minute by worker",
            "One that falls behind the others sits on a slow node, or has a card to share.",
            "short",
            (
                Query(
                    "sum by (instance) (rate(ocrplus_ocr_pages_total{$ns}[$__rate_interval])) * 60",
                    "{{instance}}",
                ),
            ),
        ),
    ),
)
_ENGINES: Final = Row(
    "Engines",
    (
        Panel(
            "Engines by state",
            "An idle engine holds its card as a busy one does. Warming for minutes: slow models' disk; draining for long: a long chunk.",
            "short",
            (Query("sum by (state) (ocrplus_ocr_worker_state{$ns})", "{{state}}"),),
            "stack",
        ),
        Panel(
            "Busy engines, share",
            "Of those that are warm. Near 1 with waiting work: more replicas; near 0 for hours: fewer.",
            "percentunit",
            (
                Query(
                    'sum(ocrplus_ocr_worker_state{$ns, state="busy"})'
                    ' / sum(ocrplus_ocr_worker_state{$ns, state=~"idle|busy"})',
                    "busy",
                ),
            ),
        ),
        Panel(
            "Warm-up of an engine",
            "From a process's start to its first page. It is what a scale-up from zero costs the first user.",
            "s",
            (Query("max by (instance) (ocrplus_ocr_warmup_seconds{$ns})", "{{instance}}"),),
        ),
        Panel(
            "Wait before a worker takes work, 95 %",
            "What too few engines cost users.",
            "s",
            (
                Query(
                    'histogram_quantile(0.95, sum by (le) (rate(ocrplus_queue_wait_seconds_bucket{$ns, pool="ocr"}[$__rate_interval])))',
                    "95%",
                ),
            ),
        ),
        Panel(
            "Chunks in flight",
            "One an engine. More than there are engines: leases of workers that are gone, until they expire.",
            "short",
            (Query('max(ocrplus_queue_inflight_chunks{$ns, pool="ocr"})', "in flight"),),
        ),
        Panel(
            "Leases expired and pages poisoned",
            "Deaths of engine processes, as the queue sees them.",
            "short",
            (
                Query(
                    'max(increase(ocrplus_queue_leases_expired_total{$ns, pool="ocr"}[$__rate_interval]))',
                    "expired",
                ),
                Query(
                    'max(increase(ocrplus_queue_poisoned_total{$ns, pool="ocr"}[$__rate_interval]))',
                    "poisoned",
                ),
            ),
        ),
    ),
)

DASHBOARD: Final = Dashboard(
    "ocrplus-workers",
    "OcrPlus / Workers and GPUs",
    "How fast pages are read, by whom, and what the engines do meanwhile.",
    (_READING, _ENGINES),
)
