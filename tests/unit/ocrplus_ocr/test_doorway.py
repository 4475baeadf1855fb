"""A parent that is told to drain hears no doorbell: a real Celery worker on a real server."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import redis_server
from ledger_steps import KEYS

from ocrplus_contract.draining import PodOrders
from ocrplus_contract.names import Pool

PROGRAM = """
import sys
import redis
from celery import Celery
from celery.signals import worker_ready
from ocrplus_contract.draining import Doorway, PodOrders
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool

app = Celery("bells", broker=sys.argv[1])
app.conf.update(task_default_queue="ocr", task_acks_late=True, worker_prefetch_multiplier=1,
                worker_enable_remote_control=False, broker_connection_retry_on_startup=True)
orders = PodOrders(redis.Redis.from_url(sys.argv[1]), Keys(), Pool.OCR, "pod-1", slots=1)
orders.start()

@app.task(name="bell")
def bell():
    redis.Redis.from_url(sys.argv[1]).incr("heard")

@worker_ready.connect
def ready(sender, **_):
    sender.hub.call_repeatedly(0.1, Doorway(orders, sender, Pool.OCR).follow)
    redis.Redis.from_url(sys.argv[1]).set("up", 1)

app.Worker(pool="solo", loglevel="WARNING", without_gossip=True, without_mingle=True,
           without_heartbeat=True, queues=["ocr"]).start()
"""


def until(what: object, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < deadline, "did not come to pass"
        time.sleep(0.05)


@pytest.fixture
def store(valkey: redis_server.Server, tmp_path: Path) -> Iterator[redis.Redis]:
    client = valkey.client
    client.flushall()
    client.hset(KEYS.worker(Pool.OCR, "pod-1.0"), "cold_start_seconds", "4.5")
    program = tmp_path / "bells.py"
    program.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, str(program), valkey.url]) as process:
        try:
            until(lambda: client.get("up"))
            yield client
        finally:
            process.terminate()


def ring(store: redis.Redis) -> None:
    from celery import Celery

    port = store.connection_pool.connection_kwargs["port"]
    with Celery("caller", broker=f"redis://127.0.0.1:{port}/0") as caller:
        caller.send_task("bell", queue="ocr")


def heard(store: redis.Redis) -> int:
    return int(store.get("heard") or 0)


def test_doorbells_are_left_to_others_while_the_pod_drains(store: redis.Redis) -> None:
    ring(store)
    until(lambda: heard(store) == 1)
    store.sadd(KEYS.drain(Pool.OCR), "pod-1")
    time.sleep(1.2)  # until the parent has read its orders and shut its ear

    ring(store)
    time.sleep(1.0)
    assert (heard(store), store.llen("ocr")) == (1, 1)
    store.srem(KEYS.drain(Pool.OCR), "pod-1")

    until(lambda: heard(store) == 2)
    assert store.hlen("unacked") == 0


def test_a_pod_without_a_warm_worker_welcomes_no_doorbell(valkey: redis_server.Server) -> None:
    client = valkey.client
    client.flushall()
    orders = PodOrders(client, KEYS, Pool.OCR, "pod-1", slots=2)

    orders.look()
    assert not orders.open
    client.hset(KEYS.worker(Pool.OCR, "pod-1.1"), "cold_start_seconds", "2.0")
    orders.look()
    assert orders.open
    client.sadd(KEYS.drain(Pool.OCR), "pod-1")
    orders.look()

    assert not orders.open
