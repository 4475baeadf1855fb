"""From received bytes to an admitted job: hash, inspect, store, admit, ring."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import redis
import redis.asyncio
from celery import Celery
from kombu.exceptions import OperationalError

from ocrplus_contract import tracing
from ocrplus_contract.blobs import BlobStore, source_name
from ocrplus_contract.broker import celery_options
from ocrplus_contract.errors import BlobsUnavailable, Conflict, ErrorCode, JobRefused
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Full, Ledger, Limits, run_async
from ocrplus_contract.names import RING_TASK, Pool, UserId
from ocrplus_contract.options import JobOptions, parse_page_ranges
from ocrplus_contract.settings import GatewaySettings
from ocrplus_contract.states import OPEN_JOB_STATES, JobState
from ocrplus_contract.trace import current_or_new
from ocrplus_gateway.captions import CaptionTerms, content_of
from ocrplus_gateway.chunking import Cutting, Work, selected_pages, work_of
from ocrplus_gateway.forecast import Forecast
from ocrplus_gateway.inspection import Inspection, Inspector
from ocrplus_gateway.reuse import Reuse, submitted_body
from ocrplus_gateway.submission import SERVER_FULL, STORE_AWAY, Admitted, Submission

log = logging.getLogger(__name__)

_HASH_BYTES: Final = 1 << 16  # several uploads at once should cost little memory


class Bell:
    """Rings for workers: one Celery message a permit, without content."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._app = Celery("ocrplus-gateway")
        self._app.conf.update(
            celery_options(settings), task_publish_retry=False, broker_pool_limit=1
        )

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


_FULL: Final = {
    "all": None,
    "pages": "You have as many pages waiting as this service allows. Try again later.",
    "tasks": "You have as many unfinished tasks as this service allows. Try again later.",
}
_FORGETTING: Final = "The task of this id is being deleted. Try again in a moment."
_FORGETTING_RETRY_SECONDS: Final = 1.0
_LEAST_RETRY_SECONDS: Final = 2.0
_MOST_RETRY_SECONDS: Final = 300.0


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
        self._forecast = Forecast(client, self._keys)
        self._captions = CaptionTerms(settings, client, self._keys)
        self._reuse = Reuse(client, self._keys, self._ledger, blobs)
        self._limits = Limits(
            settings.max_waiting_pages, settings.max_user_pages, settings.max_user_tasks
        )
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
        try:
            return await self._traced(submission)
        except redis.exceptions.OutOfMemoryError as full:
            log.error("no document can be admitted: the Redis server is full")
            raise JobRefused(ErrorCode.BUSY, SERVER_FULL) from full
        except (redis.RedisError, OSError) as error:
            log.exception("a document cannot be admitted")
            raise JobRefused(ErrorCode.INTERNAL) from error

    async def _traced(self, submission: Submission) -> Admitted:
        of_job = tracing.of_job(submission.user, submission.task)
        with tracing.span("submit", of_job, began=submission.began) as span:
            admitted = await self._admit(submission)
            span.note(pages=admitted.pages_total, duplicate=admitted.duplicate_of is not None)
            return admitted

    async def _admit(self, submission: Submission) -> Admitted:
        sha256, size = await asyncio.to_thread(_hash, submission.file)
        options = self._resolved(submission.options)
        fingerprint = f"{sha256}:{hashlib.sha256(options.encode()).hexdigest()[:16]}"
        captions = await self._captions.facts(submission.options)
        facts = {
            "name": submission.name,
            "sha256": sha256,
            "size": str(size),
            "options": options,
            "traceparent": current_or_new().traceparent,
            # Whoever has no password may not have what one opened.
            "content": "" if submission.options.password else content_of(fingerprint, captions),
            **captions,
        }
        admitted = await self._known(submission, fingerprint)
        if admitted is None and facts["content"]:
            admitted = await self._reuse.attempt(
                submission.user, submission.task, fingerprint, facts
            )
        if admitted is None:
            admitted = await self._admit_new(submission, fingerprint, facts)
        log.info(
            "document admitted",
            extra={
                "pages": admitted.pages_total,
                "bytes": size,
                "duplicate": admitted.duplicate_of is not None,
            },
        )
        return admitted

    async def _admit_new(
        self, submission: Submission, fingerprint: str, facts: dict[str, str]
    ) -> Admitted:
        with _storing():
            room = await asyncio.to_thread(self._blobs.room_bytes)
        if int(facts["size"]) > room:
            raise JobRefused(ErrorCode.BUSY, "The document store is full. Try again later.")
        await self._refuse_if_full(submission.user)
        password = submission.options.password
        with tracing.span("inspect"):
            inspection = await self._inspector.inspect(
                submission.file, password.get_secret_value() if password else None
            )
        work = self._work(inspection, submission.options, facts["options"])
        blob = source_name(submission.user, submission.task, fingerprint)
        with tracing.span("store"), _storing():
            await asyncio.to_thread(self._blobs.put_file, blob, submission.file)
        ahead, seconds = await self._forecast.of(submission.user, work)
        call = self._ledger.admit(
            submission.user,
            submission.task,
            fingerprint=fingerprint,
            chunks=work.chunks,
            facts={**facts, "blob": blob, "kind": work.kind, "page_ms": str(work.page_ms)},
            submitted_body=submitted_body(submission.task, work.pages, ahead, seconds),
            deadline_seconds=self._settings.job_deadline_seconds,
            limits=self._limits,
        )
        try:
            with tracing.span("admit", {"chunks": len(work.chunks)}):
                admission = await run_async(self._client, call)
        except Conflict:
            await asyncio.to_thread(self._blobs.delete, blob)
            raise
        except Full as full:
            await asyncio.to_thread(self._blobs.delete, blob)
            raise await self._busy(full.limit) from full
        await self._bell.ring(Pool.OCR, admission.permits)
        return Admitted(work.pages, admission.duplicate_of, ahead, seconds)

    def _work(self, inspection: Inspection, options: JobOptions, resolved: str) -> Work:
        ranges = parse_page_ranges(options.pages) if options.pages else None
        pages = selected_pages(inspection.pages, ranges)
        if not pages:
            raise JobRefused(ErrorCode.PDF_EMPTY)
        by_ocr = json.loads(resolved).get("text_source") == "ocr"
        return work_of(inspection.hints, pages, self._cutting, by_ocr)

    def _resolved(self, options: JobOptions) -> str:
        """The options as they will be used, defaults filled in, canonical: part of the identity."""
        used = options.model_dump(exclude_none=True)
        used.setdefault("text_source", self._settings.text_source)
        return json.dumps(used, sort_keys=True)

    async def _known(self, submission: Submission, fingerprint: str) -> Admitted | None:
        """The job that is there already: a repeated submission need not be inspected again."""
        names = submission.user, submission.task
        pipe = self._client.pipeline(transaction=False)
        pipe.hmget(self._keys.job(*names), ["fingerprint", "state", "pages_total"])
        pipe.exists(self._keys.forgetting(*names))
        fields, forgetting = await pipe.execute()
        known, state, pages = fields  # bytes, or None each
        if known is None or state is None or pages is None:
            if forgetting:
                raise JobRefused(ErrorCode.BUSY, _FORGETTING, _FORGETTING_RETRY_SECONDS)
            return None
        if known.decode() != fingerprint:
            raise Conflict
        was = JobState(state.decode())
        if was in OPEN_JOB_STATES:
            return Admitted(int(pages), was, pages_ahead=None, estimated_seconds=None)
        return Admitted(int(pages), was)

    async def _refuse_if_full(self, user: UserId) -> None:
        """Before the work of an inspection; the admission itself decides again, for good."""
        pipe = self._client.pipeline(transaction=False)
        pipe.hget(self._keys.load(Pool.OCR), "waiting")
        pipe.hget(self._keys.backlog(Pool.OCR), f"pages:{user}")
        pipe.hget(self._keys.open_users(), user)
        counts = [int(count or 0) for count in await pipe.execute()]
        most = (self._limits.pages, self._limits.user_pages, self._limits.user_tasks)
        for limit, count, allowed in zip(_FULL, counts, most, strict=True):
            if count >= allowed:
                raise await self._busy(limit)

    async def _busy(self, limit: str) -> JobRefused:
        """`busy`, with the time in which a tenth of what waits will be done."""
        seconds = await self._forecast.backlog_seconds() / 10
        wait = min(_MOST_RETRY_SECONDS, max(_LEAST_RETRY_SECONDS, seconds))
        return JobRefused(ErrorCode.BUSY, _FULL[limit], wait)


@contextmanager
def _storing() -> Iterator[None]:
    """What the store cannot do now is to be tried again, by the client."""
    try:
        yield
    except (BlobsUnavailable, OSError) as error:
        log.error("documents cannot be stored", extra={"error": error})
        raise JobRefused(ErrorCode.BUSY, STORE_AWAY) from error


def _hash(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(_HASH_BYTES):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
