"""What is seen of a target in the cluster."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import kube_api
import pytest

from ocrplus_operator.control.types import Cluster, Unknown
from ocrplus_operator.kube import Kube
from ocrplus_operator.observe.cluster import ClusterView, Target
from ocrplus_operator.resource import Resource, resource_of


@pytest.fixture
def resource(api: kube_api.KubeApi) -> Resource:
    """A pool whose Secret is there."""
    data = {"url": base64.b64encode(b"redis://r:6379/0\n").decode()}
    api.call(api.store.create, "secrets", "n", {"metadata": {"name": "s"}, "data": data})
    meta = {"namespace": "n", "name": "p", "uid": "u"}
    source = {"redis": {"secretRef": {"name": "s"}}}
    return resource_of({"metadata": meta, "spec": {"targetRef": {"name": "w"}, "source": source}})


@pytest.fixture
async def view(kube: Kube) -> AsyncIterator[ClusterView]:
    found = ClusterView(kube, 0.01)
    yield found
    await found.close()


def deployment(api: kube_api.KubeApi, **status: int) -> None:
    labels = {"app": "w"}
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {}},
    }
    body = {"metadata": {"name": "w"}, "spec": spec, "status": {"observedGeneration": 1, **status}}
    api.call(api.store.create, "deployments", "n", body)


def pod(api: kube_api.KubeApi, name: str, **over: Any) -> None:
    meta = {"name": name, "labels": {"app": "w", "pod-template-hash": over.get("hash", "1")}}
    status = {"phase": over.get("phase", "Running"), "conditions": []}
    body = {"metadata": meta, "spec": {"nodeName": "node"}, "status": status}
    api.call(api.store.create, "pods", "n", body)
    if over.get("terminating"):
        api.call(api.store.delete, "pods", "n", name)


async def seen(view: ClusterView, resource: Resource) -> Cluster:
    found = await view.read(resource)
    assert isinstance(found, Cluster), found
    return found


async def test_pods_that_have_ended_are_none_and_those_on_their_way_out_are_told_apart(
    api: kube_api.KubeApi, view: ClusterView, resource: Resource
) -> None:
    deployment(api, replicas=2, updatedReplicas=2)
    pod(api, "a")
    pod(api, "b", terminating=True)
    pod(api, "c", phase="Succeeded")

    found = await seen(view, resource)

    assert {p.name: p.terminating for p in found.pods} == {"a": False, "b": True}
    assert (found.replicas, found.rollout, view.redis_url) == (2, False, "redis://r:6379/0")


@pytest.mark.parametrize("how", ["two templates", "not updated", "not observed"])
async def test_a_rollout_is_seen(
    api: kube_api.KubeApi, view: ClusterView, resource: Resource, how: str
) -> None:
    updated = 1 if how == "not updated" else 2
    observed = 0 if how == "not observed" else 1
    deployment(api, replicas=2, updatedReplicas=updated, observedGeneration=observed)
    pod(api, "a")
    pod(api, "b", hash="2" if how == "two templates" else "1")

    assert (await seen(view, resource)).rollout


async def test_a_scaled_object_is_named_rather_than_the_hpa_that_keda_makes_of_it(
    api: kube_api.KubeApi, view: ClusterView, resource: Resource
) -> None:
    deployment(api)
    reference = {"scaleTargetRef": {"kind": "Deployment", "name": "w"}}
    for plural in ("horizontalpodautoscalers", "scaledobjects"):
        api.call(api.store.create, plural, "n", {"metadata": {"name": "x"}, "spec": reference})

    assert (await seen(view, resource)).conflict == "ScaledObject/x"


async def test_a_watch_that_died_of_something_unforeseen_is_begun_anew(
    api: kube_api.KubeApi, view: ClusterView, resource: Resource
) -> None:
    deployment(api)
    pod(api, "a")
    await seen(view, resource)
    dead = view._watch
    assert dead is not None and dead._task is not None
    dead._task.cancel()
    await asyncio.wait([dead._task])
    pod(api, "b")

    assert {p.name for p in (await seen(view, resource)).pods} == {"a", "b"}


async def test_a_scaler_of_something_else_is_no_conflict(
    api: kube_api.KubeApi, view: ClusterView, resource: Resource
) -> None:
    deployment(api)
    reference = {"scaleTargetRef": {"kind": "StatefulSet", "name": "w"}}
    body = {"metadata": {"name": "x"}, "spec": reference}
    api.call(api.store.create, "horizontalpodautoscalers", "n", body)

    assert (await seen(view, resource)).conflict == ""


@pytest.mark.parametrize(
    ("status", "reason"), [(403, "Forbidden"), (500, "ApiUnavailable"), (404, "TargetMissing")]
)
async def test_what_cannot_be_read_is_unknown_with_the_reason(
    api: kube_api.KubeApi, view: ClusterView, resource: Resource, status: int, reason: str
) -> None:
    deployment(api)
    api.fail("GET", "/deployments/", status)

    found = await view.read(resource)

    assert isinstance(found, Unknown) and found.reason == reason
    assert view.target is None


async def test_pods_are_those_of_a_new_list_after_the_watch_was_lost(
    api: kube_api.KubeApi, view: ClusterView, resource: Resource
) -> None:
    deployment(api)
    pod(api, "a")
    await seen(view, resource)

    api.forget_history()
    pod(api, "b")

    names: set[str] = set()
    for _ in range(200):
        found = await view.read(resource)
        names = {p.name for p in found.pods} if isinstance(found, Cluster) else set()
        if "b" in names:
            break
    assert names == {"a", "b"}


def test_selectors_with_expressions_are_spelt_as_the_api_takes_them() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["gpu", "cpu"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "new", "operator": "Exists"},
        {"key": "zone", "operator": "NotIn", "values": ["a"]},
    ]
    selector = {"matchLabels": {"app": "w"}, "matchExpressions": expressions}

    target = Target({"spec": {"selector": selector}})

    assert target.selector == "app=w,tier in (gpu,cpu),!old,new,zone notin (a)"
