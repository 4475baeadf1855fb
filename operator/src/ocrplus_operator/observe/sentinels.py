"""A server behind Redis Sentinel: `redis+sentinel://:password@host:26379,host:26379/master/0`.

The services' own scheme, read here again: operator and services share Secrets and records, not
code. A test holds the two to each other.
"""

from typing import Any, Final  # Any: options of redis-py
from urllib.parse import parse_qs, unquote, urlsplit

import redis.asyncio
import redis.asyncio.sentinel  # its classes are untyped
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

SCHEME: Final = "redis+sentinel"
PORT: Final = 26379
_SECONDS: Final = 0.5


def client(url: str, **options: Any) -> "redis.asyncio.Redis":
    """A client of the server that a URL names, or of the master that its sentinels name.

    Raises:
        ValueError: the URL cannot be read.
    """
    if urlsplit(url).scheme != SCHEME:
        return redis.asyncio.Redis.from_url(url, **options)
    hosts, master, server, asking = read(url)
    once = {"retry": Retry(NoBackoff(), 0), "socket_timeout": _SECONDS}  # then the next sentinel
    sentinel = redis.asyncio.sentinel.Sentinel(hosts, sentinel_kwargs={**asking, **once})  # type: ignore[no-untyped-call]
    pool = _Pool(master, sentinel, connection_class=_Connection, **server, **options)  # type: ignore[no-untyped-call]
    return redis.asyncio.Redis.from_pool(pool)


class _Connection(redis.asyncio.sentinel.SentinelManagedConnection):
    """Asks anew when a connection broke, too: redis-py 8.1 goes back to the dead master."""

    async def _connect(self) -> None:
        self.host, self.port = await self.connection_pool.get_master_address()
        await super()._connect()  # type: ignore[no-untyped-call]


class _Pool(redis.asyncio.sentinel.SentinelConnectionPool):
    """Lets its connections to the sentinels go as well."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose()


def read(url: str) -> tuple[list[tuple[str, int]], str, dict[str, Any], dict[str, Any]]:
    """Sentinels, the master's name, what a connection to it needs, what one to a sentinel needs.

    Raises:
        ValueError: hosts or the master's name are missing.
    """
    parts = urlsplit(url)
    user, _, places = parts.netloc.rpartition("@")
    username, _, password = user.partition(":")
    master, _, database = parts.path.strip("/").partition("/")
    hosts = [_host(place) for place in places.split(",") if place]
    if not hosts or not master:
        raise ValueError(f"{SCHEME}:// needs hosts by commas and /MASTER")
    server = {
        "db": int(database or 0),
        "username": unquote(username) or None,
        "password": unquote(password) or None,
    }
    asking = {"password": next(iter(parse_qs(parts.query).get("sentinel_password", [])), None)}
    return hosts, master, server, asking


def _host(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":") if ":" in place.rpartition("]")[2] else (place, "", "")
    return host.strip("[]"), int(port or PORT)
