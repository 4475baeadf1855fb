"""Upload a PDF by HTTP and print its pages as they are read, over any number of cuts.

    python client.py report.pdf [http://127.0.0.1:8080]

Speaks `ocrplus.v2`: the position (`epoch`, `seq`) is the client's own, so after a cut it says where
it stands and goes on from there, by whichever gateway answers.
"""

import asyncio
import json
import random
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx
import websockets

USER = "example"
FINAL = {1009, 4001, 4401, 4403}  # close codes after which coming back does not help


async def follow(url: str, task: str, position: dict[str, Any]) -> dict[str, Any] | None:
    """Print pages until the result; None when the connection was cut. Moves `position`."""
    async with websockets.connect(
        f"{url.replace('http', 'ws', 1)}/ws/{USER}",
        subprotocols=[websockets.Subprotocol("ocrplus.v2")],
    ) as socket:
        hello = {"type": "hello", "v": 2, "resume": position, "tasks": [task]}
        await socket.send(json.dumps(hello))
        async for raw in socket:
            message = json.loads(raw)
            if "seq" in message and message["type"] != "welcome":
                position.update(epoch=message["epoch"], seq=message["seq"])
            match message["type"]:
                case "page":
                    print(message["markdown"], end="\n\n", flush=True)
                case "progress":
                    left = message["estimated_seconds"]
                    done = f"{message['pages_done']} of {message['pages_total']}"
                    print(f"{done} pages, {left} s left", file=sys.stderr)
                case "history_lost":
                    print(f"events were lost: {message['reason']}", file=sys.stderr)
                case "result":
                    return dict(message)
    return None


async def main(pdf: Path, url: str) -> None:
    task = uuid.uuid4().hex
    position: dict[str, Any] = {"seq": 0}  # from the oldest event that is kept
    async with httpx.AsyncClient() as http:
        params = {"user": USER, "task_id": task}
        answer = await http.post(f"{url}/v1/tasks", params=params, content=pdf.read_bytes())
    print(answer.json(), file=sys.stderr)
    answer.raise_for_status()
    for attempt in range(20):
        try:
            result = await follow(url, task, position)
            if result is not None:
                print(f"{result['status']} after {result['elapsed_seconds']} s", file=sys.stderr)
                return
        except websockets.ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code in FINAL:
                raise
        except OSError:
            pass  # nobody listens just now
        await asyncio.sleep(random.uniform(0, min(30, 0.5 * 2**attempt)))
    sys.exit("gave up")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    base = sys.argv[2] if len(sys.argv) == 3 else "http://127.0.0.1:8080"
    asyncio.run(main(Path(sys.argv[1]), base))
