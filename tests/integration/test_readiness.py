"""`/readyz` says of each part whether it is ready, and why not; so do workers' probes."""

import asyncio
import os
import resource
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import gateway_process
import httpx
import pytest
import redis
import redis.asyncio
import redis_proxy
import redis_server
from ledger_steps import admit, take

from ocrplus_caption import health as caption_health
from ocrplus_contract.heartbeat import queue_record
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool
from ocrplus_contract.records import WorkerRecord
from ocrplus_contract.settings import GatewaySettings
from ocrplus_contract.states import PartCode, WorkerState
from ocrplus_gateway.app import build_parts
from ocrplus_gateway.health import Health
from ocrplus_gateway.inspection import Inspector
from ocrplus_gateway.metrics import GatewayMetrics
from ocrplus_gateway.sessions import Sessions
from ocrplus_gateway.trial import InspectionTrial
from ocrplus_ocr import health as ocr_health

KEYS = Keys()


@pytest.fixture
def server(valkey: redis_server.Server) -> Iterator[redis_server.Server]:
    valkey.client.flushall()
    yield valkey
    valkey.client.config_set("maxmemory-policy", "noeviction")


def asked(gateway: gateway_process.Gateway) -> tuple[int, dict[str, Any]]:
    answer = httpx.get(f"{gateway.http}/readyz", timeout=10)
    return answer.status_code, answer.json()


def unready(gateway: gateway_process.Gateway) -> dict[str, str]:
    """Part → code of those that are not ready."""
    status, told = asked(gateway)
    found = {name: part["code"] for name, part in told["parts"].items() if not part["ready"]}
    assert (status == 503) == bool(found) == (not told["ready"])
    assert told.get("problems", {}) == {name: told["parts"][name]["reason"] for name in found}
    assert all(told["problems"].values()) if found else True
    return found


def until(gateway: gateway_process.Gateway, wanted: dict[str, str], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while (found := unready(gateway)) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_each_part_is_ready_and_then_says_why_it_is_not(
    server: redis_server.Server, tmp_path: Path
) -> None:
    client = server.client
    with (
        redis_proxy.wire(server.port) as wire,
        gateway_process.gateway(wire.url, tmp_path) as gateway,
    ):
        status, told = asked(gateway)
        assert status == 200
        assert told["parts"].keys() == {
            "gateway", "redis", "hub", "queues", "blobs", "inspection",
        }  # fmt: skip
        assert {part["code"] for part in told["parts"].values()} == {PartCode.OK}

        client.config_set("maxmemory-policy", "allkeys-lru")
        assert unready(gateway) == {"redis": PartCode.UNFIT}
        client.config_set("maxmemory-policy", "noeviction")

        admit(client, "u", "t", [(1, 1), (2, 2), (3, 3)])
        take(client)
        client.xdel(KEYS.work(Pool.OCR), client.xrange(KEYS.work(Pool.OCR), count=2)[1][0])
        status, told = asked(gateway)
        assert status == 200
        assert told["parts"]["queues"]["code"] == PartCode.LAG_UNKNOWN
        client.xgroup_destroy(KEYS.work(Pool.OCR), "workers")
        assert unready(gateway) == {"queues": PartCode.GROUP_MISSING}
        client.delete(KEYS.work(Pool.OCR))

        tmp_path.chmod(0o500)
        if os.geteuid():  # root may write everywhere
            assert unready(gateway) == {"blobs": PartCode.STORE_UNAVAILABLE}
        tmp_path.chmod(0o700)

        wire.set("silent")
        began = time.monotonic()
        assert unready(gateway)["redis"] == PartCode.NO_ANSWER
        assert time.monotonic() - began < 4.9  # before the kubelet gives up
        wire.set("pass")
        until(gateway, {})


def test_a_gateway_that_hears_no_events_stands_aside(
    server: redis_server.Server, tmp_path: Path
) -> None:
    """A server that is paused says nothing; each look waits for it, so several are under way."""
    with (
        gateway_process.gateway(server.url, tmp_path, OCRPLUS_GAP_SECONDS="0.9") as gateway,
        ThreadPoolExecutor(8) as looks,
    ):
        until(gateway, {})
        server.client.client_pause(3000, all=True)
        asked = []
        for _ in range(8):
            asked.append(looks.submit(unready, gateway))
            time.sleep(0.3)
        seen = [look.result(15) for look in asked]
        until(gateway, {})

    assert PartCode.NO_EVENTS in {found.get("hub") for found in seen}


class DeadVolume:
    """A store that answers nobody."""

    def __init__(self) -> None:
        self.checks = 0
        self.back = threading.Event()

    def check(self, *, writing: bool = True) -> None:
        self.checks += 1
        self.back.wait(20)


@asynccontextmanager
async def inside(
    server: redis_server.Server, volume: DeadVolume
) -> AsyncIterator[tuple[Health, Sessions]]:
    """A gateway's health in this process, over this store."""
    parts = build_parts(GatewaySettings(redis_url=server.url), GatewayMetrics())
    trial = InspectionTrial(Inspector(GatewaySettings()))
    client = redis.asyncio.Redis(port=server.port)
    given: Any = (client, KEYS, volume, parts.hub, parts.sessions, trial)
    await parts.hub.start()
    yield Health(*given, store_seconds=0.1), parts.sessions
    await parts.hub.stop()
    await client.aclose()


async def test_a_store_that_hangs_is_asked_once_and_told_in_time(
    server: redis_server.Server,
) -> None:
    volume = DeadVolume()
    async with inside(server, volume) as (health, _):
        dead = [(await health.parts())["blobs"].code for _ in range(3)]
        volume.back.set()
        await asyncio.sleep(0.05)
        alive = (await health.parts())["blobs"].code

    assert (dead, alive) == ([PartCode.NO_ANSWER] * 3, PartCode.OK)
    assert volume.checks == 1


async def test_a_gateway_that_ends_says_so(server: redis_server.Server) -> None:
    volume = DeadVolume()
    volume.back.set()
    async with inside(server, volume) as (health, sessions):
        before = (await health.parts())["gateway"]
        await sessions.drain(0)
        after = (await health.parts())["gateway"]

    assert (before.ready, after.ready, after.code) == (True, False, PartCode.DRAINING)


@contextmanager
def few_processes() -> Iterator[None]:
    """Nothing started meanwhile may open a file to write into."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_gateway_that_cannot_open_documents_stands_aside(
    server: redis_server.Server, tmp_path: Path
) -> None:
    with few_processes(), gateway_process.gateway(server.url, tmp_path) as gateway:
        assert unready(gateway) == {"inspection": PartCode.INSPECTION_FAILS}


# Workers' probes.


@pytest.fixture
def pod(monkeypatch: pytest.MonkeyPatch, server: redis_server.Server) -> None:
    monkeypatch.setenv("OCRPLUS_REDIS_URL", server.url)
    monkeypatch.setenv("OCRPLUS_POD_NAME", "pod")


@pytest.mark.usefixtures("pod")
def test_a_workers_probe_says_why_it_fails(
    server: redis_server.Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (ocr_health.main([]), caption_health.main()) == (1, 1)
    assert capsys.readouterr().err.count("heartbeat: no process of pod has beaten") == 2
    for pool in Pool:
        record = WorkerRecord(pod="pod", pid=1, state=WorkerState.WARMING)
        queue_record(server.client, KEYS, pool, "pod.0", record)

    assert ocr_health.main(["--ready"]) == 1
    assert "engine: none of 1 processes of pod is warm" in capsys.readouterr().err
    assert (ocr_health.main([]), caption_health.main()) == (0, 0)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("pod")
def test_a_probe_says_that_the_server_refuses_it(
    server: redis_server.Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.client.config_set("requirepass", "secret")
    try:
        assert ocr_health.main([]) == 1
    finally:
        with redis.Redis(port=server.port, password="secret") as client:
            client.config_set("requirepass", "")

    said = capsys.readouterr().err
    assert said.startswith("ocr-worker: redis: 127.0.0.1")
    assert "does not accept the password" in said
