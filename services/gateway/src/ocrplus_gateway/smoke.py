"""`python -m ocrplus_gateway.smoke ws://HOST:PORT`: convert a built-in PDF and check the Markdown.

What `helm test` runs: one page through the WebSocket, as an original client would send it, so that
the answer proves gateway, Redis, blob store and an OCR worker together. Exits 0 when it came back
right, 1 with the reason in one line when not.
"""

import argparse
import base64
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

WORDS: Final = "A page that OcrPlus has read"
USER: Final = "helm-test"

_PAUSE_SECONDS: Final = 1.0


class SmokeFailed(Exception):
    """The service did not do what it should; the message says what."""


def main() -> int:
    """0 when the page came back right."""
    arguments = _arguments()
    deadline = time.monotonic() + arguments.seconds
    token = None if arguments.tokens_file is None else read_token(arguments.tokens_file)
    try:
        _await_ready(arguments.url, deadline)
        if not arguments.readiness_only:
            markdown = convert(arguments.url, token, deadline)
            if WORDS not in " ".join(markdown.split()):
                raise SmokeFailed(f"the page's words are not in what came back: {markdown[:200]!r}")
    except (SmokeFailed, OSError, ConnectionClosed, InvalidHandshake) as error:
        print(f"smoke: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print("ready" if arguments.readiness_only else "a page was converted and came back right")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ocrplus_gateway.smoke", description=__doc__)
    parser.add_argument("url", help="ws://HOST:PORT or wss://HOST:PORT of the gateway")
    parser.add_argument("--seconds", type=float, default=600, help="give up after so long")
    parser.add_argument("--tokens-file", type=Path, help="its first token is used")
    parser.add_argument(
        "--readiness-only", action="store_true", help="convert nothing: no token can be had"
    )
    return parser.parse_args()


def read_token(file: Path) -> str:
    """The first token that speaks for every user or for the test's own, else the first of all.

    Raises:
        SystemExit: the file holds none.
    """
    lines = [line.split() for line in file.read_text("utf-8").splitlines()]
    entries = [words for words in lines if words and not words[0].startswith("#")]
    if not entries:
        sys.exit(f"smoke: {file} holds no token")
    fitting = [words for words in entries if words[1:] in (["*"], [USER])]
    return (fitting or entries)[0][0]


def _await_ready(url: str, deadline: float) -> None:
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}[parts.scheme]
    ready = urlunsplit((scheme, parts.netloc, "/readyz", "", ""))
    while True:
        try:
            with urllib.request.urlopen(ready, timeout=5):
                return
        except urllib.error.HTTPError as answer:
            problem = answer.read(1000).decode("utf-8", "replace")
        except OSError as error:
            problem = str(error)
        if time.monotonic() > deadline:
            raise SmokeFailed(f"{ready}: {problem}")
        time.sleep(_PAUSE_SECONDS)


def convert(url: str, token: str | None, deadline: float) -> str:
    """Markdown of the built-in page.

    Raises:
        SmokeFailed: it was refused, failed, or did not come in time.
    """
    headers = None if token is None else {"Authorization": f"Bearer {token}"}
    task = str(uuid.uuid4())
    with connect(f"{url}/ws/{USER}", additional_headers=headers, max_size=None) as socket:
        pdf = base64.b64encode(page()).decode()
        socket.send(json.dumps({"task_id": task, "pdf_file": pdf}))
        while True:
            try:
                raw = socket.recv(timeout=max(0.0, deadline - time.monotonic()))
            except TimeoutError as error:
                raise SmokeFailed("no result came in time: does an OCR worker run?") from error
            message = json.loads(raw)
            if message.get("task_id") != task or message.get("status") == "submitted":
                continue
            if "result" not in message:
                raise SmokeFailed(json.dumps(message.get("error", message)))
            return "\n".join(page["markdown"] for page in message["result"]["markdown"])


def page() -> bytes:
    """A PDF of one page with one sentence; another one each time, so that no cache answers."""
    content = f"BT /F 24 Tf 72 700 Td ({WORDS}) Tj 0 -40 Td ({uuid.uuid4().hex[:12]}) Tj ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        "/Resources << /Font << /F 5 0 R >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    body, offsets = "%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode("ascii")


if __name__ == "__main__":
    sys.exit(main())
