"""What one client sends without end costs the others nothing: frames are taken in turns."""

import asyncio
import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import gateway_process
import httpx
import pytest
import redis_server
import websockets
from documents import text_document
from gateway_process import Gateway
from websockets.frames import Frame, Opcode

from ocrplus_gateway.barrier import BarrierProtocol

FLOOD_SECONDS = 1.0
MOST_LAG_SECONDS = 0.35  # on a busy machine; without turns 0.7 to 2 s


@pytest.fixture(scope="module")
def gateway(
    valkey: redis_server.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    with gateway_process.gateway(valkey.url, tmp_path_factory.mktemp("blobs")) as running:
        yield running


@pytest.fixture
def fresh(valkey: redis_server.Server, tmp_path: Path) -> Iterator[Gateway]:
    with gateway_process.gateway(valkey.url, tmp_path) as running:  # it remembers its lag
        yield running


def framed(opcode: Opcode, data: bytes, fin: bool = True) -> bytes:
    return bytes(Frame(opcode, data, fin).serialize(mask=True))


async def flood(gateway: Gateway, begin: bytes, piece: bytes, *, read: bool) -> None:
    """Send a piece over and over for a while."""
    address = urlsplit(gateway.http)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    key = base64.b64encode(os.urandom(16))
    writer.write(
        b"GET /ws/flood HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Protocol: ocrplus.v2\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: "
        + key
        + b"\r\n\r\n"
        + framed(Opcode.TEXT, b'{"type": "hello"}')
        + begin
    )

    async def listen() -> None:
        while await reader.read(1 << 16):
            pass

    listening = asyncio.create_task(listen()) if read else None
    try:
        async with asyncio.timeout(FLOOD_SECONDS):
            while True:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
    except (TimeoutError, ConnectionError):
        pass
    writer.transport.abort()
    if listening is not None:
        listening.cancel()


async def lag(gateway: Gateway) -> float:
    async with httpx.AsyncClient(timeout=10) as http:
        metrics = (await http.get(gateway.metrics)).text
    (line,) = (ln for ln in metrics.splitlines() if ln.startswith("ocrplus_gateway_event_loop_lag"))
    return float(line.split()[-1])


@pytest.mark.parametrize(
    ("opcode", "data", "read"),
    [
        (Opcode.TEXT, b'{"type":"ping","t":1}', True),
        (Opcode.PING, b"x" * 100, False),
        (Opcode.CONT, b"x", True),
    ],
    ids=["ping", "control", "fragment"],
)
async def test_a_flood_of_small_frames_stalls_nobody(
    fresh: Gateway, opcode: Opcode, data: bytes, read: bool
) -> None:
    begin = framed(Opcode.TEXT, b"{", fin=False) if opcode is Opcode.CONT else b""
    piece = framed(opcode, data, fin=opcode is not Opcode.CONT) * 2000

    await flood(fresh, begin, piece, read=read)

    assert await lag(fresh) < MOST_LAG_SECONDS


async def test_too_many_pings_close_the_socket_and_acks_do_not(
    valkey: redis_server.Server, tmp_path: Path
) -> None:
    with gateway_process.gateway(valkey.url, tmp_path, OCRPLUS_MESSAGES_PER_SECOND="5") as strict:
        async with websockets.connect(strict.ws + "p", subprotocols=["ocrplus.v2"]) as socket:  # type: ignore[list-item]
            await socket.send('{"type": "hello"}')
            for n in range(200):
                await socket.send(json.dumps({"type": "ack", "epoch": "a", "seq": n}))
            await socket.send('{"type": "ping"}')
            heard = [json.loads(await asyncio.wait_for(socket.recv(), 5))["type"] for _ in "12"]
            with pytest.raises(websockets.ConnectionClosed) as closed:
                for _ in range(60):
                    await socket.send('{"type": "ping"}')
                    await asyncio.wait_for(socket.recv(), 5)

    assert sorted(heard) == ["pong", "welcome"]
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4429


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"GET /healthz HTTP/1.1\r\n", b"X: " + b"a" * 1000 + b"\r\n"),
        (b"GET /healthz HTTP/1.1\r\nX: ", b"a" * 1000),
        (b"GET /", b"a" * 1000),
        (
            b"POST /v1/tasks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
            b"a" * 1000,
        ),
    ],
    ids=["headers", "header", "line", "trailer"],
)
async def test_a_requests_head_without_an_end_is_refused(
    gateway: Gateway, begin: bytes, piece: bytes
) -> None:
    address = urlsplit(gateway.http)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(begin)
    await asyncio.sleep(0.2)  # read by itself
    try:
        writer.write(piece * 150)
        async with asyncio.timeout(10):
            answer = await reader.read(12)
    finally:
        writer.transport.abort()

    assert answer == b"HTTP/1.1 400"


async def test_a_document_in_small_fragments_arrives(gateway: Gateway) -> None:
    frame = json.dumps(
        {"task_id": "t", "pdf_file": base64.b64encode(text_document(1)).decode()}
    ).encode()
    pieces = [frame[at : at + 7] for at in range(0, len(frame), 7)]

    async with websockets.connect(gateway.ws + "pieces") as socket:
        await socket.send(piece.decode() for piece in pieces)
        answer = json.loads(await asyncio.wait_for(socket.recv(), 10))

    assert answer == {"task_id": "t", "status": "submitted"}


def test_fragments_lie_in_memory_as_one_piece() -> None:
    protocol = BarrierProtocol.__new__(BarrierProtocol)
    protocol.handle_text(Frame(Opcode.TEXT, b"{", fin=False))

    for data in (b"a", b"", b"bc") * 1000:
        protocol.handle_cont(Frame(Opcode.CONT, data, fin=False))

    assert protocol.frames == [b"{" + b"abc" * 1000]
