"""What the operator does, and says, when a server fails, refuses or tells nonsense: it holds.

The bodies run on the small API server and, by `make e2e-operator`, on a real cluster.
"""

import os
import time

import clusters
import pytest
import redis
import redis_proxy
import redis_server
from clusters import Cluster, operator, until
from ledger_steps import KEYS
from played_workers import Fleet, done, work

from ocrplus_contract.names import Pool

# What the server answers on the wire, and the reason that the condition has to give.
WIRE_FAULTS = {
    "LOADING Redis is loading the dataset in memory": "Loading",
    "NOAUTH Authentication required.": "Unauthorised",
    "silent": "Timeout",
    "cut": "Unreachable",
}


def standing(cluster: Cluster, url: str) -> None:
    """A pool that has three replicas and, without a reading, every reason to have none."""
    cluster.secret(url)
    cluster.deployment(replicas=3)
    cluster.pool(scaleToZero={"afterSeconds": 0}, scaleDown={"windowSeconds": 0})


def is_unknown(cluster: Cluster, reason: str) -> bool:
    condition = cluster.condition("MetricsAvailable")
    return (condition.get("status"), condition.get("reason")) == ("False", reason)


def test_a_server_that_cannot_be_read_holds_the_replicas_with_the_reason(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    with redis_proxy.wire(valkey.port) as wire:
        wire.set("LOADING Redis is loading the dataset in memory")
        standing(cluster, wire.url)
        with operator(cluster) as running:
            for mode, reason in WIRE_FAULTS.items():
                wire.set(mode)
                until(lambda reason=reason: is_unknown(cluster, reason), 15, reason)
            text = running.metrics()

    assert cluster.replicas() == 3
    clusters.note(**{"held on the wire, with the reason": ", ".join(WIRE_FAULTS.values())})
    assert 'observation_failures_total{pool="ocr",reason="Timeout"}' in text


def spoil_lag(store: redis.Redis) -> None:
    work(store, "t", chunks=3)
    _, second = (entry[0] for entry in store.xrange(KEYS.work(Pool.OCR), count=2))
    store.xreadgroup("workers", "w", {KEYS.work(Pool.OCR): ">"}, count=1)
    store.execute_command("XDEL", KEYS.work(Pool.OCR), second)


def spoil_record(store: redis.Redis, **fields: str) -> None:
    good = {
        "schema": "1", "pod": "p", "pid": "1", "state": "idle", "pages_left": "0",
        "page_started_at": "0", "chunk_started_at": "0", "seconds_per_page": "0",
        "cold_start_seconds": "1", "idle_since": "0",
    }  # fmt: skip
    store.hset(KEYS.worker(Pool.OCR, "p.0"), mapping={**good, **fields})
    store.zadd(KEYS.workers(Pool.OCR), {"p.0": time.time()})


SPOILT = {
    "a NULL lag": (spoil_lag, "LagUnknown"),
    "a load of another type": (lambda s: s.set(KEYS.load(Pool.OCR), "x"), "WrongType"),
    "a record of another schema": (lambda s: spoil_record(s, schema="2"), "RecordUnreadable"),
    "a record with a state nobody knows": (
        lambda s: spoil_record(s, state="asleep"),
        "RecordUnreadable",
    ),
    "a record that holds no number": (
        lambda s: spoil_record(s, pages_left="many"),
        "RecordUnreadable",
    ),
    "a record that is no text": (lambda s: spoil_record(s, state=b"\xff"), "RecordUnreadable"),
    "garbage among the arrivals": (
        lambda s: s.hset(KEYS.load(Pool.OCR), "a:17", "1:2"),
        "RecordUnreadable",
    ),
    "a stream without the group": (
        lambda s: s.xadd(KEYS.work(Pool.OCR), {"v": 1}),
        "GroupMissing",
    ),
}


def test_what_is_spoilt_in_redis_holds_the_replicas_with_the_reason(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    spoil_record(store, schema="2")
    standing(cluster, valkey.url)
    with operator(cluster):
        for what, (spoil, reason) in SPOILT.items():
            store.flushall()
            spoil_record(store, schema="3")  # never a moment in which zero could be read
            until(lambda: is_unknown(cluster, "RecordUnreadable"), 10)
            spoil(store)
            if reason != "RecordUnreadable":
                store.delete(KEYS.worker(Pool.OCR, "p.0"))
            until(lambda reason=reason: is_unknown(cluster, reason), 10, what)

    assert cluster.replicas() == 3
    held = ", ".join(f"{what}: {reason}" for what, (_, reason) in SPOILT.items())
    clusters.note(**{"held on what is spoilt, with the reason": held})


def test_a_server_that_is_gone_for_long_changes_nothing_and_is_taken_up_again(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    with redis_proxy.wire(valkey.port) as wire:
        cluster.secret(wire.url)
        cluster.deployment(replicas=2)
        cluster.pool(scaleToZero={"afterSeconds": 600}, scaleDown={"windowSeconds": 600})
        with operator(cluster):
            until(lambda: cluster.condition("MetricsAvailable").get("status") == "True")
            wire.set("cut")
            until(lambda: is_unknown(cluster, "Unreachable"))
            gone = float(os.environ.get("KUBE_E2E_GONE_SECONDS", "2"))
            until_then = time.monotonic() + gone
            while time.monotonic() < until_then:
                assert cluster.replicas() == 2
                time.sleep(0.3)
            assert is_unknown(cluster, "Unreachable")
            generation = cluster.get("deployments", "worker")["metadata"]["generation"]
            clusters.note(
                **{"Redis gone for s": gone, "changes of replicas meanwhile": generation - 1}
            )
            assert generation == 1
            wire.set("pass")
            until(lambda: cluster.condition("MetricsAvailable").get("status") == "True")
            work(store, "t", chunks=40)
            until(lambda: cluster.replicas() > 2)


def test_a_spec_that_cannot_be_acted_on_says_so(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment()
    cluster.pool(schedules=[{"cron": "0 7 * * *", "duration": "1h", "minReplicas": 1,
                             "timeZone": "Mars/Olympus"}])  # fmt: skip
    with operator(cluster):
        until(lambda: cluster.condition("Ready").get("reason") == "InvalidSpec")
        assert "Mars/Olympus" in cluster.condition("Ready")["message"]
        cluster.patch("workerpools", "pool", {"spec": {"schedules": None}})
        until(lambda: cluster.condition("Ready").get("status") == "True")


def test_what_is_missing_is_named(cluster: Cluster, valkey: redis_server.Server) -> None:
    cluster.pool()
    with operator(cluster):
        until(lambda: cluster.condition("Ready").get("reason") == "TargetMissing")
        cluster.deployment(grace=5)
        until(lambda: cluster.condition("Ready").get("reason") == "SecretMissing", 15)
        cluster.secret(valkey.url)
        until(lambda: cluster.condition("Ready").get("status") == "True", 15)

    assert cluster.condition("GracePeriodShort")["status"] == "True"


@pytest.mark.skipif(clusters.KIND == "real", reason="a real API server cannot be told to fail")
def test_an_api_server_that_refuses_or_forgets_is_asked_again(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    assert cluster.api is not None
    cluster.secret(valkey.url)
    cluster.deployment()
    cluster.pool()
    with operator(cluster), Fleet(cluster, valkey.url) as fleet:
        until(lambda: cluster.condition("Ready").get("status") == "True")
        cluster.api.fail("PATCH", "/scale$", 409, 2)
        cluster.api.fail("PATCH", "/status$", 500, 3)
        cluster.api.fail("POST", "/events$", 403, 1)
        cluster.api.fail("PUT", "/leases/", 409, 1)
        cluster.api.forget_history()
        work(store, "t", chunks=12)
        until(lambda: done(store, "t"), 30)
        cluster.api.fail("PATCH", "/pods/", 500, 3)
        until(lambda: cluster.replicas() == 0 and not cluster.pods(), 30)

    assert set(fleet.went.values()) == {"drained"}


@pytest.mark.skipif(clusters.KIND == "real", reason="a real API server cannot be told to refuse")
def test_an_order_that_is_forbidden_stands_in_the_conditions_and_in_an_event(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    assert cluster.api is not None
    cluster.secret(valkey.url)
    cluster.deployment()
    cluster.pool()
    cluster.api.fail("PATCH", "/scale$", 403, 1000)
    work(store, "t", chunks=12)
    with operator(cluster) as running:
        until(lambda: cluster.condition("Ready").get("reason") == "Refused")
        until(lambda: 'condition{pool="ocr",type="Ready"} 0.0' in running.metrics())
        events = until(lambda: [e for e in cluster.items("events") if e["reason"] == "Refused"])

    assert "replicas of worker not written: 403" in cluster.condition("Ready")["message"]
    assert not [e for e in cluster.items("events") if e["reason"].startswith("Scaled")]
    assert events[0]["type"] == "Warning"


def test_a_secret_without_a_url_of_redis_is_named_and_not_shown(cluster: Cluster) -> None:
    cluster.secret("hunter2@nowhere")
    cluster.deployment(replicas=2)
    cluster.pool()
    with operator(cluster):
        until(lambda: is_unknown(cluster, "UrlUnreadable"))

    assert cluster.replicas() == 2
    assert "hunter2" not in str(cluster.get("workerpools", "pool")["status"])
