"""Original clients: nothing lost by a cut, too large a frame, or events that are gone."""

import asyncio
import base64
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import gateway_process
import httpx
import pytest
import redis
import redis_server
import websockets
from documents import text_document
from gateway_process import Gateway
from ledger_steps import KEYS, LEDGER, admit, commit, finish, read, take

from ocrplus_contract.ledger import run
from ocrplus_contract.names import TaskId, UserId


@pytest.fixture(scope="module")
def gateway(
    valkey: redis_server.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    with gateway_process.gateway(valkey.url, tmp_path_factory.mktemp("blobs")) as running:
        yield running


@pytest.fixture
def store(valkey: redis_server.Server) -> Iterator[redis.Redis]:
    with valkey.client as client:
        for key in client.scan_iter("*"):
            if not key.startswith(b"gateway:"):
                client.delete(key)
        yield client


async def taken(
    gateway: Gateway, user: str, seconds: float = 0.6, max_size: int = 1 << 20
) -> list[dict]:
    """What a client gets until nothing more comes, or its library refuses a frame."""
    messages = []
    async with websockets.connect(gateway.ws + user, max_size=max_size) as socket:
        try:
            while True:
                async with asyncio.timeout(seconds):
                    messages.append(json.loads(await socket.recv()))
        except (TimeoutError, websockets.ConnectionClosed):
            return messages


async def test_a_result_above_the_clients_limit_is_replaced_after_three_tries(
    gateway: Gateway, store: redis.Redis
) -> None:
    read(store, "big", "small-before")
    read(store, "big", "large", "x" * 1_200_000)
    read(store, "big", "small-after")

    visits = [await taken(gateway, "big") for _ in range(5)]

    first, *_, fourth, fifth = visits
    assert [m["task_id"] for m in first] == ["small-before", "small-before", "large"]
    assert visits[1] == visits[2] == []  # what came before is confirmed
    assert [m["task_id"] for m in fourth] == ["large", "small-after", "small-after"]
    assert fourth[0]["error"]["code"] == "undeliverable"
    assert "/v1/tasks/large/result" in fourth[0]["error"]["message"]
    assert "result" in fourth[2]
    assert fifth == []


async def test_a_client_that_takes_large_frames_gets_them(
    gateway: Gateway, store: redis.Redis
) -> None:
    read(store, "roomy", "large", "x" * 1_200_000)

    messages = await taken(gateway, "roomy", max_size=1 << 24)

    assert len(messages[1]["result"]["markdown"][0]["markdown"]) == 1_200_000
    assert await taken(gateway, "roomy") == []


async def test_a_long_document_that_was_read_before_closes_no_socket(
    gateway: Gateway, store: redis.Redis
) -> None:
    """All its events come at once: nobody is slow for that."""
    pdf, pages = text_document(400), []
    store.set(KEYS.engine(), "e1")
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        await http.post("/v1/tasks", params={"user": "long", "task_id": "a"}, content=pdf)
    lease = take(store)
    while lease is not None:
        for page in lease.pages:  # the first is too large to travel in its event
            commit(store, lease, page, text="x" * (5000 if page == 1 else 50))
        finish(store, lease)
        lease = take(store)
    v2 = websockets.connect(gateway.ws + "long", subprotocols=["ocrplus.v2"])  # type: ignore[list-item]
    async with websockets.connect(gateway.ws + "long") as original, v2 as new:
        await new.send('{"type": "hello"}')
        for client in (original, original, new):
            await client.recv()
        encoded = base64.b64encode(pdf).decode()
        await original.send(json.dumps({"task_id": "b", "pdf_file": encoded}))
        async with asyncio.timeout(20):
            told = [json.loads(await original.recv()) for _ in range(2)]
            while (event := json.loads(await new.recv()))["type"] != "result":
                pages += [event["page"]] if event["type"] == "page" else []

    assert [told[0]["status"], len(told[1]["result"]["markdown"])] == ["submitted", 400]
    assert pages == list(range(1, 401))


async def test_recovery_knows_all_of_many_tasks(gateway: Gateway, store: redis.Redis) -> None:
    user = UserId("many")
    read(store, user, "first")
    job = store.hgetall(KEYS.job(user, TaskId("first")))
    pipe = store.pipeline()
    for n in range(1100):
        pipe.hset(KEYS.job(user, TaskId(f"t{n}")), mapping={**job, b"state": b"running"})
        pipe.hdel(KEYS.job(user, TaskId(f"t{n}")), "finished_at")
        pipe.zadd(KEYS.jobs(user), {f"t{n}": time.time() + 1 + n / 1000})
    pipe.execute()
    store.delete(KEYS.stream(user))

    messages = await taken(gateway, user)

    assert len(messages) == 1102
    assert [m["task_id"] for m in messages if "result" in m] == ["first"]


@pytest.mark.parametrize(("ended", "code"), [(False, "cancelled"), (True, "not_found")])
async def test_whoever_waits_for_a_task_that_is_deleted_hears_of_it(
    gateway: Gateway, store: redis.Redis, ended: bool, code: str
) -> None:
    user = f"deleted-{code}"
    if ended:
        read(store, user, "t")
    else:
        admit(store, user, "t", [(1, 1)])
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        assert (await http.delete("/v1/tasks/t", params={"user": user})).status_code == 204

    messages = await taken(gateway, user)

    assert messages[0] == {"task_id": "t", "status": "submitted"}
    assert [(m["task_id"], m["status"], m["error"]["code"]) for m in messages[1:]] == [
        ("t", "failed", code)
    ]
    assert await taken(gateway, user) == []


@pytest.mark.parametrize("forgotten", ["trimmed", "expired", "lost"])
async def test_job_records_tell_what_events_no_longer_do(
    gateway: Gateway, store: redis.Redis, forgotten: str
) -> None:
    user = f"late-{forgotten}"
    read(store, user, "before")
    assert len(await taken(gateway, user)) == 2
    await asyncio.sleep(0.05)
    for number in range(3):
        read(store, user, f"t{number}")
    admit(store, user, "open", [(1, 1)])
    stream = KEYS.stream(UserId(user))
    if forgotten == "trimmed":
        store.xtrim(stream, maxlen=2, approximate=False)
    else:
        store.delete(stream)
    if forgotten == "lost":
        store.delete(KEYS.events(UserId(user)))

    messages = await taken(gateway, user)
    again = await taken(gateway, user)

    # The last one confirmed may come again: records know no order within a millisecond.
    new = [m for m in messages if m["task_id"] != "before"]
    submitted = [m["task_id"] for m in new if m.get("status") == "submitted"]
    results = [m["task_id"] for m in new if "result" in m]
    assert submitted == ["t0", "t1", "t2", "open"]
    assert results == ["t0", "t1", "t2"]
    assert again == []


async def test_sockets_on_two_gateways_share_the_least_position(
    gateway: Gateway, store: redis.Redis, valkey: redis_server.Server, tmp_path: Path
) -> None:
    with gateway_process.gateway(valkey.url, tmp_path) as second:
        reader = await websockets.connect(second.ws + "pair")
        # The other one opens and never answers a ping: what it is sent it has not taken.
        silent = await websockets.connect(gateway.ws + "pair", max_queue=1)
        silent.transport.pause_reading()
        read(store, "pair", "t")
        received = [json.loads(await reader.recv()) for _ in range(2)]
        await asyncio.sleep(0.3)
        held = store.hget(KEYS.last_id(), "pair")
        silent.transport.abort()
        await reader.close()
        await asyncio.sleep(0.2)
        back = await taken(gateway, "pair")

    assert [m["task_id"] for m in received] == ["t", "t"]
    assert held in (None, b"0-0")
    assert [m["task_id"] for m in back] == ["t", "t"]  # the silent one's client has lost nothing


async def test_pongs_are_read_while_a_document_is_being_admitted(
    gateway: Gateway, store: redis.Redis
) -> None:
    read(store, "busy", "before")
    pdf = text_document(1)
    async with websockets.connect(gateway.ws + "busy") as socket:
        body = base64.b64encode(pdf + b"\n%" + b" " * 8_000_000).decode()
        await socket.send(json.dumps({"task_id": "t", "pdf_file": body}))
        messages = [json.loads(await socket.recv()) for _ in range(3)]
        await asyncio.sleep(0.3)
        last = store.xrevrange(KEYS.stream(UserId("busy")), count=1)[0][0]
        assert store.hget(KEYS.last_id(), "busy") == last
    assert [m["task_id"] for m in messages] == ["before", "before", "t"]
    lease = take(store)
    assert lease is not None
    commit(store, lease, 1)
    finish(store, lease)


@pytest.mark.parametrize("pong", ["9999999999999-0", "9" * 26 + "-0", "٣-0", "abc", ""])
async def test_a_pong_that_nobody_asked_for_moves_no_position(
    gateway: Gateway, store: redis.Redis, pong: str
) -> None:
    async with websockets.connect(gateway.ws + "forger") as socket:
        await socket.pong(b"at:" + pong.encode())
        await (await socket.ping())

    read(store, "forger", "job")

    assert [m["task_id"] for m in await taken(gateway, "forger")] == ["job", "job"]


async def test_refusals_for_want_of_room_do_not_close_the_socket(
    valkey: redis_server.Server, store: redis.Redis, tmp_path: Path
) -> None:
    pdf = base64.b64encode(text_document(1)).decode()
    with gateway_process.gateway(valkey.url, tmp_path, OCRPLUS_MAX_USER_TASKS="1") as full:
        async with websockets.connect(full.ws + "keen") as socket:
            for number in range(25):
                await socket.send(json.dumps({"task_id": f"t{number}", "pdf_file": pdf}))
            answers = [json.loads(await socket.recv()) for _ in range(25)]

    assert answers[0]["status"] == "submitted"
    assert {answer["error"]["code"] for answer in answers[1:]} == {"busy"}


async def test_an_open_socket_follows_to_a_server_whose_clock_is_behind(
    gateway: Gateway, store: redis.Redis
) -> None:
    user = UserId("replaced")
    stream, meta = KEYS.stream(user), KEYS.events(user)
    async with websockets.connect(gateway.ws + user) as socket:
        read(store, user, "before")
        for _ in range(2):
            await asyncio.wait_for(socket.recv(), 5)
        epoch = store.hget(meta, "epoch").decode()
        event = f'{{"epoch":"{epoch}","seq":5,"type":"submitted","task_id":"ahead"}}'
        ahead = f"{round((time.time() + 3600) * 1000)}-0"
        store.hset(meta, "seq", 5)
        store.xadd(stream, {"event": event}, id=ahead)
        store.publish(stream, f"{ahead} {event}")
        await asyncio.wait_for(socket.recv(), 5)
        await stands_at(store, user, ahead)
        for key in store.scan_iter("*"):  # another server: its memory is empty, its clock is right
            if not key.startswith(b"gateway:"):
                store.delete(key)
        read(store, user, "after")
        read(store, user, "last")
        messages = [json.loads(await asyncio.wait_for(socket.recv(), 5)) for _ in range(4)]
        await stands_at(store, user, newest(store, user))

    assert [m["task_id"] for m in messages] == ["after", "after", "last", "last"]
    assert await taken(gateway, user) == []


def newest(store: redis.Redis, user: UserId) -> str:
    return store.xrevrange(KEYS.stream(user), count=1)[0][0].decode()


async def stands_at(store: redis.Redis, user: UserId, stream_id: str) -> None:
    """Wait until the client has confirmed everything up to the millisecond of an event."""
    wanted = stream_id.partition("-")[0].encode()
    async with asyncio.timeout(5):
        while (store.hget(KEYS.last_id(), user) or b"").partition(b"-")[0] != wanted:
            await asyncio.sleep(0.02)


async def test_a_pong_of_the_old_server_moves_no_position_on_the_new_one(
    store: redis.Redis,
) -> None:
    user = UserId("late-pong")
    admit(store, user, "t", [(1, 1)])
    epoch = store.hget(KEYS.events(user), "epoch").decode()
    ahead = f"{round((time.time() + 3600) * 1000)}-0"

    assert not run(store, LEDGER.confirm(user, "p.1", ahead, "feed"))
    assert store.hget(KEYS.last_id(), user) is None
    assert run(store, LEDGER.confirm(user, "p.1", newest(store, user), epoch))


async def test_whoever_stood_ahead_of_a_clock_that_went_back_misses_nothing(
    gateway: Gateway, store: redis.Redis
) -> None:
    user = UserId("back")
    store.hset(KEYS.last_id(), user, f"{round((time.time() + 3600) * 1000)}-0")
    read(store, user, "t")  # the first event of an epoch

    messages = await taken(gateway, user)

    assert [m["task_id"] for m in messages] == ["t", "t"]


async def test_a_recovered_result_above_the_clients_limit_blocks_nothing(
    gateway: Gateway, store: redis.Redis
) -> None:
    read(store, "big-late", "large", "x" * 1_200_000)
    await asyncio.sleep(0.01)
    read(store, "big-late", "small-after")
    store.delete(KEYS.stream(UserId("big-late")))  # the job records tell

    visits = [await taken(gateway, "big-late") for _ in range(5)]

    assert [m["task_id"] for m in visits[0]] == ["large"]
    assert visits[1] == visits[2] == []
    assert [m["task_id"] for m in visits[3]] == ["large", "small-after", "small-after"]
    assert visits[3][0]["error"]["code"] == "undeliverable"
    assert "result" in visits[3][2]
    assert visits[4] == []


async def test_a_name_used_again_after_a_recovery_is_heard_of(
    gateway: Gateway, store: redis.Redis
) -> None:
    user = "twice"
    read(store, user, "t")
    store.xtrim(KEYS.stream(UserId(user)), maxlen=1, approximate=False)
    async with websockets.connect(gateway.ws + user) as socket:
        recovered = [json.loads(await asyncio.wait_for(socket.recv(), 5)) for _ in range(2)]
        async with httpx.AsyncClient(base_url=gateway.http) as http:
            await http.delete("/v1/tasks/t", params={"user": user})
        read(store, user, "t", "anew")
        again = [json.loads(await asyncio.wait_for(socket.recv(), 5)) for _ in range(2)]

    assert [list(m) for m in recovered] == [["task_id", "status"], ["task_id", "result"]]
    assert again[0] == {"task_id": "t", "status": "submitted"}
    assert again[1]["result"]["markdown"] == [{"page": 1, "markdown": "anew"}]


@pytest.mark.parametrize("kept", [0, 5, 11])
async def test_no_result_is_lost_wherever_history_is_trimmed(
    gateway: Gateway, store: redis.Redis, kept: int
) -> None:
    user = UserId(f"trim-{kept}")
    read(store, user, "before")
    assert len(await taken(gateway, user)) == 2
    await asyncio.sleep(0.01)
    for number in range(3):
        read(store, user, f"t{number}")
    store.xtrim(KEYS.stream(user), maxlen=kept, approximate=False)

    messages = await taken(gateway, user)

    results = [m["task_id"] for m in messages if "result" in m and m["task_id"] != "before"]
    assert results == ["t0", "t1", "t2"]
    assert await taken(gateway, user) == []


async def test_a_thin_line_gets_a_large_result_and_what_follows(
    valkey: redis_server.Server, store: redis.Redis, tmp_path: Path
) -> None:
    read(store, "thin", "large", "x" * 6_000_000)
    read(store, "thin", "after", "the end of it")
    with (
        gateway_process.gateway(valkey.url, tmp_path, OCRPLUS_SEND_SECONDS="2.5") as gateway,
        socket.socket() as line,
    ):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        line.setblocking(False)
        address = urlsplit(gateway.http)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(line, (address.hostname, address.port))
        await loop.sock_sendall(
            line,
            b"GET /ws/thin HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        )
        size, end, began = 0, b"", time.monotonic()
        async with asyncio.timeout(60):
            while b"the end of it" not in end:
                block = await loop.sock_recv(line, 65_536)
                assert block, f"cut after {size} bytes"
                size, end = size + len(block), (end + block)[-300:]
                await asyncio.sleep(len(block) / 1_500_000)

    assert time.monotonic() - began > 3  # longer than a client may take nothing
    assert size > 6_000_000
