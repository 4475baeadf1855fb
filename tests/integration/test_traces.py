"""Spans of the real services, as a real collector receives them: one document, one trace."""

import io
import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import caption_running
import gateway_process
import httpx
import otlp_receiver
import pictures
import pytest
import redis_server
import vlm_server
from documents import text_document
from otlp_receiver import Collector, Received
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from service import Service, service

CANARY = "Zanzibarcanary"
WHOLE = {
    ("gateway", "submit"): 1,
    ("gateway", "inspect"): 1,
    ("gateway", "store"): 1,
    ("gateway", "admit"): 1,
    ("gateway", "deliver"): 6,  # submitted, two pages, two captions, result
    ("ocr-worker", "queue"): 1,
    ("ocr-worker", "chunk"): 1,
    ("ocr-worker", "page"): 2,
    ("ocr-worker", "commit"): 2,
    ("caption-worker", "queue"): 2,
    ("caption-worker", "figure"): 2,
    ("caption-worker", "vlm call"): 2,
    ("caption-worker", "commit"): 2,
}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with otlp_receiver.collecting() as found:
        yield found


@pytest.fixture(scope="module")
def running(collector: Collector) -> Iterator[Service]:
    with vlm_server.running(text=f"A harbour called {CANARY}.") as vlm:
        env = {"OPENAI_BASE_URL": vlm.base_url, "OPENAI_API_KEY": f"sk-{CANARY}", **collector.env}
        with service(env={**env, "OCRPLUS_LEASE_SECONDS": "6"}) as stack:
            yield stack


def two_figures() -> bytes:
    """Two pages, each with a picture."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    for page in (1, 2):
        canvas.setFont("Helvetica", 11)
        for line in range(8):
            canvas.drawString(72, 760 - 16 * line, f"Line {line} of {CANARY} speaks of the quay.")
        picture = ImageReader(pictures.photo(page, (480, 360)))
        canvas.drawImage(picture, 140, 300, 300, 225)
        canvas.drawString(200, 280, f"Figure {page}: The mole of {CANARY} from above.")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def submit(running: Service, user: str, task: str, pdf: bytes, traceparent: str = "") -> str:
    """Send a document and follow it to its end; the trace that the answer names."""
    headers = {"authorization": f"Bearer {CANARY}"}
    headers |= {"traceparent": traceparent} if traceparent else {}
    trace = post(running.http, user, task, pdf, headers)
    follow(running.http, user, task)
    return trace


def post(http: str, user: str, task: str, pdf: bytes, headers: dict[str, str] | None = None) -> str:
    query = {"user": user, "task_id": task, "name": f"{CANARY}.pdf"}
    answer = httpx.post(f"{http}/v1/tasks", params=query, content=pdf, headers=headers, timeout=60)
    return answer.raise_for_status().headers["traceresponse"].split("-")[1]


def follow(http: str, user: str, task: str) -> None:
    url = f"{http}/v1/tasks/{task}/events"
    with httpx.stream("GET", url, params={"user": user}, timeout=60) as stream:
        for _ in stream.iter_lines():
            pass


def counted(spans: list[Received]) -> Counter[tuple[str, str]]:
    return Counter((span.service.removeprefix("ocrplus-"), span.name) for span in spans)


def of_trace(collector: Collector, trace: str) -> list[Received]:
    return [span for span in collector.spans if span.trace == trace]


def test_one_document_is_one_trace_from_its_upload_to_its_delivery(
    running: Service, collector: Collector
) -> None:
    began = time.time()
    trace = submit(running, f"user-{CANARY}", "whole", two_figures())
    took = time.time() - began

    collector.wait_for(lambda _: sum(counted(of_trace(collector, trace)).values()) >= 24)
    spans = of_trace(collector, trace)
    assert counted(spans) == WHOLE
    (root,) = [span for span in spans if not span.parent]
    assert root.name == "submit"
    assert {span.parent for span in spans} <= {"", *(span.span for span in spans)}
    assert not [span for span in spans if span.error]
    assert all(0 <= span.seconds <= took + 1 for span in spans)
    assert all(began - 1 <= span.began <= span.ended <= time.time() for span in spans)

    def only(name: str, **attributes: Any) -> Received:
        wanted = {f"ocrplus.{key}": value for key, value in attributes.items()}.items()
        (found,) = [s for s in spans if s.name == name and wanted <= s.attributes.items()]
        return found

    chunk, second = only("chunk", chunk="1-2"), only("page", page=2)
    assert second.parent == chunk.span and chunk.parent == root.span
    assert second.attributes["ocrplus.source"] == "text_layer"
    assert 0 < second.attributes["ocrplus.engine_seconds"] <= second.seconds + 0.01
    figure = only("figure", page=2)
    (call,) = [s for s in spans if s.name == "vlm call" and s.parent == figure.span]
    assert call.attributes["ocrplus.output_tokens"] == 80
    assert only("queue", chunk="1-2").ended <= chunk.began + 0.05
    assert only("deliver", event="result").ended <= time.time()
    assert not only("deliver", event="page", page=1).attributes["ocrplus.replayed"]


def test_no_span_tells_what_is_written_who_wrote_it_or_what_opens_the_door(
    running: Service, collector: Collector
) -> None:
    assert collector.of_job("whole"), "the test before this one sent some"
    assert not [body for body in collector.raw if CANARY.encode() in body]


def test_a_clients_trace_goes_on_and_its_wish_not_to_be_recorded_holds(
    running: Service, collector: Collector
) -> None:
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    submit(running, "client", "silent", text_document(1, 71), f"00-{trace}-{parent}-00")
    told = submit(running, "client", "joined", text_document(1, 72), f"00-{trace}-{parent}-01")

    spans = collector.wait_for(
        lambda _: counted(of_trace(collector, trace))["gateway", "deliver"] >= 3
    )
    assert told == trace
    (root,) = [s for s in spans if s.name == "submit" and s.attributes["ocrplus.job"] == "joined"]
    assert (root.trace, root.parent) == (trace, parent)
    assert not collector.of_job("silent")


def test_a_name_that_stands_for_another_document_by_now_has_that_ones_trace(
    valkey: redis_server.Server, tmp_path: Path
) -> None:
    valkey.client.flushall()
    with (
        otlp_receiver.collecting() as collector,
        gateway_process.gateway(valkey.url, tmp_path, **collector.env) as door,
    ):
        traces = set()
        for number in range(3):
            traces.add(post(door.http, "ada", "again", text_document(1, 75 + number)))
            gateway_process.play_worker(valkey.client)
            follow(door.http, "ada", "again")
            httpx.delete(f"{door.http}/v1/tasks/again", params={"user": "ada"}).raise_for_status()
        collector.wait_for(lambda spans: counted(spans)["gateway", "deliver"] == 9)

    assert len(traces) == 3
    for trace in traces:
        told = [span for span in of_trace(collector, trace) if span.name == "deliver"]
        events = [span.attributes["ocrplus.event"] for span in told]
        assert sorted(events) == ["page", "result", "submitted"]


def test_the_histograms_of_a_recorded_job_name_its_trace(
    running: Service, collector: Collector
) -> None:
    running.convert("seen", "seen", text_document(1, 73), 60)
    collector.wait_for(lambda _: counted(collector.of_job("seen"))["gateway", "submit"])
    (trace,) = {span.trace for span in collector.of_job("seen")}
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    (url,) = running.metrics["gateway"]
    families = text_string_to_metric_families(httpx.get(url, headers=accept).text)

    named = {
        sample.name
        for family in families
        for sample in family.samples
        if sample.exemplar and sample.exemplar.labels == {"trace_id": trace}
    }
    assert "ocrplus_gateway_first_page_seconds_bucket" in named
    assert "ocrplus_gateway_job_seconds_bucket" in named


def test_a_worker_that_is_killed_leaves_its_chunks_second_attempt_in_the_same_trace(
    running: Service, collector: Collector
) -> None:
    query = {"user": "killed", "task_id": "killed"}
    with httpx.Client(base_url=running.http, timeout=60) as http:
        answer = http.post("/v1/tasks", params=query, content=text_document(8, 74))
        trace = answer.headers["traceresponse"].split("-")[1]
        collector.wait_for(lambda _: counted(of_trace(collector, trace))["ocr-worker", "page"], 60)
        (record,) = running.workers().values()
        os.kill(record.pid, signal.SIGKILL)
        while http.get("/v1/tasks/killed", params={"user": "killed"}).json()["status"] != "ok":
            time.sleep(0.1)

    collector.wait_for(lambda _: counted(of_trace(collector, trace))["ocr-worker", "chunk"] == 2)
    spans = of_trace(collector, trace)
    chunks = [span for span in spans if span.name == "chunk"]
    pages = [span.attributes["ocrplus.page"] for span in spans if span.name == "page"]
    assert min(pages) == 1 and max(pages) == 8
    assert [span.error for span in chunks if span.error] == ["died"]
    assert [span.attributes["ocrplus.deaths"] for span in chunks if not span.error] == [1]
    assert {span.parent for span in spans} <= {"", *(span.span for span in spans)}


def test_what_waits_to_be_sent_is_sent_when_a_process_ends(
    valkey: redis_server.Server, tmp_path: Path
) -> None:
    with otlp_receiver.collecting() as collector:
        rarely = {**collector.env, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
        with caption_running.deployed(valkey, tmp_path, **rarely) as deployed:
            with deployed.worker(**rarely):
                deployed.submit("last", 1)
                deployed.ocr().read_all()
                deployed.captioned("last", 1)
            assert collector.of_job("last") and deployed.ended("last")
            assert {span.service for span in collector.spans} == {"ocrplus-caption-worker"}

    assert {"submit", "figure"} <= {span.name for span in collector.of_job("last")}


@pytest.mark.parametrize("mode", ["hang", "refuse"])
def test_a_collector_that_takes_nothing_delays_neither_a_submission_nor_an_end(
    mode: otlp_receiver.Mode, valkey: redis_server.Server, tmp_path: Path
) -> None:
    valkey.client.flushall()
    with (
        otlp_receiver.collecting(mode) as collector,
        gateway_process.gateway(
            valkey.url, tmp_path, OCRPLUS_SHUTDOWN_SECONDS="1", **collector.env
        ) as door,
    ):
        began = time.monotonic()
        for number in range(3):
            query = {"user": "ada", "task_id": f"t{number}"}
            pdf = text_document(1, 80 + number)
            httpx.post(f"{door.http}/v1/tasks", params=query, content=pdf).raise_for_status()
        assert gateway_process.play_worker(valkey.client) == 3
        assert time.monotonic() - began < 10
        while not collector.requests:
            time.sleep(0.05)
        began = time.monotonic()
        door.process.terminate()
        door.process.wait(15)
        assert time.monotonic() - began < 6
