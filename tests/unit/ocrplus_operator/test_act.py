"""An order rests on what is, not on what was: the last look before replicas are written."""

from typing import Any

import kube_api
import pytest

from ocrplus_operator.act import Acted, Actor
from ocrplus_operator.control.types import Decision, Notice, Reason
from ocrplus_operator.kube import Kube
from ocrplus_operator.observe.cluster import Target
from ocrplus_operator.observe.pods import removal_order
from ocrplus_operator.resource import Resource, resource_of

PATH = "/apis/apps/v1/namespaces/n/deployments/w"
COST = "controller.kubernetes.io/pod-deletion-cost"


@pytest.fixture
def resource(api: kube_api.KubeApi) -> Resource:
    """A pool and its target with three replicas."""
    template = {"metadata": {"labels": {"app": "w"}}, "spec": {}}
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "w"}}, "template": template}
    body = {"metadata": {"name": "w"}, "spec": spec}
    api.call(api.store.create, "deployments", "n", body)
    meta = {"namespace": "n", "name": "p", "uid": "u"}
    source = {"redis": {"secretRef": {"name": "s"}}}
    return resource_of({"metadata": meta, "spec": {"targetRef": {"name": "w"}, "source": source}})


def pod(api: kube_api.KubeApi, name: str, *, ready: bool = True, cost: int = 0) -> None:
    status: dict[str, Any] = {
        "phase": "Running",
        "conditions": [
            {"type": "Ready", "status": str(ready), "lastTransitionTime": kube_api.now()}
        ],
    }
    meta = {"name": name, "labels": {"app": "w"}, "annotations": {COST: str(cost)}}
    body = {"metadata": meta, "spec": {"nodeName": "node"}, "status": status}
    api.call(api.store.create, "pods", "n", body)


def order(to: int) -> Decision:
    return Decision(desired=to, reason=Reason.DRAIN, message="", scale_to=to)


async def replicas(kube: Kube) -> int:
    return int((await kube.get(PATH))["spec"]["replicas"])


@pytest.mark.parametrize(("ready", "cost", "left"), [(True, -1000, 2), (True, 0, 3), (False, 0, 3)])
async def test_fewer_only_if_the_pods_that_go_first_are_those_that_drained(
    api: kube_api.KubeApi, kube: Kube, resource: Resource, ready: bool, cost: int, left: int
) -> None:
    pod(api, "other", ready=ready)
    pod(api, "third")
    pod(api, "drained", cost=cost if ready else -1000)

    await Actor(kube).carry_out(resource, order(2), Target(await kube.get(PATH)), None)

    assert await replicas(kube) == left


async def test_who_drained_first_goes_first(
    api: kube_api.KubeApi, kube: Kube, resource: Resource
) -> None:
    for name, cost in (("a", -999), ("b", -1000), ("c", 0)):
        pod(api, name, cost=cost)

    listed = (await kube.get("/api/v1/namespaces/n/pods"))["items"]

    assert [one.name for one in removal_order(listed)] == ["b", "a", "c"]
    acted = await Actor(kube).carry_out(resource, order(2), Target(await kube.get(PATH)), None)
    assert acted.done and await replicas(kube) == 2


async def test_fewer_not_on_a_target_that_has_changed(
    api: kube_api.KubeApi, kube: Kube, resource: Resource
) -> None:
    target = Target(await kube.get(PATH))
    await kube.patch(f"{PATH}/status", {"status": {"replicas": 3}})

    acted = await Actor(kube).carry_out(resource, order(2), target, None)

    assert acted == Acted(done=False)  # nobody refused: the next look sees what is there
    assert await replicas(kube) == 3


async def test_more_also_on_a_target_whose_status_changed_but_not_its_replicas(
    api: kube_api.KubeApi, kube: Kube, resource: Resource
) -> None:
    target = Target(await kube.get(PATH))
    await kube.patch(f"{PATH}/status", {"status": {"replicas": 3}})

    assert (await Actor(kube).carry_out(resource, order(5), target, None)).done
    assert await replicas(kube) == 5


async def test_a_late_order_for_more_lowers_nothing_that_another_has_raised(
    api: kube_api.KubeApi, kube: Kube, resource: Resource
) -> None:
    target = Target(await kube.get(PATH))
    await kube.patch(f"{PATH}/scale", {"spec": {"replicas": 8}})

    assert not (await Actor(kube).carry_out(resource, order(5), target, None)).done
    assert await replicas(kube) == 8


async def test_nothing_is_scaled_while_a_drain_could_not_be_undone(
    api: kube_api.KubeApi, kube: Kube, resource: Resource
) -> None:
    pod(api, "back", cost=-1000)
    api.fail("PATCH", "/pods/", 500)
    decision = Decision(desired=5, reason=Reason.BACKLOG, message="", unmark=("back",), scale_to=5)

    target = Target(await kube.get(PATH))
    acted = await Actor(kube).carry_out(resource, decision, target, None)

    assert not acted.done and "deletion cost of back not written" in acted.refused
    assert await replicas(kube) == 3


async def test_an_order_that_is_forbidden_is_told_with_the_servers_words(
    api: kube_api.KubeApi, kube: Kube, resource: Resource
) -> None:
    api.fail("PATCH", "/scale$", 403)

    acted = await Actor(kube).carry_out(resource, order(5), Target(await kube.get(PATH)), None)

    assert not acted.done and acted.refused.startswith("replicas of w not written: 403")


async def test_who_has_lost_the_lease_writes_nothing_more(
    api: kube_api.KubeApi, kube: Kube, resource: Resource
) -> None:
    pod(api, "a")
    pod(api, "b")
    turns = iter([True, False, False, False])  # lost after the first of two deletion costs
    actor = Actor(kube, lambda: next(turns))
    decision = Decision(
        desired=5, reason=Reason.BACKLOG, message="", cheapen=("a", "b"), scale_to=5
    )

    acted = await actor.carry_out(resource, decision, Target(await kube.get(PATH)), None)

    pods = (await kube.get("/api/v1/namespaces/n/pods"))["items"]
    costs = {p["metadata"]["name"]: p["metadata"]["annotations"][COST] for p in pods}
    assert (costs, acted.done, await replicas(kube)) == ({"a": "-1000", "b": "0"}, False, 3)


async def test_who_loses_the_lease_in_the_last_look_orders_nothing(
    api: kube_api.KubeApi, kube: Kube, resource: Resource
) -> None:
    pod(api, "drained", cost=-1000)
    pod(api, "b")
    pod(api, "c")
    turns = iter([True, False])  # lost while the pods were listed
    actor = Actor(kube, lambda: next(turns))

    acted = await actor.carry_out(resource, order(2), Target(await kube.get(PATH)), None)

    assert (acted.done, await replicas(kube)) == (False, 3)


async def test_who_loses_the_lease_between_two_tries_orders_nothing(
    api: kube_api.KubeApi, kube: Kube, resource: Resource
) -> None:
    target = Target(await kube.get(PATH))
    await kube.patch(f"{PATH}/status", {"status": {"replicas": 3}})  # the first try is too late
    turns = iter([True, False])
    actor = Actor(kube, lambda: next(turns))

    acted = await actor.carry_out(resource, order(5), target, None)

    assert (acted.done, await replicas(kube)) == (False, 3)


async def test_an_event_names_the_pool_and_is_cut_to_what_the_api_takes(
    api: kube_api.KubeApi, kube: Kube, resource: Resource
) -> None:
    await Actor(kube).tell(resource, Notice("Removing", "x" * 3000, warning=True))

    event = (await kube.get("/api/v1/namespaces/n/events"))["items"][0]
    assert (event["involvedObject"]["kind"], event["type"]) == ("WorkerPool", "Warning")
    assert len(event["message"]) == 1000
