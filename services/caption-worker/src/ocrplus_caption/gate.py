"""Who may call the model now: one sliding log, one pause, one breaker for all processes of a key.

The log counts a call from its start until 60 s after its answer, so it is never looser than a
server that counts arrivals or ends over a minute.
"""

import asyncio
import hashlib
import math
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final, Literal  # redis-py's replies

import redis.asyncio

from ocrplus_caption.metrics import CaptionMetrics
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Ledger, run_async
from ocrplus_contract.names import Permit, Pool
from ocrplus_contract.settings import CaptionWorkerSettings

Verdict = Literal["ok", "limited", "failed", "fatal", "unknown"]

_MOST_WAIT_SECONDS: Final = 5.0
_LEAST_WAIT_SECONDS: Final = 0.05
_MARGIN_SECONDS: Final = 10.0
_OPEN_HOLDS_SECONDS: Final = 0.25  # a figure that meets a closed gate later goes back


class NotNow(Exception):
    """The breaker is open, or the endpoint asked for patience: the figure waits for another day."""


def endpoint_of(settings: CaptionWorkerSettings) -> str:
    """A name for what the limit applies to, endpoint and key, that gives neither away."""
    key = settings.openai_api_key
    text = f"{settings.openai_base_url}\n{key.get_secret_value() if key else ''}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(slots=True)
class Gate:
    """The way to the model."""

    client: "redis.asyncio.Redis"
    ledger: Ledger
    settings: CaptionWorkerSettings
    endpoint: str
    calls: asyncio.Semaphore
    metrics: CaptionMetrics
    _seen_open: float = -math.inf

    async def wait_until_open(self, draining: asyncio.Event) -> None:
        """Wait while nobody may call; returns early when this process is to end."""
        while not draining.is_set() and (seconds := await self._closed_for()) > 0:
            wait = min(seconds, _MOST_WAIT_SECONDS) + secrets.randbelow(500) / 1000
            try:
                async with asyncio.timeout(wait):
                    await draining.wait()
            except TimeoutError:
                continue

    async def _closed_for(self) -> float:
        if time.monotonic() - self._seen_open < _OPEN_HOLDS_SECONDS:
            return 0.0
        keys = Keys(self.ledger.prefix)
        pipe = self.client.pipeline(transaction=False)
        pipe.hmget(keys.breaker(), ["state", "until", "probe"])
        pipe.pttl(keys.pause(self.endpoint))
        pipe.time()
        reply: Any = await pipe.execute()
        (state, until, probe), pause_ms, (seconds, micros) = reply
        self.metrics.breaker(state.decode() if state else "closed")
        left = float(until) - seconds - micros / 1e6 if until else 0.0
        if state == b"half_open" and left > 0:
            # Whoever tried and holds its figure no more will not tell how it went.
            trying: Any = await self.client.hexists(keys.lease(Pool.CAPTION), probe or b"")  # bool
            left = left if trying else 0.0
        closed_for: float = max(left, pause_ms / 1000, 0.0)
        if closed_for == 0:
            self._seen_open = time.monotonic()
        return closed_for

    async def enter(self, permit: Permit) -> str:
        """Wait for a slot and take it, for the figure held under a permit; the call's name.

        Raises:
            NotNow: give the figure back, it is another's or a later turn.
        """
        call = secrets.token_hex(8)
        caption = self.settings.caption
        hold_ms = int((caption.call_seconds + 60 + _MARGIN_SECONDS) * 1000)
        probe_ms = int((caption.call_seconds + _MARGIN_SECONDS) * 1000)
        while True:
            verdict, ms = await run_async(
                self.client,
                self.ledger.call(
                    "caption_slot",
                    _slot,
                    self.endpoint,
                    call,
                    caption.requests_per_minute,
                    hold_ms,
                    probe_ms,
                    permit,
                ),
            )
            if verdict == "go":
                return call
            if verdict == "closed":
                self._seen_open = -math.inf
                raise NotNow
            wait = min(max(ms / 1000, _LEAST_WAIT_SECONDS), _MOST_WAIT_SECONDS)
            await asyncio.sleep(wait + secrets.randbelow(1000) / 2000)

    async def leave(self, call: str, verdict: Verdict, pause_seconds: float = 0) -> None:
        """Say how a call went."""
        caption = self.settings.caption
        state = await run_async(
            self.client,
            self.ledger.call(
                "caption_answer",
                bytes.decode,
                self.endpoint,
                call,
                verdict,
                int(pause_seconds * 1000),
                caption.breaker_failures,
                int(caption.breaker_seconds * 1000),
            ),
        )
        self.metrics.breaker(state)
        if verdict != "ok":
            self._seen_open = -math.inf


def _slot(reply: Any) -> tuple[str, int]:
    return reply[0].decode(), int(reply[1])
