"""The tests touch no cluster but one that was said to be thrown away."""

import kube_api
import pytest
import real_cluster

from ocrplus_operator.kube import Kube


def namespaces(api: kube_api.KubeApi) -> list[str]:
    return [one["metadata"]["name"] for one in api.store.listed("namespaces", "")]


def test_a_context_other_than_the_named_one_is_left_alone(
    api: kube_api.KubeApi, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBE_E2E", "kind-ocrplus")

    with (
        pytest.raises(AssertionError, match="current context is t, not kind-ocrplus"),
        real_cluster.namespace(),
    ):
        pass


@pytest.mark.parametrize("annotations", [{}, {real_cluster.MARK: "false"}])
def test_a_cluster_without_the_mark_is_left_alone(
    api: kube_api.KubeApi,
    kube: Kube,
    monkeypatch: pytest.MonkeyPatch,
    annotations: dict[str, str],
) -> None:
    monkeypatch.setenv("KUBE_E2E", "t")
    meta = {"name": "default", "annotations": annotations}
    api.call(api.store.create, "namespaces", "", {"metadata": meta})

    with pytest.raises(AssertionError, match="not touched"), real_cluster.namespace():
        pass

    assert namespaces(api) == ["default"]
