"""Whatever happens amid a drain: the pod that goes has confirmed it, and no order twice.

The bodies run on the small API server and, by `make e2e-operator`, on a real control plane.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable

import clusters
import redis
import redis_server
from clusters import Cluster, operator, until
from ledger_steps import KEYS
from played_workers import Fleet, done, work

from ocrplus_contract.names import Pool

COST = "controller.kubernetes.io/pod-deletion-cost"


def marked(cluster: Cluster, store: redis.Redis) -> bool:
    return bool(store.exists(KEYS.drain(Pool.OCR)))


def confirmed(cluster: Cluster, store: redis.Redis) -> bool:
    return any(
        store.hget(KEYS.worker(Pool.OCR, worker.decode()), "state") == b"drained"
        for worker in store.zrange(KEYS.workers(Pool.OCR), 0, -1)
    )


def cheapened(cluster: Cluster, store: redis.Redis) -> bool:
    return any(COST in (p["metadata"].get("annotations") or {}) for p in cluster.pods())


def scaled(cluster: Cluster, store: redis.Redis) -> bool:
    return len(cluster.pods()) > cluster.replicas() and marked(cluster, store)


STEPS = [marked, confirmed, cheapened, scaled]
Step = Callable[[Cluster, redis.Redis], bool]
# One name for all: whoever comes next need not wait until the dead one's Lease has run out.
PACE = {"OCRPLUS_OPERATOR__IDENTITY": "one", "OCRPLUS_OPERATOR__TICK_SECONDS": "0.3"}


def generation(cluster: Cluster) -> int:
    """How often the target's spec was changed."""
    return int(cluster.get("deployments", "worker")["metadata"]["generation"])


def busy_workers(cluster: Cluster, store: redis.Redis, fleet: Fleet, task: str) -> None:
    """Each worker has a chunk in hand; none waits."""
    count = cluster.replicas()
    until(lambda: fleet.states == ["idle"] * count, 30)
    work(store, task, chunks=count)
    until(lambda: fleet.states == ["busy"] * count)


def dies_amid_a_drain(cluster: Cluster, store: redis.Redis, fleet: Fleet, step: Step) -> None:
    """An operator is told to have one replica fewer, and killed when a step has been done."""
    with operator(cluster, **PACE) as first:
        until(lambda: not marked(cluster, store))
        busy_workers(cluster, store, fleet, step.__name__)
        fewer = cluster.replicas() - 1
        cluster.patch("workerpools", "pool", {"spec": {"replicas": fewer}}, sub="scale")
        until(lambda: step(cluster, store), 20, step.__name__)
        first.kill()


def test_an_operator_that_dies_at_any_step_of_a_drain_leaves_one_that_is_completed(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment(replicas=6)
    cluster.pool(mode="Manual", replicas=6)
    with Fleet(cluster, valkey.url, page_seconds=0.15) as fleet:
        before = generation(cluster)
        for number, step in enumerate(STEPS):
            dies_amid_a_drain(cluster, store, fleet, step)
            left = 5 - number
            with operator(cluster, **PACE):
                until(lambda left=left: cluster.replicas() == left == len(cluster.pods()), 30)
                until(lambda: not marked(cluster, store))
                time.sleep(0.7)  # two more looks: nothing is ordered twice
            assert generation(cluster) == before + number + 1

    clusters.note(
        **{
            "operator killed at steps of a drain": ", ".join(step.__name__ for step in STEPS),
            "orders given in all": generation(cluster) - before,
            "pods removed not drained": sum(said != "drained" for said in fleet.went.values()),
        }
    )
    assert list(fleet.went.values()) == ["drained"] * 4 and fleet.interrupted == 0
    for step in STEPS:
        assert done(store, step.__name__)


def test_a_drain_that_is_wanted_no_longer_is_undone_by_the_next_operator(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment(replicas=3)
    cluster.pool(mode="Manual", replicas=3)
    with Fleet(cluster, valkey.url, page_seconds=0.15) as fleet:
        before = generation(cluster)
        for step in STEPS[:3] if clusters.KIND == "real" else [cheapened]:
            dies_amid_a_drain(cluster, store, fleet, step)
            cluster.patch("workerpools", "pool", {"spec": {"replicas": 3}}, sub="scale")
            with operator(cluster, **PACE):
                until(lambda: not marked(cluster, store) and not cheapened(cluster, store), 20)
        work(store, "again", chunks=9)
        until(lambda: done(store, "again"), 20)

    assert fleet.went == {} and generation(cluster) == before


def disturb(cluster: Cluster, chance: random.Random, round_: int) -> tuple[str, Callable[[], None]]:
    """Something goes on beside the drain: what, and what ends it again."""
    match chance.choice(["nothing", "nothing", "not ready", "rollout"]):
        case "not ready" if pods := [p for p in cluster.pods() if p["spec"].get("nodeName")]:
            name = chance.choice(pods)["metadata"]["name"]
            readiness(cluster, name, "False")
            return "a pod NotReady", lambda: readiness(cluster, name, "True")
        case "rollout":
            note = {"metadata": {"annotations": {"round": str(round_)}}}
            cluster.patch("deployments", "worker", {"spec": {"template": note}})
            return "a rollout under way", lambda: None
    return "nothing else", lambda: None


def readiness(cluster: Cluster, pod: str, status: str) -> None:
    """Make a pod NotReady, as a failing probe would, or ready again."""
    found = next((p for p in cluster.pods() if p["metadata"]["name"] == pod), None)
    if found is None:
        return
    kept = [c for c in found["status"].get("conditions", ()) if c["type"] != "Ready"]
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    ready = {"type": "Ready", "status": status, "lastTransitionTime": at}
    never = "never" if status == "False" else "0.1"
    note = {"metadata": {"annotations": {"fakekubelet/ready-delay": never}}}
    try:
        cluster.patch("pods", pod, note)
        cluster.patch("pods", pod, {"status": {"conditions": [*kept, ready]}}, sub="status")
    except Exception as error:  # it went meanwhile
        assert "404" in str(error)


def test_scale_downs_among_busy_warming_and_unready_pods_and_rollouts_take_drained_pods_only(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    scenes: Counter[str] = Counter()
    rounds, chance = int(os.environ.get("KUBE_E2E_SCALE_DOWNS", "3")), random.Random(7)
    cluster.secret(valkey.url)
    cluster.deployment()
    cluster.pool(mode="Manual", replicas=0, limits={"maxReplicas": 8})
    with (
        Fleet(cluster, valkey.url, warm_seconds=1.0, page_seconds=0.1) as fleet,
        operator(cluster),
    ):
        for number in range(rounds):
            many = chance.randint(3, 6)
            cluster.patch("workerpools", "pool", {"spec": {"replicas": many}}, sub="scale")
            until(lambda many=many: cluster.replicas() >= many, 30)
            work(store, f"t{number}", chunks=chance.randint(0, 12) or 1)
            time.sleep(chance.choice([0.2, 0.8, 1.6]))
            states = set(fleet.states)
            beside, end = disturb(cluster, chance, number)
            scenes.update([beside, *(f"{state} workers" for state in states)])
            fewer = chance.randint(0, many - 1)
            cluster.patch("workerpools", "pool", {"spec": {"replicas": fewer}}, sub="scale")
            time.sleep(1.0)
            end()
            until(
                lambda fewer=fewer: cluster.replicas() == fewer and len(cluster.pods()) == fewer,
                60,
                f"round {number}: {many} to {fewer}",
            )
        lowered = fleet.lowered()

    clusters.note(
        **{
            "scale-downs": rounds,
            "of these with": ", ".join(f"{what} {n}" for what, n in sorted(scenes.items())),
            "pods removed by them": len(lowered),
            "of these drained": list(lowered.values()).count("drained"),
            "of these never started": list(lowered.values()).count("never started"),
            "pods removed by rollouts": len(fleet.went) - len(lowered),
            "chunks cut short": fleet.interrupted,
        }
    )
    assert fleet.interrupted == 0
    assert lowered and set(lowered.values()) <= {"drained", "never started"}, lowered


def test_a_drain_set_that_is_lost_leaves_no_pod_that_would_be_removed_first(
    cluster: Cluster, store: redis.Redis, valkey: redis_server.Server
) -> None:
    cluster.secret(valkey.url)
    cluster.deployment(replicas=2)
    cluster.pool(mode="Manual", replicas=2)
    until(lambda: len([p for p in cluster.pods() if p["spec"].get("nodeName")]) == 2)
    pod = cluster.pods()[0]["metadata"]["name"]
    cluster.patch("pods", pod, {"metadata": {"annotations": {COST: "-1000"}}})
    with operator(cluster):
        until(lambda: not cheapened(cluster, store))

    assert cluster.replicas() == 2
