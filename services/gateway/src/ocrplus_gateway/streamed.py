"""Answers that are made while they are sent, and whose source ends with them, however they end.

The framework leaves a generator behind that waits at its `yield` when the client goes; only the
garbage collector would close it, much later, and a user's connection would count until then.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final  # Any: ASGI messages

from fastapi.responses import StreamingResponse

_closing: Final[set[asyncio.Task[None]]] = set()  # a task nobody holds may be collected


class Streamed(StreamingResponse):
    """A response from an async generator, which is closed in the end."""

    def __init__(
        self,
        source: AsyncGenerator[str, None] | AsyncGenerator[bytes, None],
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(source, media_type=media_type, headers=headers)
        self._source = source

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:  # in a task of its own: this one may be being cancelled
            task = asyncio.create_task(self._close())
            _closing.add(task)
            task.add_done_callback(_closing.discard)

    async def _close(self) -> None:
        await self._source.aclose()
