"""Fixtures that several tiers share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import redis
import redis_server
import s3_server


@pytest.fixture(scope="session", params=["valkey", "redis7"])
def any_server(request: pytest.FixtureRequest) -> Iterator[redis_server.Server]:
    """Each kind of server in turn."""
    if redis_server.binary(request.param) is None:
        pytest.skip("Debian's redis-server is not installed: apt-get install redis-server")
    with redis_server.running(request.param) as server:
        yield server


@pytest.fixture
def client(any_server: redis_server.Server) -> Iterator[redis.Redis]:
    """A client of an empty server."""
    with any_server.client as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def valkey() -> Iterator[redis_server.Server]:
    """One embedded Valkey for the session."""
    with redis_server.running("valkey") as server:
        yield server


@pytest.fixture(scope="session")
def s3_servers() -> Iterator[Callable[[str], s3_server.Server]]:
    """S3 servers by kind, started when they are first asked for; each time the bucket is empty."""
    with ExitStack() as stack:
        running: dict[str, s3_server.Server] = {}

        def by_kind(kind: str) -> s3_server.Server:
            reason = s3_server.missing(kind)
            if reason is not None:
                pytest.skip(reason)
            if kind not in running:
                running[kind] = stack.enter_context(s3_server.running(kind))
            running[kind].clear()
            return running[kind]

        yield by_kind


@pytest.fixture(params=s3_server.KINDS)
def s3(
    request: pytest.FixtureRequest, s3_servers: Callable[[str], s3_server.Server]
) -> s3_server.Server:
    """Each kind of S3 server in turn."""
    return s3_servers(request.param)
