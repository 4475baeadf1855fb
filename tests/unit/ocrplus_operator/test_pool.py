"""A pool's loop and the probes while the API server fails."""

import kube_api
import pytest

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


async def test_a_loop_that_was_not_looked_after_is_a_problem(kube: Kube) -> None:
    pools = Pools(kube, OperatorSettings(), OperatorMetrics())
    leader = Leader(kube, Candidacy("n", "lease", "a", 15))
    pools.changed(BODY)
    later = pools.oldest_tick + 61

    assert set(Health(pools, leader, OperatorMetrics(), lambda: later).problems()) == {"pools"}
    await pools.close()
