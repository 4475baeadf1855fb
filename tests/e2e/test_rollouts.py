"""`helm upgrade` and `helm rollback` while documents flow: no failed job, no lost event."""

import asyncio
import time

from cluster_client import Door, loaded
from documents import text_document
from release import ROUTED, SAMPLES, Release, note

DOCUMENTS = [text_document(2), SAMPLES[0].read_bytes(), text_document(4)]
# A change of every workload: each pod is replaced.
CHANGED = tuple(
    f"{component}.podAnnotations.rollout=second"
    for component in ("gateway", "ocrWorker", "operator")
)


async def test_an_upgrade_and_a_rollback_lose_nothing(release: Release, door: Door) -> None:
    release.upgrade("cpu", settings=ROUTED)
    before = {pod["metadata"]["name"] for pod in release.objects("pods", "gateway")}

    async with loaded(door, DOCUMENTS, pause=5) as follower:
        await asyncio.sleep(5)
        upgraded = await asyncio.to_thread(
            release.upgrade, "cpu", settings=(*ROUTED, *CHANGED), seconds=600
        )
        between = {pod["metadata"]["name"] for pod in release.pods("gateway")}
        began = time.monotonic()
        await asyncio.to_thread(
            release.helm, "rollback", release.name, "--wait", "--timeout=600s", seconds=630
        )
        rolled_back = time.monotonic() - began
        await asyncio.sleep(3)

    assert not before & between, "the upgrade replaced nothing"
    assert follower.lost == []
    assert set(follower.statuses()) == {"ok"}
    assert release.restarts() == {}
    note(
        "rollouts",
        upgrade_seconds=round(upgraded, 1),
        rollback_seconds=round(rolled_back, 1),
        documents=len(follower.accepted),
        statuses=follower.statuses(),
        lost_events=len(follower.lost),
        reconnects=len(follower.reconnects),
        refused=dict(follower.refused),
    )
