"""One server behind Redis Sentinel: `redis+sentinel://:password@host:26379,host:26379/master/0`.

A scheme of our own, since there is no common one: everything that a process must know stays in one
URL, and so in one Secret. The sentinels are asked who the master is whenever a connection is made,
so a failover looks like a restart of the server to everything above. (redis-py 8.1 asks only for
new connections: one that breaks goes on knocking at the dead master's door, hence the classes.)
"""

from dataclasses import dataclass
from typing import Any, Final, Self  # Any: options of redis-py
from urllib.parse import parse_qs, quote, unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.sentinel  # its classes are untyped
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

SCHEME: Final = "redis+sentinel"
PORT: Final = 26379


class BadSentinelUrl(ValueError):
    """The URL lacks a part; the message does not repeat it, since it holds a password."""


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Where the sentinels are, what the master is called and how it is spoken to."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    database: int
    username: str | None
    password: str | None
    sentinel_password: str | None

    @classmethod
    def of(cls, url: str) -> Self | None:
        """Read a URL; None when it names a server itself.

        Raises:
            BadSentinelUrl: a host or the master's name is missing.
        """
        parts = urlsplit(url)
        if parts.scheme != SCHEME:
            return None
        user, _, places = parts.netloc.rpartition("@")
        username, _, password = user.partition(":")
        master, _, database = parts.path.strip("/").partition("/")
        hosts = tuple(_host(place) for place in places.split(",") if place)
        if not hosts or not master or not (database or "0").isdigit():
            raise BadSentinelUrl(f"{SCHEME}:// needs hosts by commas, /MASTER and perhaps /NUMBER")
        return cls(
            hosts,
            master,
            int(database or 0),
            unquote(username) or None,
            unquote(password) or None,
            next(iter(parse_qs(parts.query).get("sentinel_password", [])), None),
        )

    @property
    def server_options(self) -> dict[str, Any]:
        """What a connection to the master itself needs."""
        return {"db": self.database, "username": self.username, "password": self.password}

    @property
    def broker_url(self) -> str:
        """The same for Celery, which knows the master's name from `broker_options`."""
        user = ":".join(quote(part or "", safe="") for part in (self.username, self.password))
        user = "" if user == ":" else user + "@"
        return ";".join(
            f"sentinel://{user}{host}:{port}/{self.database}" for host, port in self.hosts
        )

    @property
    def broker_options(self) -> dict[str, Any]:
        """Celery's transport options."""
        return {"master_name": self.master, "sentinel_kwargs": self._asking}

    @property
    def _asking(self) -> dict[str, Any]:
        # A dead sentinel is passed over at once: by default each would be tried for seconds.
        once = {"retry": Retry(NoBackoff(), 0), "socket_timeout": 2.0}
        return {"password": self.sentinel_password, **once}

    def pool(self, **options: Any) -> redis.ConnectionPool:
        """Connections to the master, for threads."""
        asked = redis.sentinel.Sentinel(list(self.hosts), sentinel_kwargs=self._asking)  # type: ignore[no-untyped-call]
        options = {**self.server_options, **options, "connection_class": _Connection}
        return _Pool(self.master, asked, **options)  # type: ignore[no-untyped-call]

    def async_pool(self, **options: Any) -> redis.asyncio.ConnectionPool:
        """Connections to the master, for an event loop; callers wait where all are in use."""
        asking = {**self._asking, "retry": AsyncRetry(NoBackoff(), 0)}
        asked = redis.asyncio.sentinel.Sentinel(list(self.hosts), sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
        options = {**self.server_options, **options, "connection_class": _AsyncConnection}
        return _WaitingPool(self.master, asked, **options)  # type: ignore[no-untyped-call]


class _Connection(redis.sentinel.SentinelManagedConnection):
    def _connect(self) -> Any:
        self.host, self.port = self.connection_pool.get_master_address()
        return super()._connect()  # type: ignore[no-untyped-call]


class _AsyncConnection(redis.asyncio.sentinel.SentinelManagedConnection):
    async def _connect(self) -> None:
        self.host, self.port = await self.connection_pool.get_master_address()
        await super()._connect()  # type: ignore[no-untyped-call]


class _Pool(redis.sentinel.SentinelConnectionPool):
    def disconnect(self, inuse_connections: bool = True) -> None:
        super().disconnect(inuse_connections)
        for sentinel in self.sentinel_manager.sentinels:
            sentinel.close()


class _WaitingPool(
    redis.asyncio.sentinel.SentinelConnectionPool, redis.asyncio.BlockingConnectionPool
):
    """redis-py has both kinds, not the two in one."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose()


def _host(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":") if ":" in place.rpartition("]")[2] else (place, "", "")
    return host.strip("[]"), int(port or PORT)


def pool(url: str, **options: Any) -> redis.ConnectionPool:
    """Connections for threads to the server of a URL, by Sentinel or not."""
    sentinels = Sentinels.of(url)
    if sentinels is not None:
        return sentinels.pool(**options)
    return redis.ConnectionPool.from_url(url, **options)


def async_pool(
    url: str,
    kind: type[redis.asyncio.ConnectionPool] = redis.asyncio.BlockingConnectionPool,
    **options: Any,
) -> redis.asyncio.ConnectionPool:
    """Connections for an event loop to the server of a URL, by Sentinel or not.

    A pool that makes callers wait: the other kind raises when many clients come back at once.
    """
    sentinels = Sentinels.of(url)
    if sentinels is not None:
        return sentinels.async_pool(**options)
    return kind.from_url(url, **options)
