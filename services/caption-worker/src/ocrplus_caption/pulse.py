"""The heartbeat of one caption worker: renews the leases in hand, writes its record, hears orders.

It beats on the loop that does the work, so a loop that hangs stops beating. A figure whose lease is
lost, or that nobody wants any more, is broken off at once: its call costs money.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
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

_LONGEST_INTERVAL_SECONDS: Final = min(2.0, WORKER_HEARTBEAT_SECONDS)  # orders should be heard soon
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
        self._interval = min(_LONGEST_INTERVAL_SECONDS, lease_seconds / 4)
        self._held: dict[Permit, Hold] = {}
        self._seconds = 0.0
        self._idle_since = time.time()
        self._started = time.monotonic()
        self._cold_start_seconds = 0.0
        self._told = False  # to drain
        self._reaching = 0  # for figures: from "may I" to the answer of the take script
        self._hurry = asyncio.Event()
        self.draining = asyncio.Event()

    async def reach(self) -> bool:
        """Whether a figure may be taken now. If so, nobody hears `drained` before `let_go`."""
        self._reaching += 1
        drain = self._keys.drain(Pool.CAPTION)
        pod = self._worker_id.rpartition(".")[0]
        self._told = bool(await self._client.sismember(drain, pod))
        return not self._told

    def let_go(self) -> None:
        """A figure was taken, and is held, or there was none."""
        self._reaching -= 1
        if self._told:
            self._hurry.set()

    def hold(self, lease: Lease) -> Hold:
        """Renew a figure's lease from now on, for the current task."""
        task = asyncio.current_task()
        assert task is not None
        hold = self._held[lease.permit] = Hold(lease, task, time.monotonic(), time.time())
        return hold

    def drop(self, hold: Hold) -> None:
        """It is in hand no more."""
        del self._held[hold.lease.permit]
        took = (time.monotonic() - hold.began) / self._concurrency
        self._seconds += (took - self._seconds) * (_SMOOTHING if self._seconds else 1)
        if not self._held:
            self._idle_since = time.time()
            if self._told:
                self._hurry.set()

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
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._hurry.wait()
            self._hurry.clear()

    async def beat(self) -> None:
        """One heartbeat: leases, record, the news that captions are to be had."""
        for hold in list(self._held.values()):
            await self._renew(hold)
        drain, pod = self._keys.drain(Pool.CAPTION), self._worker_id.rpartition(".")[0]
        told = bool(await self._client.sismember(drain, pod))
        if told != self._told:
            log.info("told to drain" if told else "told to go on", extra={"pod": pod})
        self._told = told
        record = self.record()
        pipe = self._client.pipeline(transaction=False)
        queue_record(pipe, self._keys, Pool.CAPTION, self._worker_id, record)
        pipe.zadd(self._keys.workers(Pool.CAPTION), {self._worker_id: time.time()})
        pipe.set(self._keys.captioner(), self._captioner, ex=self._ledger.ttl_seconds)
        pipe.hget(self._keys.breaker(), "state")
        *_, breaker = await pipe.execute()
        # All workers share it; one that is idle would go on telling what it saw last.
        self._metrics.breaker(breaker.decode() if breaker else "closed")
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
        if self._told or self.draining.is_set():
            holds = oldest is not None or self._reaching > 0
            state = WorkerState.DRAINING if holds else WorkerState.DRAINED
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
