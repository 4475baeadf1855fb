"""Captions over the real gateway, a real caption worker and a server that speaks the protocol."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pictures
import pytest
import redis_server
from caption_process import wait_for
from caption_running import DEADLINE, USER, Running, deployed
from documents import text_document
from service import original_client

from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Ledger, run
from ocrplus_contract.names import Pool


@pytest.fixture(scope="module")
def deployment(
    valkey: redis_server.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with deployed(valkey, tmp_path_factory.mktemp("blobs")) as found:
        yield found


@pytest.fixture
def running(deployment: Running) -> Iterator[Running]:
    deployment.begin_anew()
    yield deployment
    assert run(deployment.client, Ledger().resync(Pool.CAPTION)) == (0, 0)


@pytest.fixture(scope="module")
def worker(deployment: Running) -> Iterator[Any]:
    """A caption worker that the quick tests share."""
    with deployment.worker(
        OCRPLUS_LEASE_SECONDS="2",
        OCRPLUS_CAPTION__READ_SECONDS="0.7",
        OCRPLUS_CAPTION__RETRY_SECONDS="0.05",
        OCRPLUS_CAPTION__ATTEMPTS="2",
        OCRPLUS_CAPTION__BREAKER_FAILURES="50",
    ) as process:
        yield process


def test_a_figure_is_described_in_events_result_page_and_zip(running, worker) -> None:
    running.submit("one", 2)
    running.ocr().read_all()
    running.ended("one")

    markdown = running.get("one/result.md").text
    page = running.get("one/pages/1").json()
    (result,) = running.events("one", "result")
    captions = running.events("one", "caption")

    assert "](figures/p1-f1.png)\n\n> A picture of " in markdown
    assert page["figures"][0]["state"] == "ok"
    assert page["figures"][0]["captioner"] == "qwen-vl-max describe-1"
    assert "> A picture of " in page["markdown"]
    assert (result["captions"], result["captioner"]) == ("complete", "qwen-vl-max describe-1")
    assert [(c["page"], c["figure"], c["state"]) for c in captions] == [
        (1, "p1-f1", "ok"),
        (2, "p2-f1", "ok"),
    ]
    assert b"> A picture of " in _unzipped(running.get("one/result.zip").content)


def _unzipped(data: bytes) -> bytes:
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read("one.md")


def test_an_original_client_gets_descriptions_inside_its_result(running, worker) -> None:
    running.vlm.control(seconds=0.3)

    async def speak() -> Any:
        pdf = text_document(1, seed=77)
        client = asyncio.create_task(original_client(running.gateway.http, USER, "orig", pdf, 30))
        await asyncio.to_thread(wait_for, lambda: running.client.exists(Keys().job(USER, "orig")))
        await asyncio.to_thread(running.ocr().read_all)
        return await client

    _, last = asyncio.run(speak())

    (page,) = last["result"]["markdown"]
    assert "](/v1/tasks/orig/figures/p1-f1.png)\n\n> A picture of " in page["markdown"]


@pytest.mark.parametrize("options", [{"captions": "false"}, {"figures": "none"}])
def test_a_job_that_wants_no_captions_asks_nobody(running, worker, options) -> None:
    task = f"off-{next(iter(options))}"
    running.submit(task, 1, **options)
    running.ocr().read_all()

    assert running.ended(task)["status"] == "ok"
    assert running.events(task, "result")[0]["captions"] == "off"
    assert running.vlm.stats()["calls"] == 0
    assert "no description" not in running.get(f"{task}/result.md").text


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("refuse", "caption_refused"),
        ("filter", "caption_refused"),
        ("empty", "caption_bad_answer"),
        ("garbage", "caption_bad_answer"),
        ("shapeless", "caption_bad_answer"),
        ("error", "caption_model_failed"),
        ("drop", "caption_model_failed"),
        ("hang", "caption_timeout"),
        ("half", "caption_timeout"),
    ],
)
def test_a_figure_without_description_says_why(running, worker, mode, reason) -> None:
    running.vlm.control(mode=mode)
    running.submit(f"bad-{mode}", 1)
    running.ocr(draw=lambda page, number: pictures.png(pictures.numbered(mode))).read_all()

    (caption,) = running.captioned(f"bad-{mode}", 1)

    assert (caption["state"], caption["caption"], caption["reason"]) == ("failed", None, reason)
    markdown = running.get(f"bad-{mode}/result.md").text
    assert f"<!-- figure p1-f1 has no description: {reason} -->" in markdown
    assert running.ended(f"bad-{mode}")["status"] == "ok"
    assert running.events(f"bad-{mode}", "result")[0]["captions"] == "partial"


def test_what_fails_at_first_is_asked_again(running, worker) -> None:
    running.vlm.control(mode="error", only_first=1)
    running.submit("again", 1)
    running.ocr(draw=lambda page, number: pictures.png(pictures.numbered(998))).read_all()

    (caption,) = running.captioned("again", 1)

    assert caption["state"] == "ok"
    assert running.vlm.stats()["calls"] == 2


def test_a_rule_and_an_icon_are_skipped_and_the_result_is_complete(running, worker) -> None:
    from PIL import Image

    rule = pictures.png(Image.new("RGB", (900, 20), "black"))
    running.submit("rule", 1)
    running.ocr(draw=lambda page, number: rule).read_all()
    running.ended("rule")

    (caption,) = running.events("rule", "caption")
    assert (caption["state"], caption["reason"]) == ("skipped", "caption_shape")
    assert running.events("rule", "result")[0]["captions"] == "complete"
    assert running.vlm.stats()["calls"] == 0


def test_a_logo_on_every_page_is_asked_about_once(running, worker) -> None:
    running.vlm.control(seconds=0.3)
    crops = [pictures.with_margins(pictures.logo(), n % 5, n % 3, n % 7, n % 2) for n in range(40)]
    running.submit("logo", 40)
    running.ocr(draw=lambda page, number: pictures.png(crops[page - 1])).read_all()

    captions = running.captioned("logo", 40)

    assert len({c["caption"] for c in captions}) == 1 and captions[0]["state"] == "ok"
    assert running.vlm.stats()["calls"] == 1


def test_charts_of_one_template_are_all_asked_about(running, worker) -> None:
    running.submit("charts", 30)
    charts = [pictures.png(pictures.chart(seed, (400, 720))) for seed in range(30)]
    running.ocr(draw=lambda page, number: charts[page - 1]).read_all()

    running.captioned("charts", 30)

    stats = running.vlm.stats()
    assert (stats["calls"], len(stats["pictures"])) == (30, 30)


def takewhile_result(stream: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A stream's events up to its result, and no further."""
    for event in stream:
        yield event
        if event["type"] == "result":
            return


def test_a_large_table_is_filled_in_on_delivery(running, worker) -> None:
    rows = "".join(f"| {'季' * 40}{n} | {'元' * 20} |\n" for n in range(30))
    running.vlm.control(text=f"| 季度 | 金额 |\n| --- | --- |\n{rows}")
    running.submit("table", 1)
    running.ocr(draw=lambda p, n: pictures.png(pictures.numbered("table"))).read_all()

    (stored,) = running.captioned("table", 1)
    (delivered,) = [e for e in running.stream("table") if e["type"] == "caption"]

    assert (stored["state"], stored["caption"]) == ("ok", None)
    assert len(delivered["caption"].encode()) > 4096 and delivered["caption"].startswith("| 季度 |")
    assert "> | 季度 | 金额 |" in running.get("table/result.md").text


def test_at_the_deadline_results_go_out_and_the_late_caption_follows(running, worker) -> None:
    os.kill(worker.process.pid, signal.SIGSTOP)  # nobody describes anything for a while
    try:
        running.submit("late", 1)
        began = time.monotonic()
        running.ocr(draw=lambda p, n: pictures.png(pictures.numbered(501))).read_all()
        open_page = running.get("late/pages/1").json()
        running.ended("late")
        waited = time.monotonic() - began
        early = running.get("late/result.md").text
        late_page = running.get("late/pages/1").json()
        stream = running.stream("late")
        heard = [event["type"] for event in takewhile_result(stream)]
        wait_for(
            lambda: "ocrplus_caption_late_total 1.0" in httpx.get(running.gateway.metrics).text
        )
    finally:
        os.kill(worker.process.pid, signal.SIGCONT)

    (caption,) = running.captioned("late", 1)

    assert heard[-1] == "result" and [event["type"] for event in stream] == ["caption"]
    assert [e["type"] for e in running.stream("late")][-2:] == ["result", "caption"]
    figure = open_page["figures"][0]
    assert (figure["state"], figure["reason"]) == ("pending", None)
    assert "no description" not in open_page["markdown"], "it may still come in time"
    assert late_page["figures"][0]["reason"] == "caption_late"

    assert DEADLINE - 0.1 < waited < DEADLINE + 1
    assert "<!-- figure p1-f1 has no description: caption_late -->" in early
    assert running.events("late", "result")[0]["captions"] == "partial"
    assert caption["state"] == "ok" and caption["seq"] > running.events("late", "result")[0]["seq"]
    assert "> A picture of " in running.get("late/result.md").text


def test_the_same_document_again_has_its_captions_at_once(running, worker) -> None:
    running.client.set(Keys().engine(), "engine-1")
    running.submit("first", 1)
    running.ocr(draw=lambda p, n: pictures.png(pictures.numbered(503))).read_all()
    running.ended("first")
    calls = running.vlm.stats()["calls"]

    again = running.submit_as("first", "second")

    assert again["duplicate"] is False and running.get("second").json()["status"] == "ok"
    assert "> A picture of " in running.get("second/result.md").text
    assert [c["state"] for c in running.events("second", "caption")] == ["ok"]
    assert running.events("second", "result")[0]["captions"] == "complete"
    assert running.vlm.stats()["calls"] == calls


def test_a_cancelled_job_s_call_is_broken_off(running, worker) -> None:
    running.vlm.control(seconds=0.6)
    running.submit("gone", 1)
    running.ocr(draw=lambda p, n: pictures.png(pictures.numbered(502))).read_all()
    wait_for(lambda: running.vlm.stats()["calls"] == 1)

    running.forget("gone")

    wait_for(running.is_idle)
    assert running.events("gone", "caption") == []


def test_metrics_have_their_names(running, worker) -> None:
    text = httpx.get(worker.metrics).text
    queue = httpx.get(running.gateway.metrics).text

    for name in (
        'ocrplus_caption_calls_total{outcome="ok"}',
        "ocrplus_caption_call_seconds_bucket",
        "ocrplus_caption_cache_hits_total",
        'ocrplus_caption_tokens_total{kind="input"}',
        'ocrplus_caption_cost_total{currency="CNY"}',
        'ocrplus_caption_breaker_state{state="closed"} 1.0',
        "ocrplus_build_info",
    ):
        assert name in text, name
    assert 'ocrplus_queue_waiting_chunks{pool="caption"} 0.0' in queue
    assert 'ocrplus_caption_given_up_total{reason="caption_poison"} 0.0' in queue
