"""Is the gateway able to do its work? `/readyz` says of each part whether it is, and why not.

Looks run side by side, each with its time, so that an answer comes before the kubelet gives up. A
look that hangs in a thread (a dead network volume) is waited for again by the next probe, not
started anew: threads would run out.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from ocrplus_contract.blobs import BlobStore
from ocrplus_contract.errors import BlobsUnavailable
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import GROUP, Pool
from ocrplus_contract.records import WorkerRecord
from ocrplus_contract.server import unfit_because
from ocrplus_contract.states import PartCode
from ocrplus_gateway.hub import Hub
from ocrplus_gateway.sessions import Sessions
from ocrplus_gateway.trial import InspectionTrial

_SECONDS: Final = 3.0
_STORE_SECONDS: Final = 3.5  # its own limit is 3: its reason is better than ours


@dataclass(frozen=True, slots=True)
class Part:
    """Whether a part can do its work; a code other than ok may be no reason to stand aside."""

    ready: bool = True
    code: PartCode = PartCode.OK
    reason: str = ""


_UNKNOWN: Final = Part(reason="not looked at: the server does not answer")


class Health:
    """Looks at what the gateway depends on."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        keys: Keys,
        blobs: BlobStore,
        hub: Hub,
        sessions: Sessions,
        trial: InspectionTrial,
        *,
        store_seconds: float = _STORE_SECONDS,
    ) -> None:
        self._store_seconds = store_seconds
        self._client = client
        self._keys = keys
        self._blobs = blobs
        self._hub = hub
        self._sessions = sessions
        self._trial = trial
        self._checking: asyncio.Future[None] | None = None

    async def parts(self) -> dict[str, Part]:
        """Every part."""
        looks: dict[str, Awaitable[Part]] = {
            "gateway": self._gateway(),
            "redis": self._in_time(self._server()),
            "hub": self._events(),
            "queues": self._in_time(self._queues()),
            "blobs": self._store(),
            "inspection": self._inspection(),
        }
        return dict(zip(looks, await asyncio.gather(*looks.values()), strict=True))

    async def _in_time(self, look: Awaitable[Part]) -> Part:
        try:
            async with asyncio.timeout(_SECONDS):
                return await look
        except TimeoutError:
            reason = f"no answer within {_SECONDS:g} s: check OCRPLUS_REDIS_URL and the server"
            return Part(False, PartCode.NO_ANSWER, reason)

    async def _gateway(self) -> Part:
        if self._sessions.draining:
            return Part(False, PartCode.DRAINING, "shutting down")
        return Part()

    async def _server(self) -> Part:
        try:
            info: Any = await self._client.info()
        except (AuthenticationError, NoPermissionError):
            reason = "the password or user of OCRPLUS_REDIS_URL is not accepted"
            return Part(False, PartCode.ACCESS_DENIED, reason)
        except BusyLoadingError:
            return Part(False, PartCode.LOADING, "the server is loading its data: wait")
        except (RedisError, OSError) as error:
            reason = f"no answer ({type(error).__name__}): check OCRPLUS_REDIS_URL"
            return Part(False, PartCode.NO_ANSWER, reason)
        unfit = unfit_because(info)
        return Part() if unfit is None else Part(False, PartCode.UNFIT, unfit)

    async def _events(self) -> Part:
        silence = await self._hub.silence()
        if silence <= self._hub.longest_silence:
            return Part()
        reason = f"nothing was heard from Redis for {silence:.0f} s: clients get no events"
        return Part(False, PartCode.NO_EVENTS, reason)

    async def _queues(self) -> Part:
        pipe = self._client.pipeline(transaction=False)
        for pool in Pool:
            pipe.xinfo_groups(self._keys.work(pool))
        try:
            replies = await pipe.execute(raise_on_error=False)
        except (RedisError, OSError):
            return _UNKNOWN  # `redis` says so
        found = Part()
        for pool, groups in zip(Pool, replies, strict=True):
            if isinstance(groups, ResponseError):  # nothing was ever admitted
                continue
            if isinstance(groups, Exception):
                return _UNKNOWN
            group = next((g for g in groups if g["name"] == GROUP.encode()), None)
            if group is None:
                reason = f"the stream of pool {pool} has no consumer group: nothing can be taken"
                return Part(False, PartCode.GROUP_MISSING, reason)
            if group["lag"] is None:
                reason = f"how much waits in pool {pool} is unknown; it is served all the same"
                found = Part(True, PartCode.LAG_UNKNOWN, reason)
        return found

    async def _store(self) -> Part:
        if self._checking is None:
            self._checking = asyncio.ensure_future(asyncio.to_thread(self._blobs.check))
        checking = self._checking
        done, _ = await asyncio.wait({checking}, timeout=self._store_seconds)
        if not done:
            reason = "the store of documents does not answer: check OCRPLUS_BLOB_URL"
            return Part(False, PartCode.NO_ANSWER, reason)
        self._checking = None
        try:
            await checking
        except BlobsUnavailable as error:
            return Part(False, PartCode.STORE_UNAVAILABLE, str(error))
        except (RedisError, OSError) as error:
            reason = f"{type(error).__name__}: check OCRPLUS_BLOB_URL"
            return Part(False, PartCode.STORE_UNAVAILABLE, reason)
        return Part()

    async def _inspection(self) -> Part:
        problem = await self._trial.problem()
        return Part() if problem is None else Part(False, PartCode.INSPECTION_FAILS, problem)

    async def workers(self) -> dict[str, int]:
        """OCR workers by state."""
        members: list[Any] = await self._client.zrange(self._keys.workers(Pool.OCR), 0, -1)
        states: Counter[str] = Counter()
        for member in members:
            fields = await self._client.hgetall(self._keys.worker(Pool.OCR, member.decode()))
            record = WorkerRecord.from_hash(fields)
            if record is None:  # it stopped beating: the record has expired
                await self._client.zrem(self._keys.workers(Pool.OCR), member)
            else:
                states[str(record.state)] += 1
        return dict(states)
