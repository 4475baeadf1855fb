"""What being observed costs: CPU seconds of metrics, logs and spans beside those of the page.

python benchmarks/observing.py [--rounds N]
Everything is on: logs at info, spans of every document to a collector in this process, `/metrics`
of gateway, OCR worker and caption worker read every five seconds (the chart's monitors read every
fifteen). The processes count for themselves (`observing_meter`), by the CPU clock of each thread:
a busy machine changes little (batches of spans are smaller on it). The page's CPU is the OCR
worker's alone, the strictest measure.
Born-digital pages are the hard case: they cost a fraction of a scanned one.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import observing_meter
import otlp_receiver
import results
import uvloop
import vlm_server
from service import Service, service

from ocrplus_gateway.loop import TICK_SECONDS, LoopWatch

SAMPLES: Final = Path(__file__).parents[1] / "examples" / "samples"
DOCUMENTS: Final = {"born_digital": ("report_en.pdf", 2), "scanned": ("scan_en_zh.pdf", 2)}
SCRAPE_SECONDS: Final = 5.0
SETTLE_SECONDS: Final = 1.5  # the last batch of spans, the last description
WATCHED_TICKS: Final = 60
MOST: Final = 0.02


@contextmanager
def scraped(running: Service) -> Iterator[list[int]]:
    """Read all metrics now and then, as Prometheus does; how many series there were."""
    ended, series = threading.Event(), [0]
    accept = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}

    def read() -> None:
        with httpx.Client(timeout=10, headers=accept) as client:
            while not ended.wait(SCRAPE_SECONDS):
                texts = [client.get(url).text for urls in running.metrics.values() for url in urls]
                lines = "\n".join(texts).splitlines()
                series[0] = sum(not line.startswith("#") for line in lines)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield series
    finally:
        ended.set()
        thread.join(10)


def loop_watch_cpu() -> float:
    """CPU seconds a second of the watch over the gateway's event loop."""

    async def watched() -> float:
        watch, began = LoopWatch(), time.thread_time()
        for _ in range(WATCHED_TICKS):
            await watch.tick()
        return (time.thread_time() - began) / (WATCHED_TICKS * TICK_SECONDS)

    return uvloop.run(watched())


def send(running: Service, user: str, task: str, pdf: bytes) -> None:
    """Submit a document and follow its events, descriptions included, to their end."""
    params = {"user": user, "task_id": task}
    with httpx.Client(base_url=running.http, timeout=120) as http:
        http.post("/v1/tasks", params=params, content=pdf).raise_for_status()
        with http.stream("GET", f"/v1/tasks/{task}/events", params=params) as stream:
            for _ in stream.iter_lines():
                pass


def measure(running: Service, out: Path, kind: str, rounds: int) -> dict[str, Any]:
    """Figures of one kind of document; a user a round, or the content cache would answer."""
    name, pages = DOCUMENTS[kind]
    pdf = (SAMPLES / name).read_bytes()
    send(running, "warm", kind, pdf)
    time.sleep(SETTLE_SECONDS)
    before, cpu, began = observing_meter.sums(out), running.cpu_seconds(), time.monotonic()
    for number in range(rounds):
        send(running, f"{kind}{number}", "t", pdf)
    time.sleep(SETTLE_SECONDS)
    after, seconds = observing_meter.sums(out), time.monotonic() - began
    total = pages * rounds
    page = (running.cpu_seconds() - cpu) / total
    figures: dict[str, Any] = {"pages": total, "page_cpu_seconds": page}
    # It runs by the clock: what it takes while a core that does nothing else reads one page.
    spent = loop_watch_cpu() * page
    figures["loop_watch_cpu_ms_per_page"] = spent * 1000
    for part in observing_meter.KINDS:
        each = (after[part][0] - before[part][0]) / total
        figures[f"{part}_cpu_ms_per_page"] = each * 1000
        figures[f"{part}_calls_per_page"] = (after[part][1] - before[part][1]) / total
        spent += each
    figures["share_of_page"] = spent / page
    figures["wall_seconds"] = seconds
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=16)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory() as folder,
        otlp_receiver.collecting() as collector,
        vlm_server.running() as vlm,
    ):
        out = Path(folder)
        env = {
            **{name: "" for name in os.environ if name.startswith("OTEL_")},
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OPENAI_BASE_URL": vlm.base_url,
            "PYTHONPATH": str(observing_meter.folder_with(out)),
            observing_meter.VARIABLE: folder,
        }
        with service(env=env) as running, scraped(running) as series:
            figures: dict[str, Any] = {
                kind: measure(running, out, kind, rounds if kind == "born_digital" else rounds // 4)
                for kind in DOCUMENTS
            }
            time.sleep(SCRAPE_SECONDS)
        spans = len(collector.spans)
    figures |= {"spans": spans, "series_of_three_processes": series[0], "bar_share_of_page": MOST}
    print(json.dumps(figures, indent=2))
    results.write("observing", figures)


if __name__ == "__main__":
    main()
