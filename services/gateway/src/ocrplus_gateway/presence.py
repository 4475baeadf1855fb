"""This process's name in Redis, there while it lives: what died is told apart from what is slow."""

import asyncio
import logging
import secrets
import time
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from ocrplus_contract.heartbeat import own_version
from ocrplus_contract.keys import Keys

log = logging.getLogger(__name__)

_TTL_SECONDS: Final = 30
_BEAT_SECONDS: Final = 5
_FORGOTTEN_SECONDS: Final = 3600  # clocks of gateways may differ; the key above decides


class Presence:
    """Says that this process lives."""

    def __init__(self, client: "redis.asyncio.Redis", keys: Keys) -> None:
        self.name = secrets.token_hex(8)
        self._client = client
        self._key = keys.gateway(self.name)
        self._all = keys.gateways()

    async def run(self) -> None:
        """Say so until cancelled."""
        while True:
            try:
                await self._beat()
            except (RedisError, OSError) as error:
                log.warning("cannot say that this gateway lives", extra={"error": error})
            await asyncio.sleep(_BEAT_SECONDS)

    async def _beat(self) -> None:
        now = time.time()
        pipe = self._client.pipeline(transaction=False)
        pipe.set(self._key, own_version(), ex=_TTL_SECONDS)
        pipe.zadd(self._all, {self.name: now})
        pipe.zremrangebyscore(self._all, "-inf", now - _FORGOTTEN_SECONDS)
        pipe.expire(self._all, _FORGOTTEN_SECONDS)
        await pipe.execute()

    async def stop(self) -> None:
        """Say that it has ended."""
        pipe = self._client.pipeline(transaction=False)
        pipe.delete(self._key)
        pipe.zrem(self._all, self.name)
        await pipe.execute()
