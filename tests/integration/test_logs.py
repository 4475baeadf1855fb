"""What real processes write, from their start to their end: log lines alone, and nothing of others.

One story is lived through by a gateway, an OCR worker with the real engine, a caption worker and
an operator, all at debug: documents, wrong inputs that make libraries complain, broken records, a
killed engine process, a server that is away, SIGTERM. Every secret and every word is a canary.
"""

import base64
import io
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import log_lines
import pytest
import redis
import redis_proxy
import redis_server
import tiny_pdf
import vlm_server
import websockets
from caption_process import drawing
from log_lines import Logs, ready, started
from PIL import Image
from websockets.sync.client import connect

from ocrplus_contract.captions import CaptionState
from ocrplus_contract.keys import Keys
from ocrplus_contract.logs import hashed
from ocrplus_contract.names import Pool, TaskId, UserId
from ocrplus_contract.settings import OcrSettings
from ocrplus_contract.trace import TraceContext
from ocrplus_ocr.engine.build import missing_models

CANARIES: Final = {
    "text": "Canaryword",
    "title": "canarytitle",
    "name": "canaryfile",
    "token": "canarytoken",
    "password": "canarypassword",
    "user": "canaryuser",
    "key": "sk-canarykey",
    "redis": "canaryredis",
    "caption": "canarycaption",
    "answer": "canaryanswer",
    "input": "canaryinput",
    "record": "canaryrecord",
    "cluster": "canarycluster",
}
"""What no log and no metric may tell, one word for each place that it could come from."""

USER = UserId(CANARIES["user"])
KEYS = Keys()
TRACE = TraceContext.new()
SERVICES = ("gateway", "ocr-worker", "caption-worker")


@dataclass
class Story:
    """What was written, and by whom."""

    logs: Logs
    metrics: dict[str, str]
    text: str


def document(folder: Path, name: str, words: str = CANARIES["text"], lines: int = 9) -> bytes:
    """A page with canaries as its text, a picture, and one as its outline's title."""
    said = [f"{words} number {n} tells of the harbour and of its ships." for n in range(lines)]
    content = "".join(tiny_pdf.text(line, 60, 740 - 18 * n) for n, line in enumerate(said))
    content += "q 300 0 0 225 100 200 cm /Im Do Q\n"
    with Image.open(io.BytesIO(drawing(1, 1))) as picture:
        grey = picture.convert("L")
    path = folder / f"{name}.pdf"
    tiny_pdf.write(
        path,
        [content],
        image=grey.tobytes(),
        image_size=grey.size,
        outline=[(CANARIES["title"], 0)],
    )
    return path.read_bytes()


def until(what: Callable[[], Any], seconds: float = 40) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Stack:
    """The running services."""

    folder: Path
    logs: Logs
    store: redis.Redis
    http: httpx.Client
    vlm: vlm_server.Vlm

    def submit(self, task: str, pdf: bytes, **options: str) -> httpx.Response:
        form = {"task_id": task, "name": f"{CANARIES['name']}.pdf", **options}
        return self.http.post(
            "/v1/tasks",
            data=form,
            files={"file": (f"{CANARIES['name']}.pdf", pdf)},
            headers={"traceparent": TRACE.traceparent},
        )

    def ended(self, task: str, *states: str) -> str:
        return str(
            until(
                lambda: (
                    (found := self.http.get(f"/v1/tasks/{task}").json())["status"]
                    in (states or ("ok", "partial", "failed"))
                    and found["status"]
                )
            )
        )

    def engine(self) -> int:
        """The process id of a warm engine."""

        def warm() -> int:
            for member in self.store.zrange(KEYS.workers(Pool.OCR), 0, -1):
                record = self.store.hgetall(KEYS.worker(Pool.OCR, member.decode()))
                if float(record.get(b"cold_start_seconds", 0)) and record[b"state"] == b"idle":
                    return int(record[b"pid"])
            return 0

        return int(until(warm, 60))

    def job(self, task: str) -> str:
        return KEYS.job(USER, TaskId(task))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    if missing_models(OcrSettings()):
        pytest.skip("the model pack is not assembled")
    folder = tmp_path_factory.mktemp("logs")
    logs = Logs(folder)
    with ExitStack() as stack:
        server = stack.enter_context(redis_server.running("valkey"))
        server.client.config_set("requirepass", CANARIES["redis"])
        vlm = stack.enter_context(vlm_server.running(text=f"It shows {CANARIES['caption']}."))
        env = _environment(folder, server, vlm)
        for name in SERVICES:
            module = {"gateway": "ocrplus_gateway", "ocr-worker": "ocrplus_ocr"}.get(
                name, "ocrplus_caption"
            )
            command = [sys.executable, "-m", module]
            stack.enter_context(started(logs, name, command, env))
        command = [sys.executable, "-m", "ocrplus_operator", "-n", "default"]
        own = {"KUBECONFIG": str(_kubeconfig(folder)), "OCRPLUS_LOG_LEVEL": "debug"}
        own |= {"OCRPLUS_METRICS_PORT": "0"}
        stack.enter_context(started(logs, "operator", command, own))
        addresses = {name: ready(logs, name) for name in (*SERVICES, "operator")}
        headers = {"Authorization": f"Bearer {CANARIES['token']}"}
        http = stack.enter_context(
            httpx.Client(base_url=addresses["gateway"]["http"], headers=headers, timeout=30)
        )
        store = redis.Redis(port=server.port, password=CANARIES["redis"])
        running = Stack(folder, logs, store, http, vlm)
        _live(running)
        metrics = {name: httpx.get(at["metrics"]).text for name, at in addresses.items()}
    yield Story(logs, metrics, logs.text)


def _environment(folder: Path, server: redis_server.Server, vlm: vlm_server.Vlm) -> dict[str, str]:
    (folder / "blobs").mkdir()
    return {
        "OCRPLUS_REDIS_URL": f"redis://:{CANARIES['redis']}@127.0.0.1:{server.port}/0",
        "OCRPLUS_BLOB_URL": (folder / "blobs").as_uri(),
        "OCRPLUS_PORT": "0",
        "OCRPLUS_METRICS_PORT": "0",
        "OCRPLUS_LOG_LEVEL": "debug",
        "OCRPLUS_AUTH__MODE": "token",
        "OCRPLUS_AUTH__TOKENS": f"{CANARIES['token']} {USER}",
        "OCRPLUS_CAPTION__DEADLINE_SECONDS": "10",
        "OCRPLUS_CAPTION__ATTEMPTS": "1",
        "OCRPLUS_LEASE_SECONDS": "6",
        "OCRPLUS_RECONCILE_SECONDS": "0.5",
        "OPENAI_BASE_URL": vlm.base_url,
        "OPENAI_API_KEY": CANARIES["key"],
    }


def _kubeconfig(folder: Path) -> Path:
    """Of a cluster that does not answer."""
    file = folder / "kubeconfig"
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": f"http://127.0.0.1:{free_port()}"}}],
        "users": [{"name": "u", "user": {"token": CANARIES["cluster"]}}],
    }
    file.write_text(json.dumps(config))
    return file


def _live(stack: Stack) -> None:
    engine = stack.engine()
    _read_documents(stack)
    _say_wrong_things(stack)
    _break_records(stack)
    stack.store.client_kill_filter(_type="pubsub")
    os.kill(engine, signal.SIGKILL)
    # Celery may hang at its end while a doorbell waits for an engine that warms up.
    until(lambda: stack.engine() != engine, 60)


def _read_documents(stack: Stack) -> None:
    first = document(stack.folder, "first")
    answer = stack.submit("first", first, password=CANARIES["password"])
    assert answer.is_success, answer.text
    assert stack.ended("first") == "ok"
    text = stack.http.get("/v1/tasks/first/result.md").text
    assert CANARIES["text"] in text and CANARIES["caption"] in text
    scanned = document(stack.folder, "scan", "Canaryword by ocr", lines=2)
    assert stack.submit("scan", scanned, text_source="ocr").is_success
    stack.vlm.control(mode="garbage")
    assert stack.ended("scan") == "ok"
    stack.vlm.control(mode="ok")


def _say_wrong_things(stack: Stack) -> None:
    """To a gateway that has a validator, a parser or a limit for each."""
    http, word, pdf = stack.http, CANARIES["input"], b"%PDF-1.7 canaryinput"
    http.post("/v1/tasks", params={"task_id": f"{word} /", "tables": word}, content=pdf)
    http.post("/v1/tasks", params={"tables": word, "pages": word, word: word}, content=pdf)
    http.post("/v1/tasks", params={"task_id": "broken"}, content=pdf)
    http.post("/v1/tasks", content=b"--x", headers={"Content-Type": f"multipart/form-data; {word}"})
    http.get("/v1/tasks", params={"limit": word, "user": USER})
    http.get("/v1/tasks", params={"user": f"{word}user"})
    http.get(f"/{word}/{word}")
    http.get("/v1/tasks/first/events", headers={"Last-Event-ID": word})
    http.get("/v1/tasks", headers={"Authorization": f"Bearer {word}"})
    host, port = http.base_url.host, http.base_url.port
    with socket.create_connection((host, port or 80)) as raw:
        raw.sendall(f"GET {word} NONSENSE\r\n{word}\r\n\r\n".encode())
        raw.recv(100)
    address = f"ws://{host}:{port}/ws/{USER}"
    token = {"Authorization": f"Bearer {CANARIES['token']}"}
    for kinds in (None, ["ocrplus.v2"]):
        with connect(address, additional_headers=token, subprotocols=kinds) as ws:  # type: ignore[arg-type]
            for frame in (
                f'{{"{word}',
                json.dumps({"type": "submit", "task_id": [word], "options": {word: word}}),
                json.dumps({"task_id": "bad", "pdf_file": base64.b64encode(pdf).decode()}),
                json.dumps({"task_id": "bad", "pdf_file": f"{word}!"}),
            ):
                ws.send(frame)
                ws.recv(timeout=10)
            ws.send(b"\x00" + word.encode())
    with pytest.raises(websockets.InvalidStatus):
        connect(f"ws://{host}:{port}/ws/{word}", additional_headers=token)


def _break_records(stack: Stack) -> None:
    """As a bug, or a hand in Redis, might: whoever reads them has a parser that complains."""
    store, word = stack.store, CANARIES["record"]
    pages, broken = KEYS.pages(USER, TaskId("first")), json.dumps({"page": word, "state": word})
    store.hset(pages, "1", broken)
    assert stack.http.get("/v1/tasks/first/pages/1").status_code == 500
    store.xadd(KEYS.stream(USER), {"event": f'{{"{word}'})
    stack.http.get("/v1/tasks/first/events")
    for task, field, value in (
        ("options", "options", f'{{"tables": "{word}"}}'),
        ("blobless", "blob", f"{USER}/{word}"),
    ):
        _submit_then_break(stack, task, {field: value})
    assert stack.ended("options", "partial") and stack.ended("blobless", "failed")
    _break_a_figure(stack)


def _submit_then_break(stack: Stack, task: str, fields: dict[str, str]) -> None:
    """Change a job's record before a worker reads it."""
    drain = KEYS.drain(Pool.OCR)
    pods = {
        m.decode().rpartition(".")[0] for m in stack.store.zrange(KEYS.workers(Pool.OCR), 0, -1)
    }
    stack.store.sadd(drain, *pods)
    pdf = document(stack.folder, task, f"{CANARIES['text']} {task}")
    assert stack.submit(task, pdf).is_success
    stack.store.hset(stack.job(task), mapping=fields)
    stack.store.delete(drain)


def _break_a_figure(stack: Stack) -> None:
    """A caption worker finds a record that is none."""
    drain = KEYS.drain(Pool.CAPTION)
    members = stack.store.zrange(KEYS.workers(Pool.CAPTION), 0, -1)
    stack.store.sadd(drain, *{m.decode().rpartition(".")[0] for m in members})
    pdf = document(stack.folder, "figure", f"{CANARIES['text']} of a figure")
    assert stack.submit("figure", pdf).is_success
    figures = KEYS.captions(USER, TaskId("figure"))
    until(lambda: stack.store.hlen(figures))
    for number, raw in stack.store.hgetall(figures).items():
        record = {**json.loads(raw), "page": CANARIES["record"], "state": CaptionState.PENDING}
        stack.store.hset(figures, number, json.dumps(record))
    stack.store.delete(drain)
    until(lambda: stack.logs.said("figure failed"))


def leaks(text: str) -> dict[str, list[str]]:
    """The canaries that a text holds, with the lines."""
    found = {
        kind: [line[:500] for line in text.splitlines() if word.casefold() in line.casefold()]
        for kind, word in CANARIES.items()
    }
    return {kind: lines for kind, lines in found.items() if lines}


def test_no_log_and_no_metric_tells_a_canary(story: Story) -> None:
    assert leaks(story.text) == {}
    assert leaks("\n".join(story.metrics.values())) == {}
    assert set(story.metrics) == {*SERVICES, "operator"}


def test_everything_that_was_written_is_a_log_line(story: Story) -> None:
    assert story.logs.strays == []
    components = {line["component"] for line in story.logs.lines}
    assert components == {*SERVICES, "operator"}
    for line in story.logs.lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
        assert line["level"] in ("debug", "info", "warning", "error", "critical")


def test_nothing_that_was_written_went_past_the_log_unknown(story: Story) -> None:
    assert story.logs.said("a library printed something") == []


@pytest.mark.parametrize(
    "message, component",
    [
        ("chunk failed", "ocr-worker"),
        ("document cannot be read, its job fails", "ocr-worker"),
        ("figure failed", "caption-worker"),
        ("a request failed", "gateway"),
        ("lost the event connection, trying again", "gateway"),
        ("an entry of a stream is no event; it is left out", "gateway"),
        ("command refused", "gateway"),
        ("lease could not be renewed; nobody may act", "operator"),
    ],
)
def test_what_went_wrong_is_told(story: Story, message: str, component: str) -> None:
    assert {line["component"] for line in story.logs.said(message)} == {component}


def test_an_error_is_told_with_its_type_and_where_it_came_from(story: Story) -> None:
    failed = story.logs.said("chunk failed")[0]

    assert failed["error"] == "pydantic_core._pydantic_core.ValidationError"
    assert "ocrplus_ocr/chunk.py:" in failed["traceback"]
    assert (failed["job_id"], failed["chunk"]) == ("options", "1-1")


def test_the_death_of_an_engine_is_told_by_celery_with_its_signal(story: Story) -> None:
    told = [line for line in story.logs.lines if "SIGKILL" in json.dumps(line)]

    assert told and {line["component"] for line in told} == {"ocr-worker"}


def test_one_trace_finds_the_lines_of_every_process_that_worked_on_a_document(story: Story) -> None:
    traced = [line for line in story.logs.lines if line.get("trace") == TRACE.trace_id]
    of_first = [line for line in traced if line.get("job_id") == "first"]

    assert {(line["component"], line["message"]) for line in of_first} >= {
        ("gateway", "document admitted"),
        ("ocr-worker", "chunk done"),
        ("caption-worker", "figure done"),
    }
    assert {line["user"] for line in of_first} == {hashed(USER)}


def test_an_end_in_order_is_told(story: Story) -> None:
    texts = {line.get("text") for line in story.logs.said("a library printed a sentence")}

    assert texts == {"worker: Warm shutdown (MainProcess)"}


@pytest.mark.parametrize(
    "module, env",
    [
        ("ocrplus_gateway", {"OCRPLUS_REDIS_URL": f"redis://:a/{CANARIES['redis']}@h:1"}),
        ("ocrplus_ocr", {"OCRPLUS_DEVICE": CANARIES["input"]}),
        ("ocrplus_caption", {"OCRPLUS_CAPTION__PROMPT": "none", "OPENAI_API_KEY": "k"}),
        ("ocrplus_operator", {"OCRPLUS_METRICS_PORT": CANARIES["input"]}),
        ("ocrplus_ocr.health", {"OCRPLUS_REDIS_URL": f"redis://:a/{CANARIES['redis']}@h:1"}),
    ],
)
def test_what_cannot_start_says_so_in_a_line(
    tmp_path: Path, module: str, env: dict[str, str]
) -> None:
    logs = Logs(tmp_path)
    with started(logs, "start", [sys.executable, "-m", module], env) as process:
        code = process.wait(30)

    (line,) = logs.lines
    assert (logs.strays, leaks(logs.text)) == ([], {})
    assert (code, line["level"]) == ((1, "critical") if "health" in module else (2, "error"))
    assert line.get("problem") or line["error"] == "pydantic_core._pydantic_core.ValidationError"


def failed(logs: Logs) -> list[dict[str, Any]]:
    return [line for line in logs.lines if line["message"].startswith("reconciliation failed")]


def test_a_server_that_is_away_is_told_of_once_and_counted(
    tmp_path: Path, valkey: redis_server.Server
) -> None:
    logs = Logs(tmp_path)
    with redis_proxy.wire(valkey.port) as wire:
        env = {
            "OCRPLUS_REDIS_URL": wire.url,
            "OCRPLUS_BLOB_URL": tmp_path.as_uri(),
            "OCRPLUS_PORT": "0",
            "OCRPLUS_METRICS_PORT": "0",
            "OCRPLUS_RECONCILE_SECONDS": "0.1",
            "OCRPLUS_LOG_LEVEL": "warning",
        }
        with started(logs, "gateway", [sys.executable, "-m", "ocrplus_gateway"], env):
            ready(logs, "gateway")
            wire.set("ERR canaryanswer")
            deadline = time.monotonic() + 20
            while not failed(logs) and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(2)
            wire.set("pass")

    told = failed(logs)
    assert logs.strays == [] and leaks(logs.text) == {}
    assert ["suppressed" in line for line in told] == [False, True]
    assert told[1]["suppressed"] > 5 and len(logs.lines) < 20


PLANTED = """
import logging, sys
from ocrplus_gateway import admission
admit = admission.Admission.admit
async def leaky(self, submission):
    logging.getLogger("ocrplus_gateway.planted").info("admitting", extra={"name_": submission.name})
    return await admit(self, submission)
admission.Admission.admit = leaky
from ocrplus_gateway.__main__ import main
sys.exit(main())
"""


def test_a_leak_that_is_planted_is_found(tmp_path: Path, valkey: redis_server.Server) -> None:
    logs = Logs(tmp_path)
    env = {
        "OCRPLUS_REDIS_URL": valkey.url,
        "OCRPLUS_BLOB_URL": tmp_path.as_uri(),
        "OCRPLUS_PORT": "0",
        "OCRPLUS_METRICS_PORT": "0",
    }
    with started(logs, "gateway", [sys.executable, "-c", PLANTED], env):
        url = ready(logs, "gateway")["http"]
        query = {"user": "planted", "task_id": "t", "name": f"{CANARIES['name']}.pdf"}
        httpx.post(f"{url}/v1/tasks", params=query, content=b"%PDF-1.7")

    assert set(leaks(logs.text)) == {"name"}
    assert list(logs.lines[0])[:5] == log_lines.FIRST
