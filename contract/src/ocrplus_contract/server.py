"""Connecting to Redis or Valkey so that a restart of it is survived, and judging its fitness."""

from collections.abc import Mapping
from typing import Any, Final

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError
from redis.retry import Retry

from ocrplus_contract.sentinels import pool
from ocrplus_contract.settings import CommonSettings

LEAST_VERSION: Final = (7, 0)
_RETRIES: Final = 12  # with the back-off below about 40 s: a server that restarts loads its log


def connect(settings: CommonSettings) -> "redis.Redis":
    """A client for threads that returns bytes, waits out a restart and never hangs."""
    connections = pool(
        settings.redis_url.get_secret_value(),
        socket_timeout=10,
        socket_connect_timeout=5,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=5, base=0.05), _RETRIES),
        retry_on_error=[ConnectionError, TimeoutError, BusyLoadingError],
    )
    return redis.Redis.from_pool(connections)


def unfit_because(info: Mapping[str, Any]) -> str | None:
    """Say why a server, by its INFO, cannot keep the promises; None when it can."""
    version = str(info.get("redis_version", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < LEAST_VERSION:
        return f"server version {version} is too old: Redis 7.0, or any Valkey, is needed"
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        return f"maxmemory-policy is {policy} and may evict jobs: set it to noeviction"
    return None
