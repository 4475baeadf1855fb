"""How much room is left is told; what cannot be read is unknown, never zero."""

import asyncio
import math
import os
import signal
import threading
from pathlib import Path

import redis.asyncio
import redis_server
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

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
            watch = RoomWatch(client, DirectoryStore(tmp_path), metrics)
            await watch.server()
            await watch.store()

    assert told(metrics, "redis_up") == 1
    assert 0 < told(metrics, "redis_memory_bytes") < 64_000_000
    assert told(metrics, "redis_memory_limit_bytes") == 64_000_000
    assert told(metrics, "gateway_blob_room_bytes") > 0


async def test_without_a_limit_of_its_own_the_machines_memory_is_the_limit(tmp_path: Path) -> None:
    metrics = GatewayMetrics()
    with redis_server.running("valkey") as server:
        async with redis.asyncio.Redis(port=server.port) as client:
            await RoomWatch(client, DirectoryStore(tmp_path), metrics).server()

    assert told(metrics, "redis_memory_limit_bytes") > 500_000_000


async def test_a_server_that_is_gone_has_no_memory_that_is_known(tmp_path: Path) -> None:
    metrics = GatewayMetrics()
    with redis_server.running("valkey") as server:
        port = server.port
    async with redis.asyncio.Redis(port=port) as client:
        watch = RoomWatch(client, DirectoryStore(tmp_path), metrics)
        await watch.server()
        await watch.store()

    assert told(metrics, "redis_up") == 0
    assert math.isnan(told(metrics, "redis_memory_bytes"))
    assert told(metrics, "gateway_blob_room_bytes") > 0


class DeadVolume:
    """A store that answers nobody."""

    def __init__(self) -> None:
        self.back = threading.Event()

    def room_bytes(self) -> int:
        self.back.wait(20)
        return 1


async def test_a_store_that_hangs_keeps_no_outage_of_the_server_from_being_told() -> None:
    metrics, volume = GatewayMetrics(), DeadVolume()
    with redis_server.running("valkey") as server:
        port = server.port
        async with redis.asyncio.Redis(port=port, retry=Retry(NoBackoff(), 0)) as client:
            watch = RoomWatch(client, volume, metrics, every_seconds=0.05)  # type: ignore[arg-type]
            looking = asyncio.create_task(watch.run())
            async with asyncio.timeout(5):
                while told(metrics, "redis_up") != 1:
                    await asyncio.sleep(0.02)
                os.kill(int(server.client.info("server")["process_id"]), signal.SIGKILL)
                while told(metrics, "redis_up") != 0:
                    await asyncio.sleep(0.02)
            volume.back.set()
            looking.cancel()
            await asyncio.wait({looking})
