"""What jobs that are no more leave behind: files nobody can ask for, positions of nobody."""

import asyncio
import logging
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import redis.asyncio

from ocrplus_contract.blobs import BlobStore, job_prefix
from ocrplus_contract.errors import BlobsUnavailable
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import UserId
from ocrplus_gateway.session import UPLOAD_PREFIX

log = logging.getLogger(__name__)

_GRACE_SECONDS: Final = 600.0  # a document is stored before its job is admitted
_STALE_UPLOAD_SECONDS: Final = 3600.0
_AT_ONCE: Final = 500


class Sweeper:
    """Removes what expiry in Redis leaves behind elsewhere."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        keys: Keys,
        blobs: BlobStore,
        grace_seconds: float = _GRACE_SECONDS,
    ) -> None:
        self._client = client
        self._keys = keys
        self._blobs = blobs
        self._grace = grace_seconds

    async def own(self) -> None:
        """Remove what killed processes left beside this one; every gateway has its own."""
        await asyncio.to_thread(remove_stale_uploads)

    async def once(self) -> int:
        """Remove the files of jobs that are gone; how many jobs they were of."""
        try:
            removed = await self._sweep()
        except BlobsUnavailable as away:
            log.warning("files of expired tasks stay", extra={"error": away})
            removed = 0
        await self._forget_positions()
        if removed:
            log.info("files of expired tasks removed", extra={"count": removed})
        return removed

    async def _sweep(self) -> int:
        removed = 0
        stored = await asyncio.to_thread(lambda: list(self._blobs.jobs()))
        for start in range(0, len(stored), _AT_ONCE):
            jobs = stored[start : start + _AT_ONCE]
            pipe = self._client.pipeline(transaction=False)
            for job in jobs:
                pipe.exists(self._keys.job(job.user, job.task))
            for job, exists in zip(jobs, await pipe.execute(), strict=True):
                if not exists and job.age_seconds > self._grace:
                    await asyncio.to_thread(self._blobs.delete_all, job_prefix(job.user, job.task))
                    removed += 1
        return removed

    async def _forget_positions(self) -> None:
        """A position goes with the user's last job."""
        cursor, fields = 0, {}
        while True:
            reply: Any = await self._client.hscan(self._keys.last_id(), cursor, count=_AT_ONCE)
            cursor, fields = reply
            for user in fields:
                owner = UserId(user.decode())
                alive = await self._client.exists(
                    self._keys.jobs(owner), self._keys.stream(owner), self._keys.positions(owner)
                )
                if not alive:
                    await self._client.hdel(self._keys.last_id(), user)
            if not cursor:
                return


def remove_stale_uploads() -> None:
    """Remove what a killed process left in the temporary folder."""
    before = time.time() - _STALE_UPLOAD_SECONDS
    for folder in Path(tempfile.gettempdir()).glob(f"{UPLOAD_PREFIX}*"):
        try:
            stale = folder.stat().st_mtime < before
        except OSError:
            continue
        if stale:
            shutil.rmtree(folder, ignore_errors=True)
