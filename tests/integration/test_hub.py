"""The hub on a real server: whatever happens to its listening, events arrive."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import redis
import redis.asyncio
import redis_server
from ledger_steps import KEYS, admit, read

from ocrplus_contract.names import UserId
from ocrplus_gateway import hub
from ocrplus_gateway.events import MOST_QUEUED_EVENTS, START, Event, Gap, SlowConsumer
from ocrplus_gateway.hub import Hub

EMIT = (
    "local epoch = redis.call('HGET', 'events:u', 'epoch') "
    'local event = \'{"epoch":"\' .. epoch .. \'","seq":\' .. ARGV[1] '
    '.. \',"type":"progress","task_id":"t"}\' '
    "local id = redis.call('XADD', 'stream:task:u', '*', 'event', event) "
    "redis.call('PUBLISH', 'stream:task:u', id .. ' ' .. event)"
)


@pytest.fixture
def store(valkey: redis_server.Server) -> Iterator[redis.Redis]:
    with valkey.client as client:
        client.flushall()
        yield client


def burst(store: redis.Redis, first: int, last: int) -> None:
    with store.pipeline() as pipe:
        for seq in range(first, last + 1):
            pipe.eval(EMIT, 0, seq)
        pipe.execute()


@asynccontextmanager
async def hub_of(
    valkey: redis_server.Server, observe: Callable[[str, Event], None] = lambda *_: None
) -> AsyncIterator[Hub]:
    async with (
        redis.asyncio.Redis(port=valkey.port) as client,
        redis.asyncio.Redis(port=valkey.port, protocol=2) as listener,
    ):
        made = Hub(client, listener, KEYS, observe)
        await made.start()
        try:
            yield made
        finally:
            await made.stop()


async def test_listening_survives_what_nobody_expected(
    store: redis.Redis, valkey: redis_server.Server, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []

    def observe(_: str, event: Event) -> None:
        seen.append(event.task)
        if len(seen) == 1:
            raise RuntimeError("nobody expected this")

    async with hub_of(valkey, observe) as running:
        subscription = await running.attach(UserId("u"), START, "", 0)
        arrived = []
        try:
            for task in ("t1", "t2", "t3"):
                admit(store, "u", task, [(1, 1)])
                async with asyncio.timeout(5):
                    arrived.append(await subscription.next())
        finally:
            await running.detach(subscription)

    assert [event.task for event in arrived if isinstance(event, Event)] == ["t1", "t2", "t3"]
    assert "nobody expected this" in caplog.text


async def test_a_client_that_cannot_be_sent_to_keeps_no_event_from_others(
    store: redis.Redis, valkey: redis_server.Server
) -> None:
    def broken(_: Event) -> bool:
        raise RuntimeError("the handler is closed")

    async with hub_of(valkey) as running:
        subscriptions = [await running.attach(UserId("u"), START, "", 0) for _ in range(8)]
        read(store, "u", "t0")
        for subscription in subscriptions:
            while not (
                isinstance(item := await subscription.next(), Event) and item.type == "result"
            ):
                pass
        subscriptions[0].at_once = broken
        waiting = [asyncio.create_task(subscription.next()) for subscription in subscriptions]
        await asyncio.sleep(0.1)

        admit(store, "u", "t1", [(1, 1)])  # one event, which nothing follows
        async with asyncio.timeout(2):
            heard = await asyncio.gather(*waiting, return_exceptions=True)

        for subscription in subscriptions:
            await running.detach(subscription)
    assert isinstance(heard[0], Gap)
    assert [item.task for item in heard[1:] if isinstance(item, Event)] == ["t1"] * 7


async def test_a_flood_of_events_leaves_room_for_everything_else(
    store: redis.Redis, valkey: redis_server.Server
) -> None:
    events, seconds_each, longest = 300, 0.001, 0.0

    def slow(event: Event) -> bool:
        time.sleep(seconds_each)  # as many sockets of one user take
        return event.seq > 0

    async def others() -> None:
        nonlocal longest
        while True:
            began = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - began)

    async with hub_of(valkey) as running:
        admit(store, "u", "t", [(1, 1)])
        subscription = await running.attach(UserId("u"), START, "", 0)
        await subscription.next()
        subscription.at_once = slow
        delivering = asyncio.create_task(subscription.next())
        await asyncio.sleep(0.1)
        watching = asyncio.create_task(others())
        burst(store, 2, events + 1)
        async with asyncio.timeout(10):
            while subscription.seq < events + 1:
                await asyncio.sleep(0.01)

        for task in (delivering, watching):
            task.cancel()
        await running.detach(subscription)
    assert longest < 0.1


async def test_a_burst_above_the_queue_is_no_slowness(
    store: redis.Redis, valkey: redis_server.Server
) -> None:
    async with hub_of(valkey) as running:
        admit(store, "u", "t", [(1, 1)])
        subscription = await running.attach(UserId("u"), START, "", 0)
        heard = [await subscription.next()]
        burst(store, 2, 1000)  # as a document does that is in the content cache
        await asyncio.sleep(0.3)
        async with asyncio.timeout(5):
            while len(heard) < 1000:
                heard.append(await subscription.next())

        await running.detach(subscription)
    assert [item.seq for item in heard] == list(range(1, 1001))


async def test_who_stays_behind_is_a_slow_consumer(
    store: redis.Redis, valkey: redis_server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_CATCH_UP_SECONDS", 0.2)
    async with hub_of(valkey) as running:
        admit(store, "u", "t", [(1, 1)])
        subscription = await running.attach(UserId("u"), START, "", 0)
        await subscription.next()
        burst(store, 2, 1000)
        await asyncio.sleep(1)
        heard = []
        with pytest.raises(SlowConsumer):
            while True:
                heard.append(await subscription.next())

        await running.detach(subscription)
    assert [item.seq for item in heard] == list(range(2, 2 + MOST_QUEUED_EVENTS))
