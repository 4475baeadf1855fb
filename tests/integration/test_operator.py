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


def test_work_at_zero_replicas_wakes_the_pool_and_silence_lets_it_sleep(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment()
    cluster.pool()
    with operator(cluster, OCRPLUS_OPERATOR__TICK_SECONDS="3"), Fleet(cluster, valkey.url) as fleet:
        until(lambda: cluster.condition("Ready").get("status") == "True")
        began = time.monotonic()
        work(store, "t", chunks=12)
        until(lambda: cluster.replicas() > 0, 10)
        assert time.monotonic() - began < 5
        until(lambda: done(store, "t"), 30)
        until(lambda: cluster.replicas() == 0 and not cluster.pods(), 60)

    assert set(fleet.went.values()) == {"drained"}
    assert store.smembers(KEYS.drain(Pool.OCR)) == set()
    reasons = [d["reason"] for d in cluster.get("workerpools", "pool")["status"]["recentDecisions"]]
    assert reasons[1] == "FromZero" and "Idle" in reasons
    events = {e["reason"] for e in cluster.list("events") if e["involvedObject"]["name"] == "pool"}
    assert "ScaledFromZero" in events


def test_status_and_explain_say_why(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment()
    cluster.pool(limits={"maxReplicas": 2})
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
