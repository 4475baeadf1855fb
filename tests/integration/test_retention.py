"""What is kept, for how long, and what is left afterwards: nothing."""

import asyncio
import io
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import gateway_process
import httpx
import pytest
import redis
import redis.asyncio
import redis_server
import s3_server
from documents import text_document
from gateway_process import Gateway, play_worker
from ledger_steps import KEYS, LEDGER, take
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from ocrplus_contract.blobs import open_store
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import run
from ocrplus_contract.names import Pool, TaskId, UserId
from ocrplus_contract.records import FigureRecord, PageRecord
from ocrplus_contract.settings import CommonSettings
from ocrplus_gateway.retention import Sweeper

PDF = text_document(1)


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def store(valkey: redis_server.Server) -> Iterator[redis.Redis]:
    with valkey.client as client:
        client.flushall()
        yield client


@pytest.fixture
def gateway(valkey: redis_server.Server, blobs: Path, store: redis.Redis) -> Iterator[Gateway]:
    with gateway_process.gateway(
        valkey.url, blobs, OCRPLUS_SWEEP_SECONDS="0.5", OCRPLUS_RECONCILE_SECONDS="0.3"
    ) as running:
        yield running


def files(blobs: Path) -> list[Path]:
    return [path for path in blobs.rglob("*") if path.is_file()]


def read_with_figure(store: redis.Redis, blobs: Path) -> None:
    """Read a one-page document and leave a figure, as a worker does."""
    lease = take(store)
    assert lease is not None
    folder = blobs / lease.user / lease.task / "figures"
    folder.mkdir(parents=True)
    (folder / "p1-f1.png").write_bytes(b"png")
    figure = FigureRecord(id="p1-f1", kind="figure", box=(0, 0, 1, 1))
    record = PageRecord(page=1, state="ok", markdown="![](figures/p1-f1.png)", figures=(figure,))
    call = LEDGER.commit_page(
        Pool.OCR,
        lease.permit,
        page=1,
        state=record.state,
        record=record.pack(),
        body=record.event_body(lease.task),
        next_page=None,
    )
    run(store, call)
    run(store, LEDGER.finish(Pool.OCR, lease.permit))


async def test_deletion_leaves_nothing(gateway: Gateway, store: redis.Redis, blobs: Path) -> None:
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        await http.post("/v1/tasks", params={"task_id": "t"}, content=PDF)
        read_with_figure(store, blobs)
        archive = await http.get("/v1/tasks/t/result.zip")
        listed = await http.get("/v1/tasks")
        assert (await http.delete("/v1/tasks/t")).status_code == 204
        after = [
            (await http.get(f"/v1/tasks/t{part}")).status_code
            for part in ("", "/events", "/result", "/result.zip", "/figures/p1-f1.png")
        ]
        empty = await http.get("/v1/tasks")

    with zipfile.ZipFile(io.BytesIO(archive.content)) as opened:
        assert sorted(opened.namelist()) == ["figures/p1-f1.png", "t.md"]
        assert b"(figures/p1-f1.png)" in opened.read("t.md")
    assert [task["task_id"] for task in listed.json()["tasks"]] == ["t"]
    assert (after, empty.json()) == ([404] * 5, {"tasks": []})
    assert files(blobs) == []


async def test_a_name_is_free_again_when_its_files_are_removed(
    gateway: Gateway, store: redis.Redis, blobs: Path
) -> None:
    names = UserId("local"), TaskId("t")
    async with httpx.AsyncClient(base_url=gateway.http) as http:

        async def submit() -> httpx.Response:
            return await http.post("/v1/tasks", params={"task_id": "t"}, content=PDF)

        await submit()
        run(store, LEDGER.forget(*names))  # as a gateway that has not come to the files
        early = await submit()
        store.delete(KEYS.forgetting(*names))
        assert (await submit()).status_code == 202
        assert (await http.delete("/v1/tasks/t")).status_code == 204
        again = await submit()

    assert (early.status_code, early.json()["error"]["code"]) == (429, "busy")
    assert early.headers["Retry-After"] == "1"
    assert again.status_code == 202 and len(files(blobs)) == 1


async def test_what_has_expired_is_gone_and_what_never_was_is_not_found(
    gateway: Gateway, store: redis.Redis, blobs: Path
) -> None:
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        await http.post("/v1/tasks", params={"task_id": "old"}, content=PDF)
        read_with_figure(store, blobs)
        job = KEYS.job(UserId("local"), TaskId("old"))
        assert 0 < store.ttl(job) <= 86400
        store.delete(job, KEYS.pages(UserId("local"), TaskId("old")))  # time has passed
        for folder in (blobs / "local" / "old", *(blobs / "local" / "old").iterdir()):
            os.utime(folder, (time.time() - 3600,) * 2)

        for part in ("", "/events", "/result", "/result.md", "/figures/p1-f1.png"):
            answer = await http.get(f"/v1/tasks/old{part}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (410, "gone")
        assert (await http.get("/v1/tasks/never")).status_code == 404
        deadline = time.monotonic() + 10
        while files(blobs):
            assert time.monotonic() < deadline, files(blobs)
            await asyncio.sleep(0.1)
        again = await http.post("/v1/tasks", params={"task_id": "old"}, content=PDF)
        assert again.status_code == 202
    assert len(files(blobs)) == 1


async def test_a_file_of_an_admission_under_way_is_not_swept(gateway: Gateway, blobs: Path) -> None:
    folder = blobs / "local" / "arriving"
    folder.mkdir(parents=True)
    (folder / "a.pdf").write_bytes(PDF)
    await asyncio.sleep(1.5)
    assert len(files(blobs)) == 1


async def test_uploads_that_killed_processes_left_go_on_every_gateway(
    gateway: Gateway, valkey: redis_server.Server, blobs: Path, tmp_path: Path
) -> None:
    env = {"OCRPLUS_SWEEP_SECONDS": "0.5", "OCRPLUS_RECONCILE_SECONDS": "0.3"}
    folders = [tmp_path / f"ocrplus-upload-{name}" for name in ("stale", "fresh")]
    with gateway_process.gateway(valkey.url, blobs, TMPDIR=str(tmp_path), **env):
        for folder in folders:  # left after this gateway looked at its start
            folder.mkdir()
            (folder / "a.pdf").write_bytes(PDF)
        os.utime(folders[0], (time.time() - 7200,) * 2)
        deadline = time.monotonic() + 10
        while folders[0].exists():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        assert folders[1].exists()


async def test_a_position_goes_with_the_users_last_job(
    gateway: Gateway, store: redis.Redis
) -> None:
    store.hset(KEYS.last_id(), "nobody", "5-0")
    deadline = time.monotonic() + 10
    while store.hexists(KEYS.last_id(), "nobody"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_a_password_opens_and_is_kept_nowhere(
    gateway: Gateway, store: redis.Redis, blobs: Path
) -> None:
    out = io.BytesIO()
    canvas = Canvas(out, encrypt=StandardEncryption("canary-password", strength=128))
    canvas.drawString(72, 700, "hidden words")
    canvas.save()

    async def submit(http: httpx.AsyncClient, task: str, **form: str) -> httpx.Response:
        files = {"file": ("a.pdf", out.getvalue())}
        return await http.post("/v1/tasks", data={"task_id": task, **form}, files=files)

    async with httpx.AsyncClient(base_url=gateway.http) as http:
        assert (await submit(http, "t")).json()["error"]["code"] == "pdf_encrypted"
        wrong = await submit(http, "t", password="wrong")
        assert wrong.json()["error"]["code"] == "pdf_password_wrong"
        assert (await submit(http, "t", password="canary-password")).status_code == 202
        store.set(KEYS.engine(), "e1")
        play_worker(store)
        # The same bytes without the password do not get what it opened.
        assert (await submit(http, "t2")).json()["error"]["code"] == "pdf_encrypted"

    kept = b"".join(store.dump(key) or b"" for key in store.scan_iter("*"))
    assert b"canary" not in kept
    (stored,) = files(blobs)
    assert b"/Encrypt" not in stored.read_bytes()


async def test_events_of_a_task_as_server_sent_events(gateway: Gateway, store: redis.Redis) -> None:
    async with httpx.AsyncClient(base_url=gateway.http, timeout=10) as http:
        await http.post("/v1/tasks", params={"task_id": "t"}, content=PDF)
        reading = asyncio.create_task(http.get("/v1/tasks/t/events"))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(play_worker, store)
        await http.post("/v1/tasks", params={"task_id": "other"}, content=text_document(1, seed=3))
        whole = (await reading).text
        ids = [line[4:] for line in whole.splitlines() if line.startswith("id: ")]
        rest = (await http.get("/v1/tasks/t/events", headers={"Last-Event-ID": ids[1]})).text
        done = await http.get("/v1/tasks/t/events", headers={"Last-Event-ID": ids[-1]})
        epoch = ids[0].partition("-")[0]
        ahead = await http.get("/v1/tasks/t/events", headers={"Last-Event-ID": f"{epoch}-99"})
        wrong = await http.get("/v1/tasks/t/events", headers={"Last-Event-ID": "x"})

    kinds = [line[7:] for line in whole.splitlines() if line.startswith("event: ")]
    assert kinds == ["submitted", "progress", "page", "result"]
    assert whole.endswith(rest.partition("\n\n")[2])
    assert rest.count("id: ") == 2
    assert (done.status_code, wrong.status_code) == (204, 400)
    assert "event: history_lost" in ahead.text and '"future_position"' in ahead.text
    assert '"status": "ok"' in ahead.text


async def test_a_bucket_is_swept_of_jobs_that_are_gone_and_of_no_other(
    s3: s3_server.Server,
    valkey: redis_server.Server,
    store: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3.env("a/b").items():
        monkeypatch.setenv(name, value)
    blobs = open_store(CommonSettings(), None)
    for blob in ("ann/old/x.pdf", "ann/old/figures/f.png", "ann/young/x.pdf"):
        blobs.put(blob, b"bytes")
    store.hset("job:ann:young", "state", "ok")

    async with redis.asyncio.Redis.from_url(valkey.url) as client:
        under_way = await Sweeper(client, Keys(), blobs).once()
        assert (under_way, len(s3.names())) == (0, 3)
        removed = await Sweeper(client, Keys(), blobs, grace_seconds=-5).once()

    assert (removed, s3.names()) == (1, ["a/b/ann/young/x.pdf"])
