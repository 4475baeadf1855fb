"""The content cache: what the same engine has read for a user already is not read again."""

import asyncio
import json
import logging
from dataclasses import dataclass

import redis.asyncio

from ocrplus_contract.blobs import BlobStore, figure_name
from ocrplus_contract.errors import BlobMissing, BlobsUnavailable
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Ledger, run_async
from ocrplus_contract.names import TaskId, UserId
from ocrplus_contract.records import PageRecord
from ocrplus_gateway.jobs import Jobs
from ocrplus_gateway.submission import Admitted

log = logging.getLogger(__name__)


def submitted_body(task: TaskId, pages: int, ahead: int, seconds: float) -> str:
    """The `submitted` event."""
    return json.dumps(
        {
            "type": "submitted",
            "task_id": task,
            "pages_total": pages,
            "queue_pages_ahead": ahead,
            "estimated_seconds": seconds,
            "duplicate": False,
        }
    )


@dataclass(frozen=True, slots=True)
class Reuse:
    """Makes a new job from what another one of the same content has."""

    client: "redis.asyncio.Redis"
    keys: Keys
    ledger: Ledger
    blobs: BlobStore

    async def attempt(
        self, user: UserId, task: TaskId, fingerprint: str, facts: dict[str, str]
    ) -> Admitted | None:
        """Admit and end the job at once, if its content was read before; None where it was not.

        Raises:
            Conflict: the task_id stands for other content.
        """
        source = await self._source(user, facts["content"])
        if source is None:
            return None
        jobs = Jobs(self.client, self.keys, self.ledger, self.blobs)
        begins = await jobs.begins(user, source)
        pages, captions = await jobs.pages(user, source), await jobs.captions(user, source)
        try:
            await asyncio.to_thread(self._copy_figures, user, source, task, pages)
        except (BlobMissing, BlobsUnavailable):
            return None
        call = self.ledger.reuse(
            user,
            task,
            fingerprint=fingerprint,
            source=(source, begins),
            facts=facts,
            submitted_body=submitted_body(task, len(pages), 0, 0.0),
            page_bodies=[page.event_body(task) for page in pages],
            caption_bodies=[caption.event_body(task) for caption in captions],
        )
        admission = await run_async(self.client, call)
        if admission is None:
            return None
        return Admitted(len(pages), admission.duplicate_of)

    async def _source(self, user: UserId, content: str) -> TaskId | None:
        pipe = self.client.pipeline(transaction=False)
        pipe.get(self.keys.content(user, content))
        pipe.get(self.keys.engine())
        cached, engine = await pipe.execute()
        if cached is None or engine is None:
            return None
        read_by, _, task = cached.decode().rpartition(" ")
        return TaskId(task) if read_by == engine.decode() else None

    def _copy_figures(
        self, user: UserId, source: TaskId, task: TaskId, pages: list[PageRecord]
    ) -> None:
        for page in pages:
            for figure in page.figures:
                png = self.blobs.get(figure_name(user, source, figure))
                self.blobs.put(figure_name(user, task, figure), png)
