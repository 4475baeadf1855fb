"""A throw-away cluster only: its context must be named, and its namespace `default` be marked.

`make e2e-node` and the workflow do both. Anywhere else these tests are skipped, and a cluster that
is named but not marked is refused. Once a cluster is named nothing is skipped: what a test needs
and does not find fails it.
"""

import json
import os
from collections.abc import Generator, Iterator

import pytest
from cluster_client import Door
from release import BASE, IMAGE_TAG, ROUTED, THROW_AWAY, Release, kubectl


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip is a failure where a cluster is named."""
    report = yield
    if report.skipped and os.environ.get("KUBE_E2E"):
        report.outcome = "failed"
        report.longrepr = f"skipped on a cluster: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def cluster() -> str:
    """The context of a cluster that may be thrown away."""
    wanted = os.environ.get("KUBE_E2E")
    if not wanted:
        pytest.skip("no throw-away cluster is named: make e2e-node")
    context = kubectl("config", "current-context").strip()
    assert context == wanted, f"the current context is {context}, KUBE_E2E names {wanted}"
    default = json.loads(kubectl("get", "namespace", "default", "-o", "json"))
    marked = default["metadata"].get("annotations", {}).get(THROW_AWAY)
    assert marked == "true", (
        f"the namespace default of {context} lacks the annotation {THROW_AWAY}: true"
    )
    return context


@pytest.fixture(scope="session")
def release(cluster: str) -> Iterator[Release]:
    """The chart, installed once into an empty namespace with the values for CPUs and a route."""
    namespace = os.environ.get("KUBE_E2E_NAMESPACE", "ocrplus-e2e")
    installed = Release(namespace, settings=[f"image.tag={IMAGE_TAG}"])
    if os.environ.get("KUBE_E2E_REUSE"):  # while a test is being written
        yield installed
        return
    there = kubectl("get", "namespaces", "-o", "name").split()
    assert f"namespace/{installed.namespace}" not in there, "a run before this one left its release"
    installed.install("cpu", settings=ROUTED, seconds=400)
    yield installed
    # It stays for a look when something failed; the cluster is thrown away.


@pytest.fixture
def door(release: Release) -> Door:
    """The release through the ingress."""
    return Door(BASE, release.token())
