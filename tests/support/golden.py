"""Recorded transcripts: what a client and a real gateway said to each other, key for key."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import redis
import websockets
from gateway_process import play_worker

FOLDER: Final = Path(__file__).parents[1] / "golden"
PROTOCOLS: Final = {"original": [], "v2": ["ocrplus.v2"]}
VARYING: Final = frozenset(
    {"epoch", "estimated_seconds", "elapsed_seconds", "elapsed_time", "expires_at", "trace"}
)
"""Keys whose values differ from run to run: only their types are compared."""


def transcript(protocol: str) -> list[dict[str, Any]]:
    """A recorded one: a list of {"from", "message"}."""
    recorded: list[dict[str, Any]] = json.loads((FOLDER / f"{protocol}.json").read_text())
    return recorded


async def replayed(
    address: str, protocol: str, script: list[dict[str, Any]], store: redis.Redis
) -> list[dict[str, Any]]:
    """Say what the script's client says; the transcript as it comes out now.

    A worker reads everything as soon as a submission was answered.
    """
    said: list[dict[str, Any]] = []
    offered: Any = PROTOCOLS[protocol] or None
    submitting = False
    async with websockets.connect(address, subprotocols=offered) as socket:
        for entry in script:
            if entry["from"] == "client":
                await socket.send(json.dumps(entry["message"]))
                submitting = "pdf_file" in entry["message"]
                said.append(entry)
                continue
            async with asyncio.timeout(10):
                said.append({"from": "server", "message": json.loads(await socket.recv())})
            if submitting:
                await asyncio.to_thread(play_worker, store)
                submitting = False
    return said


def comparable(message: Any) -> Any:
    """A message with the types of what varies, and its keys in the order they were sent."""
    if isinstance(message, dict):
        return [
            (key, _kind(value) if key in VARYING else comparable(value))
            for key, value in message.items()
        ]
    return [comparable(item) for item in message] if isinstance(message, list) else message


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) else type(value).__name__
