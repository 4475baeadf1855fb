"""How much room is left is told; what cannot be read is unknown, never zero."""

import math
from pathlib import Path

import redis.asyncio
import redis_server

from ocrplus_contract.blobs import DirectoryStore
from ocrplus_gateway.metrics import GatewayMetrics
from ocrplus_gateway.room import RoomWatch


def told(metrics: GatewayMetrics, name: str) -> float:
    value = metrics.registry.get_sample_value(f"ocrplus_{name}")
    assert value is not None
    return value


async def test_memory_its_limit_and_the_stores_room_are_told(tmp_path: Path) -> None:
    metrics = GatewayMetrics()
    with redis_server.running("valkey") as server:
        server.client.config_set("maxmemory", 64_000_000)
        async with redis.asyncio.Redis(port=server.port) as client:
            await RoomWatch(client, DirectoryStore(tmp_path), metrics).once()

    assert told(metrics, "redis_up") == 1
    assert 0 < told(metrics, "redis_memory_bytes") < 64_000_000
    assert told(metrics, "redis_memory_limit_bytes") == 64_000_000
    assert told(metrics, "gateway_blob_room_bytes") > 0


async def test_without_a_limit_of_its_own_the_machines_memory_is_the_limit(tmp_path: Path) -> None:
    metrics = GatewayMetrics()
    with redis_server.running("valkey") as server:
        async with redis.asyncio.Redis(port=server.port) as client:
            await RoomWatch(client, DirectoryStore(tmp_path), metrics).once()

    assert told(metrics, "redis_memory_limit_bytes") > 500_000_000


async def test_a_server_that_is_gone_has_no_memory_that_is_known(tmp_path: Path) -> None:
    metrics = GatewayMetrics()
    with redis_server.running("valkey") as server:
        port = server.port
    async with redis.asyncio.Redis(port=port) as client:
        await RoomWatch(client, DirectoryStore(tmp_path), metrics).once()

    assert told(metrics, "redis_up") == 0
    assert math.isnan(told(metrics, "redis_memory_bytes"))
    assert told(metrics, "gateway_blob_room_bytes") > 0
