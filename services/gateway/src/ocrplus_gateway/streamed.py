"""Answers that are made while they are sent, and whose source ends with them, however they end.

A result of 40 MB in one piece would stall every connection for 300 ms. The framework leaves a
generator behind that waits at its `yield` when the client goes; only the garbage collector would
close it, much later, and a user's connection would count until then.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, Final  # Any: ASGI messages, JSON

from fastapi.responses import StreamingResponse

from ocrplus_contract.messages import Result

_BLOCK_CHARACTERS: Final = 128 * 1024
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


async def result_json(
    task: str, result: Result, more: Mapping[str, Any]
) -> AsyncGenerator[str, None]:
    """`{"task_id", "result", …more}` as text, page by page."""
    waiting: list[str] = []
    size = 0
    for piece in _pieces(task, result, more):
        waiting.append(piece)
        size += len(piece)
        if size >= _BLOCK_CHARACTERS:
            yield "".join(waiting)
            waiting, size = [], 0
            await asyncio.sleep(0)
    yield "".join(waiting)


def _pieces(task: str, result: Result, more: Mapping[str, Any]) -> Iterator[str]:
    head = result.model_dump_json(exclude={"markdown"}).removesuffix("}")
    yield f'{{"task_id":{json.dumps(task)},"result":{head},"markdown":['
    for number, page in enumerate(result.markdown):
        yield f"{',' if number else ''}{page.model_dump_json()}"
    yield "]}" + "".join(f",{json.dumps(key)}:{json.dumps(more[key])}" for key in more) + "}"
