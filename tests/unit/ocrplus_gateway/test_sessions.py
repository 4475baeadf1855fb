"""How many connections a user may have, and how they end."""

import asyncio
from collections.abc import AsyncGenerator

from ocrplus_contract.names import UserId
from ocrplus_gateway.metrics import GatewayMetrics
from ocrplus_gateway.sessions import Sessions

USER = UserId("u")


async def endless() -> AsyncGenerator[str, None]:
    while True:
        yield "line"
        await asyncio.sleep(0)


async def test_event_streams_that_begin_at_once_are_no_more_than_allowed() -> None:
    sessions = Sessions(GatewayMetrics(), most=10, most_of_user=2)
    streams = [sessions.counted(USER, endless()) for _ in range(4)]

    begun = [await anext(stream, None) for stream in streams]
    await streams[0].aclose()
    later = sessions.counted(USER, endless())

    assert begun == ["line", "line", None, None]
    assert await anext(later, None) == "line"


async def test_the_drain_ends_streams_that_say_nothing() -> None:
    sessions = Sessions(GatewayMetrics(), most=10, most_of_user=10)
    silent = asyncio.Event()

    async def silence() -> AsyncGenerator[str, None]:
        await silent.wait()
        yield "never"

    waiting = [asyncio.create_task(anext(sessions.counted(USER, silence()), None)) for _ in "1234"]
    await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        await sessions.drain(0.05)
        assert await asyncio.gather(*waiting) == [None] * 4
