"""The heartbeat of a worker, on a real server."""

import time

import pytest
import redis
import redis_server
from ledger_steps import KEYS, LEDGER, admit, release, take

from ocrplus_contract.names import Pool
from ocrplus_contract.records import WorkerRecord
from ocrplus_ocr.pulse import Pulse, PulseTiming


@pytest.fixture
def store(valkey: redis_server.Server) -> redis.Redis:
    client = valkey.client
    client.flushall()
    return client


def pulse(store: redis.Redis, ended: list[int], deadline: float = 60) -> Pulse:
    return Pulse(
        store,
        LEDGER,
        "pod-1.0",
        PulseTiming(lease_seconds=60, page_deadline_seconds=deadline),
        end_process=lambda: ended.append(1),
    )


def record(store: redis.Redis) -> WorkerRecord:
    found = WorkerRecord.from_hash(store.hgetall(KEYS.worker(Pool.OCR, "pod-1.0")))
    assert found is not None
    return found


def test_the_record_follows_the_work(store: redis.Redis) -> None:
    admit(store, "u", "t", [(3, 5)])
    lease = take(store)
    assert lease is not None
    beating = pulse(store, [])

    beating.warm(4.2, "engine-1")
    assert store.get(KEYS.engine()) == b"engine-1"
    assert (record(store).state, record(store).cold_start_seconds) == ("idle", 4.2)
    beating.begin_chunk(lease)
    assert (record(store).state, record(store).chunk, record(store).page) == ("busy", "t/3-5", 3)
    beating.page_done(4)
    assert (record(store).page, record(store).pages_left) == (4, 2)
    assert record(store).seconds_per_page > 0
    beating.end_chunk()
    assert (record(store).state, record(store).chunk, record(store).page) == ("idle", "", 0)
    assert 0 < store.ttl(KEYS.worker(Pool.OCR, "pod-1.0")) <= 20


def test_the_record_has_exactly_the_agreed_fields(store: redis.Redis) -> None:
    pulse(store, []).warm(1.0, "e")

    fields = {name.decode() for name in store.hgetall(KEYS.worker(Pool.OCR, "pod-1.0"))}
    agreed = """schema pod pid state chunk page page_started_at chunk_started_at pages_left
        seconds_per_page cold_start_seconds idle_since"""
    assert fields == set(agreed.split())


def test_a_beat_renews_the_lease(store: redis.Redis) -> None:
    admit(store, "u", "t", [(1, 1)])
    lease = take(store)
    assert lease is not None
    beating = pulse(store, [])
    beating.begin_chunk(lease)
    time.sleep(0.06)

    beating.beat()

    assert not release(store, lease, "expired", idle_ms=50).held
    assert not beating.lost


def test_a_chunk_that_was_taken_away_is_noticed(store: redis.Redis) -> None:
    admit(store, "u", "t", [(1, 1)])
    lease = take(store)
    assert lease is not None
    beating = pulse(store, [])
    beating.begin_chunk(lease)
    release(store, lease, "died")

    beating.beat()

    assert beating.lost


def test_a_page_past_its_deadline_ends_the_process(store: redis.Redis) -> None:
    admit(store, "u", "t", [(1, 1)])
    lease = take(store)
    assert lease is not None
    ended: list[int] = []
    beating = pulse(store, ended, deadline=0.01)
    beating.beat()
    beating.begin_chunk(lease)
    time.sleep(0.02)

    beating.beat()

    assert ended == [1]


def test_a_worker_that_leaves_in_order_leaves_no_record(store: redis.Redis) -> None:
    beating = pulse(store, [])
    beating.warm(1.0, "e")

    beating.stop()

    assert store.keys("worker*") == []


def told(store: redis.Redis, drain: bool) -> None:
    change = store.sadd if drain else store.srem
    change(KEYS.drain(Pool.OCR), "pod-1")


def test_an_idle_worker_that_is_told_to_drain_confirms_it_and_takes_nothing(
    store: redis.Redis,
) -> None:
    beating = pulse(store, [])
    beating.warm(1.0, "e")
    told(store, True)

    beating.beat()

    assert record(store).state == "drained"
    assert not beating.reach()
    assert record(store).state == "drained"


def test_a_busy_worker_that_is_told_to_drain_confirms_it_when_the_chunk_is_done(
    store: redis.Redis,
) -> None:
    admit(store, "u", "t", [(1, 2)])
    beating = pulse(store, [])
    beating.warm(1.0, "e")
    assert beating.reach()
    lease = take(store)
    assert lease is not None
    beating.begin_chunk(lease)
    told(store, True)

    beating.beat()
    assert (record(store).state, record(store).pages_left) == ("draining", 2)
    beating.page_done(2)
    assert record(store).state == "draining"
    beating.end_chunk()

    assert record(store).state == "drained"


def test_a_worker_between_asking_and_taking_does_not_confirm(store: redis.Redis) -> None:
    beating = pulse(store, [])
    beating.warm(1.0, "e")
    assert beating.reach()
    told(store, True)

    beating.beat()
    assert record(store).state == "draining"
    beating.let_go()
    beating.beat()

    assert record(store).state == "drained"


def test_a_drain_that_is_undone_leaves_a_worker_as_it_was(store: redis.Redis) -> None:
    beating = pulse(store, [])
    told(store, True)
    beating.beat()
    assert record(store).state == "drained"  # warming: nothing in hand
    told(store, False)
    beating.beat()
    assert record(store).state == "warming"
    beating.warm(1.0, "e")
    told(store, True)
    beating.beat()
    told(store, False)

    assert beating.reach()
    assert record(store).state == "idle"


def test_an_order_that_cannot_be_read_lets_nothing_be_taken_and_leaves_no_hand_out(
    store: redis.Redis,
) -> None:
    beating = pulse(store, [])
    beating.warm(1.0, "e")
    store.set(KEYS.drain(Pool.OCR), "not a set")

    with pytest.raises(redis.ResponseError):
        beating.reach()
    store.delete(KEYS.drain(Pool.OCR))
    told(store, True)
    beating.beat()

    assert record(store).state == "drained"
