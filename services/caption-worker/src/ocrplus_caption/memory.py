"""What was said of a user's pictures: the same one is asked about once, also by many at a time.

Nothing is shared between users. A description is kept as long as results are, and so is a
refusal: a picture the model will not describe is not offered to it 200 times. It goes earlier
with the last job that shows the picture.
"""

import asyncio
import base64
import json
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final  # redis-py's replies

import redis.asyncio
from pydantic import BaseModel, ConfigDict
from redis.exceptions import RedisError

from ocrplus_caption.gate import NotNow
from ocrplus_caption.picture import Picture, are_toned_alike, first_same, look_alike
from ocrplus_contract.blobs import BlobStore, figure_name
from ocrplus_contract.captions import CaptionReason, CaptionState
from ocrplus_contract.errors import BlobMissing, BlobsUnavailable
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Lease, Ledger, run_async
from ocrplus_contract.records import FigureRecord

_MOST_COMPARED: Final = 2
_KEPT: Final = (None, CaptionReason.REFUSED, CaptionReason.REJECTED)


class Remembered(BaseModel):
    """What is known of a picture."""

    model_config = ConfigDict(frozen=True)

    state: CaptionState
    caption: str | None = None
    reason: CaptionReason | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """It is ours to ask about a picture; `entries` are others of its size, described before."""

    entries: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure in hand and its picture; `terms`: model, prompt and language of its description."""

    lease: Lease
    figure: FigureRecord
    picture: Picture
    terms: str

    @property
    def name(self) -> str:
        """What the description is kept under."""
        return f"{self.terms}:{self.picture.digest}"

    @property
    def key(self) -> str:
        """The picture among those of all users."""
        return f"{self.lease.user}:{self.name}"

    @property
    def alike(self) -> str:
        """What pictures of its size are listed under."""
        return f"{self.terms}:{self.picture.shape}"


@dataclass(frozen=True, slots=True)
class Memory:
    """Descriptions by user, picture and terms."""

    client: "redis.asyncio.Redis"
    ledger: Ledger
    blobs: BlobStore
    pixels: Executor

    async def look_up(self, shown: Shown) -> Remembered | Turn | None:
        """What was said of a picture, or our turn to ask; None while another asks.

        Raises:
            NotNow: nobody wants it any more; given back, it is dropped.
        """
        call = self.ledger.call("turn", tuple, shown.lease.permit, shown.name, shown.alike)
        verdict, *found = await run_async(self.client, call)
        match verdict:
            case b"known":
                return Remembered.model_validate_json(found[0])
            case b"mine":
                return Turn(found)
            case b"closed":
                raise NotNow
        return None

    async def end_turn(self, shown: Shown, said: Remembered | None) -> None:
        """Keep what was said, if it will be said again, and let later pictures find it by its look:
        its pixels are those of the stored figure.
        """
        picture = shown.picture
        kept = said is not None and said.reason in _KEPT
        entry = {
            "digest": picture.digest,
            "tones": picture.tones,
            "look": base64.b64encode(picture.look).decode(),
            "task": shown.lease.task,
            "blob": figure_name(shown.lease.user, shown.lease.task, shown.figure),
        }
        call = self.ledger.call(
            "remember",
            bool,
            shown.lease.permit,
            shown.lease.user,
            shown.name,
            shown.alike,
            said.model_dump_json() if said is not None and kept else "",
            json.dumps(entry) if kept else "",
        )
        with suppress(RedisError):  # it ends with our lease
            await run_async(self.client, call)

    async def same_as(self, shown: Shown, turn: Turn) -> Remembered | None:
        """What was said of a picture that differs from this one by no more than rendering does."""
        picture = shown.picture
        likely = [
            entry
            for entry in map(json.loads, turn.entries)
            if {"tones", "blob"} <= entry.keys()  # an older worker's have not
            and are_toned_alike(entry["tones"], picture.tones)
        ]
        if not likely:
            return None
        same = await asyncio.get_running_loop().run_in_executor(
            self.pixels, self._first_same, picture, likely
        )
        if same is None:
            return None
        key = Keys(self.ledger.prefix).described(
            shown.lease.user, f"{shown.terms}:{same['digest']}"
        )
        raw: Any = await self.client.get(key)  # bytes
        return None if raw is None else Remembered.model_validate_json(raw)

    def _first_same(
        self, picture: Picture, entries: Sequence[dict[str, Any]]
    ) -> dict[str, Any] | None:
        looks = (base64.b64decode(entry["look"]) for entry in entries)
        alike = [entries[n] for n in islice(look_alike(picture.look, looks), _MOST_COMPARED)]
        if not alike:
            return None
        same = first_same(picture.png, (self._stored(entry["blob"]) for entry in alike))
        return None if same is None else alike[same]

    def _stored(self, name: str) -> bytes:
        try:
            return self.blobs.get(name)
        except (BlobMissing, BlobsUnavailable):  # its job may have been deleted meanwhile
            return b""
