"""`helm uninstall` leaves the CRD, the Secret with the tokens and the volumes, and nothing else."""

import time

import pytest
from release import IMAGE_TAG, Release, kubectl, note, until


@pytest.fixture
def passing(cluster: str) -> Release:
    """A release of its own."""
    return Release("ocrplus-passing", settings=[f"image.tag={IMAGE_TAG}"])


def test_only_what_holds_data_stays(passing: Release) -> None:
    before = cluster_wide()
    passing.install("cpu", seconds=400)
    seconds = passing.uninstall()
    began = time.monotonic()
    until(lambda: not passing.objects("pods"), 200, "every pod ends without its Redis", 1)
    pods_gone = seconds + time.monotonic() - began

    names = passing.leftovers()
    assert names == {
        "Secret/ocrplus-auth",
        "PersistentVolumeClaim/data-ocrplus-redis-0",
    }
    assert cluster_wide() - before <= {
        "customresourcedefinition.apiextensions.k8s.io/workerpools.ocrplus.io"
    }
    note("uninstall", pods_gone_seconds=round(pods_gone, 1), leaves=sorted(names))
    kubectl("delete", "namespace", passing.namespace, "--wait=false")


def cluster_wide() -> set[str]:
    """Objects outside namespaces that a chart could make."""
    kinds = "clusterroles,clusterrolebindings,customresourcedefinitions,priorityclasses"
    return set(kubectl("get", kinds, "-o", "name").split())
