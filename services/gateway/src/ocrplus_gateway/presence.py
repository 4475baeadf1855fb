"""This process's name in Redis, there while it lives: what died is told apart from what is slow."""

import asyncio
import logging
import secrets
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from ocrplus_contract.keys import Keys

log = logging.getLogger(__name__)

_TTL_SECONDS: Final = 30
_BEAT_SECONDS: Final = 5


class Presence:
    """Says that this process lives."""

    def __init__(self, client: "redis.asyncio.Redis", keys: Keys) -> None:
        self.name = secrets.token_hex(8)
        self._client = client
        self._key = keys.gateway(self.name)

    async def run(self) -> None:
        """Say so until cancelled."""
        while True:
            try:
                await self._client.set(self._key, 1, ex=_TTL_SECONDS)
            except (RedisError, OSError) as error:
                log.warning("cannot say that this gateway lives", extra={"error": error})
            await asyncio.sleep(_BEAT_SECONDS)

    async def stop(self) -> None:
        """Say that it has ended."""
        await self._client.delete(self._key)
