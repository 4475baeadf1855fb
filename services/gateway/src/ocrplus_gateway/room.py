"""How much room is left: in the Redis server's memory, and where documents are stored.

A task of its own beside the reconciler: that one fails with the server, and then somebody has to
say so. What cannot be read is told as unknown (NaN), never as zero.
"""

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
from redis.exceptions import RedisError

from ocrplus_contract.blobs import BlobStore
from ocrplus_gateway.metrics import GatewayMetrics

log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class RoomWatch:
    """Looks every few seconds."""

    client: "redis.asyncio.Redis"
    blobs: BlobStore
    metrics: GatewayMetrics

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.once()
            await asyncio.sleep(_EVERY_SECONDS)

    async def once(self) -> None:
        """One look."""
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
        try:
            self.metrics.blob_room.set(await asyncio.to_thread(self.blobs.room_bytes))
        except Exception:  # whatever a store's client raises; nobody else would tell
            log.warning("the store of documents does not say how much room it has", exc_info=True)
            self.metrics.blob_room.set(math.nan)

    def _tell(self, used: float, limit: float) -> None:
        self.metrics.redis_memory.set(used)
        self.metrics.redis_memory_limit.set(limit)
