"""What keeps promises when nobody else does: rings, brings back, gives up, counts anew.

It runs in every gateway; a Redis lease lets one act at a time, the others only read for metrics.
"""

import asyncio
import json
import logging
import math
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
from redis.exceptions import ResponseError

from ocrplus_contract import tracing
from ocrplus_contract.errors import ErrorCode
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Ledger, run_async
from ocrplus_contract.names import GROUP, Permit, Pool, TaskId, UserId
from ocrplus_contract.settings import GatewaySettings
from ocrplus_contract.states import JobState
from ocrplus_gateway.admission import Bell
from ocrplus_gateway.cancellation import ended
from ocrplus_gateway.jobs import working_for
from ocrplus_gateway.metrics import GIVEN_UP, GatewayMetrics
from ocrplus_gateway.retention import Sweeper

log = logging.getLogger(__name__)

_MOST_AT_ONCE: Final = 100
_RESYNC_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class QueueReading:
    """A pool's queue; `waiting_chunks` None means unknown, which is never taken for zero."""

    waiting_chunks: int | None
    inflight_chunks: int
    waiting_pages: int
    doorbells: int
    oldest_seconds: float
    expired: int = 0
    poisoned: int = 0


def missing_doorbells(reading: QueueReading) -> int:
    """How often to ring: once for each waiting chunk that has no doorbell.

    A bounded number a round: copies of a picture that gave way are turned away again until its
    description is there.
    """
    if reading.waiting_chunks is None:
        return 0
    return min(_MOST_AT_ONCE, max(0, reading.waiting_chunks - reading.doorbells))


class Reconciler:
    """One gateway's part in it."""

    def __init__(
        self,
        settings: GatewaySettings,
        client: "redis.asyncio.Redis",
        broker: "redis.asyncio.Redis",
        bell: Bell,
        sweeper: Sweeper,
        metrics: GatewayMetrics,
    ) -> None:
        self._sweeper = sweeper
        self._swept = time.monotonic()
        self._sweeping: asyncio.Task[None] | None = None
        self._settings = settings
        self._client = client
        self._broker = broker  # where Celery's queues are: often, not always, the same server
        self._bell = bell
        self._metrics = metrics
        self._keys = Keys(settings.key_prefix)
        self._ledger = Ledger(settings.key_prefix, settings.result_ttl_seconds)
        self._name = secrets.token_hex(8)
        self.leading = False
        self._resynced = -_RESYNC_SECONDS  # at once: a restarted server may have lost the lag

    async def run(self) -> None:
        """Look after things until cancelled."""
        try:
            while True:
                try:
                    await self.once()
                except Exception:  # the outermost loop: without it nobody would bring work back
                    log.warning("reconciliation failed; it is tried again", exc_info=True)
                    self._metrics.queue_unknown()
                await asyncio.sleep(self._settings.reconcile_seconds)
        finally:
            if self._sweeping is not None:
                await ended(self._sweeping)

    async def once(self) -> None:
        """One round."""
        try:
            self.leading = await self._leads()
        except ResponseError as refused:  # full, or a replica: what it holds can be read
            self.leading = False
            log.warning("nobody reconciles: a write is refused", extra={"error": refused})
        if self.leading:
            for pool in Pool:
                await self._bring_back(pool)
            await self._give_up()
            if time.monotonic() - self._resynced > _RESYNC_SECONDS:
                await self._resync()
        if time.monotonic() - self._swept > self._settings.sweep_seconds:
            self._swept = time.monotonic()
            if self._sweeping is None or self._sweeping.done():
                self._sweeping = asyncio.create_task(self._sweep())
        await self._count_captions()
        for pool in Pool:
            reading = await self.read(pool)
            self._export(pool, reading)
            if self.leading and (count := missing_doorbells(reading)) and await self._leads():
                log.info(
                    "ringing doorbells that were missing", extra={"pool": pool, "count": count}
                )
                await self._bell.ring(pool, count)

    async def _sweep(self) -> None:
        """Beside all else: a large bucket's listing takes longer than work may wait."""
        try:
            await self._sweeper.own()
            if self.leading:
                await self._sweeper.once()
        except Exception:  # outermost, too
            log.warning("sweeping failed; it is tried again", exc_info=True)

    async def _leads(self) -> bool:
        key, milliseconds = self._keys.reconciler(), int(self._settings.reconcile_seconds * 3000)
        if await self._client.set(key, self._name, nx=True, px=milliseconds):
            return True
        holder: Any = await self._client.get(key)
        if holder is None or holder.decode() != self._name:
            return False
        await self._client.pexpire(key, milliseconds)
        return True

    async def _bring_back(self, pool: Pool) -> None:
        """Release chunks whose owners stopped beating."""
        idle_ms = self._settings.lease_seconds * 1000
        work = self._keys.work(pool)
        try:
            idle: list[Any] = await self._client.xpending_range(
                work, GROUP, "-", "+", count=_MOST_AT_ONCE, idle=idle_ms
            )
        except ResponseError:  # nothing was ever admitted: no stream, no group
            return
        for entry in idle:
            permit = Permit(entry["message_id"].decode())
            lease: Any = await self._client.hget(self._keys.lease(pool), permit)  # bytes
            call = self._ledger.release(pool, permit, "expired", idle_ms=idle_ms)
            released = await run_async(self._client, call)
            if released.held and lease is not None:
                await self._tell_expired(pool, permit, json.loads(lease))

    async def _tell_expired(self, pool: Pool, permit: Permit, lease: dict[str, Any]) -> None:
        user, task = UserId(lease["user"]), TaskId(lease["task"])
        async with working_for(self._client, self._keys, user, task):
            tracing.broken_off(permit, lease, pool, "expired")
            log.warning(
                "a lease ran out, its chunk waits again",
                extra={
                    "pool": pool,
                    "chunk": f"{lease['first']}-{lease['last']}",
                    "page": lease["page"],
                    "worker": lease["owner"],
                },
            )

    async def _give_up(self) -> None:
        """End jobs past their deadline."""
        overdue: list[Any] = await self._client.zrange(
            self._keys.jobs_open(), "-inf", _unix(), byscore=True, offset=0, num=_MOST_AT_ONCE
        )
        for member in overdue:
            user, _, task = member.decode().partition(":")
            call = self._ledger.cancel(
                UserId(user), TaskId(task), state=JobState.FAILED, code=ErrorCode.WORKER_LOST
            )
            async with working_for(self._client, self._keys, UserId(user), TaskId(task)):
                if await run_async(self._client, call) is None:
                    await self._client.zrem(self._keys.jobs_open(), member)
                log.error("job given up: past its deadline")

    async def _resync(self) -> None:
        self._resynced = time.monotonic()
        for pool in Pool:
            drift = await run_async(self._client, self._ledger.resync(pool))
            if drift != (0, 0):
                log.warning("load counters had drifted", extra={"pool": pool, "pages": drift})

    async def read(self, pool: Pool) -> QueueReading:
        """The queue as it is now."""
        pipe = self._client.pipeline(transaction=False)
        pipe.xinfo_groups(self._keys.work(pool))
        pipe.hmget(self._keys.load(pool), "waiting", "expired", "poisoned")
        groups, counts = await pipe.execute(raise_on_error=False)
        doorbells: Any = await self._broker.llen(self._keys.queue(pool))
        pages, expired, poisoned = (int(count or 0) for count in counts)
        rings = int(doorbells)
        if isinstance(groups, ResponseError):  # no stream yet
            return QueueReading(0, 0, pages, rings, 0.0, expired, poisoned)
        if isinstance(groups, BaseException):
            raise groups
        group = next((g for g in groups if g["name"] == GROUP.encode()), None)
        if group is None:  # somebody destroyed it: /readyz and the doctor say so
            return QueueReading(None, 0, pages, rings, math.nan, expired, poisoned)
        oldest = 0.0
        if group["lag"]:
            after = f"({group['last-delivered-id'].decode()}"
            first: Any = await self._client.xrange(self._keys.work(pool), after, count=1)
            if first:
                oldest = max(0.0, _unix() - int(first[0][0].partition(b"-")[0]) / 1000)
        return QueueReading(group["lag"], group["pending"], pages, rings, oldest, expired, poisoned)

    async def _count_captions(self) -> None:
        counts = self._metrics.captions
        fields = ["late", *(f"ended:{reason}" for reason in GIVEN_UP)]
        found: Any = await self._client.hmget(self._keys.load(Pool.CAPTION), fields)
        late, *given_up = (int(count or 0) for count in found)
        counts.late, counts.given_up = late, dict(zip(GIVEN_UP, given_up, strict=True))

    def _export(self, pool: Pool, reading: QueueReading) -> None:
        waiting = reading.waiting_chunks
        self._metrics.waiting_chunks.labels(pool).set(float("nan") if waiting is None else waiting)
        self._metrics.inflight_chunks.labels(pool).set(reading.inflight_chunks)
        self._metrics.waiting_pages.labels(pool).set(reading.waiting_pages)
        self._metrics.doorbells.labels(pool).set(reading.doorbells)
        self._metrics.oldest.labels(pool).set(reading.oldest_seconds)
        self._metrics.counts.expired[pool] = reading.expired
        self._metrics.counts.poisoned[pool] = reading.poisoned


def _unix() -> float:
    return time.time()
