"""What was said of a user's pictures: the same one is asked about once, also by many at a time.

Nothing is shared between users. A description is kept as long as results are, and so is a
refusal: a picture the model will not describe is not offered to it 200 times.
"""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final  # redis-py's replies

import redis.asyncio
from pydantic import BaseModel, ConfigDict
from redis.exceptions import RedisError

from ocrplus_caption.picture import Picture, UnreadablePicture, are_same, look_alike
from ocrplus_contract.blobs import BlobStore, figure_name
from ocrplus_contract.captions import CaptionReason, CaptionState
from ocrplus_contract.errors import BlobMissing, BlobsUnavailable
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Call, Ledger, run_async
from ocrplus_contract.names import Permit, TaskId, UserId
from ocrplus_contract.records import FigureRecord

_MOST_CANDIDATES: Final = 16
_MOST_COMPARED: Final = 2
_LOOK_AGAIN_SECONDS: Final = 0.2


class Remembered(BaseModel):
    """What is known of a picture."""

    model_config = ConfigDict(frozen=True)

    state: CaptionState
    caption: str | None = None
    reason: CaptionReason | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """Descriptions by user, picture and `terms`: model, prompt and language."""

    client: "redis.asyncio.Redis"
    ledger: Ledger
    blobs: BlobStore

    @property
    def keys(self) -> Keys:
        """Names of Redis keys."""
        return Keys(self.ledger.prefix)

    async def recall(self, user: UserId, digest: str, terms: str) -> Remembered | None:
        """What was said of a picture."""
        raw: Any = await self.client.get(self.keys.described(user, f"{terms}:{digest}"))
        return None if raw is None else Remembered.model_validate_json(raw)

    async def remember(
        self,
        at: tuple[UserId, TaskId, FigureRecord],
        picture: Picture,
        terms: str,
        said: Remembered,
    ) -> None:
        """Keep what was said, and let later pictures find it by its look: its pixels are those of
        the stored figure, `at` user, task and record.
        """
        user, task, figure = at
        entry = {
            "digest": picture.digest,
            "look": base64.b64encode(picture.look).decode(),
            "blob": figure_name(user, task, figure),
        }
        key = self.keys.alike(user, f"{terms}:{picture.shape}")
        pipe = self.client.pipeline(transaction=False)
        described = self.keys.described(user, f"{terms}:{picture.digest}")
        pipe.set(described, said.model_dump_json(), ex=self.ledger.ttl_seconds)
        pipe.lpush(key, json.dumps(entry))
        pipe.ltrim(key, 0, _MOST_CANDIDATES - 1)
        pipe.expire(key, self.ledger.ttl_seconds)
        await pipe.execute()

    async def same_as(self, user: UserId, picture: Picture, terms: str) -> Remembered | None:
        """What was said of a picture that differs from this one by no more than rendering does."""
        key = self.keys.alike(user, f"{terms}:{picture.shape}")
        entries: Any = await self.client.lrange(key, 0, -1)
        likely = [
            entry
            for entry in map(json.loads, entries)
            if "blob" in entry and look_alike(base64.b64decode(entry["look"]), picture.look)
        ]
        for entry in likely[:_MOST_COMPARED]:
            if await asyncio.to_thread(self._is_same, picture, entry["blob"]):
                return await self.recall(user, entry["digest"], terms)
        return None

    def _is_same(self, picture: Picture, name: str) -> bool:
        try:
            return are_same(picture.png, self.blobs.get(name))
        except (BlobMissing, BlobsUnavailable, UnreadablePicture):
            return False

    @asynccontextmanager
    async def turn(
        self, user: UserId, digest: str, terms: str, permit: Permit
    ) -> AsyncIterator[bool]:
        """Whether it is ours to ask about a picture; if not, it was waited a little."""

        def call(verb: str) -> Call[bool]:
            return self.ledger.call("turn", bool, user, f"{terms}:{digest}", permit, verb)

        if not await run_async(self.client, call("take")):
            await asyncio.sleep(_LOOK_AGAIN_SECONDS * (1 + secrets.randbelow(1000) / 1000))
            yield False
            return
        try:
            yield True
        finally:
            with suppress(RedisError):  # it ends with our lease
                await run_async(self.client, call("leave"))
