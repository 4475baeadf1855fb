"""What the caption benchmarks run on: gateway, caption workers, a model, a played OCR side."""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import child
import httpx
import pictures
import psutil
import redis
import redis_server
import vlm_server
from caption_process import CaptionWorker, PlayedOcr, caption_worker
from documents import text_document
from gateway_process import Gateway, gateway
from ledger_steps import finish, take
from PIL import Image, ImageDraw

from ocrplus_contract.blobs import DirectoryStore
from ocrplus_local.supervise import die_with_parent

USER = "bench"


@dataclass(frozen=True)
class Bench:
    """A deployment; its documents are read at a given pace."""

    gateway: Gateway
    vlm: vlm_server.Vlm
    client: "redis.Redis"
    redis_url: str
    blobs: Path
    workers: list[CaptionWorker]

    def submit(self, task: str, pages: int, **options: str) -> None:
        """Submit a document of text pages."""
        query = {"user": USER, "task_id": task, **options}
        url = f"{self.gateway.http}/v1/tasks"
        pdf = text_document(pages, seed=int.from_bytes(task.encode()[-4:]))
        httpx.post(url, params=query, content=pdf, timeout=60).raise_for_status()

    def read(self, draw: Callable[[int, int], bytes], figures: int, page_seconds: float) -> None:
        """Play the OCR worker until nothing waits."""
        store = DirectoryStore(self.blobs)
        ocr = PlayedOcr(self.client, store, self.redis_url, figures, draw)
        while (lease := take(self.client)) is not None:
            for page in lease.pages:
                time.sleep(page_seconds)
                ocr.commit(lease, page)
            finish(self.client, lease)

    def events(self, task: str) -> list[tuple[float, dict[str, Any]]]:
        """A task's events with the server's times."""
        entries: Any = self.client.xrange(f"stream:task:{USER}")
        found = []
        for stream_id, fields in entries:
            event = json.loads(fields[b"event"])
            if event["task_id"] == task:
                found.append((int(stream_id.partition(b"-")[0]) / 1000, event))
        return found

    def captions(self, task: str) -> list[tuple[float, dict[str, Any]]]:
        """Its caption events."""
        return [(at, event) for at, event in self.events(task) if event["type"] == "caption"]

    def wait_for_captions(self, task: str, count: int, seconds: float) -> list[Any]:
        """Wait until so many have come; looks at counts alone, which takes no time from others."""
        deadline = time.monotonic() + seconds
        while (come := self._captions_come(task)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{task}: {come} of {count} captions")
            time.sleep(0.25)
        return self.captions(task)

    def _captions_come(self, task: str) -> int:
        fields = [f"captions_{state}" for state in ("ok", "skipped", "failed")]
        found: Any = self.client.hmget(f"job:{USER}:{task}", fields)
        return sum(int(number or 0) for number in found)


@contextmanager
def bench(workers: int = 1, base_url: str | None = None, **env: str) -> Iterator[Bench]:
    """Start all of it; `base_url` replaces our model's."""
    with ExitStack() as stack:
        server = stack.enter_context(redis_server.running("valkey"))
        blobs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocrplus-bench-")))
        vlm = stack.enter_context(vlm_process())
        door = stack.enter_context(gateway(server.url, blobs, OCRPLUS_CAPTION__ENABLED="on"))
        started = [
            stack.enter_context(
                caption_worker(
                    server.url,
                    blobs,
                    base_url or vlm.base_url,
                    OCRPLUS_POD_NAME=f"bench-{number}",
                    OCRPLUS_SHUTDOWN_SECONDS="0.5",
                    **env,
                )
            )
            for number in range(workers)
        ]
        yield Bench(door, vlm, server.client, server.url, blobs, started)


@contextmanager
def vlm_process() -> Iterator[vlm_server.Vlm]:
    """The model as a process of its own."""
    command = [sys.executable, vlm_server.__file__]
    with child.running(command, ends_within=10, preexec_fn=die_with_parent) as process:
        assert process.stdout is not None
        yield vlm_server.Vlm(json.loads(process.stdout.readline())["url"])


def figure(number: int) -> bytes:
    """A megapixel that is no other number's: a chart, a photograph's corner, its number."""
    image = pictures.chart(0)
    image.paste(_photo(), (880, 60))
    ImageDraw.Draw(image).text((420, 60), f"series {number}", fill="black")
    return pictures.png(image)


_PHOTOS: list[Image.Image] = []


def _photo() -> Image.Image:
    if not _PHOTOS:
        _PHOTOS.append(pictures.photo(1, (240, 180)))
    return _PHOTOS[0]


@contextmanager
def largest_memory(pid: int) -> Iterator[list[float]]:
    """MiB of a process at its worst while the block runs, in a list of one."""
    worst, ended = [0.0], threading.Event()
    process = psutil.Process(pid)

    def watch() -> None:
        while not ended.wait(0.1):
            worst[0] = max(worst[0], process.memory_info().rss / 2**20)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield worst
    finally:
        ended.set()
        thread.join()


def wait_for_quiet(busy_percent: float = 30.0, most_seconds: float = 60.0) -> None:
    """Wait until others leave the machine alone, for a while at most."""
    deadline = time.monotonic() + most_seconds
    while psutil.cpu_percent(4) > busy_percent and time.monotonic() < deadline:
        time.sleep(1)
