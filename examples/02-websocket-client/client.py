"""Send a PDF over the WebSocket and print the Markdown of its pages.

    python client.py report.pdf [ws://127.0.0.1:8080/ws/ada]

This is the whole protocol: one JSON message there, two back. Come back with the same user id after
a cut, and what you have not received is sent again.
"""

import asyncio
import base64
import json
import sys
import uuid
from pathlib import Path

import websockets

FIFTEEN_MINUTES = 900


async def convert(pdf: Path, url: str) -> dict[str, object]:
    """Submit one document and wait for its result.

    Raises:
        RuntimeError: the document was refused or failed; the message carries the code.
    """
    task = str(uuid.uuid4())
    async with (
        asyncio.timeout(FIFTEEN_MINUTES),
        websockets.connect(url, max_size=None, compression=None) as socket,
    ):
        encoded = base64.b64encode(pdf.read_bytes()).decode()
        await socket.send(json.dumps({"task_id": task, "pdf_file": encoded}))
        async for raw in socket:
            message = json.loads(raw)
            if message["task_id"] != task:
                continue  # of another task of this user
            if message.get("status") == "submitted":
                print(f"{pdf.name} was accepted as {task}", file=sys.stderr)
            elif "result" in message:
                return dict(message["result"])
            else:
                raise RuntimeError(f"{message['error']['code']}: {message['error']['message']}")
    raise RuntimeError("the connection was closed before the result came")


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    url = sys.argv[2] if len(sys.argv) == 3 else "ws://127.0.0.1:8080/ws/example"
    result = asyncio.run(convert(Path(sys.argv[1]), url))
    print(f"read in {result['elapsed_time']}", file=sys.stderr)
    pages = result["markdown"]
    assert isinstance(pages, list)
    for page in pages:
        print(page["markdown"], end="\n\n")


if __name__ == "__main__":
    main()
