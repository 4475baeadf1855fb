"""Reads from Redis what an estimate needs, and makes it."""

import json
from dataclasses import dataclass
from typing import Any  # redis-py's replies

import redis.asyncio

from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool, UserId
from ocrplus_contract.records import WorkerRecord
from ocrplus_contract.states import WorkerState
from ocrplus_gateway.chunking import Work
from ocrplus_gateway.eta import Queue, Workers, estimated_seconds, pace


@dataclass(frozen=True, slots=True)
class Forecast:
    """Estimates for new documents."""

    client: "redis.asyncio.Redis"
    keys: Keys

    async def of(self, user: UserId, work: Work) -> tuple[int, float]:
        """Pages before a document, and seconds from now to its end."""
        backlog, load, leases = await self._read()
        workers = await self._workers()
        waiting = {
            name.removeprefix("ms:"): ms / 1000
            for name, ms in backlog.items()
            if name.startswith("ms:")
        }
        own = waiting.pop(user, 0.0)
        kind_pace = pace(load.items(), work.kind)
        queue = Queue(own, tuple(waiting.values()), await self._in_flight(leases))
        seconds = estimated_seconds(work.seconds, len(work.chunks), queue, workers) * kind_pace
        ahead = int(max(0, load.get("waiting", 0)) + max(0, load.get("inflight", 0)))
        return ahead, round(seconds, 1)

    async def backlog_seconds(self) -> float:
        """Seconds until what waits now is done."""
        backlog, load, _ = await self._read()
        waiting = sum(ms for name, ms in backlog.items() if name.startswith("ms:")) / 1000
        workers = await self._workers()
        return waiting * pace(load.items(), "text") / max(1, workers.ready)

    async def _read(self) -> tuple[dict[str, float], dict[str, float], list[dict[str, Any]]]:
        pipe = self.client.pipeline(transaction=False)
        pipe.hgetall(self.keys.backlog(Pool.OCR))
        names = [f"{sum_}:{kind}" for sum_ in ("spent", "planned") for kind in ("text", "ocr")]
        names += ["waiting", "inflight"]
        pipe.hmget(self.keys.load(Pool.OCR), names)
        pipe.hvals(self.keys.lease(Pool.OCR))
        backlog, load, leases = await pipe.execute()
        return (
            {name.decode(): float(value) for name, value in backlog.items()},
            {name: float(value) for name, value in zip(names, load, strict=True) if value},
            [json.loads(lease) for lease in leases],
        )

    async def _in_flight(self, leases: list[dict[str, Any]]) -> float:
        pipe = self.client.pipeline(transaction=False)
        for lease in leases:
            pipe.hget(self.keys.job(lease["user"], lease["task"]), "page_ms")
        page_ms = await pipe.execute()
        seconds = [
            float(lease["left"]) * int(ms or 0) / 1000
            for lease, ms in zip(leases, page_ms, strict=True)
        ]
        return sum(seconds)

    async def _workers(self) -> Workers:
        members: list[Any] = await self.client.zrange(self.keys.workers(Pool.OCR), 0, -1)
        pipe = self.client.pipeline(transaction=False)
        for member in members:
            pipe.hgetall(self.keys.worker(Pool.OCR, member.decode()))
        found = [WorkerRecord.from_hash(fields) for fields in await pipe.execute()]
        records = [record for record in found if record is not None]
        starts = [r.cold_start_seconds for r in records if r.cold_start_seconds]
        return Workers(
            ready=sum(r.state in (WorkerState.IDLE, WorkerState.BUSY) for r in records),
            warming=sum(r.state is WorkerState.WARMING for r in records),
            start_seconds=max(starts, default=None),
        )
