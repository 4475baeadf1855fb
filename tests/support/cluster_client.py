"""A client of a release behind an ingress: it submits by HTTP, follows by WebSocket, resumes.

What it took is checked as it comes: a sequence number that is left out is a lost event.
"""

import asyncio
import contextlib
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import websockets

HOST = "ocr.test"
_SUBMIT_SECONDS = 240.0


@dataclass
class Door:
    """Where a release is to be reached, and the token that opens it."""

    base: str
    token: str
    host: str = HOST

    @property
    def headers(self) -> dict[str, str]:
        return {"Host": self.host, "Authorization": f"Bearer {self.token}"}

    def http(self, timeout: float = 30) -> httpx.AsyncClient:
        """A client of HTTP."""
        return httpx.AsyncClient(
            base_url=self.base, headers=self.headers, timeout=timeout, trust_env=False
        )

    def socket(
        self, user: str, *, original: bool = False, pings: bool = True
    ) -> "websockets.connect":
        """A WebSocket of one user; without pings of its own it lives by the gateway's alone."""
        where = urlsplit(self.base)
        return websockets.connect(
            f"ws://{self.host}/ws/{user}",
            host=where.hostname,
            port=where.port,
            additional_headers={"Authorization": f"Bearer {self.token}"},
            subprotocols=None if original else [websockets.Subprotocol("ocrplus.v2")],
            compression=None,
            max_size=None,
            open_timeout=10,
            ping_interval=20 if pings else None,
            proxy=None,
        )


@dataclass
class Follower:
    """One user: what was submitted, what came, and what was missed."""

    door: Door
    user: str = field(default_factory=lambda: f"user-{uuid.uuid4().hex[:8]}")
    events: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    accepted: dict[str, float] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    closes: Counter[str] = field(default_factory=Counter)
    reconnects: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    position: dict[str, Any] = field(default_factory=lambda: {"seq": 0})
    connected: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Be connected until cancelled."""
        gone: float | None = None
        while True:
            try:
                async with self.door.socket(self.user) as socket:
                    hello = {"type": "hello", "v": 2, "resume": dict(self.position)}
                    await socket.send(json.dumps(hello))
                    async for raw in socket:
                        if gone is not None:
                            self.reconnects.append(time.monotonic() - gone)
                            gone = None
                        self.connected.set()
                        self._take(json.loads(raw))
                self.closes["1000"] += 1
            except websockets.ConnectionClosed as closed:
                self.closes[str(closed.rcvd.code if closed.rcvd else 1006)] += 1
            except (OSError, TimeoutError, EOFError, websockets.InvalidHandshake) as failed:
                self.refused[type(failed).__name__] += 1
            gone = time.monotonic() if gone is None else gone
            await asyncio.sleep(random.uniform(0.02, 0.3))

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "history_lost":
            self.lost.append(f"history_lost: {message['reason']}")
            self.position = {"epoch": message["epoch"], "seq": message["seq"]}
        elif kind not in ("welcome", "goaway") and "seq" in message:
            expected = self.position["seq"] + 1
            if self.position.get("epoch") not in (None, message["epoch"]):
                self.lost.append("another epoch came unannounced")
            elif message["seq"] != expected:
                self.lost.append(f"{message['seq']} came where {expected} was due")
            self.position = {"epoch": message["epoch"], "seq": message["seq"]}
            self.events.append(message)
            self.times.append(time.monotonic())
            if kind == "result":
                self.results[message["task_id"]] = message

    async def submit(self, pdf: bytes, task: str | None = None) -> str:
        """Upload a document until it is accepted: the same task id, so that it is never read twice.

        Raises:
            TimeoutError: it was not accepted in time.
        """
        task = task or uuid.uuid4().hex
        began = time.monotonic()
        async with asyncio.timeout(_SUBMIT_SECONDS), self.door.http(120) as http:
            while True:
                try:
                    answer = await http.post(
                        "/v1/tasks", params={"user": self.user, "task_id": task}, content=pdf
                    )
                except httpx.HTTPError as failed:
                    self.refused[type(failed).__name__] += 1
                else:
                    if answer.status_code in (200, 202):
                        self.accepted[task] = began
                        return task
                    self.refused[str(answer.status_code)] += 1
                    if answer.status_code < 500 and answer.status_code not in (404, 429):
                        raise AssertionError(f"{answer.status_code}: {answer.text}")
                await asyncio.sleep(0.3)

    async def all_results(self, seconds: float) -> None:
        """Wait until every accepted document has its result."""
        deadline = time.monotonic() + seconds
        while missing := self.accepted.keys() - self.results.keys():
            assert time.monotonic() < deadline, f"{len(missing)} documents without a result"
            await asyncio.sleep(0.1)

    def statuses(self) -> dict[str, int]:
        """How the accepted documents ended."""
        return dict(Counter(self.results[task]["status"] for task in self.accepted))

    def pages(self, task: str) -> list[dict[str, Any]]:
        """Pages of a document as they came."""
        return [e for e in self.events if e["type"] == "page" and e["task_id"] == task]


@contextlib.asynccontextmanager
async def following(door: Door) -> AsyncIterator[Follower]:
    """A follower that is connected for as long as the block lasts."""
    follower = Follower(door)
    running = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(60):
            await follower.connected.wait()
        yield follower
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def submitting(
    follower: Follower, stop: asyncio.Event, pdfs: Sequence[bytes], pause: float
) -> None:
    """Submit document after document until told to stop."""
    number = 0
    while not stop.is_set():
        await follower.submit(pdfs[number % len(pdfs)])
        number += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stop.wait()


@contextlib.asynccontextmanager
async def loaded(door: Door, pdfs: Sequence[bytes], *, pause: float) -> AsyncIterator[Follower]:
    """A follower whose documents flow for as long as the block lasts, and are then waited for."""
    stop = asyncio.Event()
    async with following(door) as follower:
        flowing = asyncio.create_task(submitting(follower, stop, pdfs, pause))
        try:
            yield follower
            stop.set()
            await flowing
            await follower.all_results(600)
        finally:
            flowing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await flowing
