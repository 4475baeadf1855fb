"""The work of a pool in Redis: one script, one round trip a tick; and the set of pods to drain."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from ocrplus_operator.control.spec import Source
from ocrplus_operator.control.types import Reading, Unknown
from ocrplus_operator.errors import Unreadable
from ocrplus_operator.observe import sentinels
from ocrplus_operator.observe.records import reading_of

_SCRIPT: Final = files("ocrplus_operator.observe").joinpath("read.lua").read_text()
_SHA: Final = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
_MOST_MESSAGE: Final = 300  # it may quote what it found; a status of 32 KiB a sentence is refused
_SECONDS: Final = 2.0  # of a tick of three: an answer that comes later is about another time

# The narrowest first; what a person has to look at differs.
_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (exceptions.BusyLoadingError, "Loading"),
    (exceptions.AuthenticationError, "Unauthorised"),
    (exceptions.NoPermissionError, "Unauthorised"),
    (exceptions.TimeoutError, "Timeout"),
    (TimeoutError, "Timeout"),
    (exceptions.ConnectionError, "Unreachable"),
    (OSError, "Unreachable"),
)
_PREFIXES: Final = (
    ("NOAUTH", "Unauthorised"),
    ("LOADING", "Loading"),
    ("WRONGTYPE", "WrongType"),
    ("NOGROUP", "GroupMissing"),
)


class WorkSource:
    """One pool's keys on one server."""

    def __init__(
        self, url: str, source: Source, lease_seconds: int, clock: Callable[[], float] = time.time
    ) -> None:
        self.url = url
        self.source = source
        self.lease_seconds = lease_seconds
        self._clock = clock
        self._client = sentinels.client(
            url,
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            retry=Retry(NoBackoff(), 1),  # a connection that the server closed long ago
        )

    async def close(self) -> None:
        """Let the connection go."""
        await self._client.aclose()

    async def read(self) -> Reading | Unknown:
        """The work now; `Unknown` when anything of it could not be read."""
        try:
            async with asyncio.timeout(_SECONDS):
                reply = await self._evaluate()
            return reading_of(reply, self._clock())
        except Unreadable as error:
            return Unknown(error.reason, error.message[:_MOST_MESSAGE])
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            return Unknown(_reason(error), f"{type(error).__name__}: {error}"[:_MOST_MESSAGE])
        except (ValueError, TypeError, AttributeError) as error:  # a reply of another shape
            return Unknown("ReplyUnreadable", f"{type(error).__name__}: {error}"[:_MOST_MESSAGE])

    async def _evaluate(self) -> Any:
        source = self.source
        arguments = (
            source.redis.key_prefix,
            source.pool,
            source.group,
            source.celery_queue,
            str(self.lease_seconds * 1000),
        )
        try:
            return await self._client.evalsha_ro(_SHA, 0, *arguments)
        except exceptions.NoScriptError:
            # Read-only scripts are not cached by EVAL_RO on every server; this is once a restart.
            await self._client.script_load(_SCRIPT)
            return await self._client.evalsha_ro(_SHA, 0, *arguments)

    async def mark(self, *pods: str) -> None:
        """Tell pods to drain."""
        await self._client.sadd(self._drain, *pods)

    async def unmark(self, *pods: str) -> None:
        """Tell pods to go on, or forget those that are gone."""
        await self._client.srem(self._drain, *pods)

    @property
    def _drain(self) -> str:
        return f"{self.source.redis.key_prefix}drain:{self.source.pool}"


def _reason(error: Exception) -> str:
    text = str(error)
    for prefix, reason in _PREFIXES:
        if prefix in text:
            return reason
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return "ServerError"
