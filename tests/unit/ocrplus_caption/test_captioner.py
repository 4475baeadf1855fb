"""Whatever an endpoint sends, a question ends in an answer or in one of four typed ways."""

import asyncio
import hashlib
import json
import math
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import vlm_server

from ocrplus_caption.captioner import Answer, Captioner, Failed, Fatal, Limited, Question, Refused
from ocrplus_caption.metrics import CaptionMetrics
from ocrplus_contract.caption_settings import CaptionSettings
from ocrplus_contract.captions import CaptionReason
from ocrplus_contract.settings import CaptionWorkerSettings

Send = Callable[[bytes], Any]
MIB = 1024 * 1024


def answer(**parts: Any) -> bytes:
    message = {"role": "assistant", "content": "A chart."}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    return json.dumps({"id": "x", "choices": [choice], "usage": usage, **parts}).encode()


class Endpoint:
    """Meets every request in the same way; `sent` counts the body's bytes that were taken."""

    def __init__(
        self, status: int, headers: dict[str, str], body: bytes, repeat: int, stream: bool
    ) -> None:
        lines = [f"{name}: {value}" for name, value in headers.items()]
        kind = "text/event-stream" if stream else "application/json"
        head = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", *lines, "Connection: close"]
        self._head = "\r\n".join(head).encode() + b"\r\n\r\n"
        self._body, self._repeat, self._stream = body, repeat, stream
        self.sent = 0

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self._head)
            for _ in range(self._repeat):
                writer.write(self._body)
                await writer.drain()
                self.sent += len(self._body)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def ask(self, monkeypatch: pytest.MonkeyPatch) -> Answer:
        server = await asyncio.start_server(self._met, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")
        monkeypatch.setenv("OCRPLUS_CAPTION__STREAM", str(self._stream))
        captioner = Captioner(CaptionWorkerSettings())
        try:
            question = Question("system", "text", "image/png", b"picture")
            return await captioner.ask(captioner.body(question))
        finally:
            await captioner.close()
            server.close()


def asked(
    monkeypatch: pytest.MonkeyPatch,
    status: int = 200,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    *,
    repeat: int = 1,
    stream: bool = False,
) -> tuple[Endpoint, Answer]:
    endpoint = Endpoint(status, headers or {}, body, repeat, stream)
    return endpoint, asyncio.run(endpoint.ask(monkeypatch))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_no_more_of_a_body_is_read_than_an_answer_can_have(monkeypatch, status, stream) -> None:
    endpoint = Endpoint(status, {}, b"data: " + b"x" * MIB, 64, stream)

    with pytest.raises(Failed) as failed:
        asyncio.run(endpoint.ask(monkeypatch))

    assert failed.value.reason is CaptionReason.BAD_ANSWER
    assert endpoint.sent < 32 * MIB, "the rest is left in the socket"


def test_a_body_is_measured_after_decompression(monkeypatch) -> None:
    packer = zlib.compressobj(wbits=31)
    bomb = packer.compress(answer() + b" " * (64 * MIB)) + packer.flush()

    with pytest.raises(Failed) as failed:
        asked(monkeypatch, 200, {"Content-Encoding": "gzip"}, bomb)

    assert failed.value.reason is CaptionReason.BAD_ANSWER
    assert len(bomb) < MIB


def test_a_compressed_answer_is_an_answer(monkeypatch) -> None:
    packer = zlib.compressobj(wbits=31)
    body = packer.compress(answer()) + packer.flush()

    _, said = asked(monkeypatch, 200, {"Content-Encoding": "gzip"}, body)

    assert said == Answer("A chart.", 1, 2)


@pytest.mark.parametrize(
    "after",
    [
        "nan",
        "soon",
        "Mon, 01 Jan 1970 00:00:00 +9999999999999",
        "Mon, 01 Jan 0001 00:00:00 -0000",
        "Mon, 01 Jan 0001 00:00:00 +2359",
    ],
)
def test_patience_that_makes_no_sense_is_a_few_seconds(monkeypatch, after) -> None:
    with pytest.raises(Limited) as limited:
        asked(monkeypatch, 429, {"Retry-After": after}, b"{}")

    assert 0 < limited.value.seconds <= 5


@pytest.mark.parametrize("after", ["1e999", "inf", "Fri, 31 Dec 9999 23:59:59 -0000"])
def test_patience_has_an_end(monkeypatch, after) -> None:
    with pytest.raises(Limited) as limited:
        asked(monkeypatch, 429, {"Retry-After": after}, b"{}")

    assert limited.value.seconds == 600


@pytest.mark.parametrize(
    ("told", "counted"),
    [(-1, 0), (math.inf, 0), (math.nan, 0), ("7", 0), ([], 0), (10**400, 10**7), (7.0, 7)],
)
def test_nonsense_in_the_usage_does_not_cost_the_answer(monkeypatch, told, counted) -> None:
    usage = {"prompt_tokens": told, "completion_tokens": told}

    _, said = asked(monkeypatch, 200, {}, answer(usage=usage))
    CaptionMetrics(CaptionSettings()).spent(said)

    assert said == Answer("A chart.", counted, counted)


@pytest.mark.parametrize("stream", [False, True])
def test_json_that_is_too_deep_is_a_bad_answer(monkeypatch, stream) -> None:
    body = (b"data: " if stream else b"") + b"[" * 200_000 + b"\n\n"

    with pytest.raises(Failed) as failed:
        asked(monkeypatch, 200, {}, body, stream=stream)

    assert failed.value.reason is CaptionReason.BAD_ANSWER


def test_an_error_whose_json_is_too_deep_ends_typed(monkeypatch) -> None:
    with pytest.raises(Failed):
        asked(monkeypatch, 500, {}, b"[" * 200_000)


@pytest.mark.parametrize(("status", "failing"), [(429, False), (503, True)])
def test_patience_says_whether_the_endpoint_fails(monkeypatch, status, failing) -> None:
    with pytest.raises(Limited) as limited:
        asked(monkeypatch, status, {"Retry-After": "30"}, b"{}")

    assert (limited.value.seconds, limited.value.failing) == (30, failing)


def test_an_account_in_arrears_blames_no_picture(monkeypatch) -> None:
    error = {"code": "Arrearage", "type": "Arrearage", "message": "not in good standing"}
    with pytest.raises(Fatal) as fatal:  # as DashScope says it
        asked(monkeypatch, 400, {}, json.dumps({"error": error}).encode())

    assert fatal.value.status == 400


@pytest.mark.parametrize("code", ["data_inspection_failed", "DataInspectionFailed"])
def test_a_policy_s_refusal_is_told_from_a_rejected_request(monkeypatch, code) -> None:
    with pytest.raises(Refused) as refused:
        asked(monkeypatch, 400, {}, json.dumps({"error": {"code": code}}).encode())

    assert refused.value.reason is CaptionReason.REFUSED


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_sent_is_the_question_and_the_key(monkeypatch, stream: bool) -> None:
    with vlm_server.running(text="{sha}") as vlm:
        monkeypatch.setenv("OPENAI_BASE_URL", vlm.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-not-a-key")
        monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-not-a-key")
        monkeypatch.setenv("OCRPLUS_CAPTION__STREAM", str(stream))

        async def ask() -> Answer:
            captioner = Captioner(CaptionWorkerSettings())
            try:
                question = Question("系统", "<data>text</data>", "image/png", b"picture")
                return await captioner.ask(captioner.body(question))
            finally:
                await captioner.close()

        answer = asyncio.run(ask())
        stats = vlm.stats()

    assert answer.text == hashlib.sha256(b"picture").hexdigest()[:16]
    assert (answer.input_tokens, stats["streamed"]) == (900, int(stream))
    assert stats["last"]["headers"]["authorization"] == "Bearer sk-test-not-a-key"
    assert stats["last"]["headers"]["content-type"] == "application/json"
    assert (stats["last"]["body"]["system"], stats["last"]["body"]["text"]) == (
        "系统",
        "<data>text</data>",
    )
