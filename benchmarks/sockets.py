"""Thousands of WebSockets in one cheap client process, for benchmarks only.

`python sockets.py PORT USERS SUBPROTOCOL` connects users and prints one JSON line a second: how
many events came and the percentiles of their age. An event says when it was meant to be sent as
`"t":NANOSECONDS` of the monotonic clock, so waiting in the sender counts too; it is read from one
event in sixteen, since this process may share its core with Redis and the producer.
"""

import asyncio
import json
import re
import sys
import time
from typing import Any, ClassVar

import uvloop

_T = re.compile(rb'"t":(\d+)')
_PAUSE_SECONDS = 0.004
_HELLO = b'{"type":"hello","v":2}'


class Client(asyncio.Protocol):
    """One socket: a handshake, a hello, then frames are counted and pings answered."""

    ages: ClassVar[list[int]] = []
    events = 0
    open = 0

    def __init__(self, user: str, subprotocol: str) -> None:
        self.user = user
        self.subprotocol = subprotocol
        self.buffer = b""
        self.upgraded = False

    def connection_made(self, transport: Any) -> None:  # uvloop's is no asyncio.Transport
        self.transport = transport
        offer = f"Sec-WebSocket-Protocol: {self.subprotocol}\r\n" if self.subprotocol else ""
        transport.write(
            f"GET /ws/{self.user} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {'A' * 22}==\r\n{offer}"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def send(self, opcode: int, payload: bytes) -> None:
        """A masked frame with a mask of zeros."""
        self.transport.write(bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload)

    def data_received(self, data: bytes) -> None:
        data = self.buffer + data if self.buffer else data
        if not self.upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self.buffer = head
                return
            if b" 101 " not in head[:20]:
                raise ConnectionError(head[:200].decode())
            self.upgraded = True
            Client.open += 1
            self.send(1, _HELLO)
        at, now = 0, time.monotonic_ns()
        while len(data) - at >= 2:
            opcode, size, start = data[at] & 15, data[at + 1] & 127, at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if len(data) < start + size:
                break
            at = start + size
            if opcode == 9:
                self.send(10, data[start:at])
            elif opcode == 1:
                self.count(data, start, at, now)
        self.buffer = data[at:]

    def count(self, data: bytes, start: int, end: int, now: int) -> None:
        """One event, at `data[start:end]`."""
        Client.events += 1
        if not Client.events & 15 and (match := _T.search(data, start, end)):
            Client.ages.append(now - int(match[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        Client.open -= self.upgraded


def _look_seldom(loop: asyncio.AbstractEventLoop) -> None:
    """Let what comes within _PAUSE_SECONDS be read in one go.

    Woken for each event, this process would take a quarter more of the core that it shares, and
    each of the server's writes would pay for waking it.
    """
    time.sleep(_PAUSE_SECONDS)
    loop.call_soon(_look_seldom, loop)


async def main(port: int, users: int, subprotocol: str) -> None:
    """Connect, then report every second until stdin ends."""
    loop = asyncio.get_running_loop()
    for first in range(0, users, 50):
        await asyncio.gather(
            *(
                loop.create_connection(lambda n=n: Client(f"u{n}", subprotocol), "127.0.0.1", port)  # type: ignore[misc]
                for n in range(first, min(first + 50, users))
            )
        )
        while Client.open < min(first + 50, users):
            await asyncio.sleep(0.005)
    print(json.dumps({"connected": Client.open}), flush=True)
    counted = Client.events
    loop.call_soon(_look_seldom, loop)
    while True:
        await asyncio.sleep(1)
        ages, Client.ages, events = sorted(Client.ages), [], Client.events - counted
        counted += events
        at = {p: ages[int(len(ages) * p)] / 1e6 for p in (0.5, 0.99)} if ages else {0.5: 0, 0.99: 0}
        report = {"events": events, "p50_ms": at[0.5], "p99_ms": at[0.99], "open": Client.open}
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""))
