"""How often the reconciler rings, and what it reads where something is wrong."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import redis.asyncio
import redis_server
from ledger_steps import admit

from ocrplus_contract.blobs import DirectoryStore
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool
from ocrplus_contract.settings import GatewaySettings
from ocrplus_gateway.metrics import GatewayMetrics
from ocrplus_gateway.reconciler import QueueReading, Reconciler, missing_doorbells
from ocrplus_gateway.retention import Sweeper


def reading(waiting: int | None, doorbells: int) -> QueueReading:
    return QueueReading(waiting, 0, 0, doorbells, 0.0)


def test_each_waiting_chunk_without_a_doorbell_is_rung_for() -> None:
    assert missing_doorbells(reading(waiting=5, doorbells=2)) == 3


def test_a_round_rings_a_bounded_number_of_times() -> None:
    assert missing_doorbells(reading(waiting=5000, doorbells=0)) == 100


def test_more_doorbells_than_work_are_left_alone() -> None:
    assert missing_doorbells(reading(waiting=1, doorbells=4)) == 0


def test_an_unknown_backlog_is_not_rung_for_and_is_no_zero() -> None:
    assert missing_doorbells(reading(waiting=None, doorbells=0)) == 0


@asynccontextmanager
async def reconciler(port: int) -> AsyncIterator[tuple[Reconciler, GatewayMetrics]]:
    settings, metrics = GatewaySettings(), GatewayMetrics()
    async with redis.asyncio.Redis(port=port) as client:
        sweeper = Sweeper(client, Keys(), DirectoryStore(Path("/none")))
        bell: Any = None  # nothing is rung for
        yield Reconciler(settings, client, client, bell, sweeper, metrics), metrics


def told(metrics: GatewayMetrics, name: str) -> float:
    value = metrics.registry.get_sample_value(f"ocrplus_queue_{name}", {"pool": "ocr"})
    assert value is not None
    return value


async def test_a_queue_whose_group_is_gone_is_unknown(valkey: redis_server.Server) -> None:
    valkey.client.flushall()
    admit(valkey.client, "u", "t", [(1, 1)])
    async with reconciler(valkey.port) as (reconciling, _):
        known = await reconciling.read(Pool.OCR)
        valkey.client.xgroup_destroy(Keys().work(Pool.OCR), "workers")
        unknown = await reconciling.read(Pool.OCR)

    assert (known.waiting_chunks, unknown.waiting_chunks) == (1, None)
    assert math.isnan(unknown.oldest_seconds)
    assert missing_doorbells(unknown) == 0


async def test_a_server_that_refuses_writes_is_read_all_the_same(
    valkey: redis_server.Server,
) -> None:
    valkey.client.flushall()
    admit(valkey.client, "u", "t", [(1, 1)])
    valkey.client.hset(Keys().load(Pool.OCR), "expired", 57)
    valkey.client.config_set("maxmemory", 1000)
    try:
        async with reconciler(valkey.port) as (reconciling, metrics):
            await reconciling.once()
    finally:
        valkey.client.config_set("maxmemory", 0)

    assert not reconciling.leading
    assert told(metrics, "waiting_chunks") == 1
    assert told(metrics, "leases_expired_total") == 57
