"""Fixtures that several tiers share."""

from collections.abc import Iterator

import pytest
import redis
import redis_server


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
