"""A worker that has lost its chunk touches nothing of whoever has it now; a store costs no page."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
import redis_server
import s3_server
from ledger_steps import KEYS, LEDGER, admit, take

from ocrplus_contract.blobs import BlobStore, DirectoryStore, figure_name, open_store
from ocrplus_contract.ledger import run
from ocrplus_contract.names import Pool, TaskId, UserId
from ocrplus_contract.records import PageRecord
from ocrplus_contract.settings import CommonSettings
from ocrplus_contract.states import PageState, TextSource
from ocrplus_ocr.chunk import ChunkReader
from ocrplus_ocr.engine import BlockKind, Figure, PageResult, ReadOptions
from ocrplus_ocr.metrics import OcrMetrics
from ocrplus_ocr.pulse import Pulse, PulseTiming

USER, TASK = UserId("u"), TaskId("t")


@dataclass(frozen=True)
class OneFigure:
    """An engine that finds one picture on each page; `meanwhile` happens while it reads."""

    png: bytes
    meanwhile: Callable[[], object] = lambda: None
    version: str = "one figure"

    def read(
        self, pdf: Path, pages: Sequence[int], options: ReadOptions
    ) -> Generator[PageResult, None, None]:
        self.meanwhile()
        for page in pages:
            figure = Figure(f"p{page}-f1", BlockKind.FIGURE, (0, 0, 9, 9), self.png, None)
            text = f"![](figures/p{page}-f1.png)"
            yield PageResult(page, PageState.OK, text, TextSource.OCR, (figure,))

    def close(self) -> None:
        pass


@pytest.fixture
def store(valkey: redis_server.Server) -> redis.Redis:
    client = valkey.client
    client.flushall()
    return client


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryStore:
    blobs = DirectoryStore(tmp_path / "blobs")
    blobs.put("b", b"%PDF")
    return blobs


def read_by(store: redis.Redis, blobs: BlobStore, engine: OneFigure, owner: str) -> None:
    timing = PulseTiming(lease_seconds=60, page_deadline_seconds=60)
    pulse = Pulse(store, LEDGER, owner, timing)
    reader = ChunkReader(store, LEDGER, engine, blobs, pulse, OcrMetrics(), lambda _: None)
    lease = take(store, owner)
    assert lease is not None
    reader.read(lease)


def seen(store: redis.Redis, blobs: BlobStore) -> bytes:
    """The picture that the committed page shows."""
    page = PageRecord.unpack(store.hget(KEYS.pages(USER, TASK), "1"))
    return blobs.get(figure_name(USER, TASK, page.figures[0]))


def taken_over(store: redis.Redis, blobs: DirectoryStore) -> None:
    permit = next(iter(store.hkeys(KEYS.lease(Pool.OCR)))).decode()
    run(store, LEDGER.release(Pool.OCR, permit, "died"))
    read_by(store, blobs, OneFigure(b"of the successor"), "b.0")


def submitted_anew(store: redis.Redis, blobs: DirectoryStore) -> None:
    run(store, LEDGER.forget(USER, TASK))
    admit(store, "u", "t", [(1, 1)], fingerprint="another document")
    read_by(store, blobs, OneFigure(b"of the successor"), "b.0")


def test_a_bucket_that_answers_nobody_for_a_while_costs_no_page(
    store: redis.Redis,
    s3_servers: Callable[[str], s3_server.Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = s3_servers("moto")
    env = {**bucket.env(), "OCRPLUS_S3__REQUEST_SECONDS": "1", "OCRPLUS_S3__RETRIES": "0"}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    blobs = open_store(CommonSettings(), None)
    blobs.put("b", b"%PDF")
    admit(store, "u", "t", [(1, 2)])

    with bucket.stopped():
        read_by(store, blobs, OneFigure(b"unread"), "a.0")
    assert store.hget(KEYS.job(USER, TASK), "deaths:1") is None
    assert store.hget(KEYS.load(Pool.OCR), "waiting") == b"2"
    read_by(store, blobs, OneFigure(b"read"), "a.0")

    assert seen(store, blobs) == b"read"
    assert store.hget(KEYS.job(USER, TASK), "state") == b"ok"


@pytest.mark.parametrize("event", [taken_over, submitted_anew])
def test_a_fenced_worker_overwrites_no_figure_and_leaves_none(
    event: Callable[[redis.Redis, DirectoryStore], None],
    store: redis.Redis,
    blobs: DirectoryStore,
    tmp_path: Path,
) -> None:
    admit(store, "u", "t", [(1, 1)])

    read_by(store, blobs, OneFigure(b"of the fenced", lambda: event(store, blobs)), "a.0")

    assert seen(store, blobs) == b"of the successor"
    pictures = list((tmp_path / "blobs").rglob("*.png"))
    assert [picture.read_bytes() for picture in pictures] == [b"of the successor"]
