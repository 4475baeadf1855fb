"""Answers that are made while they are sent."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from ocrplus_contract.messages import PageMarkdown, Result
from ocrplus_gateway.streamed import Streamed, result_json

TEXTS = ['say "so"\\n', "字, ﬁ, \U0001f4c4", "\x00\u2028 </script>", ""]


@pytest.mark.parametrize("pages", [0, 1, 600])
async def test_a_result_in_pieces_is_the_result(pages: int) -> None:
    markdown = tuple(
        PageMarkdown(page=n + 1, markdown=TEXTS[n % 4] + "x" * 1000) for n in range(pages)
    )
    result = Result(filename="t.pdf", elapsed_time="3.21s", markdown=markdown)
    more = {"status": "partial", "failed_pages": [2]}

    pieces = [piece async for piece in result_json("t", result, more)]

    assert json.loads("".join(pieces)) == {
        "task_id": "t",
        "result": result.model_dump(mode="json"),
        **more,
    }
    assert max(map(len, pieces)) < 200_000
    assert len(pieces) == 1 + pages * 1000 // 131072


async def test_a_source_is_closed_when_its_client_goes_amid_a_send() -> None:
    closed = asyncio.Event()

    async def source() -> AsyncGenerator[str, None]:
        try:
            while True:
                yield "line"
        finally:
            closed.set()

    async def receive() -> Any:
        await asyncio.sleep(0.05)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()  # nobody takes it

    response = Streamed(source(), "text/event-stream", {})
    scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
    async with asyncio.timeout(5):
        await response(scope, receive, send)
        await closed.wait()
