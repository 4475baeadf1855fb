"""How much room is left: in the Redis server's memory, and where documents are stored.

Tasks of their own beside the reconciler: that one fails with the server, and then somebody has to
say so. Two, since a store that hangs may not keep the server's outage from being told. What cannot
be read is told as unknown (NaN), never as zero.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
from redis.exceptions import RedisError

from ocrplus_contract.blobs import BlobStore
from ocrplus_gateway.metrics import GatewayMetrics

log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 5.0
_ROOM_SECONDS: Final = 15.0  # a large bucket is listed


@dataclass(frozen=True, slots=True)
class RoomWatch:
    """Looks every few seconds."""

    client: "redis.asyncio.Redis"
    blobs: BlobStore
    metrics: GatewayMetrics
    every_seconds: float = _EVERY_SECONDS

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as looking:
            looking.create_task(self._again_and_again(self.server))
            looking.create_task(self._again_and_again(self.store))

    async def _again_and_again(self, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            await look()
            await asyncio.sleep(self.every_seconds)

    async def server(self) -> None:
        """One look at the server's memory."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                memory: Any = await self.client.info("memory")
        except (RedisError, OSError, TimeoutError):
            self.metrics.redis_up.set(0)
            self._tell(math.nan, math.nan)
        else:
            self.metrics.redis_up.set(1)
            limit = memory.get("maxmemory") or memory.get("total_system_memory") or math.nan
            self._tell(memory["used_memory"], limit)

    async def store(self) -> None:
        """One look at the store's room; one that hangs is unknown, and waited for."""
        looking = asyncio.ensure_future(asyncio.to_thread(self.blobs.room_bytes))
        done, _ = await asyncio.wait({looking}, timeout=_ROOM_SECONDS)
        if not done:
            self.metrics.blob_room.set(math.nan)
        try:
            self.metrics.blob_room.set(await looking)
        except Exception:  # whatever a store's client raises; nobody else would tell
            log.warning("the store of documents does not say how much room it has", exc_info=True)
            self.metrics.blob_room.set(math.nan)

    def _tell(self, used: float, limit: float) -> None:
        self.metrics.redis_memory.set(used)
        self.metrics.redis_memory_limit.set(limit)
