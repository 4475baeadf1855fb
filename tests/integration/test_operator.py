"""The operator as a process, before an API server, a real Redis and workers: it follows the work.

The bodies run against the project's own small API server, and by `make e2e-operator` against a real
control plane.
"""

import copy
import os
import subprocess
import sys
import time
from typing import Any

import clusters
import httpx
import kube_api
import pytest
import real_cluster
import redis
import redis_proxy
import redis_server
from clusters import Cluster, operator, until
from ledger_steps import KEYS
from played_workers import Fleet, done, work

from ocrplus_contract.names import Pool


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


RIVALS: dict[str, dict[str, Any]] = {
    "HorizontalPodAutoscaler": {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "spec": {"minReplicas": 1, "maxReplicas": 2},
    },
    "ScaledObject": {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "spec": {
            "minReplicaCount": 1,
            "maxReplicaCount": 2,
            "triggers": [{"type": "cron", "metadata": {
                "timezone": "UTC", "start": "0 0 * * *", "end": "59 23 * * *",
                "desiredReplicas": "2"}}],
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(RIVALS))
def test_another_scaler_of_the_target_stops_the_operator_until_it_is_gone(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server, kind: str
) -> None:
    if clusters.KIND == "real" and kind == "ScaledObject":
        real_cluster.keda_crd(cluster)
    cluster.secret(valkey.url)
    cluster.deployment()
    cluster.pool()
    body = copy.deepcopy(RIVALS[kind])
    body["metadata"] = {"name": "rival"}
    body["spec"]["scaleTargetRef"] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "worker",
    }
    plural = f"{kind.lower()}s"
    cluster.create(plural, body)
    with operator(cluster):
        until(lambda: cluster.condition("Conflict").get("status") == "True")
        work(store, "t", chunks=12)
        until(lambda: cluster.condition("Active").get("status") == "True")
        time.sleep(2.0 if clusters.KIND == "real" else 0.8)
        assert "ocrplus-operator" not in writers(cluster)  # the rival may do as it likes
        assert cluster.replicas() <= 2
        assert f"{kind}/rival" in cluster.condition("Conflict")["message"]
        last = cluster.get("workerpools", "pool")["status"]["lastDecision"]
        assert last["reason"] == "Conflict" and f"{kind}/rival" in last["message"]
        cluster.delete(plural, "rival")
        until(lambda: cluster.replicas() > 2, 30)
        until(lambda: cluster.condition("Conflict").get("status") == "False")

    keda = any("keda" in str(name) for name in cluster.api_groups()) and kind == "ScaledObject"
    clusters.note(**{f"conflict with {'a real ' if clusters.KIND == 'real' else ''}{kind}": "told"
                     + (", KEDA beside it" if keda else "")})  # fmt: skip


def writers(cluster: Cluster) -> set[str]:
    """Who has written fields of the target; the small API server keeps no record of that."""
    fields = cluster.get("deployments", "worker")["metadata"].get("managedFields", ())
    return {entry["manager"] for entry in fields}


def test_the_younger_of_two_pools_of_one_target_yields(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment()
    cluster.pool("pool")
    time.sleep(1.1)  # creation times are in whole seconds
    cluster.pool("second", source={"pool": "caption", "celeryQueue": "caption"})
    with operator(cluster):
        until(lambda: cluster.condition("Conflict", "second").get("status") == "True")
        until(lambda: cluster.condition("Ready").get("status") == "True")
        assert "WorkerPool/pool" in cluster.condition("Conflict", "second")["message"]
        cluster.delete("workerpools", "pool")
        until(lambda: cluster.condition("Ready", "second").get("status") == "True")


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


SENSELESS: list[tuple[dict[str, Any], str]] = [
    ({"limits": {"minReplicas": 5, "maxReplicas": 2}}, "minReplicas must not be above"),
    ({"mode": "Manual"}, "Manual needs replicas"),
    ({"replicas": -1}, "greater than or equal to 0"),
    ({"mode": "Sometimes"}, "Unsupported value"),
    ({"objective": {"headroom": "much"}}, "should match"),
]


@pytest.mark.skipif(
    clusters.KIND == "fake", reason="only a real API server evaluates schema and CEL"
)
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


def test_a_pool_deleted_amid_a_drain_gives_its_workers_back(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment(replicas=2)
    cluster.pool(mode="Manual", replicas=2)
    with Fleet(cluster, valkey.url, page_seconds=0.5) as fleet, operator(cluster):
        until(lambda: fleet.states == ["idle", "idle"], 30)
        work(store, "t", chunks=2, pages=8)
        until(lambda: fleet.states == ["busy", "busy"])
        cluster.patch("workerpools", "pool", {"spec": {"replicas": 1}}, sub="scale")
        until(lambda: store.exists(KEYS.drain(Pool.OCR)))
        cluster.delete("workerpools", "pool")
        until(lambda: not store.exists(KEYS.drain(Pool.OCR)))
        until(lambda: fleet.states == ["idle", "idle"], 30)

    assert fleet.went == {} and cluster.replicas() == 2


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
    cluster.deployment(gpus=60 if clusters.KIND == "real" else 600)
    cluster.pool(
        limits={"maxReplicas": 9, "maxPending": 3}, startup={"provisioningTimeoutSeconds": 2}
    )
    work(store, "t", chunks=60)
    with operator(cluster):
        until(lambda: cluster.condition("ScalingLimited").get("reason") == "Provisioning", 30)
        events = {e["reason"] for e in cluster.items("events")}

    assert "ProvisioningTimedOut" in events
    assert cluster.replicas() < 9
