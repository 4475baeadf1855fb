"""*Service*: what users feel, for whoever is asked whether they are being served."""

from typing import Final

from objectives import OBJECTIVES, RATIO
from panels import Dashboard, Panel, Query, Row


def _quantile(share: float, metric: str, more: str = "", by: str = "") -> str:
    labels = ", ".join(filter(None, ("le", by)))
    matchers = ", ".join(filter(None, ("$ns", more)))
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{{matchers}}}[$__rate_interval])))"


_NOW: Final = Row(
    "Now",
    (
        Panel(
            "Connections",
            "Open WebSockets and event streams of all gateways.",
            "short",
            (Query("sum(ocrplus_gateway_connections{$ns})", "connections"),),
            "number",
            4,
        ),
        Panel(
            "Documents a minute",
            "Documents accepted. Nothing for long while people work: they cannot reach the gateway.",
            "short",
            (
                Query(
                    'sum(rate(ocrplus_gateway_jobs_total{$ns, outcome="accepted"}[$__rate_interval])) * 60',
                    "accepted",
                ),
            ),
            "number",
            4,
        ),
        Panel(
            "Pages a minute",
            "Pages that workers committed.",
            "short",
            (Query("sum(rate(ocrplus_ocr_pages_total{$ns}[$__rate_interval])) * 60", "pages"),),
            "number",
            4,
        ),
        Panel(
            "First page, 95 %",
            "19 of 20 users had their first page after so long. The objective is 30 s.",
            "s",
            (Query(_quantile(0.95, "ocrplus_gateway_first_page_seconds"), "95 %"),),
            "number",
            4,
        ),
        Panel(
            "Oldest work waits",
            "Age of the oldest chunk that no worker has taken. The objective is 300 s.",
            "s",
            (Query('max(ocrplus_queue_oldest_seconds{$ns, pool="ocr"})', "oldest"),),
            "number",
            4,
        ),
        Panel(
            "Versions",
            "Processes by the version that they run: two versions are a rollout, or one that hangs.",
            "short",
            (Query("count by (version) (ocrplus_build_info{$ns})", "{{version}}"),),
            "number",
            4,
        ),
    ),
)
_PROMISES: Final = Row(
    "Promises",
    (
        Panel(
            "Burn rate by objective (last hour)",
            "1 uses an objective's budget up in 30 days; an hour above 14.4 pages somebody. See docs/slo.md.",
            "short",
            tuple(
                Query(f'max({RATIO}1h{{$ns, slo="{o.name}"}}) / {1 - o.target:.4g}', o.name)
                for o in OBJECTIVES
            ),
            width=12,
        ),
        Panel(
            "Submissions by outcome",
            "What became of each document or request. `busy` and `internal` are ours, the rest is the sender's.",
            "reqps",
            (
                Query(
                    "sum by (outcome) (rate(ocrplus_gateway_jobs_total{$ns}[$__rate_interval])) > 0",
                    "{{outcome}}",
                ),
            ),
            "stack",
            12,
        ),
    ),
)
_LATENCY: Final = Row(
    "How long it takes",
    (
        Panel(
            "First page",
            "From a submission to its first page, of connected users. Far above the wait in the queue: pages are slow.",
            "s",
            tuple(
                Query(_quantile(share, "ocrplus_gateway_first_page_seconds"), f"{share:.0%}")
                for share in (0.5, 0.95, 0.99)
            ),
        ),
        Panel(
            "Whole document, 95 %, by size",
            "Small: up to 5 pages, medium: up to 50, large: more.",
            "s",
            (Query(_quantile(0.95, "ocrplus_gateway_job_seconds", by="size"), "{{size}}"),),
        ),
        Panel(
            "Delivery to the socket",
            "From an event's writing to its sending, to clients that were connected. Milliseconds are right.",
            "s",
            tuple(
                Query(
                    _quantile(share, "ocrplus_gateway_delivery_seconds", 'kind="live"'),
                    f"{share:.0%}",
                )
                for share in (0.5, 0.99)
            ),
        ),
        Panel(
            "Ends of documents",
            "How jobs of connected users ended. `failed` and `partial` that grow: see pages by outcome.",
            "reqps",
            (
                Query(
                    "sum by (status) (rate(ocrplus_gateway_job_ends_total{$ns}[$__rate_interval]))",
                    "{{status}}",
                ),
            ),
            "stack",
        ),
        Panel(
            "Connections by protocol",
            "Open sockets by what they speak. A sudden fall of all: gateways or ingress.",
            "short",
            (Query("sum by (protocol) (ocrplus_gateway_connections{$ns})", "{{protocol}}"),),
            "stack",
        ),
        Panel(
            "Replayed events",
            "Events sent to clients that came back for them. A peak is a restart of a gateway or of the ingress.",
            "reqps",
            (
                Query(
                    'sum(rate(ocrplus_gateway_delivery_seconds_count{$ns, kind="replayed"}[$__rate_interval]))',
                    "replayed",
                ),
            ),
        ),
    ),
)
_QUEUE: Final = Row(
    "The queue",
    (
        Panel(
            "Waiting pages and figures",
            "Work that no worker has taken. It may jump with a large document; it should come down again.",
            "short",
            (Query("max by (pool) (ocrplus_queue_waiting_pages{$ns})", "{{pool}}"),),
        ),
        Panel(
            "Wait in the queue",
            "How long what workers took had waited.",
            "s",
            (
                Query(_quantile(0.5, "ocrplus_queue_wait_seconds", by="pool"), "{{pool}} 50%"),
                Query(_quantile(0.95, "ocrplus_queue_wait_seconds", by="pool"), "{{pool}} 95%"),
            ),
        ),
        Panel(
            "Age of the oldest waiting work",
            "Above 300 s users wait longer than promised.",
            "s",
            (Query("max by (pool) (ocrplus_queue_oldest_seconds{$ns})", "{{pool}}"),),
        ),
        Panel(
            "Chunks: waiting, in flight, doorbells",
            "Stream lag, pending entries, and messages in the Celery queue. Waiting above doorbells for long: nobody is rung.",
            "short",
            (
                Query("max by (pool) (ocrplus_queue_waiting_chunks{$ns})", "{{pool}} waiting"),
                Query("max by (pool) (ocrplus_queue_inflight_chunks{$ns})", "{{pool}} in flight"),
                Query("max by (pool) (ocrplus_queue_doorbells{$ns})", "{{pool}} doorbells"),
            ),
        ),
        Panel(
            "Leases that expired",
            "Chunks taken back from workers that went silent: killed, evicted or hanging.",
            "short",
            (
                Query(
                    "max by (pool) (increase(ocrplus_queue_leases_expired_total{$ns}[$__rate_interval]))",
                    "{{pool}}",
                ),
            ),
        ),
        Panel(
            "Poisoned pages",
            "Pages and figures given up because three workers died over them. Keep the document: it is a bug.",
            "short",
            (
                Query(
                    "max by (pool) (increase(ocrplus_queue_poisoned_total{$ns}[$__rate_interval]))",
                    "{{pool}}",
                ),
            ),
        ),
    ),
)
_GATEWAYS: Final = Row(
    "Gateways and stores",
    (
        Panel(
            "Longest stall of the event loop",
            "For so long no client of that gateway was served. Above 0.2 s somebody notices.",
            "s",
            (
                Query(
                    "max by (instance) (ocrplus_gateway_event_loop_lag_seconds{$ns})",
                    "{{instance}}",
                ),
            ),
        ),
        Panel(
            "Time in garbage collection",
            "Share of a gateway's time; the oldest generation makes the long pauses.",
            "percentunit",
            (
                Query(
                    "max by (generation) (rate(ocrplus_gateway_gc_pause_seconds_sum{$ns}[$__rate_interval]))",
                    "generation {{generation}}",
                ),
            ),
        ),
        Panel(
            "Clients that lost history",
            "They asked for events that are gone and got a snapshot: trimmed is a long absence, epoch a server without its data.",
            "short",
            (
                Query(
                    "sum by (reason) (increase(ocrplus_gateway_history_lost_total{$ns}[$__rate_interval]))",
                    "{{reason}}",
                ),
            ),
        ),
        Panel(
            "Redis memory",
            "At its limit the server refuses every write: nothing is accepted or committed.",
            "bytes",
            (
                Query("max(ocrplus_redis_memory_bytes{$ns})", "used"),
                Query("max(ocrplus_redis_memory_limit_bytes{$ns})", "limit"),
            ),
        ),
        Panel(
            "Redis answers",
            "Share of gateways that Redis answers. 0 is an outage; between: the network of some.",
            "percentunit",
            (Query("avg(ocrplus_redis_up{$ns})", "gateways"),),
        ),
        Panel(
            "Room for documents",
            "What the store of documents and figures still takes.",
            "bytes",
            (Query("min(ocrplus_gateway_blob_room_bytes{$ns})", "room"),),
        ),
    ),
)

DASHBOARD: Final = Dashboard(
    "ocrplus-service",
    "OcrPlus / Service",
    "What users feel: is everything accepted, read and delivered, and how fast.",
    (_NOW, _PROMISES, _LATENCY, _QUEUE, _GATEWAYS),
)
