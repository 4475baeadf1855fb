"""The operator as a process, before an API server, a real Redis and workers: it follows the work.

The bodies run against the project's own small API server, and by `make e2e-operator` against a real
control plane.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import clusters
import httpx
import kube_api
import pytest
import redis
import redis_proxy
import redis_server
from clusters import Cluster, operator, until
from ledger_steps import KEYS, admit
from played_workers import Fleet

from ocrplus_contract.names import Pool

KIND = "real" if os.environ.get("KUBE_E2E") else "fake"


@pytest.fixture
def store(valkey: redis_server.Server) -> Iterator[redis.Redis]:
    with valkey.client as client:
        client.flushall()
        yield client


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    if KIND == "real":
        if why := clusters.why_no_real_one():
            pytest.skip(why)
        with clusters.real() as found:
            yield found
    else:
        with clusters.fake() as found:
            yield found


def work(store: redis.Redis, task: str, chunks: int, pages: int = 2) -> None:
    admit(store, "u", task, [(i * pages + 1, (i + 1) * pages) for i in range(chunks)])


def done(store: redis.Redis, task: str) -> bool:
    return store.hget(KEYS.job("u", task), "state") == b"ok"  # type: ignore[arg-type]


def test_work_at_zero_replicas_wakes_the_pool_within_five_seconds(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment()
    cluster.pool()
    with operator(cluster, OCRPLUS_OPERATOR__TICK_SECONDS="3"):
        until(lambda: cluster.condition("Ready").get("status") == "True")
        began = time.monotonic()
        work(store, "t", chunks=12)
        until(lambda: cluster.replicas() > 0, 10)

    woken = time.monotonic() - began
    clusters.note(**{"work at zero replicas: scaled after s": round(woken, 2)})
    assert woken < 5


def test_a_burst_is_done_and_the_pool_sleeps_again_without_a_chunk_cut_short(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment()
    cluster.pool()
    work(store, "t", chunks=12)
    with operator(cluster), Fleet(cluster, valkey.url) as fleet:
        until(lambda: done(store, "t"), 30)
        until(lambda: cluster.replicas() == 0 and not cluster.pods(), 60)
        until(lambda: not store.exists(KEYS.drain(Pool.OCR)))

    assert set(fleet.went.values()) == {"drained"} and fleet.interrupted == 0
    reasons = [d["reason"] for d in cluster.get("workerpools", "pool")["status"]["recentDecisions"]]
    assert {"FromZero", "Idle"} <= set(reasons)
    events = {e["reason"] for e in cluster.items("events") if e["involvedObject"]["name"] == "pool"}
    assert "ScaledFromZero" in events


def test_status_and_explain_say_why(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment()
    cluster.pool(limits={"maxReplicas": 2}, replicas=0)
    work(store, "t", chunks=40)
    with operator(cluster) as running:
        until(lambda: cluster.condition("ScalingLimited").get("status") == "True")
        metrics = running.metrics()

    status = cluster.get("workerpools", "pool")["status"]
    assert (status["desiredReplicas"], status["backlog"]["pages"]) == (2, 80)
    assert status["lastDecision"]["reason"] == "Limited"
    assert status["lastDecision"]["inputs"]["waitingPages"] == 80
    assert status["selector"] == "app=worker"
    assert 'ocrplus_operator_replicas{kind="desired",pool="ocr"} 2.0' in metrics
    scale = cluster.request("GET", cluster.path("workerpools", "pool", sub="scale"))
    assert scale["status"]["selector"] == "app=worker"
    told = explained(cluster, "pool")
    assert "Limited" in told and "WORK(s)" in told and "ScalingLimited=True" in told
    assert explained(cluster, "nobody") == ""


def explained(cluster: Cluster, name: str) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith("OCRPLUS_")}
    command = [sys.executable, "-m", "ocrplus_operator", "-n", cluster.namespace, "explain", name]
    answer = subprocess.run(
        command,
        env={**env, "KUBECONFIG": str(cluster.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout if answer.returncode == 0 else ""


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


def test_another_scaler_of_the_target_stops_the_operator_until_it_is_gone(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment()
    cluster.pool()
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"}
    hpa: dict[str, Any] = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "rival"},
        "spec": {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 2},
    }
    cluster.create("horizontalpodautoscalers", hpa)
    with operator(cluster):
        until(lambda: cluster.condition("Conflict").get("status") == "True")
        work(store, "t", chunks=12)
        time.sleep(0.8)
        assert cluster.replicas() in (0, 1)  # a real HPA may do something, the operator does not
        assert "HorizontalPodAutoscaler/rival" in str(cluster.condition("Conflict"))
        cluster.delete("horizontalpodautoscalers", "rival")
        until(lambda: cluster.replicas() > 1, 20)


def test_a_person_may_pause_scale_by_hand_or_only_look(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment()
    cluster.pool(mode="DryRun")
    work(store, "t", chunks=12)
    pool = lambda: cluster.get("workerpools", "pool")  # noqa: E731
    with operator(cluster), Fleet(cluster, valkey.url) as fleet:
        until(lambda: (pool().get("status") or {}).get("desiredReplicas", 0) > 0)
        assert cluster.replicas() == 0
        paused = {"metadata": {"annotations": {"ocrplus.io/paused": "true"}}}
        cluster.patch("workerpools", "pool", {**paused, "spec": {"mode": "Auto"}})
        until(lambda: cluster.condition("Paused").get("status") == "True")
        time.sleep(0.8)
        assert cluster.replicas() == 0
        go_on = {"metadata": {"annotations": {"ocrplus.io/paused": None}}}
        cluster.patch("workerpools", "pool", {**go_on, "spec": {"mode": "Manual", "replicas": 3}})
        until(lambda: cluster.replicas() == 3)
        until(lambda: len(fleet.workers) == 3)
        cluster.patch("workerpools", "pool", {"spec": {"replicas": 1}}, sub="scale")
        until(lambda: cluster.replicas() == 1, 30)
        until(lambda: len(cluster.pods()) == 1, 30)

    assert set(fleet.went.values()) == {"drained"}


def test_a_second_pool_of_another_kind_of_work_is_its_own(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment("worker")
    cluster.deployment("captions")
    cluster.pool("pool")
    source = {"pool": "caption", "celeryQueue": "caption"}
    cluster.pool("captions", target="captions", source=source)
    with operator(cluster) as running:
        until(lambda: cluster.condition("Ready", "captions").get("status") == "True")
        store.xgroup_create(KEYS.work(Pool.CAPTION), "workers", "0", mkstream=True)
        for _ in range(5):
            store.xadd(KEYS.work(Pool.CAPTION), {"v": "1"})
        store.hset(KEYS.load(Pool.CAPTION), "waiting", 5)
        until(lambda: cluster.replicas("captions") > 0)
        until(lambda: 'kind="desired",pool="caption"} 0.0' not in running.metrics())

    assert cluster.replicas("worker") == 0


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


def test_one_of_two_replicas_acts_and_the_other_takes_over(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment()
    cluster.pool(limits={"maxReplicas": 1})
    lease = lambda: cluster.get("leases", "ocrplus-operator")["spec"]["holderIdentity"]  # noqa: E731
    with operator(cluster, OCRPLUS_OPERATOR__IDENTITY="a") as first:
        until(lambda: cluster.condition("Ready"))
        with operator(cluster, OCRPLUS_OPERATOR__IDENTITY="b") as second:
            time.sleep(1.5)
            assert lease() == "a"
            assert "ocrplus_operator_leads 0.0" in second.metrics()
            assert httpx.get(f"{second.http}/readyz").status_code == 200
            first.kill()
            work(store, "t", chunks=12)
            until(lambda: cluster.replicas() == 1, 15)
            assert lease() == "b"
    assert lease() == ""  # given up in order: the next one need not wait


def test_a_tick_is_one_round_trip_to_redis(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    with redis_proxy.wire(valkey.port) as wire:
        cluster.secret(wire.url)
        cluster.deployment()
        cluster.pool()
        with operator(cluster) as running:
            until(lambda: ticks(running.metrics()) > 3)
            before, asked = ticks(running.metrics()), wire.requests
            until(lambda: ticks(running.metrics()) >= before + 6)
            made, asked = ticks(running.metrics()) - before, wire.requests - asked

    clusters.note(**{"round trips to Redis a tick": round(asked / made, 2)})
    assert made <= asked + 1 and asked <= made + 1


def ticks(metrics: str) -> int:
    for line in metrics.splitlines():
        if line.startswith("ocrplus_operator_tick_seconds_count"):
            return int(float(line.split()[-1]))
    return 0


@pytest.mark.skipif(KIND == "real", reason="a real API server cannot be told to fail")
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


SENSELESS: list[tuple[dict[str, Any], str]] = [
    ({"limits": {"minReplicas": 5, "maxReplicas": 2}}, "minReplicas must not be above"),
    ({"mode": "Manual"}, "Manual needs replicas"),
    ({"replicas": -1}, "greater than or equal to 0"),
    ({"mode": "Sometimes"}, "Unsupported value"),
    ({"objective": {"headroom": "much"}}, "should match"),
]


@pytest.mark.skipif(KIND == "fake", reason="only a real API server evaluates schema and CEL")
def test_a_pool_that_makes_no_sense_is_refused(cluster: Cluster) -> None:
    for spec, word in SENSELESS:
        with pytest.raises(httpx.HTTPStatusError, match=word):
            cluster.pool(**spec)


def test_a_pool_can_be_deleted_while_no_operator_runs(cluster: Cluster) -> None:
    cluster.deployment()
    cluster.pool()
    with operator(cluster):
        until(lambda: cluster.condition("Ready"))

    assert "finalizers" not in cluster.get("workerpools", "pool")["metadata"]
    cluster.delete("workerpools", "pool")
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        cluster.get("workerpools", "pool")


def test_defaults_of_the_resource_are_those_of_the_law(cluster: Cluster) -> None:
    from ocrplus_operator.control.spec import PoolSpec, TargetRef
    from ocrplus_operator.resource import resource_of

    bare = {"targetRef": {"name": "worker"}, "source": {"redis": {"secretRef": {"name": "s"}}}}
    body = {
        "apiVersion": "ocrplus.io/v1alpha1",
        "kind": "WorkerPool",
        "metadata": {"name": "bare"},
        "spec": kube_api.merged({}, bare),
    }
    spec = resource_of(cluster.create("workerpools", body)).spec

    known = PoolSpec(target=TargetRef("worker"))
    assert spec.limits == known.limits
    assert spec.objective == known.objective
    assert spec.scale_down == known.scale_down
    assert spec.scale_to_zero == known.scale_to_zero
    assert spec.startup == known.startup
    assert spec.missing_metrics == known.missing_metrics
    assert (spec.source.pool, spec.source.group, spec.mode) == ("ocr", "workers", "Auto")


def test_a_quota_bounds_the_order_and_is_named(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    gpu = "requests.nvidia.com/gpu"
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "gpus"},
        "spec": {"hard": {gpu: "2"}},
        "status": {"hard": {gpu: "2"}, "used": {gpu: "0"}},  # a real server writes its own
    }
    cluster.create("resourcequotas", quota)
    until(lambda: (cluster.get("resourcequotas", "gpus").get("status") or {}).get("hard"))
    cluster.secret(valkey.url)
    cluster.deployment(gpus=1)
    cluster.pool()
    work(store, "t", chunks=40)
    with operator(cluster):
        until(lambda: cluster.condition("ScalingLimited").get("reason") == "Quota")

    assert cluster.replicas() == 2


def test_pods_that_find_no_place_stop_the_adding(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment(gpus=60 if KIND == "real" else 600)
    cluster.pool(
        limits={"maxReplicas": 9, "maxPending": 3}, startup={"provisioningTimeoutSeconds": 2}
    )
    work(store, "t", chunks=60)
    with operator(cluster):
        until(lambda: cluster.condition("ScalingLimited").get("reason") == "Provisioning", 30)
        events = {e["reason"] for e in cluster.items("events")}

    assert "ProvisioningTimedOut" in events
    assert cluster.replicas() < 9
