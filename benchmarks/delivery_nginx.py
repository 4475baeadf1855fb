"""What has to pass through an ingress: a document of 100 MB, a refusal, sockets that are idle."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import redis
import websockets
from delivery_setup import play
from documents import text_document

_LARGE_BYTES: Final = 100_000_000
_TOO_LARGE_BYTES: Final = 110_000_000
_REFUSALS: Final = 5
_BLOCK: Final = 1 << 20


def padded(size_bytes: int) -> bytes:
    """A PDF of one page and exactly so many bytes: a comment stands between body and trailer."""
    pdf = text_document(1)
    end = pdf.rindex(b"startxref")
    filler = b"%" + b"x" * (size_bytes - len(pdf) - 2) + b"\n"
    return pdf[:end] + filler + pdf[end:]


async def measure(port: int, store: redis.Redis, idle_seconds: float) -> dict[str, Any]:
    """Everything at once: the sockets are idle while the documents pass."""
    base = f"127.0.0.1:{port}"
    v2, original, uploads = await asyncio.gather(
        _idle_v2(f"ws://{base}/ws/idle-v2", store, idle_seconds),
        _idle_original(f"ws://{base}/ws/idle-original", store, idle_seconds),
        _uploads(f"http://{base}"),
    )
    sockets = {"idle_seconds": idle_seconds, "v2": v2 or "ok", "original": original or "ok"}
    faults = [f"nginx, idle socket: {fault}" for fault in (v2, original) if fault]
    return {**uploads, "idle": sockets, "faults": uploads["faults"] + faults}


async def _uploads(base: str) -> dict[str, Any]:
    faults = []
    async with httpx.AsyncClient(base_url=base, timeout=120, trust_env=False) as http:
        began = time.monotonic()
        passed = await _post(http, "large", padded(_LARGE_BYTES))
        seconds = time.monotonic() - began
        if passed != (202, "submitted"):
            faults.append(f"nginx: {_LARGE_BYTES} bytes were answered {passed}")
        refused = []
        too_large = padded(_TOO_LARGE_BYTES)
        for number in range(_REFUSALS):
            refused.append(await _post(http, f"too-large-{number}", too_large))
    wrong = [answer for answer in refused if answer != (413, "too_large")]
    if wrong:
        faults.append(f"nginx: {_TOO_LARGE_BYTES} bytes were answered {wrong}")
    return {
        "passed_bytes": _LARGE_BYTES,
        "passed_status": passed[0],
        "passed_seconds": seconds,
        "refused_bytes": _TOO_LARGE_BYTES,
        "refused": {str(answer): refused.count(answer) for answer in refused},
        "faults": faults,
    }


async def _post(http: httpx.AsyncClient, task: str, pdf: bytes) -> tuple[int, str]:
    """Status, and the gateway's own word for it; what is not its JSON is shown as it came."""

    async def body() -> AsyncIterator[bytes]:
        for start in range(0, len(pdf), _BLOCK):
            yield pdf[start : start + _BLOCK]

    try:
        answer = await http.post(
            "/v1/tasks",
            params={"user": "uploads", "task_id": task},
            content=body(),
            headers={"content-length": str(len(pdf)), "content-type": "application/pdf"},
        )
    except httpx.HTTPError as error:
        return 0, repr(error)
    try:
        said = answer.json()
        return answer.status_code, said.get("status") or said["error"]["code"]
    except (ValueError, KeyError):
        return answer.status_code, answer.text[:100]


async def _idle_v2(url: str, store: redis.Redis, seconds: float) -> str:
    try:
        async with _silent(url, subprotocols=["ocrplus.v2"]) as socket:
            await socket.send(json.dumps({"type": "hello", "v": 2}))
            await socket.recv()
            await asyncio.sleep(seconds)
            await socket.send(json.dumps({"type": "ping", "t": 7}))
            if (pong := await _hear(socket)) != {"type": "pong", "t": 7}:
                return f"v2 heard {pong}"
            await asyncio.to_thread(play, store, "idle-v2", "idle-v2-1", 1)
            heard = await _hear(socket)
            return "" if heard.get("seq") == 1 else f"v2 heard {heard}"
    except (websockets.ConnectionClosed, TimeoutError) as error:
        return f"v2: {error!r}"


async def _idle_original(url: str, store: redis.Redis, seconds: float) -> str:
    try:
        async with _silent(url) as socket:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(play, store, "idle-original", "idle-original-1", 1)
            heard = [await _hear(socket), await _hear(socket)]
            right = heard[0].get("status") == "submitted" and "result" in heard[1]
            return "" if right else f"original heard {heard}"
    except (websockets.ConnectionClosed, TimeoutError) as error:
        return f"original: {error!r}"


def _silent(url: str, **options: Any) -> "websockets.connect":
    """A client without pings of its own: what keeps its socket open are the gateway's."""
    return websockets.connect(url, ping_interval=None, proxy=None, **options)


async def _hear(socket: "websockets.ClientConnection") -> dict[str, Any]:
    async with asyncio.timeout(10):
        message: dict[str, Any] = json.loads(await socket.recv())
    return message
