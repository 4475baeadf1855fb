"""A server that speaks the OpenAI protocol over real HTTP, and misbehaves as it is told.

`python vlm_server.py` runs it alone and prints its address (`--host 0.0.0.0` in a pod); `running()`
runs it in a thread. Either way `POST /control` changes its behaviour and `GET /stats` tells what
it was asked.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import sys
import threading
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class Behaviour:
    """How requests are met. `mode`: ok, error, overloaded, drop, garbage, shapeless, empty, refuse,
    filter, unauthorized, quota, hang, half; `per_minute` 0: no limit."""

    mode: str = "ok"
    seconds: float = 0.0
    per_minute: int = 0
    window_seconds: float = 60.0
    text: str = "A picture of a harbour with {n} bytes."
    models: tuple[str, ...] = ("qwen-vl-max", "qwen-vl-plus")
    told_per_minute: int = 0
    """In the answers' headers; 0: not told."""
    only_first: int = 0
    """Of 0: the mode holds for all; else for so many requests, then all is well."""


@dataclass
class Stats:
    """What came in, and what went out."""

    calls: int = 0
    answered: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    pictures: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0
    streamed: int = 0
    last: dict[str, Any] = field(default_factory=dict)
    arrivals: list[float] = field(default_factory=list)


class VlmServer:
    """The server; one instance belongs to one event loop."""

    def __init__(self) -> None:
        self.behaviour = Behaviour()
        self.stats = Stats()
        self._window: deque[float] = deque()
        self.port = 0

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> "asyncio.Server":
        """Listen; by default on a free port of the loopback."""
        server = await asyncio.start_server(self._connection, host, port, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while (request := await _request(reader)) is not None:
                method, path, headers, body = request
                if path == "/control":
                    self._control(json.loads(body or b"{}"))
                    _reply(writer, 200, {})
                elif path == "/stats":
                    _reply(writer, 200, self._told())
                elif method == "GET" and path == "/v1/models":
                    await self._models(writer)
                elif method == "POST" and path.endswith("/chat/completions"):
                    await self._completion(writer, headers, body)
                else:
                    _reply(writer, 404, {"error": {"message": "no such path"}})
                await writer.drain()
        writer.close()

    def _control(self, given: dict[str, Any]) -> None:
        if given.pop("reset", False):
            self.stats, self._window = Stats(), deque()
        for name, value in given.items():
            setattr(self.behaviour, name, value)

    def _told(self) -> dict[str, Any]:
        return {f.name: getattr(self.stats, f.name) for f in fields(Stats)}

    async def _models(self, writer: asyncio.StreamWriter) -> None:
        mode = self.behaviour.mode
        if mode == "hang":
            await asyncio.sleep(86400)
        listed = [{"id": name, "object": "model"} for name in self.behaviour.models]
        replies = {
            "unauthorized": (401, {"error": {"code": "invalid_api_key", "message": "no"}}),
            "error": (500, {"error": {"message": "broken"}}),
            "shapeless": (200, {"hello": "world"}),
        }
        status, reply = replies.get(mode, (200, {"object": "list", "data": listed}))
        limit = self.behaviour.told_per_minute
        _reply(writer, status, reply, {"x-ratelimit-limit-requests": str(limit)} if limit else {})

    async def _completion(
        self, writer: asyncio.StreamWriter, headers: dict[str, str], body: bytes
    ) -> None:
        stats, now = self.stats, time.monotonic()
        stats.calls += 1
        stats.arrivals.append(now)
        while self._window and self._window[0] <= now - self.behaviour.window_seconds:
            self._window.popleft()
        allowed = self.behaviour.per_minute
        if allowed and len(self._window) >= allowed:
            stats.statuses[429] += 1
            after = self._window[0] + self.behaviour.window_seconds - now
            error = {"message": "slow down", "code": "rate_limit_exceeded"}
            _reply(writer, 429, {"error": error}, {"Retry-After": f"{after:.2f}"})
            return
        self._window.append(now)
        asked = json.loads(body)
        picture = _picture(asked)
        stats.pictures[hashlib.sha256(picture).hexdigest()[:16]] += 1
        stats.last = {"headers": headers, "body": _without_picture(asked)}
        stats.at_once += 1
        stats.most_at_once = max(stats.most_at_once, stats.at_once)
        try:
            await self._answer(writer, asked, picture)
        finally:
            stats.at_once -= 1

    async def _answer(
        self, writer: asyncio.StreamWriter, asked: dict[str, Any], picture: bytes
    ) -> None:
        behaviour, stats = self.behaviour, self.stats
        mode = behaviour.mode
        if behaviour.only_first and stats.calls > behaviour.only_first:
            mode = "ok"
        await asyncio.sleep(behaviour.seconds)
        text = behaviour.text.replace("{n}", str(len(picture)))
        text = text.replace("{sha}", hashlib.sha256(picture).hexdigest()[:16])
        refusals = {
            "error": (500, {"error": {"message": "broken"}}),
            "refuse": (400, {"error": {"code": "data_inspection_failed", "message": "no"}}),
            "unauthorized": (401, {"error": {"code": "invalid_api_key", "message": "no"}}),
            "quota": (429, {"error": {"code": "insufficient_quota", "message": "pay"}}),
            "shapeless": (200, {"hello": "world"}),
        }
        if mode in refusals:
            status, reply = refusals[mode]
            stats.statuses[status] += 1
            _reply(writer, status, reply)
        elif mode == "overloaded":
            stats.statuses[503] += 1
            _reply(writer, 503, {"error": {"message": "later"}}, {"Retry-After": "0.1"})
        elif mode == "drop":
            writer.transport.abort()
            raise ConnectionResetError
        elif mode == "garbage":
            stats.statuses[200] += 1
            _write(
                writer, 200, b"<html>gateway \xff\xfe</html>", {"Content-Type": "application/json"}
            )
        elif mode == "hang":
            await asyncio.sleep(86400)
        elif mode == "half":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            writer.write(b'Content-Length: 4000\r\n\r\n{"id": "x", "choices": [{"message"')
            await writer.drain()
            await asyncio.sleep(86400)
        else:
            finish = "content_filter" if mode == "filter" else "stop"
            await self._well(writer, asked, "" if mode == "empty" else text, finish)

    async def _well(
        self, writer: asyncio.StreamWriter, asked: dict[str, Any], text: str, finish: str
    ) -> None:
        self.stats.answered += 1
        self.stats.statuses[200] += 1
        usage = {"prompt_tokens": 900, "completion_tokens": 80, "total_tokens": 980}
        if not asked.get("stream"):
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": finish}
            _reply(writer, 200, _object("chat.completion", choices=[choice], usage=usage))
            return
        self.stats.streamed += 1
        pieces = [text[i : i + 16] for i in range(0, len(text), 16)]
        deltas = [{"index": 0, "delta": {"content": p}, "finish_reason": None} for p in pieces]
        deltas.append({"index": 0, "delta": {}, "finish_reason": finish})
        events = [_object("chat.completion.chunk", choices=[delta]) for delta in deltas]
        events.append(_object("chat.completion.chunk", choices=[], usage=usage))
        lines = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
        _write(writer, 200, lines + b"data: [DONE]\n\n", {"Content-Type": "text/event-stream"})


def _object(kind: str, **parts: Any) -> dict[str, Any]:
    return {"id": "x", "object": kind, "created": 1, "model": "fake", **parts}


def _picture(asked: dict[str, Any]) -> bytes:
    for part in asked["messages"][-1]["content"]:
        if part["type"] == "image_url":
            return base64.b64decode(part["image_url"]["url"].partition(",")[2])
    return b""


def _without_picture(asked: dict[str, Any]) -> dict[str, Any]:
    text = [p for p in asked["messages"][-1]["content"] if p["type"] == "text"]
    system = asked["messages"][0]["content"]
    return {"model": asked["model"], "system": system, "text": text[0]["text"] if text else ""}


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes] | None:
    head = await reader.readline()
    if not head.strip():
        return None
    method, path, _ = head.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (line := (await reader.readline()).decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return method, path, headers, await reader.readexactly(int(headers.get("content-length", 0)))


def _reply(
    writer: asyncio.StreamWriter,
    status: int,
    body: dict[str, Any],
    headers: dict[str, str] | None = None,
) -> None:
    _write(
        writer,
        status,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", **(headers or {})},
    )


def _write(writer: asyncio.StreamWriter, status: int, body: bytes, headers: dict[str, str]) -> None:
    lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in headers.items())]
    lines.append(f"Content-Length: {len(body)}")
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


@dataclass(frozen=True)
class Vlm:
    """A running server, in this process or another."""

    url: str

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def control(self, **changes: Any) -> None:
        """Change its behaviour; `reset=True` forgets what came in."""
        body = json.dumps(changes).encode()
        request = urllib.request.Request(f"{self.url}/control", data=body, method="POST")
        urllib.request.urlopen(request, timeout=10).read()

    def stats(self) -> dict[str, Any]:
        """What it was asked so far."""
        with urllib.request.urlopen(f"{self.url}/stats", timeout=10) as answer:
            told: dict[str, Any] = json.loads(answer.read())
        return told


@contextmanager
def running(**behaviour: Any) -> Iterator[Vlm]:
    """Run the server in a thread of this process."""
    loop, server = asyncio.new_event_loop(), VlmServer()
    thread = threading.Thread(target=loop.run_forever, name="vlm", daemon=True)
    thread.start()
    listener = asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    vlm = Vlm(f"http://127.0.0.1:{server.port}")
    try:
        vlm.control(**behaviour)
        yield vlm
    finally:
        asyncio.run_coroutine_threadsafe(_end(listener), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end(listener: "asyncio.Server") -> None:
    listener.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _serve_alone(host: str, port: int) -> None:
    server = VlmServer()
    listener = await server.start(host, port)
    sys.stdout.write(json.dumps({"url": f"http://{host}:{server.port}"}) + "\n")
    sys.stdout.flush()
    await listener.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    asyncio.run(_serve_alone(asked.host, asked.port))
