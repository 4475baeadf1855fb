"""How tasks end: cancelled until they have ended, as one cancellation may get lost."""

import asyncio
from typing import Any


async def ended(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks until they have ended.

    Before Python 3.12 `asyncio.wait_for`, by which redis-py sends, loses a cancellation that comes
    as the command goes out (CPython issue 86296): asked once, a process may never end.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=1)
    for task in tasks:
        task.cancelled() or task.exception()  # seen
