"""The whole way on this machine: real server, gateway, Celery worker and PP-StructureV3."""

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import vlm_server
from documents import page_marker, text_document
from PIL import Image
from service import Service, original_client, service

SAMPLES = Path(__file__).parents[2] / "examples" / "samples"

# In each Python process that has it on its path: who imports anything of OpenTelemetry.
WATCH = """
import sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("opentelemetry"):
            command = open("/proc/self/cmdline").read().replace("\\0", " ")
            open({log!r}, "a").write(f"{{name}} in {{command}}\\n")
sys.meta_path.insert(0, Watch())
open({log!r}, "a").write("watched\\n")
"""


@pytest.fixture(scope="module")
def imports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watch")
    log = folder / "imports"
    (folder / "sitecustomize.py").write_text(WATCH.format(log=str(log)))
    return log


@pytest.fixture(scope="module")
def running(imports: Path) -> Iterator[Service]:
    with vlm_server.running(text="Bars of ships.") as vlm:
        env = {"OCRPLUS_LEASE_SECONDS": "6", "OPENAI_BASE_URL": vlm.base_url}
        with service(env={**env, "PYTHONPATH": str(imports.parent)}) as stack:
            yield stack


def convert(running: Service, task: str, pdf: bytes) -> list[str]:
    first, last = asyncio.run(original_client(running.http, "e2e", task, pdf, 240))
    assert first == {"task_id": task, "status": "submitted"}
    return [page["markdown"] for page in last["result"]["markdown"]]


def test_a_born_digital_report_keeps_its_structure(running: Service) -> None:
    first, second = convert(running, "en", (SAMPLES / "report_en.pdf").read_bytes())

    assert "A year of the north quay" in first.splitlines()[0]
    assert "## 1 What was built" in first
    assert "| Third | 402 | 20.8 | 6,610 |" in first
    assert "has fallen by a third. This report looks at" in first.replace("\n", " ")
    assert "](/v1/tasks/en/figures/p2-f1.png)" in second
    assert "Figure 1: Ships per quarter since the opening." in second


def test_a_figure_of_a_real_page_is_described(running: Service) -> None:
    first, second = convert(running, "figure", (SAMPLES / "report_en.pdf").read_bytes())

    assert "> Bars of ships." in second and "> " not in first
    (url,) = running.metrics["caption-worker"]
    assert 'ocrplus_caption_calls_total{outcome="ok"}' in httpx.get(url).text


def test_the_client_of_helm_test_sees_its_page_come_back_right(running: Service) -> None:
    url = running.http.replace("http://", "ws://")
    command = [sys.executable, "-m", "ocrplus_gateway.smoke", url, "--seconds=120"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "came back right" in done.stdout


def test_a_chinese_report_is_read_from_its_text_layer(running: Service) -> None:
    (page,) = convert(running, "zh", (SAMPLES / "report_zh.pdf").read_bytes())

    assert "北码头于四月启用" in page
    assert "| 第三季度 | 402 | 20.8 |" in page


def test_a_scan_is_read_by_ocr_in_both_languages(running: Service) -> None:
    english, chinese = convert(running, "scan", (SAMPLES / "scan_en_zh.pdf").read_bytes())

    assert "The harbour opened its new north quay in April" in english
    assert "北码头" in chinese


def test_a_figure_can_be_fetched_and_is_a_picture(running: Service) -> None:
    query = {"user": "figures", "task_id": "f"}
    with httpx.Client(base_url=running.http, timeout=120) as http:
        pdf = (SAMPLES / "report_en.pdf").read_bytes()
        answer = http.post("/v1/tasks", params={**query, "wait": "100"}, content=pdf)
        png = http.get("/v1/tasks/f/figures/p2-f1.png", params={"user": "figures"})
        missing = http.get("/v1/tasks/f/figures/p9-f9.png", params={"user": "figures"})

    assert answer.json()["status"] == "ok"
    assert "](figures/p2-f1.png)" in answer.json()["result"]["markdown"][1]["markdown"]
    assert png.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(png.content)) as picture:
        assert min(picture.size) > 100
    assert missing.status_code == 404


def test_a_page_that_cannot_be_rendered_fails_alone(running: Service) -> None:
    whole = text_document(3)
    kids = re.search(rb"/Kids \[ (\d+ 0 R) (\d+ 0 R) (\d+ 0 R) \]", whole)
    assert kids is not None
    at = slice(*kids.span(2))
    broken = whole[: at.start] + b"0" * (at.stop - at.start - 4) + b" 0 R" + whole[at.stop :]

    with httpx.Client(base_url=running.http, timeout=120) as http:
        query = {"user": "e2e", "task_id": "hole", "wait": "100"}
        answer = http.post("/v1/tasks", params=query, content=broken).json()

    pages = [page["markdown"] for page in answer["result"]["markdown"]]
    assert (answer["status"], answer["failed_pages"]) == ("partial", [2])
    assert pages[1].startswith("<!-- page 2 failed: page_")
    assert page_marker(1) in pages[0] and page_marker(3) in pages[2]


def test_text_source_ocr_overrides_a_sound_text_layer(running: Service) -> None:
    with httpx.Client(base_url=running.http, timeout=120) as http:
        query = {"user": "e2e", "task_id": "byocr", "text_source": "ocr", "wait": "100"}
        answer = http.post("/v1/tasks", params=query, content=text_document(1)).json()
        page = http.get("/v1/tasks/byocr/pages/1", params={"user": "e2e"}).json()

    assert page_marker(1) in answer["result"]["markdown"][0]["markdown"]
    assert page["source"] == "ocr"


def _submit(running: Service, task: str, pages: int) -> None:
    pdf = text_document(pages, seed=zlib.crc32(task.encode()))  # the same bytes would be reused
    with httpx.Client(base_url=running.http, timeout=60) as http:
        query = {"user": "faults", "task_id": task}
        http.post("/v1/tasks", params=query, content=pdf).raise_for_status()


def _busy(running: Service, task: str) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for record in running.workers().values():
            if record.chunk.startswith(f"{task}/") and record.page > 1:
                return record.pid
        time.sleep(0.01)
    raise TimeoutError(task)


def _assert_all_pages(running: Service, task: str, pages: int) -> None:
    with httpx.Client(base_url=running.http, timeout=60) as http:
        deadline = time.monotonic() + 180
        while True:
            view = http.get(f"/v1/tasks/{task}", params={"user": "faults"}).json()
            if view["status"] not in ("queued", "running"):
                break
            assert time.monotonic() < deadline, view
            time.sleep(0.1)
        result = http.get(f"/v1/tasks/{task}/result", params={"user": "faults"}).json()
    markdown = result["result"]["markdown"]
    assert view["status"] == "ok", view
    assert [page["page"] for page in markdown] == list(range(1, pages + 1))
    assert all(page_marker(p["page"]) in p["markdown"] for p in markdown)


def test_a_killed_engine_process_loses_no_page(running: Service) -> None:
    _submit(running, "killed", 24)

    os.kill(_busy(running, "killed"), signal.SIGKILL)

    _assert_all_pages(running, "killed", 24)


def test_a_killed_worker_tree_loses_no_page(running: Service) -> None:
    _submit(running, "tree", 24)

    parent = psutil.Process(psutil.Process(_busy(running, "tree")).ppid())
    for process in [parent, *parent.children(recursive=True)]:
        process.kill()

    _assert_all_pages(running, "tree", 24)


def test_an_engine_stopped_past_its_lease_doubles_no_page(running: Service) -> None:
    _submit(running, "stopped", 24)
    pid = _busy(running, "stopped")

    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + 60
    while any(b'"task":"stopped"' in raw for raw in running.client.hvals("lease:ocr")):
        assert time.monotonic() < deadline, "the lease did not expire"
        time.sleep(0.05)
    os.kill(pid, signal.SIGCONT)

    _assert_all_pages(running, "stopped", 24)
    events = running.client.xrange("stream:task:faults")
    pages = [e for _, f in events if b'"stopped"' in (e := f[b"event"]) and b'"page"' in e]
    assert len(pages) == 24


def test_a_worker_told_to_drain_ends_its_chunk_takes_none_and_goes_on_when_told(
    running: Service,
) -> None:
    def is_in(state: str) -> bool:
        return [str(w.state) for w in running.workers().values()] == [state]

    def until(state: str) -> None:
        deadline = time.monotonic() + 60
        while not is_in(state):
            assert time.monotonic() < deadline, running.workers()
            time.sleep(0.02)

    _submit(running, "drained", 36)
    _busy(running, "drained")
    pod = next(iter(running.workers().values())).pod
    running.client.sadd("drain:ocr", pod)
    until("draining")
    until("drained")
    left = running.client.xinfo_groups("work:ocr")[0]["lag"]
    time.sleep(2)

    assert is_in("drained") and left > 0
    assert running.client.xinfo_groups("work:ocr")[0]["lag"] == left
    running.client.srem("drain:ocr", pod)
    _assert_all_pages(running, "drained", 36)
    until("idle")


def test_with_traces_off_no_process_loads_what_makes_them(running: Service, imports: Path) -> None:
    lines = imports.read_text().splitlines()
    of_traces = r"opentelemetry\.(sdk\.trace|exporter|proto)\b"

    assert lines.count("watched") >= 4, "gateway, OCR worker and its child, caption worker"
    # redis-py loads the part for metrics wherever it finds it, and FastAPI the interface.
    assert any(line.startswith("opentelemetry.metrics") for line in lines)
    assert [line for line in lines if re.match(of_traces, line)] == []
