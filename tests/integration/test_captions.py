"""Captions over the real gateway, a real caption worker and a server that speaks the protocol."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import redis_server
import vlm_server
from caption_process import PlayedOcr, caption_worker, wait_for
from documents import text_document
from gateway_process import Gateway, gateway
from ledger_steps import events

from ocrplus_contract.blobs import DirectoryStore

USER = "ada"


@dataclass(frozen=True)
class Running:
    """Everything but the OCR worker, which the test plays."""

    gateway: Gateway
    vlm: vlm_server.Vlm
    client: redis.Redis
    ocr: PlayedOcr
    worker_metrics: str

    def submit(self, task: str, pages: int, **options: str) -> None:
        query = {"user": USER, "task_id": task, **options}
        url = f"{self.gateway.http}/v1/tasks"
        httpx.post(url, params=query, content=text_document(pages), timeout=30).raise_for_status()

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.gateway.http}/v1/tasks/{path}", params={"user": USER}, timeout=30)

    def ended(self, task: str) -> dict[str, Any]:
        return wait_for(
            lambda: (view := self.get(task).json())["status"] in ("ok", "partial") and view
        )

    def events(self, task: str, kind: str) -> list[dict[str, Any]]:
        return [e for e in events(self.client, USER) if (e["task_id"], e["type"]) == (task, kind)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blobs")


@pytest.fixture(scope="module")
def running(valkey: redis_server.Server, folder: Path) -> Iterator[Running]:
    valkey.client.flushall()
    with ExitStack() as stack:
        vlm = stack.enter_context(vlm_server.running())
        door = stack.enter_context(
            gateway(valkey.url, folder, OCRPLUS_CAPTION__DEADLINE_SECONDS="2")
        )
        worker = stack.enter_context(caption_worker(valkey.url, folder, vlm.base_url))
        ocr = PlayedOcr(valkey.client, DirectoryStore(folder), valkey.url)
        yield Running(door, vlm, valkey.client, ocr, worker.metrics)


def test_a_figure_is_described_in_events_result_and_page(running: Running) -> None:
    running.submit("one", 2)
    running.ocr.read_all()
    running.ended("one")

    markdown = running.get("one/result.md").text
    page = running.get("one/pages/1").json()
    (result,) = running.events("one", "result")
    captions = running.events("one", "caption")

    assert "](figures/p1-f1.png)\n\n> A picture of a harbour with " in markdown
    assert page["figures"][0]["state"] == "ok"
    assert page["figures"][0]["captioner"] == "qwen-vl-max describe-1"
    assert (result["captions"], result["captioner"]) == ("complete", "qwen-vl-max describe-1")
    assert [
        (c["page"], c["figure"], c["state"]) for c in sorted(captions, key=lambda c: c["page"])
    ] == [
        (1, "p1-f1", "ok"),
        (2, "p2-f1", "ok"),
    ]
