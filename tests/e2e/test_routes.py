"""Through HTTPRoute, through Ingress while no Gateway is there, and through nginx: all the same."""

import asyncio
import json
import os
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass

import nginx_ingress
import pypdfium2
import pytest
from cluster_client import Door, Follower, following
from documents import text_document
from release import BASE, ROUTED, SAMPLES, Release, note, said, until

INGRESS = shlex.split(os.environ.get("KUBE_E2E_INGRESS", ""))

IDLE_SECONDS = float(os.environ.get("KUBE_E2E_IDLE_SECONDS", "360"))
MEGABYTE = 1_000_000
SETTINGS = {
    "httproute": ROUTED,
    "ingress": (
        "gatewayApi.enabled=false",
        "ingress.enabled=true",
        "ingress.className=contour",
        "ingress.controller=contour",
        'ingress.hosts=["ocr.test"]',
    ),
    "nginx": (
        "gatewayApi.enabled=false",
        "ingress.enabled=true",
        "ingress.className=nginx",
        "ingress.controller=nginx",
        'ingress.hosts=["ocr.test"]',
    ),
}


@dataclass
class Way:
    """One way in."""

    name: str
    door: Door


@pytest.fixture(scope="module", params=list(SETTINGS))
def way(release: Release, request: pytest.FixtureRequest) -> Iterator[Way]:
    """The release behind each kind of ingress in turn."""
    name: str = request.param
    if name == "ingress" and not INGRESS:
        pytest.skip(
            "an Ingress counts only while no Gateway is there: KUBE_E2E_INGRESS restarts it"
        )
    if name == "nginx" and (why := nginx_ingress.missing(release)):
        pytest.skip(why)
    release.upgrade("cpu", settings=SETTINGS[name])
    if name == "nginx":
        with nginx_ingress.running(release) as base:
            yield Way(name, Door(base, release.token()))
        return
    if INGRESS:
        gateway = "none/none" if name == "ingress" else "projectcontour/contour"
        said("env", f"INGRESS_GATEWAY={gateway}", *INGRESS, seconds=120)
    door = Door(BASE, release.token())
    asyncio.run(_answers(door))
    yield Way(name, door)


async def _answers(door: Door) -> None:
    """Wait until the route is there."""
    deadline = time.monotonic() + 60
    while True:
        try:
            async with door.http() as http:
                if (await http.get("/healthz")).status_code == 200:
                    return
        except OSError:
            pass
        except Exception as error:  # httpx: nobody listens yet
            if time.monotonic() > deadline:
                raise AssertionError("no route") from error
        assert time.monotonic() < deadline, "no route to /healthz"
        await asyncio.sleep(0.2)


def padded(megabytes: float) -> bytes:
    """A sound PDF of this size: an object that nobody uses, added as an editor adds a change."""
    pdf = text_document(1)
    root = re.findall(rb"/Root (\d+ \d+ R)", pdf)[-1]
    before = re.findall(rb"startxref\s+(\d+)", pdf)[-1]
    filler = int(megabytes * MEGABYTE) - len(pdf) - 300
    begun = b"999 0 obj\n<</Length %d>>\nstream\n" % filler
    whole = pdf + begun + b"x" * filler + b"\nendstream\nendobj\n"
    entry = b"xref\n999 1\n%010d 00000 n \n" % len(pdf)
    trailer = b"trailer\n<</Size 1000/Root %s/Prev %s>>\n" % (root, before)
    end = b"startxref\n%d\n%%%%EOF" % len(whole)
    whole += entry + trailer
    return (
        whole + b"%" + b"x" * (int(megabytes * MEGABYTE) - len(whole) - len(end) - 2) + b"\n" + end
    )


async def test_an_idle_socket_lives_and_documents_pass_meanwhile(way: Way) -> None:
    began = time.monotonic()
    async with way.door.socket("idle", pings=False) as socket:
        await socket.send(json.dumps({"type": "hello", "v": 2}))
        assert json.loads(await socket.recv())["type"] == "welcome"

        async with following(way.door) as follower:
            for sample in SAMPLES:
                await follower.submit(sample.read_bytes())
            large = await _large(way, follower)
            await follower.all_results(400)
            await _forget(way, follower, large)  # Redis holds it, and little more
            assert follower.lost == []
            assert set(follower.statuses()) == {"ok"}

        await asyncio.sleep(max(0.0, IDLE_SECONDS - (time.monotonic() - began)))
        await socket.send(json.dumps({"type": "ping", "t": 1}))
        async with asyncio.timeout(10):
            assert json.loads(await socket.recv())["type"] == "pong"
    note(way.name, idle_seconds=round(time.monotonic() - began))


async def _forget(way: Way, follower: Follower, task: str) -> None:
    async with way.door.http() as http:
        answer = await http.delete(f"/v1/tasks/{task}", params={"user": follower.user})
    assert answer.status_code in (200, 204), answer.text


async def _large(way: Way, follower: Follower) -> str:
    """100 MB pass: their task. 110 MB get the gateway's own answer, which names the code."""
    began = time.monotonic()
    task = await follower.submit(padded(100))
    note(way.name, seconds_of_100_mb=round(time.monotonic() - began, 1))
    async with way.door.http(120) as http:
        answer = await http.post(
            "/v1/tasks", params={"user": follower.user, "task_id": "large"}, content=padded(110)
        )
    assert answer.status_code == 413, answer.text
    assert answer.json()["error"]["code"] == "too_large"
    return task


async def test_a_rolling_restart_costs_only_a_reconnect(way: Way, release: Release) -> None:
    async with following(way.door) as follower:
        await follower.submit(text_document(4))
        restart = ["rollout", "restart", f"deployment/{release.name}-gateway"]
        await asyncio.to_thread(release.kubectl, *restart)
        status = ["rollout", "status", f"deployment/{release.name}-gateway", "--timeout=180s"]
        await asyncio.to_thread(release.kubectl, *status, seconds=190)
        await asyncio.to_thread(
            until, lambda: len(release.objects("pods", "gateway")) == 2, 120, "old gateways gone", 1
        )
        await follower.submit(text_document(1))
        await follower.all_results(300)

    assert follower.lost == []
    assert follower.statuses() == {"ok": 2}
    assert follower.refused.get("404", 0) == 0
    longest = max(follower.reconnects, default=0)
    assert longest < 5
    note(
        way.name,
        restart_reconnects=len(follower.reconnects),
        restart_longest_seconds=round(longest, 2),
        restart_closes=" ".join(sorted(follower.closes)),
    )


def test_the_padding_is_a_document() -> None:
    pdf = padded(1)
    document = pypdfium2.PdfDocument(pdf)
    assert len(pdf) == MEGABYTE and len(document) == 1
    assert "Section 1" in document[0].get_textpage().get_text_range()
