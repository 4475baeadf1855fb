"""The heartbeat of one caption worker: renews the leases of all figures in hand, writes its record.

It beats on the loop that does the work, so a loop that hangs stops beating. A figure whose lease is
lost, or that nobody wants any more, is broken off at once: its call costs money.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import redis
import redis.asyncio

from ocrplus_caption.metrics import CaptionMetrics
from ocrplus_contract.errors import LeaseLost
from ocrplus_contract.heartbeat import queue_forgetting, queue_record
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Lease, Ledger, run_async
from ocrplus_contract.names import Permit, Pool
from ocrplus_contract.records import WORKER_HEARTBEAT_SECONDS, WorkerRecord
from ocrplus_contract.states import WorkerState

log = logging.getLogger(__name__)

_SMOOTHING: Final = 0.1  # weight of the newest figure in seconds per figure


@dataclass(slots=True)
class Hold:
    """A figure in hand."""

    lease: Lease
    task: "asyncio.Task[object]"
    began: float
    began_unix: float
    lost: bool = False


class Pulse:
    """State of one worker as others see it."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        ledger: Ledger,
        worker_id: str,
        *,
        lease_seconds: float,
        captioner: str,
        metrics: CaptionMetrics,
        concurrency: int,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._keys = Keys(ledger.prefix)
        self._worker_id = worker_id
        self._captioner = captioner
        self._metrics = metrics
        self._concurrency = concurrency
        self._interval = min(WORKER_HEARTBEAT_SECONDS, lease_seconds / 4)
        self._held: dict[Permit, Hold] = {}
        self._seconds = 0.0
        self._idle_since = time.time()
        self._started = time.monotonic()
        self._cold_start_seconds = 0.0
        self.draining = asyncio.Event()

    @contextmanager
    def holding(self, lease: Lease) -> Iterator[Hold]:
        """Renew a figure's lease while the block runs in the current task."""
        task = asyncio.current_task()
        assert task is not None
        hold = Hold(lease, task, time.monotonic(), time.time())
        self._held[lease.permit] = hold
        try:
            yield hold
        finally:
            del self._held[lease.permit]
            took = (time.monotonic() - hold.began) / self._concurrency
            self._seconds += (took - self._seconds) * (_SMOOTHING if self._seconds else 1)
            if not self._held:
                self._idle_since = time.time()

    async def run(self, on_beat: Callable[[], None]) -> None:
        """Beat until cancelled."""
        self._cold_start_seconds = time.monotonic() - self._started
        while True:
            try:
                await self.beat()
                on_beat()
            except redis.RedisError:
                log.warning(
                    "heartbeat failed; the figures in hand are taken again if this goes on",
                    exc_info=True,
                )
            await asyncio.sleep(self._interval)

    async def beat(self) -> None:
        """One heartbeat: leases, record, the news that captions are to be had."""
        for hold in list(self._held.values()):
            await self._renew(hold)
        record = self.record()
        pipe = self._client.pipeline(transaction=False)
        queue_record(pipe, self._keys, Pool.CAPTION, self._worker_id, record)
        pipe.zadd(self._keys.workers(Pool.CAPTION), {self._worker_id: time.time()})
        pipe.set(self._keys.captioner(), self._captioner, ex=self._ledger.ttl_seconds)
        await pipe.execute()
        oldest = min((hold.began for hold in self._held.values()), default=None)
        self._metrics.beat(record.state, time.monotonic() - oldest if oldest is not None else 0.0)

    async def _renew(self, hold: Hold) -> None:
        try:
            wanted = await run_async(
                self._client, self._ledger.renew(Pool.CAPTION, hold.lease.permit)
            )
        except LeaseLost:
            wanted, hold.lost = False, True
        if not wanted and hold.lease.permit in self._held:
            hold.task.cancel()

    def break_off(self) -> None:
        """Cancel everything in hand: the process is to end."""
        for hold in self._held.values():
            hold.task.cancel()

    @property
    def busy(self) -> bool:
        """Whether any figure is in hand."""
        return bool(self._held)

    def record(self) -> WorkerRecord:
        """The worker's record: the oldest figure in hand stands for all."""
        oldest = min(self._held.values(), key=lambda hold: hold.began, default=None)
        state = WorkerState.BUSY if oldest else WorkerState.IDLE
        if self.draining.is_set():
            state = WorkerState.DRAINING if oldest else WorkerState.DRAINED
        lease = oldest.lease if oldest else None
        return WorkerRecord(
            pod=self._worker_id.rpartition(".")[0],
            pid=os.getpid(),
            state=state,
            chunk=f"{lease.task}/{lease.first}-{lease.last}" if lease else "",
            page=lease.first if lease else 0,
            page_started_at=oldest.began_unix if oldest else 0.0,
            chunk_started_at=oldest.began_unix if oldest else 0.0,
            pages_left=len(self._held),
            seconds_per_page=self._seconds,
            cold_start_seconds=self._cold_start_seconds,
            idle_since=0.0 if oldest else self._idle_since,
        )

    async def forget(self) -> None:
        """Remove the record: this worker ended in order."""
        pipe = self._client.pipeline(transaction=False)
        queue_forgetting(pipe, self._keys, Pool.CAPTION, self._worker_id)
        await pipe.execute()
