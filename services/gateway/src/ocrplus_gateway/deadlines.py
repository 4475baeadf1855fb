"""Results that wait for captions: ended when their time is over, twice a second by who leads.

The deadlines lie in Redis, so whichever gateway leads next goes on with them.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final  # redis-py's replies

import redis.asyncio
from redis.exceptions import RedisError

from ocrplus_contract.captions import settle
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Ledger, run_async
from ocrplus_contract.names import TaskId, UserId
from ocrplus_gateway.jobs import working_for

log = logging.getLogger(__name__)

_SECONDS: Final = 0.5
_MOST_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class CaptionDeadlines:
    """Looks after waiting results while `leads` says so."""

    client: "redis.asyncio.Redis"
    keys: Keys
    ledger: Ledger
    leads: Callable[[], bool]

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await asyncio.sleep(_SECONDS)
            if not self.leads():
                continue
            try:
                await self.once()
            except (RedisError, OSError):
                log.warning("caption deadlines could not be read; they are again", exc_info=True)

    async def once(self) -> int:
        """End what is due; how many jobs were settled."""
        pipe = self.client.pipeline(transaction=False)
        pipe.hmget(self.keys.breaker(), ["state", "until"])
        pipe.time()
        reply: Any = await pipe.execute()
        (state, until), (seconds, micros) = reply
        now = seconds + micros / 1e6  # the clock by which the deadlines were written
        nobody_answers = state in (b"open", b"half_open") and float(until or 0) > now
        settled = 0
        for key, latest in (
            (self.keys.caption_deadlines(), "+inf" if nobody_answers else now),
            (self.keys.late_captions(), now),
        ):
            due: list[Any] = await self.client.zrange(
                key, "-inf", latest, byscore=True, offset=0, num=_MOST_AT_ONCE
            )
            for member in due:
                user, _, task = member.decode().partition(":")
                async with working_for(self.client, self.keys, UserId(user), TaskId(task)):
                    call = settle(self.ledger, UserId(user), TaskId(task))
                    end = await run_async(self.client, call)
                    log.info("captions were not waited for any longer", extra={"end": end})
                settled += 1
        return settled
