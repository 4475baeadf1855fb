"""A deployment whose OCR worker the tests play, and what they ask of it."""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import redis
import redis_server
import vlm_server
from caption_process import PlayedOcr, caption_worker, wait_for
from documents import text_document
from gateway_process import Gateway, gateway
from ledger_steps import events

from ocrplus_contract.blobs import DirectoryStore
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool

USER = "ada"
DEADLINE = 1.5


@dataclass(frozen=True)
class Running:
    """Everything but the workers: a test plays the one and starts the other."""

    gateway: Gateway
    vlm: vlm_server.Vlm
    client: redis.Redis
    blobs: Path
    redis_url: str

    def ocr(self, figures: int = 1, draw: Any = None) -> PlayedOcr:
        store = DirectoryStore(self.blobs)
        given = {} if draw is None else {"draw": draw}
        return PlayedOcr(self.client, store, self.redis_url, figures, **given)

    def worker(self, **env: str) -> Any:
        return caption_worker(self.redis_url, self.blobs, self.vlm.base_url, **env)

    def submit(self, task: str, pages: int, **options: str) -> None:
        self._submit(task, text_document(pages, seed=zlib.crc32(task.encode())), options)

    def submit_as(self, document: str, task: str) -> dict[str, Any]:
        """Submit another task's document of one page."""
        return self._submit(task, text_document(1, seed=zlib.crc32(document.encode())), {})

    def _submit(self, task: str, pdf: bytes, options: dict[str, str]) -> dict[str, Any]:
        query = {"user": USER, "task_id": task, **options}
        url = f"{self.gateway.http}/v1/tasks"
        answer = httpx.post(url, params=query, content=pdf, timeout=30).raise_for_status()
        accepted: dict[str, Any] = answer.json()
        return accepted

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.gateway.http}/v1/tasks/{path}", params={"user": USER}, timeout=30)

    def stream(self, task: str) -> Iterator[dict[str, Any]]:
        """A task's Server-Sent Events, until the gateway ends them."""
        url = f"{self.gateway.http}/v1/tasks/{task}/events"
        with httpx.stream("GET", url, params={"user": USER}, timeout=30) as answer:
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    def ended(self, task: str, seconds: float = 20) -> dict[str, Any]:
        def view() -> Any:
            found = self.get(task).json()
            return found["status"] in ("ok", "partial") and found

        found: dict[str, Any] = wait_for(view, seconds)
        return found

    def events(self, task: str, kind: str) -> list[dict[str, Any]]:
        mine = [e for e in events(self.client, USER) if (e["task_id"], e["type"]) == (task, kind)]
        return sorted(mine, key=lambda e: e.get("page", 0))

    def captioned(self, task: str, count: int, seconds: float = 20) -> list[dict[str, Any]]:
        wait_for(lambda: len(self.events(task, "caption")) >= count, seconds)
        return self.events(task, "caption")

    def is_idle(self) -> bool:
        groups = self.client.xinfo_groups(Keys().work(Pool.CAPTION))
        return groups[0]["lag"] == groups[0]["pending"] == 0

    def forget(self, task: str) -> None:
        url = f"{self.gateway.http}/v1/tasks/{task}"
        httpx.delete(url, params={"user": USER}, timeout=30).raise_for_status()

    def begin_anew(self) -> None:
        """All is well again, nothing was asked."""
        self.client.delete(Keys().breaker(), *self.client.keys("caption-*"))
        self.vlm.control(
            mode="ok",
            seconds=0.0,
            per_minute=0,
            window_seconds=60.0,
            only_first=0,
            text="A picture of {n} bytes.",
            reset=True,
        )


@contextmanager
def deployed(server: redis_server.Server, blobs: Path, **more: str) -> Iterator[Running]:
    """A gateway and a model, over an empty Redis."""
    server.client.flushall()
    env = {
        "OCRPLUS_CAPTION__DEADLINE_SECONDS": str(DEADLINE),
        "OCRPLUS_CAPTION__ENABLED": "on",
        "OCRPLUS_RECONCILE_SECONDS": "0.5",
        "OCRPLUS_LEASE_SECONDS": "2",
        **more,
    }
    with vlm_server.running() as vlm, gateway(server.url, blobs, **env) as door:
        yield Running(door, vlm, server.client, blobs, server.url)
