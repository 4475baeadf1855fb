"""The hub on a real server: whatever happens to its listening, events arrive."""

import asyncio
from collections.abc import Iterator

import pytest
import redis
import redis.asyncio
import redis_server
from ledger_steps import KEYS, admit

from ocrplus_contract.names import UserId
from ocrplus_gateway.events import START, Event
from ocrplus_gateway.hub import Hub


@pytest.fixture
def store(valkey: redis_server.Server) -> Iterator[redis.Redis]:
    with valkey.client as client:
        client.flushall()
        yield client


async def test_listening_survives_what_nobody_expected(
    store: redis.Redis, valkey: redis_server.Server, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []

    def observe(_: str, event: Event) -> None:
        seen.append(event.task)
        if len(seen) == 1:
            raise RuntimeError("nobody expected this")

    async with (
        redis.asyncio.Redis(port=valkey.port) as client,
        redis.asyncio.Redis(port=valkey.port, protocol=2) as listener,
    ):
        hub = Hub(client, listener, KEYS, observe)
        await hub.start()
        subscription = await hub.attach(UserId("u"), START, "", 0)
        arrived = []
        try:
            for task in ("t1", "t2", "t3"):
                admit(store, "u", task, [(1, 1)])
                async with asyncio.timeout(5):
                    arrived.append(await subscription.next())
        finally:
            await hub.detach(subscription)
            await hub.stop()

    assert [event.task for event in arrived if isinstance(event, Event)] == ["t1", "t2", "t3"]
    assert "nobody expected this" in caplog.text
