"""The measure for the gateway's wire: a bare WebSocket server without Redis, events made inside.

`python bare_server.py PORT send|broadcast`; each line on stdin is a rate in events a second. `send`
is the library's way to one client; its `broadcast` writes without waiting for anybody.
"""

import asyncio
import sys
import time
from contextlib import suppress
from typing import Any

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

_EVENT = (
    '{"epoch":"65f","seq":%d,"type":"page","task_id":"task-0001","page":1,"state":"ok","markdown":"'
    + "x" * 80
    + '","figures":[],"source":"text_layer","error":null,"t":%d}'
)


async def main(port: int, way: str) -> None:
    """Serve until stdin ends."""
    sockets: list[ServerConnection] = []
    rate = 0.0

    async def handler(socket: ServerConnection) -> None:
        sockets.append(socket)
        with suppress(ConnectionClosed):  # its client was ended
            async for _ in socket:
                pass

    async def generate() -> None:
        count, began, at = 0, time.monotonic(), 0.0
        while True:
            await asyncio.sleep(0.002)
            if rate != at:
                at, count, began = rate, 0, time.monotonic()
            while sockets and count < (time.monotonic() - began) * at:
                due = int((began + count / at) * 1e9)
                socket = sockets[count * 7919 % len(sockets)]
                if way == "send":
                    await socket.send(_EVENT % (count, due))
                else:
                    broadcast([socket], _EVENT % (count, due))
                count += 1
                if count % 200 == 0:
                    await asyncio.sleep(0)

    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    options: dict[str, Any] = {"compression": None, "backlog": 4096, "subprotocols": ["ocrplus.v2"]}
    async with serve(handler, "127.0.0.1", port, **options):
        print("ready", flush=True)
        task = asyncio.create_task(generate())
        while line := await reader.readline():
            rate = float(line)
        task.cancel()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
