"""Tasks end when they are told to, whatever the libraries between do."""

import asyncio
from contextlib import suppress

from ocrplus_gateway.cancellation import ended


async def deaf(times: int) -> None:
    """Lose so many cancellations."""
    for _ in range(times):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
    await asyncio.sleep(60)


async def fail() -> None:
    raise ValueError("seen by nobody")


async def test_a_task_that_loses_its_cancellation_is_cancelled_again() -> None:
    tasks = [asyncio.create_task(deaf(1)), asyncio.create_task(deaf(0))]
    await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await ended(*tasks)

    assert all(task.cancelled() for task in tasks)


async def test_what_has_failed_already_is_no_obstacle() -> None:
    task = asyncio.create_task(fail())
    await asyncio.sleep(0)

    await ended(task)

    assert isinstance(task.exception(), ValueError)
