"""Pods killed at random without grace, Redis among them: every accepted document arrives."""

import asyncio
import os
import random
import time
from collections import Counter

from cluster_client import Door, loaded
from documents import text_document
from release import ROUTED, SAMPLES, CommandFailed, Release, note, until

SECONDS = float(os.environ.get("KUBE_E2E_DEATHS_SECONDS", "300"))
DOCUMENTS = [text_document(2), SAMPLES[0].read_bytes(), text_document(6)]
VICTIMS = ("gateway", "ocr-worker", "operator", "redis")


async def test_every_accepted_document_outlives_deaths(release: Release, door: Door) -> None:
    # A lease of 10 s, so that a dead pod's chunk is taken again within the test's time.
    release.upgrade("cpu", settings=(*ROUTED, "settings.leaseSeconds=10"), seconds=600)
    rng = random.Random(8)
    killed: Counter[str] = Counter()

    async with loaded(door, DOCUMENTS, pause=5) as follower:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            await asyncio.sleep(rng.uniform(4, 14))
            victim = rng.choice(VICTIMS)
            killed[victim] += await asyncio.to_thread(_kill, release, victim, rng)
        await asyncio.to_thread(
            until, lambda: all(release.ready(name) for name in VICTIMS), 300, "all ready again", 1
        )

    assert follower.accepted.keys() == follower.results.keys()
    assert set(follower.statuses()) == {"ok"}
    assert sum(killed.values()) >= SECONDS / 20
    note(
        "deaths",
        killed=dict(killed),
        seconds=SECONDS,
        documents=len(follower.accepted),
        statuses=follower.statuses(),
        history=follower.lost,
        reconnects=len(follower.reconnects),
        longest_reconnect_seconds=round(max(follower.reconnects, default=0), 1),
    )


def _kill(release: Release, component: str, rng: random.Random) -> int:
    pods = release.pods(component)
    if not pods:
        return 0
    name = rng.choice(pods)["metadata"]["name"]
    try:
        release.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
    except CommandFailed:
        return 0  # it went by itself
    return 1
