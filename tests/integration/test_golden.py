"""The recorded clients of both protocols still hear from a real gateway what they heard then."""

from collections.abc import Iterator

import gateway_process
import golden
import pytest
import redis
import redis_server
from gateway_process import Gateway


@pytest.fixture(scope="module")
def gateway(
    valkey: redis_server.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    with gateway_process.gateway(valkey.url, tmp_path_factory.mktemp("blobs")) as running:
        yield running


@pytest.fixture
def store(valkey: redis_server.Server) -> Iterator[redis.Redis]:
    with valkey.client as client:
        for key in client.scan_iter("*"):
            if not key.startswith(b"gateway:"):
                client.delete(key)
        yield client


@pytest.mark.parametrize("protocol", golden.PROTOCOLS)
async def test_a_recorded_client_hears_the_same_again(
    gateway: Gateway, store: redis.Redis, protocol: str
) -> None:
    recorded = golden.transcript(protocol)

    now = await golden.replayed(gateway.ws + protocol, protocol, recorded, store)

    assert golden.comparable(now) == golden.comparable(recorded)
