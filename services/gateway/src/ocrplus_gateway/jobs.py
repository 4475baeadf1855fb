"""Reading jobs and results back, in the shapes of the wire."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final  # Any: JSON, and redis-py's replies

import redis.asyncio

from ocrplus_contract import logs
from ocrplus_contract.blobs import BlobStore, job_prefix
from ocrplus_contract.captions import CaptionRecord, read_captions
from ocrplus_contract.document import page_texts, settled
from ocrplus_contract.errors import BlobsUnavailable, ErrorCode, JobRefused
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Ledger, Location, run_async
from ocrplus_contract.lines import with_pictures
from ocrplus_contract.merging import merged
from ocrplus_contract.messages import ErrorObject, PageMarkdown, Result
from ocrplus_contract.names import TaskId, UserId
from ocrplus_contract.records import FigureRecord, JobRecord, PageRecord
from ocrplus_contract.states import OPEN_JOB_STATES, JobState, PageState
from ocrplus_contract.trace import TraceContext, within
from ocrplus_gateway.captions import with_captions

log = logging.getLogger(__name__)

_FIGURES: Final = "](figures/"
_FIGURE: Final = re.compile(r"p(\d{1,9})-")
_MOST_LISTED: Final = 1000


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of one deployment."""

    client: "redis.asyncio.Redis"
    keys: Keys
    ledger: Ledger
    blobs: BlobStore

    async def find(self, user: UserId, task: TaskId) -> JobRecord:
        """A user's job.

        Raises:
            JobRefused: gone if it has expired, else not_found, also for what is another user's.
        """
        record = JobRecord.from_hash(task, await self.client.hgetall(self.keys.job(user, task)))
        if record is None:
            gone = await self.client.exists(self.keys.gone(user, task))
            raise JobRefused(ErrorCode.GONE if gone else ErrorCode.NOT_FOUND)
        return record

    async def all(self, user: UserId, most: int = _MOST_LISTED, skip: int = 0) -> list[JobRecord]:
        """A user's jobs, newest first."""
        names: list[Any] = await self.client.zrevrange(self.keys.jobs(user), skip, skip + most - 1)
        tasks = [TaskId(name.decode()) for name in names]
        pipe = self.client.pipeline(transaction=False)
        for task in tasks:
            pipe.hgetall(self.keys.job(user, task))
        hashes = await pipe.execute()
        records = (JobRecord.from_hash(t, h) for t, h in zip(tasks, hashes, strict=True))
        return [record for record in records if record is not None]

    async def every(self, user: UserId) -> AsyncIterator[JobRecord]:
        """All jobs of a user, newest first, each once."""
        seen: set[str] = set()
        skip = 0
        while True:
            jobs = await self.all(user, _MOST_LISTED, skip)
            for job in jobs:
                if job.task_id not in seen:  # one that came meanwhile shifts the others
                    seen.add(job.task_id)
                    yield job
            skip += _MOST_LISTED
            if skip >= await self.client.zcard(self.keys.jobs(user)):
                return

    async def locate(self, user: UserId, epoch: str = "", seq: int | None = None) -> Location:
        """Where a position lies in a user's events; without one, the top."""
        return await run_async(self.client, self.ledger.locate(user, epoch, seq))

    async def cancel(self, user: UserId, task: TaskId) -> None:
        """End a job, if it is open.

        Raises:
            JobRefused: not_found.
        """
        call = self.ledger.cancel(user, task, state=JobState.CANCELLED, code=ErrorCode.CANCELLED)
        if await run_async(self.client, call) is None:
            raise JobRefused(ErrorCode.NOT_FOUND)

    async def begins(self, user: UserId, task: TaskId) -> str:
        """`epoch-seq` of the first event of a job; "" where there is none."""
        raw: Any = await self.client.hget(self.keys.job(user, task), "begins")  # bytes
        return raw.decode() if raw else ""

    async def pages(self, user: UserId, task: TaskId) -> list[PageRecord]:
        """A job's committed pages in order."""
        raw = await self.client.hgetall(self.keys.pages(user, task))
        return await asyncio.to_thread(_unpacked, raw)

    async def page(self, user: UserId, task: TaskId, page: int) -> PageRecord:
        """One committed page.

        Raises:
            JobRefused: not_found, also while it is not read yet.
        """
        raw: Any = await self.client.hget(self.keys.pages(user, task), str(page))  # bytes
        if raw is None:
            raise JobRefused(ErrorCode.NOT_FOUND)
        return PageRecord.unpack(raw)

    async def figure(self, user: UserId, task: TaskId, figure: str) -> FigureRecord:
        """A figure of a committed page; its id begins with the page's number, as in p3-f1.

        Raises:
            JobRefused: not_found.
        """
        numbered = _FIGURE.match(figure)
        if numbered is not None:
            page = await self.page(user, task, int(numbered[1]))
            for record in page.figures:
                if record.id == figure:
                    return record
        raise JobRefused(ErrorCode.NOT_FOUND)

    async def captions(self, user: UserId, task: TaskId) -> list[CaptionRecord]:
        """What became of a job's figures so far, in their order."""
        return read_captions(await self.client.hgetall(self.keys.captions(user, task)))

    async def waits_for_captions(self, user: UserId, task: TaskId) -> bool:
        """Whether captions may still come after a job's result."""
        fields: Any = await self.client.hmget(self.keys.job(user, task), ["state", "captions_open"])
        state, waiting = fields
        return state in (b"ok", b"partial") and int(waiting or 0) > 0

    async def described(self, user: UserId, task: TaskId) -> list[PageRecord]:
        """The pages with what was written of their figures, as results show them."""
        pages, captions = await self.pages(user, task), await self.captions(user, task)
        return await asyncio.to_thread(with_captions, pages, captions)

    async def result(
        self, user: UserId, job: JobRecord, *, figures_at: str | None = None
    ) -> Result:
        """The original `result` object; figure links point at `figures_at` if given."""
        pages = await self.described(user, TaskId(job.task_id))
        markdown = []
        for record in await asyncio.to_thread(settled, pages):
            text = page_text(record)
            if figures_at is not None and record.figures:
                text = with_pictures(text, partial(_at, figures_at))
            markdown.append(PageMarkdown(page=record.page, markdown=text))
        return Result(
            filename=f"{job.task_id}.pdf",
            elapsed_time=f"{job.elapsed_seconds or 0.0:.2f}s",
            markdown=tuple(markdown),
        )

    async def forget(self, user: UserId, task: TaskId) -> None:
        """Cancel the job if it runs, and delete all that is kept of it.

        Raises:
            JobRefused: not_found.
        """
        if not await run_async(self.client, self.ledger.forget(user, task)):
            raise JobRefused(ErrorCode.NOT_FOUND)
        try:
            await asyncio.to_thread(self.blobs.delete_all, job_prefix(user, task))
        except BlobsUnavailable as away:
            log.warning(
                "files of a deleted task stay until the store is swept",
                extra={"job_id": task, "error": away},
            )
        await self.client.delete(self.keys.forgetting(user, task))


@asynccontextmanager
async def working_for(
    client: "redis.asyncio.Redis", keys: Keys, user: UserId, task: TaskId
) -> AsyncIterator[None]:
    """What is logged inside is of this job, and in its trace."""
    raw: Any = await client.hget(keys.job(user, task), "traceparent")  # bytes
    context = TraceContext.parse((raw or b"").decode())
    with within(context, job_id=task, user=logs.hashed(user)):
        yield


def _at(folder: str, picture: str, _figure: str) -> str:
    return picture.replace(_FIGURES, f"]({folder}")


def _unpacked(raw: dict[Any, Any]) -> list[PageRecord]:
    return sorted((PageRecord.unpack(data) for data in raw.values()), key=lambda r: r.page)


def page_text(record: PageRecord) -> str:
    """A page's Markdown; a failed page keeps its place and says why."""
    if record.state is PageState.FAILED:
        return f"<!-- page {record.page} failed: {record.error} -->"
    return record.markdown


def merged_markdown(pages: list[PageRecord]) -> str:
    """The whole document: each page has its anchor, headings have the document's levels, what
    runs over a page's end is whole."""
    whole = settled(pages)
    settled_levels = any(page.levels == "document" and page.headings for page in whole)
    mark = "<!-- heading levels: document -->\n\n" if settled_levels else ""
    return f"{mark}{merged(page_texts(whole, page_text))}\n"


def is_open(job: JobRecord) -> bool:
    """Whether pages may still come."""
    return job.state in OPEN_JOB_STATES


def status(job: JobRecord) -> dict[str, Any]:
    """The status object of HTTP and of the v2 `status` reply."""
    return {
        "task_id": job.task_id,
        "status": str(job.state),
        "pages_done": job.pages_done,
        "pages_total": job.pages_total,
        "failed_pages": list(job.failed_pages),
        "error": ErrorObject.of(ErrorCode(job.error)).model_dump() if job.error else None,
        "expires_at": None if job.expires_at is None else iso(job.expires_at),
    }


def iso(unix_seconds: float) -> str:
    """A time as clients read it: UTC, to the second."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="seconds")
