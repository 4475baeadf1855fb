"""The `keda` values with real KEDA: it scales on the same stream, and busy workers stay."""

import asyncio
import json
import os
import shlex
import time
from collections.abc import Iterator

import pytest
from cluster_client import Door, loaded
from documents import text_document
from release import IMAGE_TAG, Release, kubectl, note, said, until

KEDA = shlex.split(os.environ.get("KUBE_E2E_KEDA", ""))
DOCUMENTS = [text_document(8, seed=number) for number in range(3)]
SETTINGS = (
    "ocrWorker.autoscaling.minReplicas=0",
    "ocrWorker.autoscaling.maxReplicas=2",
    # The node may be small, and another release is on it.
    "ocrWorker.resources.requests.cpu=100m",
    "keda.cooldownSeconds=20",
    "keda.pollingIntervalSeconds=2",
)


@pytest.fixture(scope="module")
def scaled(cluster: str) -> Iterator[Release]:
    """A release that KEDA scales."""
    if not KEDA:
        pytest.skip("KEDA is not here: KUBE_E2E_KEDA starts it")
    said(*KEDA, seconds=120)
    release = Release("ocrplus-keda", settings=[f"image.tag={IMAGE_TAG}"])
    release.install("cpu", "keda", settings=SETTINGS, seconds=300)
    yield release
    release.uninstall()
    kubectl("delete", "namespace", release.namespace, "--wait=false")


def address(release: Release) -> str:
    """The gateway's Service itself: no route is needed here."""
    name = ("service", f"{release.name}-gateway", "-o", "json")
    service = json.loads(release.kubectl("get", *name))["spec"]
    return f"http://{service['clusterIP']}:{service['ports'][0]['port']}"


async def test_keda_scales_on_the_stream_and_keeps_busy_workers(scaled: Release) -> None:
    await asyncio.to_thread(
        until, lambda: not scaled.pods("ocr-worker"), 240, "an idle pool at zero", 1
    )
    began = time.monotonic()

    async with loaded(Door(address(scaled), scaled.token()), DOCUMENTS, pause=6) as follower:
        await asyncio.to_thread(until, lambda: scaled.ready("ocr-worker") == 2, 300, "two", 0.5)
        two = time.monotonic() - began
    drained = time.monotonic()
    await asyncio.to_thread(
        until, lambda: not scaled.objects("pods", "ocr-worker"), 300, "zero again", 1
    )

    assert follower.lost == []
    assert set(follower.statuses()) == {"ok"}
    note(
        "keda",
        two_ready_seconds=round(two, 1),
        back_to_zero_seconds=round(time.monotonic() - drained, 1),
        documents=len(follower.accepted),
        statuses=follower.statuses(),
    )
