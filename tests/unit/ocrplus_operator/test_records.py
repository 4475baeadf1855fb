"""Both sides of the records: what workers and ledger write is what the operator reads."""

import asyncio
import re
import time
from pathlib import Path

import pytest
import redis
import redis_server
from ledger_steps import KEYS, LEDGER, admit, commit, take

from ocrplus_contract.names import Pool
from ocrplus_contract.records import WORKER_RECORD_SCHEMA, WorkerRecord
from ocrplus_contract.settings import OPERATOR_VARIABLES
from ocrplus_contract.states import WorkerState
from ocrplus_ocr.pulse import Pulse, PulseTiming
from ocrplus_operator.control.spec import Source
from ocrplus_operator.control.types import Reading, Unknown, WorkerPhase
from ocrplus_operator.observe.records import SCHEMA
from ocrplus_operator.observe.redis import WorkSource
from ocrplus_operator.settings import known_variables

PAGE = (Path(__file__).parents[3] / "docs" / "operator.md").read_text()
FIELDS = re.findall(r"^\| `([a-z_]+)` \|", PAGE.split("## Records")[1], re.M)


async def reading(server: redis_server.Server, lease_seconds: int = 60) -> Reading | Unknown:
    source = WorkSource(server.url, Source(), lease_seconds)
    try:
        return await source.read()
    finally:
        await source.close()


async def known(server: redis_server.Server, lease_seconds: int = 60) -> Reading:
    found = await reading(server, lease_seconds)
    assert isinstance(found, Reading), found
    return found


def test_the_worker_writes_exactly_the_documented_fields() -> None:
    record = WorkerRecord(pod="p", pid=1, state=WorkerState.IDLE)

    assert list(record.to_hash()) or FIELDS
    assert set(record.to_hash()) == set(FIELDS)
    assert str(WORKER_RECORD_SCHEMA) == SCHEMA
    assert {str(s) for s in WorkerState} == {str(s) for s in WorkerPhase}


async def test_the_operator_reads_what_a_worker_writes(
    client: redis.Redis, any_server: redis_server.Server
) -> None:
    admit(client, "u", "t", [(1, 3), (4, 9)])
    pulse = Pulse(client, LEDGER, "pod-1.0", PulseTiming(60, 60))
    pulse.warm(4.5, "engine")
    lease = take(client, "pod-1.0")
    assert lease is not None
    pulse.begin_chunk(lease)
    commit(client, lease, 1)
    pulse.page_done(2)

    found = await known(any_server)

    worker = found.workers[0]
    assert (worker.id, worker.pod, worker.phase) == ("pod-1.0", "pod-1", WorkerPhase.BUSY)
    assert (worker.chunk_pages, worker.pages_left, worker.cold_start_seconds) == (3, 2, 4.5)
    assert abs(time.time() - worker.page_started_at) < 5
    assert worker.seconds_per_page > 0
    assert (found.waiting_chunks, found.waiting_pages) == (1, 6)
    assert (found.arrivals.pages, found.arrivals.chunks, found.arrivals.chunks_squared) == (9, 2, 4)
    assert abs(time.time() - found.arrivals.last_at) < 5
    assert sum(found.arrivals.pages_by_minute) == 9
    assert found.oldest_wait_seconds < 5 and found.expired_leases == 0


async def test_expired_leases_doorbells_and_drains_are_counted(
    client: redis.Redis, any_server: redis_server.Server
) -> None:
    admit(client, "u", "t", [(1, 3), (4, 9)])
    take(client)
    client.lpush("ocr", "bell", "bell")
    client.sadd(KEYS.drain(Pool.OCR), "pod-1", "pod-2")
    await asyncio.sleep(1.1)

    found = await known(any_server, lease_seconds=1)

    assert (found.expired_leases, found.expired_pages) == (1, 3)
    assert (found.doorbells, found.draining) == (2, {"pod-1", "pod-2"})
    assert 1 < found.oldest_wait_seconds < 10


async def test_an_empty_server_has_no_work(
    client: redis.Redis, any_server: redis_server.Server
) -> None:
    found = await known(any_server)

    assert (found.waiting_chunks, found.waiting_pages, found.workers) == (0, 0, ())


async def test_a_worker_that_stopped_beating_is_none(
    client: redis.Redis, any_server: redis_server.Server
) -> None:
    client.zadd(KEYS.workers(Pool.OCR), {"pod-1.0": 1})

    assert (await known(any_server)).workers == ()


@pytest.mark.parametrize("field", sorted(set(FIELDS) - {"pid", "page"}))
async def test_a_record_without_a_field_that_decides_is_unreadable(
    valkey: redis_server.Server, field: str
) -> None:
    with valkey.client as client:
        client.flushall()
        record = WorkerRecord(pod="p", pid=1, state=WorkerState.IDLE).to_hash()
        del record[field]
        client.hset(KEYS.worker(Pool.OCR, "p.0"), mapping=record)
        client.zadd(KEYS.workers(Pool.OCR), {"p.0": time.time()})

    found = await reading(valkey)

    assert isinstance(found, Unknown) and found.reason == "RecordUnreadable"


@pytest.mark.parametrize(
    ("field", "value"),
    [("pages_left", "-1"), ("seconds_per_page", "nan"), ("cold_start_seconds", "inf"),
     ("page_started_at", "-inf")],
)  # fmt: skip
async def test_a_number_that_none_can_reckon_with_is_unreadable(
    valkey: redis_server.Server, field: str, value: str
) -> None:
    with valkey.client as client:
        client.flushall()
        record = WorkerRecord(pod="p", pid=1, state=WorkerState.IDLE).to_hash()
        client.hset(KEYS.worker(Pool.OCR, "p.0"), mapping={**record, field: value})
        client.zadd(KEYS.workers(Pool.OCR), {"p.0": time.time()})

    found = await reading(valkey)

    assert isinstance(found, Unknown) and found.reason == "RecordUnreadable"


@pytest.mark.parametrize("field", ["waiting", "a:17", "a:inf"])
async def test_a_load_without_end_is_unreadable(valkey: redis_server.Server, field: str) -> None:
    with valkey.client as client:
        client.flushall()
        client.hset(KEYS.load(Pool.OCR), field, "inf" if field == "waiting" else "inf:1:1")
        client.hset(KEYS.load(Pool.OCR), f"a:{int(time.time())}", "inf:1:1")

    found = await reading(valkey)

    assert isinstance(found, Unknown) and found.reason == "RecordUnreadable"


async def test_garbage_without_end_is_told_in_a_sentence_that_status_can_hold(
    valkey: redis_server.Server,
) -> None:
    with valkey.client as client:
        client.hset(KEYS.load(Pool.OCR), "waiting", "x" * 50_000)

    found = await reading(valkey)

    assert isinstance(found, Unknown) and found.reason == "RecordUnreadable"
    assert len(found.message) <= 300


async def test_a_thousand_workers_are_read_in_a_fraction_of_a_tick(
    valkey: redis_server.Server,
) -> None:
    with valkey.client as client:
        client.flushall()
        record = WorkerRecord(pod="p", pid=1, state=WorkerState.IDLE).to_hash()
        pipe = client.pipeline(transaction=False)
        for number in range(1000):
            pipe.hset(KEYS.worker(Pool.OCR, f"p{number}.0"), mapping=record)
            pipe.zadd(KEYS.workers(Pool.OCR), {f"p{number}.0": time.time()})
        pipe.execute()
    source = WorkSource(valkey.url, Source(), 60)
    await source.read()
    began = time.perf_counter()

    found = await source.read()

    assert isinstance(found, Reading) and len(found.workers) == 1000
    assert time.perf_counter() - began < 1.0
    await source.close()


def test_the_contract_knows_every_variable_of_the_operator() -> None:
    assert {v for v in known_variables() if "OPERATOR__" in v} == OPERATOR_VARIABLES
