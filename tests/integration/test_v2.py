"""`ocrplus.v2` by an independent client, on real gateways; the test plays the worker."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gateway_process
import httpx
import pytest
import redis
import redis_proxy
import redis_server
import websockets
from documents import text_document
from gateway_process import Gateway, play_worker
from ledger_steps import CAPTIONS_ON, KEYS, admit, commit, finish, read, settle_job, take
from pydantic import TypeAdapter

from ocrplus_contract import wire
from ocrplus_contract.ledger import Ledger, run
from ocrplus_contract.names import Pool, TaskId, UserId
from ocrplus_contract.records import HeadingRecord, PageRecord

PDF = text_document(2)
ANSWERS = {model.model_fields["type"].default: TypeAdapter(model) for model in wire.ANSWERS}


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blobs")


@pytest.fixture(scope="module")
def gateway(valkey: redis_server.Server, blobs: Path) -> Iterator[Gateway]:
    with gateway_process.gateway(valkey.url, blobs) as running:
        yield running


@pytest.fixture
def store(valkey: redis_server.Server) -> Iterator[redis.Redis]:
    with valkey.client as client:
        for key in client.scan_iter("*"):
            if not key.startswith(b"gateway:"):
                client.delete(key)
        yield client


class Client:
    """Speaks v2 and holds every message to its schema."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def hear(self, seconds: float = 10) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            text = await self.socket.recv()
        message: dict[str, Any] = json.loads(text)
        durable = "seq" in message and message["type"] not in ("welcome", "history_lost")
        schema = wire.DELIVERED if durable else ANSWERS[message["type"]]
        told = schema.validate_json(text, strict=False)
        assert set(message) == set(type(told).model_fields)  # no key more, no key less
        return message

    async def hear_until(self, kind: str) -> list[dict[str, Any]]:
        heard = [await self.hear()]
        while heard[-1]["type"] != kind:
            heard.append(await self.hear())
        return heard

    async def greet(self, **hello: Any) -> dict[str, Any]:
        await self.say(type="hello", v=2, **hello)
        return await self.hear()

    async def submit(self, task: str, pdf: bytes = PDF, **more: Any) -> None:
        await self.say(type="submit", task_id=task, pdf_file=base64.b64encode(pdf).decode(), **more)


@asynccontextmanager
async def connected(gateway: Gateway, user: str) -> AsyncIterator[Client]:
    async with websockets.connect(gateway.ws + user, subprotocols=["ocrplus.v2"]) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "ocrplus.v2"
        yield Client(socket)


async def converted(gateway: Gateway, store: redis.Redis, user: str, task: str = "t") -> int:
    """Have a document of two pages read; the newest seq."""
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        await http.post("/v1/tasks", params={"user": user, "task_id": task}, content=PDF)
    await asyncio.to_thread(play_worker, store)
    return int(store.hget(KEYS.events(UserId(user)), "seq"))


async def test_pages_arrive_one_by_one_without_a_gap(gateway: Gateway, store: redis.Redis) -> None:
    async with connected(gateway, "a") as client:
        welcome = await client.greet()
        await client.submit("t", req="r1")
        submitted = await client.hear()
        await asyncio.to_thread(play_worker, store)
        rest = await client.hear_until("result")

    assert (welcome["seq"], welcome["replay"], welcome["ping_s"]) == (0, 0, 20)
    assert welcome["limits"]["max_pdf_bytes"] == 104857600
    assert (submitted["type"], submitted["pages_total"]) == ("submitted", 2)
    assert submitted["estimated_seconds"] > 0
    assert [m["type"] for m in rest] == ["progress", "page", "progress", "page", "result"]
    assert [m["seq"] for m in [submitted, *rest]] == [1, 2, 3, 4, 5, 6]
    assert {m["epoch"] for m in [submitted, *rest]} == {welcome["epoch"]}
    assert rest[1]["markdown"] == "page 1"
    result = rest[-1]
    assert (result["status"], result["error"]) == ("ok", None)
    assert result["expires_at"].endswith("+00:00")


async def test_a_client_resumes_anywhere_from_its_own_position(
    gateway: Gateway, store: redis.Redis, valkey: redis_server.Server, blobs: Path
) -> None:
    top = await converted(gateway, store, "b")
    with gateway_process.gateway(valkey.url, blobs) as other:
        for seq in range(top + 1):
            async with connected(other, "b") as client:
                welcome = await client.greet(resume={"seq": seq})
                assert welcome["replay"] == top - seq
                heard = [await client.hear() for _ in range(top - seq)]
                assert [m["seq"] for m in heard] == list(range(seq + 1, top + 1))


@pytest.mark.parametrize(
    ("resume", "reason"),
    [
        ({"epoch": "0", "seq": 1}, "epoch"),
        ({"seq": 99}, "future_position"),
        ({"seq": 1}, "trimmed"),
    ],
)
async def test_what_cannot_be_resumed_is_said_with_how_things_stand(
    gateway: Gateway, store: redis.Redis, resume: dict[str, Any], reason: str
) -> None:
    top = await converted(gateway, store, "c")
    store.xtrim(KEYS.stream(UserId("c")), maxlen=2, approximate=False)

    async with connected(gateway, "c") as client:
        welcome = await client.greet(resume=resume)
        lost = await client.hear()
        await client.submit("t2")
        following = await client.hear()

    assert (lost["type"], lost["reason"], lost["seq"]) == ("history_lost", reason, top)
    assert lost["oldest_seq"] == welcome["oldest_seq"] == top - 1
    assert lost["tasks"] == [{"task_id": "t", "state": "ok", "pages_done": 2, "pages_total": 2}]
    assert (following["type"], following["seq"]) == ("submitted", top + 1)


async def test_events_lost_while_connected_are_announced(
    gateway: Gateway, store: redis.Redis
) -> None:
    async with connected(gateway, "d") as client:
        await client.greet()
        await converted(gateway, store, "d", "t1")
        await client.hear_until("result")
        store.delete(KEYS.events(UserId("d")), KEYS.stream(UserId("d")))  # a server that forgot
        await converted(gateway, store, "d", "t2")

        heard = await client.hear_until("result")

    assert [m["type"] for m in heard[:2]] == ["history_lost", "submitted"]
    assert (heard[0]["reason"], heard[0]["seq"]) == ("epoch", 0)
    assert [m["seq"] for m in heard[1:]] == list(range(1, 7))


def sse_events(text: str) -> list[str]:
    return [line[7:] for line in text.splitlines() if line.startswith("event: ")]


async def test_a_tasks_beginning_is_lost_to_sse_only_with_its_own_first_event(
    gateway: Gateway, store: redis.Redis
) -> None:
    whole = ["submitted", "progress", "page", "progress", "page", "result"]
    await converted(gateway, store, "s", "old")
    await converted(gateway, store, "s", "new")
    heard = {}
    async with httpx.AsyncClient(base_url=gateway.http, timeout=5) as http:
        for kept in (11, 6, 5, 0):  # of the twelve events
            store.xtrim(KEYS.stream(UserId("s")), maxlen=kept, approximate=False)
            for task in ("old", "new"):
                answer = await http.get(f"/v1/tasks/{task}/events", params={"user": "s"})
                heard[task, kept] = sse_events(answer.text)

    lost = ["history_lost", "status"]
    assert heard["new", 11] == heard["new", 6] == whole
    assert heard["new", 5] == heard["old", 11] == [*lost, *whole[1:]]
    assert heard["old", 6] == heard["old", 5] == heard["old", 0] == heard["new", 0] == lost


async def test_a_task_id_used_again_has_no_events_of_its_first_use(
    gateway: Gateway, store: redis.Redis
) -> None:
    whole = ["submitted", "progress", "page", "progress", "page", "result"]
    first = await converted(gateway, store, "again")
    epoch = store.hget(KEYS.events(UserId("again")), "epoch").decode()
    async with httpx.AsyncClient(base_url=gateway.http, timeout=5) as http:
        url, user = "/v1/tasks/t/events", {"user": "again"}
        await http.delete("/v1/tasks/t", params=user)
        await converted(gateway, store, "again")
        begun = await http.get(url, params=user)
        behind_a_page = {"Last-Event-ID": f"{epoch}-{first - 1}"}
        resumed = await http.get(url, params=user, headers=behind_a_page)

    assert sse_events(begun.text) == sse_events(resumed.text) == whole
    assert f"id: {epoch}-{first + 1}\nevent: submitted" in begun.text


async def test_a_stream_that_waits_for_late_captions_ends_where_its_name_is_used_again(
    gateway: Gateway, store: redis.Redis
) -> None:
    user = UserId("late")
    admit(store, user, "t", [(1, 1)], facts=CAPTIONS_ON)
    lease = take(store)
    assert lease is not None
    commit(store, lease, 1, figures=["p1-f1"])
    finish(store, lease)
    settle_job(store, user, "t")
    async with httpx.AsyncClient(base_url=gateway.http, timeout=10) as http:
        waiting = asyncio.create_task(http.get("/v1/tasks/t/events", params={"user": user}))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await http.delete("/v1/tasks/t", params={"user": user})
        await converted(gateway, store, user)
        answer = await waiting

    own = ["submitted", "progress", "page", "progress", "result"]
    assert sse_events(answer.text) == own


async def test_an_old_event_shows_nothing_of_what_its_name_stands_for_now(
    gateway: Gateway, store: redis.Redis
) -> None:
    user = UserId("reused")
    async with httpx.AsyncClient(base_url=gateway.http) as http:
        for text in ("first " * 1000, "second " * 1000):
            await http.delete("/v1/tasks/t", params={"user": user})
            read(store, user, "t", text)

    async with connected(gateway, user) as client:
        welcome = await client.greet(resume={"seq": 0})
        heard = [json.loads(await client.socket.recv()) for _ in range(welcome["replay"])]

    pages = [m["markdown"].split() for m in heard if m["type"] == "page"]
    assert pages == [[], ["second"] * 1000]


async def test_a_snapshot_has_every_open_task_and_says_that_there_are_more(
    gateway: Gateway, store: redis.Redis
) -> None:
    user = UserId("many")
    admit(store, user, "open", [(1, 1)])
    job = store.hgetall(KEYS.job(user, TaskId("open")))
    pipe = store.pipeline()
    for n in range(2100):
        pipe.hset(KEYS.job(user, TaskId(f"t{n}")), mapping={**job, b"state": b"ok"})
        pipe.zadd(KEYS.jobs(user), {f"t{n}": time.time() + 1 + n / 1000})
    pipe.execute()

    async with connected(gateway, user) as client:
        await client.greet(resume={"epoch": "abc", "seq": 1})
        lost = await client.hear()

    assert (lost["tasks"][0]["task_id"], lost["tasks"][-1]["task_id"]) == ("t2099", "open")
    assert (len(lost["tasks"]), lost["more"]) == (1001, True)


async def test_a_connected_client_follows_to_a_server_whose_clock_is_behind(
    gateway: Gateway, store: redis.Redis
) -> None:
    stream, meta = KEYS.stream(UserId("o")), KEYS.events(UserId("o"))
    async with connected(gateway, "o") as client:
        welcome = await client.greet()
        event = (
            f'{{"epoch":"{welcome["epoch"]}","seq":1,"type":"progress","task_id":"x","stage":"ocr",'
            '"pages_done":1,"pages_total":2,"estimated_seconds":null}'
        )
        ahead = f"{round((time.time() + 3600) * 1000)}-0"
        store.hset(meta, "seq", 1)
        store.xadd(stream, {"event": event}, id=ahead)
        store.publish(stream, f"{ahead} {event}")
        first = await client.hear()
        store.delete(meta, stream)  # another server: its memory is empty, its clock is right
        await converted(gateway, store, "o")
        store.publish(stream, f"{ahead} {event}")  # a word of the old one that was on its way

        heard = await client.hear_until("result")
        await converted(gateway, store, "o", "t2")
        following = await client.hear_until("result")

    assert (first["type"], first["seq"]) == ("progress", 1)
    assert [(m["type"], m["seq"]) for m in heard[:2]] == [("history_lost", 0), ("submitted", 1)]
    assert heard[0]["reason"] == "epoch"
    assert [m["seq"] for m in heard[1:] + following] == list(range(1, len(heard + following)))


async def test_large_pages_are_filled_in_on_delivery(gateway: Gateway, store: redis.Redis) -> None:
    text = "long " * 5000
    async with connected(gateway, "e") as client:
        await client.greet()
        await client.submit("t")
        await client.hear()
        lease = take(store)
        assert lease is not None
        headings = tuple(HeadingRecord(text=f"Part {n}", level=2) for n in range(100))
        record = PageRecord(page=1, state="ok", markdown=text, headings=headings)
        body = record.event_body(lease.task)
        assert len(body) < 1000
        call = Ledger().commit_page(
            Pool.OCR,
            lease.permit,
            page=1,
            state=record.state,
            record=record.pack(),
            body=body,
            next_page=2,
        )
        run(store, call)

        page = (await client.hear_until("page"))[-1]

    assert page["markdown"] == text
    assert page["levels"] == "page"
    assert page["headings"] == [{"text": f"Part {n}", "level": 2} for n in range(100)]


async def test_commands_are_answered(gateway: Gateway, store: redis.Redis) -> None:
    async with connected(gateway, "f") as client:
        await client.greet(tasks=["other"])
        await client.say(type="ping", t=17)
        assert await client.hear() == {"type": "pong", "t": 17}
        await client.submit("t")
        await client.say(type="status", req="r3", task_id="t")
        status = await client.hear()
        assert (status["status"], status["req"], status["pages_total"]) == ("queued", "r3", 2)
        await client.say(type="subscribe", req="r5", tasks=["*"])
        assert await client.hear() == {"type": "subscribed", "req": "r5", "tasks": ["*"]}
        await client.say(type="cancel", req="r2", task_id="t")
        heard = [await client.hear(), await client.hear()]

    by_type = {m["type"]: m for m in heard}
    assert by_type["status"]["status"] == "cancelled"
    assert by_type["result"]["error"]["code"] == "cancelled"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("nonsense", "bad_json"),
        ("[1]", "bad_message"),
        ('{"type": "dance", "req": "r"}', "unknown_type"),
        ('{"type": ["submit"]}', "unknown_type"),
        ('{"type": "submit", "req": "r", "task_id": "a:b", "pdf_file": ""}', "bad_message"),
        ('{"type": "submit", "req": "r", "task_id": "t", "pdf_file": 7}', "bad_message"),
        (
            '{"type": "submit", "task_id": "t", "pdf_file": "AA==", "options": {"x": 1}}',
            "bad_message",
        ),
        ('{"type": "submit", "req": "r", "task_id": "t", "pdf_file": "AAAA"}', "pdf_invalid"),
        ('{"type": "status", "req": "r", "task_id": "nothing"}', "not_found"),
        ('{"type": "cancel", "req": "r", "task_id": "nothing"}', "not_found"),
        ('{"type": "subscribe", "req": "r", "tasks": ["{}"]}', "bad_message"),
        ('{"type": "hello", "resume": {"seq": -1}}', "bad_message"),
        ('{"type": "dance", "req": "\\ud800"}', "unknown_type"),  # half a character
    ],
)
async def test_wrong_messages_get_an_error_and_the_connection_stays(
    gateway: Gateway, store: redis.Redis, message: str, code: str
) -> None:
    async with connected(gateway, "g") as client:
        await client.greet()
        await client.socket.send(message)
        error = await client.hear()
        await client.say(type="ping")
        pong = await client.hear()

    assert (error["type"], error["code"], pong["type"]) == ("error", code, "pong")
    assert error["req"] == ("r" if '"r"' in message else None)
    assert error["trace"]


async def test_the_same_again_is_a_duplicate_and_other_bytes_conflict(
    gateway: Gateway, store: redis.Redis
) -> None:
    await converted(gateway, store, "h")
    async with connected(gateway, "h") as client:
        await client.greet()
        await client.submit("t", req="r1")
        duplicate, status = await client.hear(), await client.hear()
        await client.submit("t", text_document(1, seed=9), req="r2")
        conflict = await client.hear()

    assert (duplicate["duplicate"], duplicate["status"], duplicate["req"]) == (True, "ok", "r1")
    assert (status["type"], status["status"]) == ("status", "ok")
    assert (conflict["code"], conflict["retryable"]) == ("conflict", False)


async def test_a_command_without_hello_begins_now_and_originals_frames_work(
    gateway: Gateway, store: redis.Redis
) -> None:
    await converted(gateway, store, "i", "before")
    async with connected(gateway, "i") as client:
        encoded = base64.b64encode(text_document(1, seed=4)).decode()
        await client.socket.send(json.dumps({"task_id": "t", "pdf_file": encoded}))
        heard = [await client.hear(), await client.hear()]

    assert [m["type"] for m in heard] == ["welcome", "submitted"]
    assert heard[1]["task_id"] == "t"


async def test_the_same_content_is_not_read_twice(gateway: Gateway, store: redis.Redis) -> None:
    store.set(KEYS.engine(), "e1")
    await converted(gateway, store, "j", "first")
    async with connected(gateway, "j") as client:
        await client.greet()
        await client.submit("second")
        heard = await client.hear_until("result")
        await client.submit("third", options={"tables": "html"})
        other_options = await client.hear()

    assert [m["type"] for m in heard] == ["submitted", "page", "page", "result"]
    assert heard[1]["markdown"] == "page 1"
    assert {m["task_id"] for m in heard} == {"second"}
    assert other_options["estimated_seconds"] > 0
    assert store.hget(KEYS.load(Pool.OCR), "waiting") == b"2"


async def test_too_many_messages_close_the_socket(
    store: redis.Redis, valkey: redis_server.Server, blobs: Path
) -> None:
    with gateway_process.gateway(valkey.url, blobs, OCRPLUS_MESSAGES_PER_SECOND="2") as strict:
        async with connected(strict, "k") as client:
            await client.greet()
            with pytest.raises(websockets.ConnectionClosed) as closed:
                for _ in range(30):
                    await client.say(type="status", task_id="t")
                for _ in range(30):
                    await client.hear()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4429


async def test_too_many_connections_of_a_user_are_refused(
    store: redis.Redis, valkey: redis_server.Server, blobs: Path
) -> None:
    with gateway_process.gateway(valkey.url, blobs, OCRPLUS_MAX_USER_CONNECTIONS="1") as strict:
        async with connected(strict, "l") as first:
            await first.greet()
            async with connected(strict, "l") as second:
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await second.hear()
            await first.say(type="ping")
            assert (await first.hear())["type"] == "pong"
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4409


async def test_a_client_that_takes_nothing_is_cut_and_others_are_not(
    store: redis.Redis, valkey: redis_server.Server, blobs: Path
) -> None:
    with gateway_process.gateway(valkey.url, blobs, OCRPLUS_SEND_SECONDS="1") as strict:
        async with connected(strict, "m") as reader:
            await reader.greet()
            sleeper = await websockets.connect(
                strict.ws + "m",
                subprotocols=["ocrplus.v2"],
                max_queue=1,  # type: ignore[list-item]
            )
            await sleeper.send('{"type": "hello"}')
            text = "x" * 3900
            body = json.dumps({"type": "page", "task_id": "t", "page": 1, "markdown": text})
            emit = (
                "local n=redis.call('HINCRBY','events:m','seq',1) "
                "local e='{\"epoch\":\"'..redis.call('HGET','events:m','epoch')..'\",\"seq\":'..n"
                "..','..string.sub(ARGV[1],2) "
                "local id=redis.call('XADD','stream:task:m','*','event',e) "
                "redis.call('PUBLISH','stream:task:m',id..' '..e)"
            )
            taken = 0
            for _ in range(60):
                for _ in range(100):
                    store.eval(emit, 0, body)
                for _ in range(100):
                    json.loads(await asyncio.wait_for(reader.socket.recv(), 10))
                    taken += 1
            await asyncio.sleep(3)
            with pytest.raises(websockets.ConnectionClosed):
                while True:
                    await asyncio.wait_for(sleeper.recv(), 5)
            await reader.say(type="ping")
            assert json.loads(await reader.socket.recv())["type"] == "pong"
    assert taken == 6000


async def test_a_stream_of_server_sent_events_that_nobody_takes_is_cut(
    store: redis.Redis, valkey: redis_server.Server, blobs: Path
) -> None:
    env = {"OCRPLUS_SEND_SECONDS": "1", "OCRPLUS_MAX_USER_CONNECTIONS": "1"}
    admit(store, "lazy", "t", [(n, n) for n in range(1, 1001)])
    lease = take(store)
    assert lease is not None
    record = PageRecord(page=1, state="ok", markdown="x" * 3900)
    with gateway_process.gateway(valkey.url, blobs, **env) as strict:
        address = urlsplit(strict.http)
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
        writer.write(b"GET /v1/tasks/t/events?user=lazy HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"event: submitted")
        pipe = store.pipeline(transaction=False)
        epoch = store.hget(KEYS.events(UserId("lazy")), "epoch").decode()
        for seq in range(3, 2003):
            text = json.dumps({"epoch": epoch, "seq": seq}, separators=(",", ":"))
            body = f"{text[:-1]},{record.event_body(lease.task)[1:]}"
            pipe.xadd(KEYS.stream(UserId("lazy")), {"event": body})
        pipe.hset(KEYS.events(UserId("lazy")), "seq", 2002)
        pipe.execute()
        store.publish(KEYS.stream(UserId("lazy")), f"9999999999999-0 {body}")  # a gap: it reads

        async with httpx.AsyncClient(base_url=strict.http, timeout=10) as http:
            deadline = time.monotonic() + 10
            url, headers = "/v1/tasks/t/events?user=lazy", {"Last-Event-ID": f"{epoch}-2002"}
            status = 429
            while status == 429 and time.monotonic() < deadline:
                async with http.stream("GET", url, headers=headers) as answer:
                    status = answer.status_code
                await asyncio.sleep(0.2)
        writer.close()

    assert status == 200


async def test_the_drain_says_goaway_and_closes_with_1012(
    store: redis.Redis, valkey: redis_server.Server, blobs: Path
) -> None:
    with gateway_process.gateway(valkey.url, blobs, OCRPLUS_SHUTDOWN_SECONDS="2") as leaving:
        async with connected(leaving, "n") as client:
            await client.greet()
            leaving.process.terminate()
            away = await client.hear()
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await client.hear()
    assert away["type"] == "goaway" and away["reconnect_in_ms"][0] < away["reconnect_in_ms"][1]
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012


async def test_the_drain_ends_server_sent_events_too(
    store: redis.Redis, valkey: redis_server.Server, blobs: Path
) -> None:
    admit(store, "sse", "t", [(1, 1)])
    env = {"OCRPLUS_SHUTDOWN_SECONDS": "4"}
    with gateway_process.gateway(valkey.url, blobs, **env) as leaving:
        async with httpx.AsyncClient(base_url=leaving.http, timeout=10) as http:
            reading = asyncio.create_task(http.get("/v1/tasks/t/events?user=sse"))
            await asyncio.sleep(0.5)
            leaving.process.terminate()
            began = time.monotonic()
            answer = await reading  # whole, not cut

    assert sse_events(answer.text) == ["submitted"]
    assert time.monotonic() - began < 3.5


async def test_a_client_that_answers_no_ping_is_closed_with_4012(
    store: redis.Redis, valkey: redis_server.Server, blobs: Path
) -> None:
    env = {"OCRPLUS_PING_SECONDS": "1", "OCRPLUS_PONG_SECONDS": "1"}
    with gateway_process.gateway(valkey.url, blobs, **env) as strict:
        address = urlsplit(strict.http)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(
            b"GET /ws/mute HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        async with asyncio.timeout(10):
            sent = await reader.read()  # to the end
        writer.close()

    closing = sent[sent.index(b"\x88") :]
    assert int.from_bytes(closing[2:4], "big") == 4012


async def test_a_gateway_that_hears_nothing_sends_its_clients_elsewhere_with_4010(
    store: redis.Redis, valkey: redis_server.Server, blobs: Path
) -> None:
    with (
        redis_proxy.wire(valkey.port) as wire,
        gateway_process.gateway(wire.url, blobs, OCRPLUS_GAP_SECONDS="2") as deaf,
        gateway_process.gateway(valkey.url, blobs) as other,
    ):
        async with connected(deaf, "gap") as client:
            await client.greet()
            await converted(other, store, "gap", "t1")
            before = await client.hear_until("result")
            wire.set("silent")
            await converted(other, store, "gap", "t2")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await client.hear()
        wire.set("pass")
        async with connected(other, "gap") as client:
            position = {"epoch": before[-1]["epoch"], "seq": before[-1]["seq"]}
            await client.greet(resume=position)
            after = await client.hear_until("result")

    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4010
    assert [m["seq"] for m in before + after] == list(range(1, 13))


async def test_an_entry_that_is_no_event_keeps_nobody_from_those_behind_it(
    gateway: Gateway, store: redis.Redis
) -> None:
    stream = KEYS.stream(UserId("alien"))
    await converted(gateway, store, "alien", "t1")
    store.xadd(stream, {"event": "not ours"})
    store.xadd(stream, {"other": "1"})
    await converted(gateway, store, "alien", "t2")

    async with connected(gateway, "alien") as client:
        epoch = store.hget(KEYS.events(UserId("alien")), "epoch").decode()
        welcome = await client.greet(resume={"epoch": epoch, "seq": 3})
        heard = [await client.hear() for _ in range(welcome["replay"])]

    assert [m["seq"] for m in heard] == list(range(4, 13))


async def test_a_password_of_half_a_character_is_refused_and_the_socket_stays(
    gateway: Gateway,
) -> None:
    async with connected(gateway, "half") as client:
        await client.greet()
        await client.submit("t", options={"password": "\ud800"})
        refused = await client.hear()
        await client.say(type="ping", t=1)
        pong = await client.hear()

    assert (refused["code"], refused["task_id"]) == ("bad_message", "t")
    assert pong["type"] == "pong"


async def test_what_a_client_made_up_is_not_said_back_at_any_length(gateway: Gateway) -> None:
    async with connected(gateway, "long") as client:
        await client.greet()
        await client.submit("t", options={"k" * 100_000: 1})
        refused = await client.hear()

    assert refused["code"] == "bad_message" and refused["message"].startswith("'options.kkk")
    assert len(refused["message"]) <= 500


async def test_a_document_may_take_its_time_as_the_first_frame(
    gateway: Gateway, store: redis.Redis
) -> None:
    encoded = base64.b64encode(PDF).decode()
    frame = json.dumps({"task_id": "slow", "pdf_file": encoded})

    async def slowly() -> AsyncIterator[str]:
        half = len(frame) // 2
        yield frame[:half]
        await asyncio.sleep(6)
        yield frame[half:]

    async with connected(gateway, "slow") as client:
        await client.socket.send(slowly())
        welcome, submitted = await client.hear(), await client.hear()

    assert (welcome["type"], submitted["type"]) == ("welcome", "submitted")
