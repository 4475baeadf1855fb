"""The whole way with a bucket: gateway, OCR worker and caption worker meet in S3 and Redis only."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import gateway_process
import httpx
import pytest
import redis_server
import s3_server
import vlm_server
from documents import text_document
from s3_server import Server
from service import Service, service

SAMPLES = Path(__file__).parents[2] / "examples" / "samples"
PREFIX = "ocrplus/test"


@pytest.fixture(scope="module")
def bucket(s3_servers: Callable[[str], Server]) -> Server:
    """The server that Kubernetes tests use, where it is there."""
    return s3_servers("moto" if s3_server.missing("versitygw") else "versitygw")


@pytest.fixture(scope="module")
def running(bucket: Server) -> Iterator[Service]:
    env = {
        **bucket.env(PREFIX),
    }
    with (
        vlm_server.running(text="Bars of ships.") as vlm,
        service(env={**env, "OPENAI_BASE_URL": vlm.base_url}) as stack,
    ):
        yield stack


@pytest.fixture
def http(running: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.http, timeout=120) as client:
        yield client


def test_a_document_its_figure_and_its_description_lie_in_the_bucket(
    http: httpx.Client, bucket: Server
) -> None:
    pdf = (SAMPLES / "report_en.pdf").read_bytes()
    answer = http.post("/v1/tasks", params={"task_id": "s3", "wait": "100"}, content=pdf).json()
    archive = zipfile.ZipFile(io.BytesIO(http.get("/v1/tasks/s3/result.zip").content))
    again = {"task_id": "copy", "wait": "10"}
    copied = http.post("/v1/tasks", params=again, content=pdf).json()

    assert answer["status"] == copied["status"] == "ok"
    assert "> Bars of ships." in answer["result"]["markdown"][1]["markdown"]
    assert sorted(archive.namelist()) == ["figures/p2-f1.png", "s3.md"]
    assert http.get("/v1/tasks/copy/figures/p2-f1.png").content[:4] == b"\x89PNG"
    stored = bucket.names(f"{PREFIX}/local/s3/")
    assert len(stored) == 2 and sum(name.endswith(".pdf") for name in stored) == 1

    for task in ("s3", "copy"):
        assert http.delete(f"/v1/tasks/{task}").status_code == 204
    assert bucket.names() == []


def test_a_gateway_whose_bucket_answers_nobody_is_busy_and_says_why(
    bucket: Server, valkey: redis_server.Server, tmp_path: Path
) -> None:
    valkey.client.flushall()
    env = {**bucket.env(PREFIX), "OCRPLUS_S3__REQUEST_SECONDS": "1", "OCRPLUS_S3__RETRIES": "0"}
    with (
        gateway_process.gateway(valkey.url, tmp_path, **env) as gateway,
        httpx.Client(base_url=gateway.http, timeout=30) as http,
    ):
        ready = http.get("/readyz")
        with bucket.stopped():
            refused = http.post("/v1/tasks", params={"task_id": "t"}, content=text_document(1))
            unready = http.get("/readyz")
        again = http.post("/v1/tasks", params={"task_id": "t"}, content=text_document(1))
        back = http.get("/readyz")

    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "busy")
    assert unready.status_code == 503
    assert unready.json()["problems"]["blobs"].startswith("no answer")
    assert (ready.status_code, again.status_code, back.status_code) == (200, 202, 200)
