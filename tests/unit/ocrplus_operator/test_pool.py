"""A pool's loop and the probes while the API server fails."""

import kube_api
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import generate_latest

from ocrplus_operator.control.types import Condition, ConditionType, Decision, Reason
from ocrplus_operator.errors import ApiError
from ocrplus_operator.health import Health
from ocrplus_operator.kube import Kube
from ocrplus_operator.leader import Candidacy, Leader
from ocrplus_operator.metrics import OperatorMetrics
from ocrplus_operator.pool import PoolLoop, Pools
from ocrplus_operator.settings import OperatorSettings

BODY = {
    "metadata": {"namespace": "n", "name": "p", "uid": "u", "generation": 1},
    "spec": {"targetRef": {"name": "w"}, "source": {"redis": {"secretRef": {"name": "s"}}}},
}


async def test_a_look_that_failed_was_a_look(api: kube_api.KubeApi, kube: Kube) -> None:
    loop = PoolLoop(kube, OperatorSettings(), OperatorMetrics(), BODY, lambda: True)
    before = loop.ticked_at
    api.fail("GET", "/workerpools/", 500)

    with pytest.raises(ApiError):
        await loop.tick()

    assert loop.ticked_at > before
    await loop.close()


async def test_a_spec_that_cannot_be_acted_on_is_not_ready_in_the_metrics_either(
    api: kube_api.KubeApi, kube: Kube
) -> None:
    endless = {"cron": "0 7 * * *", "duration": "1h", "minReplicas": 1, "timeZone": "Mars/Olympus"}
    body = {**BODY, "spec": {**BODY["spec"], "schedules": [endless]}}
    api.call(api.store.create, "workerpools", "n", body)
    metrics = OperatorMetrics()
    ready = Condition(ConditionType.READY, True, "Deciding", "")
    metrics.decided("ocr", Decision(3, Reason.HOLD, "", conditions=(ready,)), 3)
    loop = PoolLoop(kube, OperatorSettings(), metrics, body, lambda: True)

    await loop.tick()

    text = generate_latest(metrics.registry).decode()
    assert 'ocrplus_operator_condition{pool="ocr",type="Ready"} 0.0' in text
    assert "ocrplus_operator_replicas{" not in text
    await loop.close()


async def test_the_probes_tell_a_silent_api_server_from_a_loop_that_hangs(kube: Kube) -> None:
    clock = [100.0]
    pools = Pools(kube, OperatorSettings(), OperatorMetrics())
    leader = Leader(kube, Candidacy("n", "lease", "a", 15), lambda: clock[0])
    health = Health(pools, leader, OperatorMetrics(), lambda: clock[0])
    await leader.once()
    assert health.unready() == {}

    clock[0] += 40
    assert set(health.unready()) == {"api"}
    assert health.problems() == {}


async def test_a_probe_says_of_each_part_whether_it_is_ready_and_why_not(kube: Kube) -> None:
    pools = Pools(kube, OperatorSettings(), OperatorMetrics())
    leader = Leader(kube, Candidacy("n", "lease", "a", 15))
    health = Health(pools, leader, OperatorMetrics())
    await leader.once()
    health.waiting.reason = "404 no such resource"

    async with TestClient(TestServer(health.app())) as client:
        answer = await client.get("/readyz")
        told, alive = await answer.json(), await client.get("/livez")

    assert (answer.status, alive.status) == (503, 200)
    assert told["parts"]["resource"] == {
        "ready": False,
        "code": "not_listed",
        "reason": "WorkerPools cannot be listed: 404 no such resource",
    }
    assert told["parts"]["api"] == {"ready": True, "code": "ok", "reason": ""}


async def test_a_loop_that_was_not_looked_after_is_a_problem(kube: Kube) -> None:
    pools = Pools(kube, OperatorSettings(), OperatorMetrics())
    leader = Leader(kube, Candidacy("n", "lease", "a", 15))
    pools.changed(BODY)
    later = pools.oldest_tick + 61

    assert set(Health(pools, leader, OperatorMetrics(), lambda: later).problems()) == {"pools"}
    await pools.close()
