"""Caption workers that are killed, ended, limited, refused: each test starts those it needs."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pictures
import pytest
import redis_server
from caption_process import wait_for
from caption_running import Running, deployed

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


def test_a_dead_endpoint_opens_the_breaker_and_then_no_result_waits(running) -> None:
    running.vlm.control(mode="error")
    quick = {"OCRPLUS_CAPTION__BREAKER_FAILURES": "3", "OCRPLUS_CAPTION__BREAKER_SECONDS": "2"}
    with running.worker(**quick):
        running.submit("dead", 8)
        running.ocr(draw=lambda p, n: pictures.png(pictures.numbered(600 + p))).read_all()
        wait_for(lambda: running.client.hget(Keys().breaker(), "state") == b"open")
        running.ended("dead")
        calls = running.vlm.stats()["calls"]
        running.submit("dead2", 1)
        running.ocr(draw=lambda p, n: pictures.png(pictures.numbered(620))).read_all()
        ended_at_once = running.get("dead2").json()["status"]

        running.vlm.control(mode="ok")
        captions = running.captioned("dead", 8) + running.captioned("dead2", 1)

    assert calls < 20, "an open breaker asks nobody"
    assert ended_at_once == "ok"
    assert {c["state"] for c in captions} == {"ok"}, "what waited was described in the end"
    assert running.client.hget(Keys().breaker(), "state") is None


def test_an_endpoint_that_always_asks_for_patience_opens_the_breaker(running) -> None:
    running.vlm.control(mode="overloaded")
    env = {"OCRPLUS_CAPTION__BREAKER_FAILURES": "3", "OCRPLUS_CAPTION__CONCURRENCY": "1"}
    with running.worker(**env):
        running.submit("overloaded", 1)
        running.ocr(draw=lambda p, n: pictures.png(pictures.numbered(660))).read_all()
        wait_for(lambda: running.client.hget(Keys().breaker(), "state") == b"open")
        running.ended("overloaded")

    assert running.vlm.stats()["calls"] == 3
    running.forget("overloaded")


def test_a_wrong_key_opens_the_breaker_at_once(running) -> None:
    running.vlm.control(mode="unauthorized")
    with running.worker(OCRPLUS_CAPTION__BREAKER_SECONDS="60", OCRPLUS_CAPTION__CONCURRENCY="1"):
        running.submit("key", 3)
        running.ocr(draw=lambda p, n: pictures.png(pictures.numbered(640 + p))).read_all()
        wait_for(lambda: running.client.hget(Keys().breaker(), "state") == b"open")
        running.ended("key")

    assert running.vlm.stats()["calls"] == 1
    assert running.events("key", "caption") == [], "they may still come"
    assert running.events("key", "result")[0]["captions"] == "partial"
    running.forget("key")


def test_patience_that_is_asked_for_is_had_by_all_processes(running) -> None:
    running.vlm.control(per_minute=8, window_seconds=1.5, seconds=0.05)
    none = {
        "OCRPLUS_CAPTION__REQUESTS_PER_MINUTE": "0",
        "OCRPLUS_CAPTION__CONCURRENCY": "4",
        "OCRPLUS_CAPTION__BUDGET_JOB": "20",  # a figure that comes back is not charged again
    }
    with running.worker(**none), running.worker(**none):
        running.submit("patience", 20)
        running.ocr(draw=lambda p, n: pictures.png(pictures.numbered(p))).read_all()
        captions = running.captioned("patience", 20, seconds=40)

    stats = running.vlm.stats()
    assert {c["state"] for c in captions} == {"ok"}
    assert stats["answered"] == 20
    assert 0 < stats["statuses"]["429"] <= 40


def test_copies_of_one_logo_hold_up_no_other_figure(running) -> None:
    slow = 5.0
    running.vlm.control(seconds=slow, text="{sha}")
    logo = pictures.png(pictures.numbered("logo"))
    running.submit("crowd", 40)
    running.ocr(draw=lambda page, number: logo).read_all()
    running.submit("others", 3)
    running.ocr(draw=lambda p, n: pictures.png(pictures.numbered(700 + p))).read_all()
    with running.worker(OCRPLUS_CAPTION__CONCURRENCY="4", OCRPLUS_LEASE_SECONDS="2"):
        running.captioned("others", 3, seconds=60)
        captions = running.captioned("crowd", 40, seconds=60)

    stats = running.vlm.stats()
    assert len(stats["pictures"]) == 4
    assert stats["arrivals"][3] - stats["arrivals"][0] < slow, "nobody waited for the logo"
    assert {c["state"] for c in captions} == {"ok"} and len({c["caption"] for c in captions}) == 1


def test_a_killed_worker_s_figures_end_once(running) -> None:
    running.vlm.control(seconds=0.4)
    env = {"OCRPLUS_LEASE_SECONDS": "2", "OCRPLUS_CAPTION__CONCURRENCY": "4"}
    named = {**env, "OCRPLUS_POD_NAME": "victim"}
    running.submit("kill", 20)
    running.ocr(draw=lambda p, n: pictures.png(pictures.numbered(100 + p))).read_all()
    with running.worker(**named) as victim:
        wait_for(lambda: running.vlm.stats()["calls"] >= 6)
        victim.process.kill()
        victim.process.wait(10)
        assert running.client.hlen(Keys().lease(Pool.CAPTION)) > 0

        with running.worker(**named):  # its successor brings back what it held
            captions = running.captioned("kill", 20)
            time.sleep(0.6)

    assert len(running.events("kill", "caption")) == len(captions) == 20
    assert {c["state"] for c in captions} == {"ok"}
    assert len({c["figure"] for c in captions}) == 20


def test_a_worker_that_is_told_to_end_gives_back_what_it_has(running) -> None:
    running.vlm.control(mode="hang")
    with running.worker(OCRPLUS_SHUTDOWN_SECONDS="0.3") as process:
        running.submit("term", 2)
        running.ocr(draw=lambda p, n: pictures.png(pictures.numbered(850 + p))).read_all()
        wait_for(lambda: running.vlm.stats()["calls"] == 2)
        process.process.terminate()
        assert process.process.wait(15) == 0

    assert running.client.hlen(Keys().lease(Pool.CAPTION)) == 0
    assert running.client.xinfo_groups(Keys().work(Pool.CAPTION))[0]["lag"] == 2
    running.forget("term")


def test_a_worker_that_is_told_to_drain_ends_what_it_has_and_takes_no_more(running) -> None:
    running.vlm.control(seconds=0.4)
    keys, few = Keys(), {"OCRPLUS_CAPTION__CONCURRENCY": "1", "OCRPLUS_POD_NAME": "pod-1"}

    def state() -> bytes:
        return running.client.hget(keys.worker(Pool.CAPTION, "pod-1.0"), "state")

    with running.worker(**few):
        running.submit("drain", 5)
        running.ocr(draw=lambda p, n: pictures.png(pictures.numbered(400 + p))).read_all()
        wait_for(lambda: running.vlm.stats()["calls"] == 1)
        running.client.sadd(keys.drain(Pool.CAPTION), "pod-1")
        wait_for(lambda: state() == b"drained")
        described = len(running.events("drain", "caption"))
        time.sleep(0.8)
        assert len(running.events("drain", "caption")) == described < 5
        assert running.client.hlen(keys.lease(Pool.CAPTION)) == 0

        running.client.srem(keys.drain(Pool.CAPTION), "pod-1")
        running.captioned("drain", 5)


def test_budget_stream_and_silence(running, tmp_path: Path) -> None:
    """One worker for three settings: starting it costs more than all it does here."""
    log = tmp_path / "worker.log"
    env = {
        "OCRPLUS_CAPTION__BUDGET_JOB": "3",
        "OCRPLUS_CAPTION__STREAM": "true",
        "OCRPLUS_LOG_LEVEL": "debug",
    }
    running.vlm.control(mode="error", only_first=1)
    with log.open("w") as stderr, running.worker(stderr=stderr, **env):
        running.submit("budget", 5)
        running.ocr(draw=lambda p, n: pictures.png(pictures.numbered(370 + p))).read_all()
        captions = running.captioned("budget", 5)

    skipped = [c["reason"] for c in captions if c["state"] == "skipped"]
    assert skipped == ["caption_budget_job"] * 2
    assert running.events("budget", "result")[0]["captions"] == "partial"
    stats = running.vlm.stats()
    assert (stats["calls"], stats["streamed"]) == (4, 3)
    said = log.read_text()
    assert "figure done" in said
    assert "sk-test-not-a-key" not in said
    assert "data:image" not in said and "iVBOR" not in said and "A picture of" not in said


def test_without_a_key_and_an_address_the_worker_says_so(deployment: Running) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
    done = subprocess.run(
        [sys.executable, "-m", "ocrplus_caption"],
        env={**env, "OCRPLUS_REDIS_URL": deployment.redis_url},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 2
    assert "captions are off: set OPENAI_BASE_URL" in done.stderr
