"""A real caption worker as a child process, and an OCR worker played by the test."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import child
import redis
from celery import Celery
from ledger_steps import finish, take
from PIL import Image, ImageDraw

from ocrplus_contract.blobs import BlobStore, figure_name
from ocrplus_contract.ledger import Lease, Ledger, run
from ocrplus_contract.names import RING_TASK, Pool
from ocrplus_contract.records import FigureRecord, PageRecord
from ocrplus_contract.states import PageState, TextSource

Drawing = Callable[[int, int], bytes]
"""The PNG of a page's figure, by page and number."""


@dataclass(frozen=True)
class CaptionWorker:
    """A running caption worker."""

    metrics: str
    process: "subprocess.Popen[str]"


def worker_env(redis_url: str, blobs: Path, base_url: str, **env: str) -> dict[str, str]:
    """The environment of a caption worker on free ports."""
    return {
        **os.environ,
        "OCRPLUS_REDIS_URL": redis_url,
        "OCRPLUS_BLOB_URL": blobs.as_uri(),
        "OCRPLUS_METRICS_PORT": "0",
        "OCRPLUS_LOG_LEVEL": "warning",
        "OPENAI_BASE_URL": base_url,
        "OPENAI_API_KEY": "sk-test-not-a-key",
        "PYTHONSAFEPATH": "1",
        **env,
    }


@contextmanager
def caption_worker(
    redis_url: str, blobs: Path, base_url: str, *, stderr: Any = None, **env: str
) -> Iterator[CaptionWorker]:
    """Run `python -m ocrplus_caption`."""
    environment = worker_env(redis_url, blobs, base_url, **env)
    command = [sys.executable, "-m", "ocrplus_caption"]
    with child.running(command, env=environment, stderr=stderr) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield CaptionWorker(ready["metrics"], process)


def drawing(page: int, number: int, size: tuple[int, int] = (240, 180)) -> bytes:
    """A small picture that no other page and number has."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, 60 + 3 * (page % 50), 60 + 20 * number), fill="navy")
    draw.text((20, size[1] - 40), f"page {page} figure {number}", fill="black")
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def figure_record(figure: str, kind: str = "figure", printed: str | None = None) -> FigureRecord:
    """A figure of 240 by 180 points."""
    return FigureRecord(id=figure, kind=kind, box=(72.0, 72.0, 312.0, 252.0), caption=printed)


def page_record(page: int, figures: Sequence[FigureRecord]) -> PageRecord:
    """A page with a paragraph before and after each figure."""
    parts = [f"Page {page} begins."]
    for figure in figures:
        parts += [f"![{figure.caption or ''}](figures/{figure.id}.png)", "Some words follow."]
    return PageRecord(
        page=page,
        state=PageState.OK,
        markdown="\n\n".join(parts),
        source=TextSource.TEXT_LAYER,
        figures=tuple(figures),
    )


@dataclass(frozen=True)
class PlayedOcr:
    """Takes chunks as an OCR worker does, with figures on the pages."""

    client: "redis.Redis"
    blobs: BlobStore
    redis_url: str
    figures_a_page: int = 1
    draw: Drawing = drawing

    def read_all(self) -> int:
        """Take and commit everything that waits; how many pages."""
        pages = 0
        while (lease := take(self.client)) is not None:
            for page in lease.pages:
                self.commit(lease, page)
                pages += 1
            finish(self.client, lease)
        return pages

    def commit(self, lease: Lease, page: int) -> None:
        """Store a page's figures, commit it, ring for its captions."""
        figures = [figure_record(f"p{page}-f{n + 1}") for n in range(self.figures_a_page)]
        for number, figure in enumerate(figures, 1):
            name = figure_name(lease.user, lease.task, figure)
            self.blobs.put(name, self.draw(page, number))
        record = page_record(page, figures)
        call = Ledger().commit_page(
            Pool.OCR,
            lease.permit,
            page=page,
            state=record.state,
            record=record.pack(),
            body=record.event_body(lease.task),
            next_page=page + 1 if page < lease.last else None,
            figures=[figure.id for figure in figures],
        )
        ring(self.redis_url, run(self.client, call).figures)


def ring(redis_url: str, count: int) -> None:
    """Ring for figures, as an OCR worker does: over a connection that stays."""
    if count == 0:
        return
    app = _bell(redis_url)
    with app.producer_or_acquire() as producer:
        for _ in range(count):
            app.send_task(RING_TASK[Pool.CAPTION], queue=str(Pool.CAPTION), producer=producer)


@cache
def _bell(redis_url: str) -> Celery:
    return Celery("ocrplus-test", broker=redis_url)


def wait_for(what: Callable[[], Any], seconds: float = 20) -> Any:
    """Poll until something is true; what it was."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise TimeoutError(what)
