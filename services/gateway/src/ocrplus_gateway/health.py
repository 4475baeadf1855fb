"""Is the gateway able to do its work? `/readyz` says which part is not, and why."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from ocrplus_contract.blobs import BlobStore
from ocrplus_contract.errors import BlobsUnavailable
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool
from ocrplus_contract.records import WorkerRecord
from ocrplus_contract.server import unfit_because
from ocrplus_gateway.session import Sessions

_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Health:
    """Looks at what the gateway depends on."""

    client: "redis.asyncio.Redis"
    keys: Keys
    blobs: BlobStore
    sessions: Sessions

    async def problems(self) -> dict[str, str]:
        """Part → why it is not ready; empty when all is well."""
        found: dict[str, str] = {}
        if self.sessions.draining:
            found["gateway"] = "shutting down"
        try:
            async with asyncio.timeout(_SECONDS):
                info: Any = await self.client.info()
        except (RedisError, OSError, TimeoutError) as error:
            found["redis"] = f"no answer ({type(error).__name__}): check OCRPLUS_REDIS_URL"
        else:
            unfit = unfit_because(info)
            if unfit:
                found["redis"] = unfit
        try:
            await asyncio.to_thread(self.blobs.check)
        except BlobsUnavailable as error:
            found["blobs"] = str(error)
        except (RedisError, OSError) as error:
            found["blobs"] = f"{type(error).__name__}: check OCRPLUS_BLOB_URL"
        return found

    async def workers(self) -> dict[str, int]:
        """OCR workers by state."""
        members: list[Any] = await self.client.zrange(self.keys.workers(Pool.OCR), 0, -1)
        states: Counter[str] = Counter()
        for member in members:
            fields = await self.client.hgetall(self.keys.worker(Pool.OCR, member.decode()))
            record = WorkerRecord.from_hash(fields)
            if record is None:  # it stopped beating: the record has expired
                await self.client.zrem(self.keys.workers(Pool.OCR), member)
            else:
                states[str(record.state)] += 1
        return dict(states)
