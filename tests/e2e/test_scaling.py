"""The operator takes the pool from zero to two pods and back while documents flow."""

import asyncio
import time

import pytest
from cluster_client import Door, loaded
from documents import text_document
from release import ROUTED, Object, Release, kubectl, note, until

GPU = "nvidia.com/gpu"
# A pod asks for a GPU of its own, and works on the CPU all the same.
POOL = (
    *ROUTED,
    'ocrWorker.resources={"requests": {"cpu": "250m", "memory": "1Gi"}, '
    '"limits": {"memory": "3Gi", "nvidia.com/gpu": 1}}',
    "ocrWorker.autoscaling.minReplicas=0",
    "ocrWorker.autoscaling.maxReplicas=2",
    "ocrWorker.autoscaling.scaleToZeroAfterSeconds=15",
    "ocrWorker.autoscaling.windowSeconds=10",
)
DOCUMENTS = [text_document(8, seed=number) for number in range(4)]


@pytest.fixture
def two_gpus(cluster: str) -> None:
    """Pretended GPUs: two of them, on the first node."""
    node = kubectl("get", "nodes", "-o", "name").split()[0]
    path = "/status/capacity/nvidia.com~1gpu"
    patch = f'[{{"op": "add", "path": "{path}", "value": "2"}}]'
    kubectl("patch", node, "--subresource=status", "--type=json", "-p", patch)


def scaled(release: Release) -> int:
    """Replicas that the pool's Deployment is told to have."""
    path = ("deployment", f"{release.name}-ocr-worker", "-o", "jsonpath={.spec.replicas}")
    return int(release.kubectl("get", *path) or 0)


@pytest.mark.usefixtures("two_gpus")
async def test_zero_to_two_to_zero_without_an_interrupted_chunk(
    release: Release, door: Door
) -> None:
    release.upgrade("cpu", settings=POOL, seconds=600)
    await asyncio.to_thread(until, lambda: scaled(release) == 0, 180, "an idle pool at zero", 1)
    began, before = time.monotonic(), interrupted(release)
    seen: dict[str, float] = {}

    async with loaded(door, DOCUMENTS, pause=2) as follower:
        for ready in (1, 2):
            await asyncio.to_thread(
                until, lambda n=ready: release.ready("ocr-worker") >= n, 240, f"{ready} ready", 0.5
            )
            seen[f"ready_{ready}_seconds"] = round(time.monotonic() - began, 1)
        await asyncio.sleep(10)

    drained = time.monotonic()
    await asyncio.to_thread(until, lambda: scaled(release) == 0, 240, "zero again", 0.5)
    await asyncio.to_thread(
        until, lambda: not release.objects("pods", "ocr-worker"), 240, "no pod left", 0.5
    )
    assert follower.lost == []
    assert set(follower.statuses()) == {"ok"}
    lost = interrupted(release) - before
    assert lost == 0
    note(
        "scaling",
        **seen,
        back_to_zero_seconds=round(time.monotonic() - drained, 1),
        documents=len(follower.accepted),
        statuses=follower.statuses(),
        interrupted_chunks=lost,
        decisions=decisions(release.pool(f"{release.name}-ocr-worker")),
    )


def interrupted(release: Release) -> int:
    """Chunks that were not done by the pod that took them, ever, as the ledger counts them.

    Not by logs: who brings such a chunk back is any worker or gateway, which may be gone as well.
    """
    assert "inflight" in release.redis("HKEYS", "load:ocr").split(), "the ledger counts elsewhere"
    counts = release.redis("HMGET", "load:ocr", "expired", "died", "returned")
    return sum(int(count) for count in counts.split())


def decisions(pool: Object) -> list[str]:
    """What the operator did, oldest first."""
    recent = pool["status"].get("recentDecisions", [])
    return [f"{one['from']} to {one['to']}: {one['reason']}" for one in recent][-12:]
