"""A real gateway on a real server, by independent clients; the test plays the worker."""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gateway_process
import httpx
import pytest
import redis
import redis_server
import websockets
from documents import text_document
from gateway_process import Gateway, play_worker

from ocrplus_contract.keys import Keys
from ocrplus_contract.messages import EVENT
from ocrplus_contract.names import Pool, TaskId, UserId
from ocrplus_local.broker import free_port

PDF = text_document(2)
OTHER = text_document(1, seed=5)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blobs")


@pytest.fixture(scope="module")
def gateway(valkey: redis_server.Server, blobs: Path) -> Iterator[Gateway]:
    with gateway_process.gateway(
        valkey.url, blobs, OCRPLUS_MAX_PDF_BYTES="300000", OCRPLUS_MAX_PAGES="20"
    ) as running:
        yield running


@pytest.fixture
def store(valkey: redis_server.Server) -> Iterator[redis.Redis]:
    with valkey.client as client:
        client.flushall()
        yield client


def frame(task: str, pdf: bytes = PDF) -> str:
    return json.dumps({"task_id": task, "pdf_file": base64.b64encode(pdf).decode()})


async def receive(socket: websockets.ClientConnection, seconds: float = 10) -> dict:
    async with asyncio.timeout(seconds):
        return json.loads(await socket.recv())


async def nothing_comes(socket: websockets.ClientConnection, seconds: float = 0.4) -> bool:
    try:
        await receive(socket, seconds)
    except TimeoutError:
        return True
    return False


async def test_the_original_transcript_key_for_key(gateway: Gateway, store: redis.Redis) -> None:
    async with websockets.connect(gateway.ws + "golden") as socket:
        await socket.send(frame("task-001"))
        submitted = await receive(socket)
        await asyncio.to_thread(play_worker, store)
        result = await receive(socket)

    assert submitted == {"task_id": "task-001", "status": "submitted"}
    assert set(result) == {"task_id", "result"}
    assert list(result["result"]) == ["filename", "elapsed_time", "markdown"]
    assert result["result"]["filename"] == "task-001.pdf"
    assert result["result"]["elapsed_time"].endswith("s")
    assert float(result["result"]["elapsed_time"][:-1]) >= 0
    assert result["result"]["markdown"] == [
        {"page": 1, "markdown": "page 1"},
        {"page": 2, "markdown": "page 2"},
    ]


async def test_every_event_is_one_the_contract_describes(
    gateway: Gateway, store: redis.Redis
) -> None:
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        await http.post("/v1/tasks", params={"user": "ev", "task_id": "t"}, content=PDF)
    await asyncio.to_thread(play_worker, store)

    events = [EVENT.validate_json(f[b"event"]) for _, f in store.xrange("stream:task:ev")]

    kinds = ["submitted", "progress", "page", "progress", "page", "result"]
    assert [event.type for event in events] == kinds
    assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6]


async def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(
    gateway: Gateway, store: redis.Redis
) -> None:
    async with websockets.connect(gateway.ws + "back") as socket:
        await socket.send(frame("t1"))
        assert (await receive(socket))["status"] == "submitted"
        await asyncio.sleep(0.1)
    await asyncio.to_thread(play_worker, store)

    async with websockets.connect(gateway.ws + "back") as socket:
        missed = await receive(socket)
        await asyncio.sleep(0.1)
    async with websockets.connect(gateway.ws + "back") as socket:
        assert await nothing_comes(socket)

    assert missed["task_id"] == "t1" and "result" in missed


async def test_another_gateway_delivers_too(
    gateway: Gateway, store: redis.Redis, valkey: redis_server.Server, blobs: Path
) -> None:
    with gateway_process.gateway(valkey.url, blobs) as second:
        async with (
            websockets.connect(gateway.ws + "both") as here,
            websockets.connect(second.ws + "both") as there,
        ):
            await here.send(frame("t1"))
            assert await receive(here) == await receive(there)
            await asyncio.to_thread(play_worker, store)
            assert await receive(here) == await receive(there)


async def test_a_client_that_reads_nothing_confirms_nothing(
    gateway: Gateway, store: redis.Redis
) -> None:
    # A raw socket that completes the handshake and then never answers a ping.
    host, port = gateway.http.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    key = base64.b64encode(b"0123456789abcdef").decode()
    writer.write(
        f"GET /ws/deaf HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        await http.post("/v1/tasks", params={"user": "deaf", "task_id": "t"}, content=PDF)
    await asyncio.sleep(0.5)
    writer.close()

    assert store.hget("stream:last_id", "deaf") is None
    async with websockets.connect(gateway.ws + "deaf") as socket:
        assert await receive(socket) == {"task_id": "t", "status": "submitted"}


async def test_a_repeated_submission_is_answered_with_the_same_job(
    gateway: Gateway, store: redis.Redis
) -> None:
    async with websockets.connect(gateway.ws + "again") as socket:
        await socket.send(frame("t"))
        await receive(socket)
        await asyncio.to_thread(play_worker, store)
        first = await receive(socket)
        await socket.send(frame("t"))
        assert await receive(socket) == {"task_id": "t", "status": "submitted"}
        assert await receive(socket) == first
        await socket.send(frame("t", OTHER))
        refused = await receive(socket)

    assert refused["error"]["code"] == "conflict"
    assert store.xinfo_groups("work:ocr")[0]["lag"] == 0


BAD_FRAMES = {
    "not JSON": ("{", None, "bad_json"),
    "no object": ("[1]", None, "bad_message"),
    "number as id": ('{"task_id": 5, "pdf_file": ""}', None, "bad_message"),
    "id with key characters": ('{"task_id": "a:b*", "pdf_file": ""}', None, "bad_message"),
    "id with a newline": ('{"task_id": "a\\n", "pdf_file": ""}', None, "bad_message"),
    "no document": ('{"task_id": "x1"}', "x1", "bad_message"),
    "document of a wrong type": ('{"task_id": "x2", "pdf_file": 7}', "x2", "bad_message"),
    "no base64": ('{"task_id": "x3", "pdf_file": "%%%"}', "x3", "bad_message"),
    "empty document": ('{"task_id": "x4", "pdf_file": ""}', "x4", "pdf_invalid"),
    "not a PDF": (frame("x5", b"MZ not a PDF at all"), "x5", "pdf_invalid"),
    "truncated": (frame("x6", PDF[: len(PDF) // 3]), "x6", "pdf_invalid"),
    "too many pages": (frame("x7", text_document(21)), "x7", "pdf_too_many_pages"),
    "deep nesting": ("[" * 100_000, None, "bad_json"),
}


async def test_one_name_on_two_gateways_at_once_is_one_task(
    gateway: Gateway, store: redis.Redis, valkey: redis_server.Server, blobs: Path
) -> None:
    with gateway_process.gateway(valkey.url, blobs) as second:
        async with httpx.AsyncClient(timeout=20) as http:

            async def submit(at: Gateway, task: str, pdf: bytes) -> tuple[int, bool | None]:
                params = {"task_id": task, "user": "race"}
                answer = await http.post(f"{at.http}/v1/tasks", params=params, content=pdf)
                return answer.status_code, answer.json().get("duplicate")

            for number in range(3):
                task = f"same{number}"
                same = await asyncio.gather(
                    submit(gateway, task, OTHER), submit(second, task, OTHER)
                )
                assert sorted(same) == [(202, False), (202, True)]
                task = f"other{number}"
                other = await asyncio.gather(
                    submit(gateway, task, OTHER), submit(second, task, PDF)
                )
                assert {status for status, _ in other} == {202, 409}
                (stored,) = (blobs / "race" / task).iterdir()
                job = Keys().job(UserId("race"), TaskId(task))
                assert store.hget(job, "blob").decode().endswith(stored.name)

    waiting = store.zrange(Keys().waiting_chunks(Pool.OCR, UserId("race")), 0, -1)
    assert len(waiting) == 6


async def test_bad_frames_get_an_error_and_the_connection_lives(
    gateway: Gateway, store: redis.Redis
) -> None:
    for text, task, code in BAD_FRAMES.values():
        async with websockets.connect(gateway.ws + "bad", max_size=None) as socket:
            await socket.send(text)
            message = await receive(socket)
            assert (message["task_id"], message["status"]) == (task, "failed"), text[:80]
            assert message["error"]["code"] == code, text[:80]
            assert message["error"]["message"] and message["error"]["retryable"] is False
            await socket.send("{")
            assert (await receive(socket))["error"]["code"] == "bad_json"
    async with websockets.connect(gateway.ws + "good") as socket:
        await socket.send(frame("fine"))
        assert (await receive(socket))["status"] == "submitted"


async def test_an_oversize_frame_closes_with_1009(gateway: Gateway) -> None:
    async with websockets.connect(gateway.ws + "big", max_size=None) as socket:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.send("x" * 500_000)
            await receive(socket)

    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


async def test_a_document_above_the_limit_is_too_large(gateway: Gateway) -> None:
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        raw = await http.post("/v1/tasks", content=b"%PDF-" + b"0" * 300_001)
        form = await http.post("/v1/tasks", files={"file": b"%PDF-" + b"0" * 300_001})
    async with websockets.connect(gateway.ws + "big", max_size=None) as socket:
        await socket.send(frame("t", b"0" * 300_100))
        message = await receive(socket)

    assert (raw.status_code, raw.json()["error"]["code"]) == (413, "too_large")
    assert (form.status_code, form.json()["error"]["code"]) == (413, "too_large")
    assert message["error"]["code"] == "too_large"


async def test_twenty_bad_messages_close_the_connection(gateway: Gateway) -> None:
    async with websockets.connect(gateway.ws + "flood") as socket:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            for _ in range(30):
                await socket.send("{")
                await receive(socket)

    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4429


async def test_http_from_submission_to_deletion(gateway: Gateway, store: redis.Redis) -> None:
    query = {"user": "web", "task_id": "h1"}
    async with httpx.AsyncClient(base_url=gateway.http, params={"user": "web"}) as http:
        accepted = await http.post("/v1/tasks", params=query, files={"file": ("a.pdf", PDF)})
        again = await http.post("/v1/tasks", params=query, files={"file": ("a.pdf", PDF)})
        waiting = await http.get("/v1/tasks/h1")
        early = await http.get("/v1/tasks/h1/result")
        await asyncio.to_thread(play_worker, store)
        done = await http.get("/v1/tasks/h1")
        result = await http.get("/v1/tasks/h1/result")
        markdown = await http.get("/v1/tasks/h1/result.md")
        page = await http.get("/v1/tasks/h1/pages/2")
        others = await http.get("/v1/tasks/h1", params={"user": "somebody"})
        deleted = await http.delete("/v1/tasks/h1")
        after = await http.get("/v1/tasks/h1")

    assert accepted.status_code == 202
    assert accepted.json() == {
        "task_id": "h1",
        "status": "submitted",
        "pages_total": 2,
        "queue_pages_ahead": 0,
        "estimated_seconds": pytest.approx(21.4),  # nobody works: a start, then two pages
        "duplicate": False,
    }
    unknown = {"queue_pages_ahead": None, "estimated_seconds": None, "duplicate": True}
    assert again.json() == accepted.json() | unknown
    assert (waiting.json()["status"], early.status_code) == ("queued", 202)
    assert (done.json()["status"], done.json()["pages_done"]) == ("ok", 2)
    assert result.json()["result"]["markdown"][1] == {"page": 2, "markdown": "page 2"}
    assert markdown.text == "<!-- page 1 -->\n\npage 1\n\n<!-- page 2 -->\n\npage 2\n"
    assert markdown.headers["content-type"] == "text/markdown; charset=utf-8"
    assert page.json()["markdown"] == "page 2"
    assert others.status_code == 404, "what is another's does not exist"
    assert (deleted.status_code, after.status_code) == (204, 404)
    assert after.json()["error"]["code"] == "not_found"


async def test_waiting_answers_with_the_result_in_one_call(
    gateway: Gateway, store: redis.Redis
) -> None:
    async with httpx.AsyncClient(base_url=gateway.http, timeout=20) as http:
        call = asyncio.create_task(
            http.post("/v1/tasks", params={"task_id": "w1", "wait": "15"}, content=PDF)
        )
        while store.exists("job:local:w1") == 0:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(play_worker, store)
        answer = await call
        in_vain = await http.post(
            "/v1/tasks", params={"task_id": "w2", "wait": "0.2"}, content=OTHER
        )

    assert answer.status_code == 200
    assert answer.json()["status"] == "ok" and answer.json()["failed_pages"] == []
    assert len(answer.json()["result"]["markdown"]) == 2
    assert (in_vain.status_code, in_vain.json()["status"]) == (202, "submitted")


BAD_REQUESTS = {
    "unknown option": ({"colour": "red"}, 400, "bad_message"),
    "page range": ({"pages": "9-1"}, 400, "bad_message"),
    "pages the document lacks": ({"pages": "7"}, 422, "pdf_empty"),
    "user id": ({"user": "a b"}, 400, "bad_message"),
    "task id": ({"task_id": "../x"}, 400, "bad_message"),
    "wait": ({"wait": "long"}, 400, "bad_message"),
}


async def test_bad_requests_have_one_shape_of_error(gateway: Gateway) -> None:
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        for query, status, code in BAD_REQUESTS.values():
            answer = await http.post("/v1/tasks", params=query, content=PDF)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), query
        for path in ("/v1/nothing", "/v1/tasks/none", "/v1/tasks/a%3Ab", "/v1/tasks/x/figures/y"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path


async def test_a_page_range_reads_only_those_pages(gateway: Gateway, store: redis.Redis) -> None:
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        query = {"task_id": "range", "pages": "2,4-5"}
        await http.post("/v1/tasks", params=query, content=text_document(6))
        await asyncio.to_thread(play_worker, store)
        result = (await http.get("/v1/tasks/range/result")).json()

    assert [page["page"] for page in result["result"]["markdown"]] == [2, 4, 5]


async def test_the_reconciler_rings_for_work_whose_doorbell_was_lost(
    gateway: Gateway, store: redis.Redis
) -> None:
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        await http.post("/v1/tasks", params={"task_id": "bell"}, content=PDF)
        assert store.llen("ocr") == 1
        store.delete("ocr")
        async with asyncio.timeout(15):
            while store.llen("ocr") == 0:
                await asyncio.sleep(0.1)

    assert store.llen("ocr") == 1


async def test_readiness_and_metrics(gateway: Gateway, tmp_path: Path) -> None:
    async with httpx.AsyncClient() as http:
        ready = (await http.get(gateway.http + "/readyz")).json()
        metrics = (await http.get(gateway.metrics)).text
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    with gateway_process.gateway(nobody, tmp_path, OCRPLUS_LOG_LEVEL="error") as lost:
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.get(lost.http + "/readyz")

    assert ready["ready"] is True
    assert 'ocrplus_queue_waiting_chunks{pool="ocr"}' in metrics
    assert answer.status_code == 503
    assert "redis" in answer.json()["problems"]


def test_nobody_else_is_let_in_without_being_asked_for_by_name() -> None:
    environment = {**os.environ, "OCRPLUS_HOST": "0.0.0.0"}
    done = subprocess.run(
        [sys.executable, "-m", "ocrplus_gateway"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.returncode == 2
    assert "OCRPLUS_AUTH__MODE" in done.stderr


async def test_documents_that_a_full_or_unwritable_server_turns_away_are_counted(
    store: redis.Redis, gateway: Gateway
) -> None:
    """Else the objective of submissions would not burn while nothing is accepted."""

    async def counted(http: httpx.AsyncClient, code: str) -> float:
        text = (await http.get(gateway.metrics)).text
        (value,) = re.findall(rf'^ocrplus_gateway_jobs_total{{outcome="{code}"}} (.+)$', text, re.M)
        return float(value)

    async with httpx.AsyncClient(base_url=gateway.http, timeout=30) as http:
        before = await counted(http, "busy"), await counted(http, "internal")
        store.config_set("maxmemory", 1_000_000)
        try:
            full = await http.post("/v1/tasks", params={"task_id": "full"}, content=PDF)
        finally:
            store.config_set("maxmemory", 0)
        store.set(Keys().job(UserId("local"), TaskId("odd")), "no hash")
        odd = await http.post("/v1/tasks", params={"task_id": "odd"}, content=PDF)
        after = await counted(http, "busy"), await counted(http, "internal")

    assert (full.status_code, full.json()["error"]["code"]) == (429, "busy")
    assert (odd.status_code, odd.json()["error"]["code"]) == (500, "internal")
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


async def test_only_documents_that_are_turned_away_burn_the_objective_of_submissions(
    store: redis.Redis, gateway: Gateway
) -> None:
    """A status that cannot be told is none, over a WebSocket as over HTTP."""
    store.set(Keys().job(UserId("odd"), TaskId("odd")), "no hash")
    code, outcome = "internal", r'^ocrplus_gateway_jobs_total{outcome="internal"} (.+)$'

    async def counted(http: httpx.AsyncClient) -> float:
        (value,) = re.findall(outcome, (await http.get(gateway.metrics)).text, re.M)
        return float(value)

    async with (
        httpx.AsyncClient(base_url=gateway.http, timeout=30) as http,
        websockets.connect(
            f"{gateway.ws}odd", subprotocols=[websockets.Subprotocol("ocrplus.v2")]
        ) as socket,
    ):
        before = await counted(http)
        await socket.send(json.dumps({"type": "status", "task_id": "odd"}))
        while (said := await receive(socket))["type"] != "error":
            continue
        asked = await http.get("/v1/tasks/odd", params={"user": "odd"})
        unmoved = await counted(http)
        await socket.send(json.dumps({"type": "submit", **json.loads(frame("odd"))}))
        while (refused := await receive(socket))["type"] != "error":
            continue
        after = await counted(http)

    assert (said["code"], asked.status_code, refused["code"]) == (code, 500, code)
    assert (unmoved - before, after - before) == (0, 1)
