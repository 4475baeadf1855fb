"""The same burst on a real control plane: the operator, then real KEDA, both timelines in one plot.

Pods do not run (fake GPU nodes): their workers are played with the real heartbeat and ledger. KEDA
is set up as well as it can be for this: it sees waiting and taken chunks, looks as often as the
operator, cools down and stabilises as quickly.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import clusters
import e2e_operator
import real_cluster
import redis
import redis_server
import results
import timeline
from clusters import Cluster
from ledger_steps import KEYS, admit
from played_workers import Fleet

from ocrplus_contract.names import Pool

CHUNKS: Final = 60
PAGES: Final = 4
PAGE_SECONDS: Final = 0.25
WARM_SECONDS: Final = 5.0
MOST: Final = 12
IDLE_SECONDS: Final = 15
LONGEST_SECONDS: Final = 200
KCM: Final = "--horizontal-pod-autoscaler-sync-period=3s"
# A pod that is told to end may finish its chunk (1 s), as with a real kubelet.
DELAYS: Final = {"fakekubelet/start-delay": "1", "fakekubelet/stop-delay": "2"}


@contextmanager
def by_operator(cluster: Cluster, _: int) -> Iterator[None]:
    """The operator at its default pace."""
    cluster.pool(
        limits={"maxReplicas": MOST},
        objective={"targetDrainSeconds": 20, "minUsefulSeconds": 10},
        scaleDown={"windowSeconds": IDLE_SECONDS, "maxPercent": 50},
        scaleToZero={"afterSeconds": IDLE_SECONDS},
        startup={"coldStartSeconds": WARM_SECONDS + 1, "learn": True},
    )
    with clusters.operator(cluster, OCRPLUS_OPERATOR__TICK_SECONDS="3"):
        clusters.until(lambda: cluster.condition("Ready").get("status") == "True", 30)
        yield


@contextmanager
def by_keda(cluster: Cluster, port: int) -> Iterator[None]:
    """KEDA with two triggers of redis-streams: what waits, and what is taken."""
    common = {"address": f"127.0.0.1:{port}", "stream": KEYS.work(Pool.OCR)}
    group = {**common, "consumerGroup": "workers"}
    rules = {"stabilizationWindowSeconds": IDLE_SECONDS}
    body = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "worker"},
        "spec": {
            "scaleTargetRef": {"name": "worker"},
            "minReplicaCount": 0,
            "maxReplicaCount": MOST,
            "pollingInterval": 3,
            "cooldownPeriod": IDLE_SECONDS,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": rules}}},
            "triggers": [
                {"type": "redis-streams", "metadata": {**group, "lagCount": "5"}},
                {"type": "redis-streams", "metadata": {**group, "pendingEntriesCount": "1"}},
            ],
        },
    }
    path = f"/apis/keda.sh/v1alpha1/namespaces/{cluster.namespace}/scaledobjects"
    cluster.request("POST", path, body)

    def is_ready() -> bool:
        conditions = cluster.request("GET", f"{path}/worker").get("status", {}).get("conditions")
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions or ())

    clusters.until(is_ready, 60, "the ScaledObject is not ready")
    yield


Scaler = Callable[[Cluster, int], Any]


def measured(scaler: Scaler) -> tuple[dict[str, float], timeline.Series]:
    """One burst at zero replicas; figures, and (seconds, ordered, ready, waiting) over time."""
    with (
        redis_server.running("valkey") as server,
        server.client as store,
        real_cluster.namespace() as cluster,
    ):
        cluster.secret(server.url)
        cluster.deployment(annotations=DELAYS, gpus=1)
        store.xgroup_create(KEYS.work(Pool.OCR), "workers", "0", mkstream=True)
        fleet = Fleet(cluster, server.url, warm_seconds=WARM_SECONDS, page_seconds=PAGE_SECONDS)
        with scaler(cluster, server.port), fleet:
            time.sleep(4)  # whoever looks every three seconds has looked
            began = time.monotonic()
            admit(store, "u", "burst", [(i * PAGES + 1, (i + 1) * PAGES) for i in range(CHUNKS)])
            series = list(_watched(cluster, store, began))
    return _figures(series, fleet), series


def _watched(
    cluster: Cluster, store: "redis.Redis", began: float
) -> Iterator[tuple[float, int, int, int]]:
    while (at := time.monotonic() - began) < LONGEST_SECONDS:
        pods = cluster.pods()
        ready = sum(
            "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") == "Running"
            for pod in pods
        )
        groups: Any = store.xinfo_groups(KEYS.work(Pool.OCR))  # redis-py types it loosely
        group = groups[0]
        left = int(group["lag"] or 0) + int(group["pending"])
        ordered = cluster.replicas()
        yield round(at, 2), ordered, ready, left
        if at > 10 and not pods and not ordered and not left:
            return
        time.sleep(0.2)


def _figures(series: timeline.Series, fleet: Fleet) -> dict[str, float]:
    woken = next(at for at, ordered, _, _ in series if ordered > 0)
    done = next(at for at, _, _, left in series if left == 0 and at > woken)
    asleep = series[-1][0]
    steps = sum(a[1] != b[1] for a, b in pairwise(series))
    pod_seconds = sum(a[2] * (b[0] - a[0]) for a, b in pairwise(series))
    return {
        "first order after s": round(woken, 2),
        "burst done after s": round(done, 1),
        "zero again after s": round(asleep, 1),
        "most replicas": max(ordered for _, ordered, _, _ in series),
        "changes of replicas": steps,
        "running pod seconds": round(pod_seconds),
        "pods deleted": len(fleet.went),
        "deleted without drained": sum(
            said not in ("drained", "never started") for said in fleet.went.values()
        ),
        "deleted while busy": sum(said in ("busy", "draining") for said in fleet.went.values()),
        "chunks cut short": fleet.interrupted,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=Path, default=e2e_operator.TOOLS)
    parser.add_argument("--root", type=Path, default=e2e_operator.KUBE)
    arguments = parser.parse_args()
    why = e2e_operator.missing(arguments.tools, arguments.root, "keda", "keda-adapter")
    if why:
        print(f"skipped: {why} (build.sh control peers of the shared tools makes it)")
        return 0
    os.environ["KUBE_KCM_ARGS"] = KCM
    with e2e_operator.control_plane(arguments.tools, arguments.root) as env:
        os.environ.update({name: env[name] for name in ("KUBECONFIG", "KUBE_E2E")})
        operator, ours = measured(by_operator)
        print(json.dumps(operator))
        e2e_operator.keda(arguments.tools, arguments.root, env)
        keda, theirs = measured(by_keda)
        print(json.dumps(keda))
    results.write("burst", {"operator": operator, "KEDA": keda})
    timeline.plot(
        Path(__file__).parent / "results" / "burst.svg",
        f"{CHUNKS} chunks of {PAGES} pages at zero replicas, {WARM_SECONDS:g} s to warm",
        {"operator": ours, "KEDA": theirs},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
