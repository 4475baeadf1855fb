"""What the operator's tests stand on: a server of work and a namespace of a cluster."""

from collections.abc import Iterator

import clusters
import pytest
import redis
import redis_server
from clusters import Cluster


@pytest.fixture
def store(valkey: redis_server.Server) -> Iterator[redis.Redis]:
    with valkey.client as client:
        client.flushall()
        yield client


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with clusters.at_hand() as found:
        yield found
