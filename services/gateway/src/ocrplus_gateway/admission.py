"""From received bytes to an admitted job: hash, inspect, store, admit, ring."""

import asyncio
import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis
import redis.asyncio
from celery import Celery
from kombu.exceptions import OperationalError

from ocrplus_contract import logs
from ocrplus_contract.blobs import BlobStore, source_name
from ocrplus_contract.broker import celery_options
from ocrplus_contract.errors import Conflict, ErrorCode, JobRefused
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Ledger, run_async
from ocrplus_contract.names import RING_TASK, Pool, TaskId, UserId
from ocrplus_contract.options import JobOptions, parse_page_ranges
from ocrplus_contract.settings import GatewaySettings
from ocrplus_contract.states import JobState
from ocrplus_gateway.chunking import Cutting, chunks, expected_seconds, selected_pages
from ocrplus_gateway.inspection import Inspector

log = logging.getLogger(__name__)

_HASH_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Submission:
    """A document on its way in: its bytes lie in `file`."""

    user: UserId
    task: TaskId
    file: Path
    name: str
    options: JobOptions


@dataclass(frozen=True, slots=True)
class Admitted:
    """An accepted document, or the job that was there with the same bytes and options."""

    pages_total: int
    duplicate_of: JobState | None


class Bell:
    """Rings for workers: one Celery message a permit, without content."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._app = Celery("ocrplus-gateway")
        self._app.conf.update(celery_options(settings), task_publish_retry=False)

    async def ring(self, pool: Pool, count: int) -> None:
        """Ring `count` times; what fails is made good by the reconciler."""
        try:
            await asyncio.to_thread(self._send, pool, count)
        except (OSError, OperationalError, redis.RedisError):
            log.warning("doorbells could not be rung; the reconciler will", extra={"count": count})

    def _send(self, pool: Pool, count: int) -> None:
        with self._app.producer_or_acquire() as producer:
            for _ in range(count):
                self._app.send_task(RING_TASK[pool], queue=str(pool), producer=producer)


class Admission:
    """The door."""

    def __init__(
        self,
        settings: GatewaySettings,
        client: "redis.asyncio.Redis",
        blobs: BlobStore,
        bell: Bell,
    ) -> None:
        self._settings = settings
        self._client = client
        self._blobs = blobs
        self._bell = bell
        self._inspector = Inspector(settings)
        self._keys = Keys(settings.key_prefix)
        self._ledger = Ledger(settings.key_prefix, settings.result_ttl_seconds)
        self._cutting = Cutting(
            settings.chunk_seconds,
            settings.chunk_pages,
            settings.text_page_seconds,
            settings.ocr_page_seconds,
        )

    async def admit(self, submission: Submission) -> Admitted:
        """Accept a document.

        Raises:
            JobRefused: with the code the client is told.
        """
        sha256, size = await asyncio.to_thread(_hash, submission.file)
        options = self._resolved(submission.options)
        fingerprint = f"{sha256}:{hashlib.sha256(options.encode()).hexdigest()[:16]}"
        known = await self._known(submission, fingerprint)
        if known is not None:
            return known
        waiting = await self._pages_ahead()
        if waiting > self._settings.max_waiting_pages:
            raise JobRefused(ErrorCode.BUSY)
        inspection = await self._inspector.inspect(submission.file)
        wanted = submission.options.pages
        ranges = parse_page_ranges(wanted) if wanted else None
        pages = selected_pages(inspection.pages, ranges)
        if not pages:
            raise JobRefused(ErrorCode.PDF_EMPTY)
        by_ocr = json.loads(options).get("text_source") == "ocr"
        seconds = expected_seconds(inspection.hints, pages, self._cutting, by_ocr)
        if size > await asyncio.to_thread(self._blobs.room_bytes):
            raise JobRefused(ErrorCode.BUSY, "The document store is full. Try again later.")
        blob = source_name(submission.user, submission.task, fingerprint)
        await asyncio.to_thread(self._blobs.put_file, blob, submission.file)
        call = self._ledger.admit(
            submission.user,
            submission.task,
            fingerprint=fingerprint,
            chunks=chunks(pages, seconds, self._cutting),
            facts={
                "name": submission.name,
                "sha256": sha256,
                "size": str(size),
                "blob": blob,
                "options": options,
            },
            submitted_body=json.dumps(
                {
                    "type": "submitted",
                    "task_id": submission.task,
                    "pages_total": len(pages),
                    "queue_pages_ahead": waiting,
                    "estimated_seconds": round(
                        sum(seconds) + waiting * self._settings.text_page_seconds, 1
                    ),
                    "duplicate": False,
                }
            ),
            deadline_seconds=self._settings.job_deadline_seconds,
        )
        try:
            admission = await run_async(self._client, call)
        except Conflict:
            await asyncio.to_thread(self._blobs.delete, blob)
            raise
        await self._bell.ring(Pool.OCR, admission.permits)
        log.info(
            "document admitted",
            extra={
                "job_id": submission.task,
                "user": logs.hashed(submission.user),
                "pages": len(pages),
                "chunks": admission.permits,
                "bytes": size,
            },
        )
        return Admitted(len(pages), admission.duplicate_of)

    def _resolved(self, options: JobOptions) -> str:
        """The options as they will be used, defaults filled in, canonical: part of the identity."""
        used = options.model_dump(exclude_none=True)
        used.setdefault("text_source", self._settings.text_source)
        return json.dumps(used, sort_keys=True)

    async def _known(self, submission: Submission, fingerprint: str) -> Admitted | None:
        """The job that is there already: a repeated submission need not be inspected again."""
        job = self._keys.job(submission.user, submission.task)
        fields: list[Any] = await self._client.hmget(job, ["fingerprint", "state", "pages_total"])
        known, state, pages = fields  # bytes, or None each
        if known is None or state is None or pages is None:
            return None
        if known.decode() != fingerprint:
            raise Conflict
        return Admitted(int(pages), JobState(state.decode()))

    async def _pages_ahead(self) -> int:
        load = await self._client.hmget(self._keys.load(Pool.OCR), ["waiting", "inflight"])
        return sum(max(0, int(count or 0)) for count in load)


def _hash(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(_HASH_BYTES):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
