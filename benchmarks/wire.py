"""The gateway's wire: events a second beside a bare server, 5,000 clients, six uploads at once.

python benchmarks/wire.py [--only throughput connections uploads] [--first RATE]
The server that is measured has a core of its own; Redis, the events' producer and the clients share
the others, of which three are enough: on fewer, they are what limits the gateway's rate. Exits 1
when a bar is missed.

A rate is held for a settling second and then SECONDS more; each of these has a p99 of its events'
ages. The rate passes if more than 98 of 100 events came and the p99 of every second is below
MOST_P99_MS, one second excepted: a single stall of a shared machine says nothing of a rate. Rates
rise until two in a row have not passed; the highest that passed counts, of ROUNDS the best. The
first one may be given, the bare server's: the gateway then begins at half of it.
"""

import argparse
import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gateway_process
import httpx
import psutil
import redis_server
import websockets
from documents import text_document
from results import write

from ocrplus_local.broker import free_port

HERE = Path(__file__).parent
CLIENTS, MOST_P99_MS = 1000, 100.0
FIRST_RATE, STEP, MOST = 16_000, 4000, 200_000
SECONDS, ROUNDS = 4, 2
CORES = os.cpu_count() or 1
SERVER, REDIS, CLIENTS_CORE, PRODUCER = (0, *(1 + part % max(1, CORES - 1) for part in range(3)))


class Child:
    """A script of this folder on a core of its own, told by lines, telling by lines."""

    def __init__(self, core: int, script: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), sys.executable, str(HERE / script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def say(self, line: object) -> None:
        assert self.process.stdin is not None
        print(line, file=self.process.stdin, flush=True)

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        heard: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
        return heard

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def product(**env: str) -> Iterator[tuple[gateway_process.Gateway, redis_server.Server]]:
    """One gateway, and its Redis, each on its core."""
    with ExitStack() as stack:
        server = stack.enter_context(redis_server.running("valkey"))
        blobs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        gateway = stack.enter_context(gateway_process.gateway(server.url, blobs, **env))
        for process in psutil.Process().children(recursive=True):
            process.cpu_affinity([SERVER if process.pid == gateway.process.pid else REDIS])
        yield gateway, server


def highest_rate(clients: Child, source: Child, first: int) -> tuple[int, list[dict[str, Any]]]:
    """The highest rate that passes."""
    best, steps, misses = 0, [], 0
    for rate in range(first, MOST, STEP):
        source.say(rate)
        clients.hear()  # settling
        heard = [clients.hear() for _ in range(SECONDS)]
        step, has_passed = judged(rate, heard)
        steps.append(step)
        print(step, flush=True)
        if has_passed:
            best, misses = rate, 0
        else:
            misses += 1
        if misses == 2:
            break
    source.say(1)
    return best, steps


def judged(rate: int, heard: list[dict[str, Any]]) -> tuple[dict[str, Any], bool]:
    """A rate's figures, `p99_ms` that of its worst second save one, and whether it passes."""
    events = sum(second["events"] for second in heard) / len(heard)
    *_, p99, worst = sorted(second["p99_ms"] for second in heard)
    figures = {"delivered": round(events), "p99_ms": round(p99, 1), "worst_ms": round(worst, 1)}
    return {"rate": rate, **figures}, p99 < MOST_P99_MS and events > rate * 0.98


def throughput(first: int = FIRST_RATE) -> dict[str, Any]:
    rates: dict[str, list[int]] = {"bare": [], "gateway": [], "bare_broadcast": []}
    steps: dict[str, Any] = {}
    for arm in [*("bare", "gateway") * ROUNDS, "bare_broadcast"]:
        best, steps[arm] = gateway_rate(first // 2) if arm == "gateway" else bare_rate(arm, first)
        rates[arm].append(best)
    share = max(rates["gateway"]) / max(rates["bare"])
    return {
        "cores": CORES,
        "clients": CLIENTS,
        "bare_events_per_second": rates["bare"],
        "gateway_events_per_second": rates["gateway"],
        "share_of_bare": round(share, 3),
        "bare_broadcast_events_per_second": rates["bare_broadcast"],
        "last_steps": {arm: json.dumps(found) for arm, found in steps.items()},
        "kept": share >= 0.5,
    }


def bare_rate(arm: str, first: int) -> tuple[int, list[dict[str, Any]]]:
    """A server of the `websockets` library that makes the events itself."""
    port = free_port()
    way = "broadcast" if arm == "bare_broadcast" else "send"
    with Child(SERVER, "bare_server.py", port, way) as server:
        server.hear()
        with Child(CLIENTS_CORE, "sockets.py", port, CLIENTS, "ocrplus.v2") as clients:
            clients.hear()
            return highest_rate(clients, server, first)


def gateway_rate(first: int) -> tuple[int, list[dict[str, Any]]]:
    """The gateway; the events come through Redis."""
    with product() as (gateway, store):
        port = int(gateway.http.rpartition(":")[2])
        with Child(CLIENTS_CORE, "sockets.py", port, CLIENTS, "ocrplus.v2") as clients:
            clients.hear()
            with Child(PRODUCER, "producer.py", store.url, CLIENTS) as source:
                return highest_rate(clients, source, first)


def connections(count: int = 5000) -> dict[str, Any]:
    """Idle clients of each protocol, on a gateway of its own."""
    arms = {"v2": "ocrplus.v2", "original": ""}
    found: dict[str, Any] = {name: idle(subprotocol, count) for name, subprotocol in arms.items()}
    found["kept"] = all(
        arm["kib_each"] <= 40 and arm["redis_connections"] <= 5 for arm in found.values()
    )
    return found


def idle(subprotocol: str, count: int) -> dict[str, Any]:
    """What so many clients cost that hear nothing."""
    with product(OCRPLUS_MAX_USER_CONNECTIONS="10000") as (gateway, store):
        process = psutil.Process(gateway.process.pid)
        port = int(gateway.http.rpartition(":")[2])
        with Child(CLIENTS_CORE, "sockets.py", port, 50, subprotocol) as warm:
            warm.hear()
        time.sleep(1)
        before = process.memory_info().rss
        with Child(CLIENTS_CORE, "sockets.py", port, count, subprotocol) as clients:
            assert clients.hear()["connected"] == count
            time.sleep(3)
            used = process.memory_info().rss - before
            with store.client as client:
                mine = client.client_info()["id"]
                servers = [c for c in client.client_list() if int(c["id"]) != int(mine)]
            cpu = process.cpu_times()
            time.sleep(5)
            later = process.cpu_times()
    return {
        "clients": count,
        "kib_each": round(used / 1024 / count, 1),
        "redis_connections": len(servers),
        "idle_cpu_percent": round((later.user + later.system - cpu.user - cpu.system) * 20, 1),
    }


def _lag_ms(gateway: gateway_process.Gateway) -> float:
    with urllib.request.urlopen(gateway.metrics) as answer:
        text = answer.read().decode()
    match = re.search(r"^ocrplus_gateway_event_loop_lag_seconds ([\d.e+-]+)$", text, re.M)
    assert match is not None
    return float(match[1]) * 1000


def uploads() -> dict[str, Any]:
    """Six documents of 20 MiB at once, by each way."""
    pad = 20 * (1 << 20)
    pdf = text_document(1)
    documents = [
        pdf + b"\n%" + os.urandom(pad // 2).hex().encode()[: pad - len(pdf) - 2] for _ in range(6)
    ]
    small = [text_document(1, seed=number) for number in range(7)]
    found: dict[str, Any] = {}
    for way in ("http_form", "http_raw", "original_frame"):
        with product() as (gateway, _):
            asyncio.run(_upload(way, gateway, small))  # imports, threads, connections
            process = psutil.Process(gateway.process.pid)
            time.sleep(6)
            quiet, before = _lag_ms(gateway), process.memory_info().rss
            peak, stop = [before], threading.Event()
            sampler = threading.Thread(target=_sample, args=(process, peak, stop))
            sampler.start()
            seconds = asyncio.run(_upload(way, gateway, documents))
            lags = [_lag_ms(gateway)]
            for _ in range(12):
                time.sleep(0.5)
                lags.append(_lag_ms(gateway))
            stop.set()
            sampler.join()
            found[way] = {
                "stall_ms": round(max(lags), 1),
                "quiet_stall_ms": round(quiet, 1),
                "mib_each": round((peak[0] - before) / len(documents) / (1 << 20), 2),
                "seconds": round(seconds, 2),
            }
    found["kept"] = all(arm["stall_ms"] <= 50 for arm in found.values()) and all(
        found[way]["mib_each"] <= 1 for way in ("http_form", "http_raw")
    )
    return found


def _sample(process: psutil.Process, peak: list[int], stop: threading.Event) -> None:
    while not stop.wait(0.005):
        peak[0] = max(peak[0], process.memory_info().rss)


async def _upload(way: str, gateway: gateway_process.Gateway, documents: list[bytes]) -> float:
    frames = (
        [
            json.dumps({"task_id": f"t{n}", "pdf_file": base64.b64encode(pdf).decode()})
            for n, pdf in enumerate(documents)
        ]
        if way == "original_frame"
        else []
    )

    async def by_http(client: httpx.AsyncClient, number: int, pdf: bytes) -> None:
        body: dict[str, Any] = (
            {"files": {"file": ("a.pdf", pdf)}} if way == "http_form" else {"content": pdf}
        )
        params = {"task_id": f"{way}-{number}-{len(documents)}"}
        answer = await client.post("/v1/tasks", params=params, **body)
        assert answer.status_code == 202, answer.text

    async def by_frame(number: int) -> None:
        user = f"u{number}-{len(documents)}"
        async with websockets.connect(gateway.ws + user, max_queue=None) as socket:
            await socket.send(frames[number])
            assert json.loads(await socket.recv())["status"] == "submitted"

    began = time.monotonic()
    if way == "original_frame":
        await asyncio.gather(*(by_frame(n) for n in range(len(documents))))
    else:
        async with httpx.AsyncClient(base_url=gateway.http, timeout=120) as client:
            await asyncio.gather(*(by_http(client, n, pdf) for n, pdf in enumerate(documents)))
    return time.monotonic() - began


def main() -> int:
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "throughput": throughput,
        "connections": connections,
        "uploads": uploads,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--first", type=int, default=FIRST_RATE)
    options = parser.parse_args()
    parts["throughput"] = partial(throughput, options.first)
    psutil.Process().cpu_affinity([CLIENTS_CORE])
    missed = []
    for name in options.only:
        found = parts[name]()
        print(name, found, flush=True)
        write(f"wire_{name}", found)
        if not found["kept"]:
            missed.append(name)
    if missed:
        print(f"bars missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
