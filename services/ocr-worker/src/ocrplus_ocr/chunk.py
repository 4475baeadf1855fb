"""One chunk: read its pages, store their figures, commit each page, give the permit back."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from ocrplus_contract import tracing
from ocrplus_contract.blobs import BlobStore, figure_blob, figure_name
from ocrplus_contract.errors import BlobMissing, BlobsUnavailable, ErrorCode, JobRefused, LeaseLost
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Lease, Ledger, run
from ocrplus_contract.names import Permit, Pool
from ocrplus_contract.options import JobOptions
from ocrplus_contract.records import FigureRecord, PageRecord, ReadingRecord
from ocrplus_contract.states import JobState
from ocrplus_ocr.engine import Engine, PageResult, ReadOptions
from ocrplus_ocr.metrics import OcrMetrics
from ocrplus_ocr.pulse import Pulse

log = logging.getLogger(__name__)

_AWAY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class ChunkReader:
    """What it takes to do a chunk."""

    client: "redis.Redis"
    ledger: Ledger
    engine: Engine
    blobs: BlobStore
    pulse: Pulse
    metrics: OcrMetrics
    ring_captions: Callable[[int], None]

    def read(self, lease: Lease) -> int:
        """Do the chunk of a lease; return how many doorbells to ring for what waits anew."""
        with tracing.worked(lease, deaths=lease.first_page_deaths) as span:
            return self._read(lease, span)

    def _read(self, lease: Lease, span: tracing.Span) -> int:
        started = time.monotonic()
        self.pulse.begin_chunk(lease)
        try:
            with self.blobs.local(lease.blob) as pdf:
                self._read_pages(lease, pdf)
            doorbells = self._finish(lease)
            log.info("chunk done", extra={"seconds": round(time.monotonic() - started, 3)})
            return doorbells
        except LeaseLost:
            span.drop()
            log.warning("chunk was taken away; what it still owed is another's")
            return 0
        except (JobRefused, BlobMissing) as refusal:
            span.fail(type(refusal).__name__)
            return self._give_up(lease, refusal)
        except BlobsUnavailable as away:
            span.fail("BlobsUnavailable")
            log.error(
                "documents cannot be read or stored; the chunk is given back",
                extra={"error": away},
            )
            time.sleep(_AWAY_SECONDS)  # the next one would fare no better
            return run(self.client, self.ledger.release(Pool.OCR, lease.permit, "returned")).permits
        finally:
            self.pulse.end_chunk()

    def _read_pages(self, lease: Lease, pdf: Path) -> None:
        results = self.engine.read(pdf, lease.pages, _read_options(lease))
        try:
            began = time.time()
            for result in results:
                with tracing.span("page", _told_of(lease, result), began=began):
                    self._commit(lease, result)
                began = time.time()
                if self.pulse.lost:
                    return
        finally:
            results.close()

    def _commit(self, lease: Lease, result: PageResult) -> None:
        with tracing.span("commit", {"figures": len(result.figures)}):
            self._store(lease, result)

    def _store(self, lease: Lease, result: PageResult) -> None:
        record = _record(result, lease.permit)
        names = [figure_name(lease.user, lease.task, figure) for figure in record.figures]
        for name, figure in zip(names, result.figures, strict=True):
            self.blobs.put(name, figure.png)
        if record.incomplete:
            log.warning(
                "page lacks some of what was found on it; its result says so",
                extra={"page": result.page, "coverage": result.coverage},
            )
        if record.doubled:
            log.warning(
                "page says some of what was found on it twice; its result says so",
                extra={"page": result.page, "repeated": result.repeated},
            )
        next_page = result.page + 1 if result.page < lease.last else None
        call = self.ledger.commit_page(
            Pool.OCR,
            lease.permit,
            page=result.page,
            state=result.state,
            record=record.pack(),
            body=record.event_body(lease.task),
            next_page=next_page,
            figures=[figure.id for figure in result.figures],
        )
        try:
            committed = run(self.client, call)
        except LeaseLost:
            self._discard(lease, record, names)
            raise
        if not committed.open:
            self._discard(lease, record, names)
        if committed.figures:
            self.ring_captions(committed.figures)
        self.pulse.page_done(next_page)
        self.metrics.page_done(result)

    def _discard(self, lease: Lease, record: PageRecord, names: list[str]) -> None:
        """Remove figures that no page shows, unless the commit came through and its answer not."""
        pages = Keys(self.ledger.prefix).pages(lease.user, lease.task)
        if self.client.hget(pages, str(record.page)) != record.pack():
            for name in names:
                self.blobs.delete(name)

    def _finish(self, lease: Lease) -> int:
        if run(self.client, self.ledger.finish(Pool.OCR, lease.permit)):
            return 0
        # The engine ended without a word about some page: as if the process had died with it.
        log.error("engine left pages out")
        return run(self.client, self.ledger.release(Pool.OCR, lease.permit, "died")).permits

    def _give_up(self, lease: Lease, refusal: JobRefused | BlobMissing) -> int:
        code = refusal.code if isinstance(refusal, JobRefused) else ErrorCode.INTERNAL
        log.error("document cannot be read, its job fails", extra={"code": code})
        run(
            self.client,
            self.ledger.cancel(lease.user, lease.task, state=JobState.FAILED, code=code),
        )
        run(self.client, self.ledger.finish(Pool.OCR, lease.permit))
        return 0


def _told_of(lease: Lease, result: PageResult) -> dict[str, tracing.Attribute]:
    """What a page's span says of it: nothing that is written there."""
    if not tracing.is_on():
        return {}
    return {
        **tracing.of_lease(lease),
        "page": result.page,
        "state": result.state,
        "source": result.source,
        **{f"{stage}_seconds": seconds for stage, seconds in result.timings.items()},
    }


def _read_options(lease: Lease) -> ReadOptions:
    options = JobOptions.model_validate_json(lease.options)
    return ReadOptions(
        text_source=options.text_source or "auto",
        tables=options.tables or "auto",
        figures=options.figures or "link",
    )


def _record(result: PageResult, permit: Permit) -> PageRecord:
    return PageRecord(
        page=result.page,
        state=result.state,
        markdown=result.markdown,
        source=result.source,
        figures=tuple(
            FigureRecord(
                id=figure.id,
                kind=figure.kind,
                box=figure.box,
                caption=figure.caption,
                blob=figure_blob(figure.id, permit),
            )
            for figure in result.figures
        ),
        starts_paragraph=result.starts_paragraph,
        ends_paragraph=result.ends_paragraph,
        open_start=result.open_start,
        open_end=result.open_end,
        headings=result.headings,
        edges=result.edges,
        coverage=result.coverage,
        excused=result.excused,
        repeated=result.repeated,
        reading=_reading(result),
        error=result.error,
        seconds=round(sum(result.timings.values()), 3),
    )


def _reading(result: PageResult) -> ReadingRecord | None:
    reading = result.reading
    if reading is None:
        return None
    return ReadingRecord(
        reason=reading.reason,
        characters=reading.evidence.characters,
        bad_share=round(reading.evidence.bad_share, 4),
        image_share=round(reading.evidence.image_share, 4),
        hidden_share=round(reading.evidence.hidden_share, 4),
        turned_share=round(reading.evidence.turned_share, 4),
        turn=reading.turn,
        skew=reading.skew,
    )
