"""A little of everything that is counted: users of each protocol, mistakes, lost history.

A pool of workers is played beside them, for the operator.
"""

import asyncio
import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import documents
import httpx
import websockets
from pools import spec
from prometheus_client import start_http_server
from service import original_client
from virtual_pool import VirtualPool

from ocrplus_operator.control.law import decide
from ocrplus_operator.control.types import Memory, Unknown
from ocrplus_operator.metrics import OperatorMetrics

SAMPLES: Final = Path(__file__).parents[1] / "examples" / "samples"
_PAUSE_SECONDS: Final = 2.0
_SCRAPED_SECONDS: Final = 10.0  # until every process was scraped: a rate needs what was before
_TICK_SECONDS: Final = 0.5
_SUBPROTOCOL: Final = websockets.Subprotocol("ocrplus.v2")


async def load(http: str, seconds: float) -> dict[str, int]:
    """Use the service for a while, and until a description has come, up to four times as long.

    Returns:
        How many documents one user sent, and which events he got.
    """
    done: Counter[str] = Counter()
    ends = time.monotonic() + seconds
    users = [_follower(http, "ada", done), _history_seeker(http, "ada"), _odd_ones(http, ends)]
    users += [_originals(http, ends), _listener(http, ends)]
    tasks = [asyncio.create_task(user) for user in users]
    try:
        await asyncio.sleep(_SCRAPED_SECONDS)
        await _submit(http, "ada", (SAMPLES / "report_en.pdf").read_bytes())  # it has a figure
        await _sender(http, "ada", ends, done)
        most = time.monotonic() + 3 * seconds
        while not (done["caption"] and done["result"]) and time.monotonic() < most:
            await asyncio.sleep(1)
        await _submit(http, "scan", (SAMPLES / "scan_en_zh.pdf").read_bytes())
        await asyncio.sleep(10)
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
    return done


async def _submit(http: str, user: str, pdf: bytes, task: str = "") -> int:
    async with httpx.AsyncClient() as client:
        params = {"user": user, "task_id": task or uuid.uuid4().hex}
        answer = await client.post(f"{http}/v1/tasks", params=params, content=pdf, timeout=30)
        return answer.status_code


async def _sender(http: str, user: str, ends: float, done: Counter[str]) -> None:
    luck = random.Random(9)
    while time.monotonic() < ends:
        pdf = documents.text_document(1, luck.randrange(10**6))
        await _submit(http, user, pdf)
        done["sent"] += 1
        await asyncio.sleep(_PAUSE_SECONDS * luck.uniform(1, 4))


async def _follower(http: str, user: str, done: Counter[str]) -> None:
    async with _v2(http, user) as socket:
        await socket.send(json.dumps({"type": "hello", "v": 2}))
        async for raw in socket:
            done[json.loads(raw)["type"]] += 1


async def _history_seeker(http: str, user: str) -> None:
    """Comes back now and then: from the beginning, and once from another deployment's position."""
    resumes: list[dict[str, Any]] = [{"epoch": "feed", "seq": 7}]
    while True:
        await asyncio.sleep(6)
        async with _v2(http, user) as socket:
            resume = resumes.pop() if resumes else {"seq": 0}
            await socket.send(json.dumps({"type": "hello", "v": 2, "resume": resume}))
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    async for _ in socket:
                        pass


def _v2(http: str, user: str) -> "websockets.connect":
    url = f"{http.replace('http', 'ws', 1)}/ws/{user}"
    return websockets.connect(url, subprotocols=[_SUBPROTOCOL], max_size=None)


async def _odd_ones(http: str, ends: float) -> None:
    while time.monotonic() < ends:
        await _submit(http, "odd", b"this is no PDF")
        for _ in range(2):
            await _submit(http, "odd", documents.text_document(1, 5), "the-same")
        await asyncio.sleep(7)


async def _originals(http: str, ends: float) -> None:
    while time.monotonic() < ends:
        pdf = documents.text_document(1, random.Random(ends).randrange(10**6))
        await original_client(http, "grace", uuid.uuid4().hex, pdf)


async def _listener(http: str, ends: float) -> None:
    while time.monotonic() < ends:
        task = uuid.uuid4().hex
        await _submit(http, "sse", documents.text_document(1, len(task)), task)
        url = f"{http}/v1/tasks/{task}/events"
        async with (
            httpx.AsyncClient(timeout=120) as client,
            client.stream("GET", url, params={"user": "sse"}) as answer,
        ):
            async for _ in answer.aiter_lines():
                pass
        await asyncio.sleep(5)


@contextmanager
def played_operator() -> Iterator[str]:
    """The operator's law and metrics over a pool in virtual time, faster than life; its URL."""
    metrics, ended = OperatorMetrics(), threading.Event()
    server, serving = start_http_server(0, "127.0.0.1", metrics.registry)
    thread = threading.Thread(target=_operate, args=(metrics, ended), name="operator", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        ended.set()
        thread.join(10)
        server.shutdown()
        server.server_close()
        serving.join(10)


def _operate(metrics: OperatorMetrics, ended: threading.Event) -> None:
    luck, memory = random.Random(3), Memory()
    pools = {"ocr": VirtualPool(seed=3), "caption": VirtualPool(seed=4)}
    memories = dict.fromkeys(pools, memory)
    brisk = spec(scale_down={"window_seconds": 9, "drain_timeout_seconds": 120})
    metrics.leads.set(1)
    while not ended.wait(_TICK_SECONDS):
        for name, pool in pools.items():
            if luck.random() < 0.1:
                pool.arrive(*(luck.randrange(1, 17) for _ in range(luck.randrange(1, 40))))
            if luck.random() < 0.05:
                metrics.failed(name, Unknown("Timeout"))
            with metrics.tick.labels(name).time():
                decision, memories[name] = decide(pool.snapshot(), memories[name], brisk)
                pool.act(decision)
            metrics.decided(name, decision, pool.replicas)
            for _ in range(3):
                pool.step()
