"""One question to a vision-language model over the OpenAI protocol, and what can come of it.

The SDK's own retries are off: whether to ask again is decided for all processes of a key together
(`gate`), and a question is never repeated behind the limiter's back.
"""

import asyncio
import base64
import email.utils
import json
import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final  # the SDK's parameter types are unions without a common name

import httpx2
import openai
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from ocrplus_contract.captions import CaptionReason
from ocrplus_contract.settings import CaptionWorkerSettings

_PATH: Final = "/chat/completions"
_OPTIONS: Final[Any] = {  # as the SDK's own call has them, which would build the body anew
    "headers": {"Content-Type": "application/json"},
    "security": {"bearer_auth": True},
}
_MOST_ANSWER_CHARACTERS: Final = 64 * 1024
_MOST_BODY_BYTES: Final = 1024 * 1024
_DEFAULT_PATIENCE_SECONDS: Final = 5.0
_MOST_PATIENCE_SECONDS: Final = 600.0
_POLICY_CODES: Final = frozenset(
    {
        "content_filter",
        "content_policy_violation",
        "data_inspection_failed",
        "datainspectionfailed",
        "invalid_prompt",
    }
)
_FATAL_CODES: Final = frozenset({"arrearage"})  # DashScope's, with status 400
_FATAL_STATUS: Final = frozenset({401, 402, 403, 404})
_AGAIN_STATUS: Final = frozenset({408, 409, 425})
_SHAPELESS: Final = (AttributeError, TypeError, IndexError, KeyError, ValueError)
_MOST_TOKENS: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a picture: the system's words, the user's, and the picture itself."""

    system: str
    text: str
    media_type: str
    picture: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and what it cost."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0


class Limited(Exception):
    """The endpoint asks for patience; `failing`: because it cannot answer, not for our pace."""

    def __init__(self, seconds: float, *, failing: bool = False) -> None:
        self.seconds = seconds
        self.failing = failing
        super().__init__(seconds)


class Failed(Exception):
    """No answer, or none that is one; asking again may help."""

    def __init__(self, reason: CaptionReason) -> None:
        self.reason = reason
        super().__init__(reason)


class Fatal(Exception):
    """No call can succeed until somebody changes something: key, model or account."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class Refused(Exception):
    """The model will not describe this picture; asking again does not help."""

    def __init__(self, reason: CaptionReason) -> None:
        self.reason = reason
        super().__init__(reason)


class _TooLong(Exception):
    """A body is larger than any answer."""


class Captioner:
    """The model behind one endpoint; one client for the process."""

    def __init__(self, settings: CaptionWorkerSettings) -> None:
        self._settings = caption = settings.caption
        key = settings.openai_api_key
        limits = httpx2.Limits(max_connections=caption.concurrency + 4)
        timeout = httpx2.Timeout(caption.read_seconds, connect=caption.connect_seconds, pool=None)
        self._client = AsyncOpenAI(
            base_url=settings.openai_base_url,
            api_key=key.get_secret_value() if key else "none",  # local servers ask for none
            max_retries=0,
            timeout=timeout,
            # A hook and no transport of our own: that would ignore the environment's proxies.
            http_client=openai.DefaultAsyncHttpx2Client(
                limits=limits, timeout=timeout, event_hooks={"response": [_bound]}
            ),
        )

    def body(self, question: Question) -> bytes:
        """What is sent for a question, made once for all attempts: pictures are large."""
        picture = base64.b64encode(question.picture).decode("ascii")
        url = f"data:{question.media_type};base64,{picture}"
        image = {"type": "image_url", "image_url": {"url": url}}
        asked = {
            "model": self._settings.model,
            "max_tokens": self._settings.max_tokens,
            "temperature": 0,
            "messages": [
                {"role": "system", "content": question.system},
                {"role": "user", "content": [image, {"type": "text", "text": question.text}]},
            ],
        }
        if self._settings.stream:
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(asked).encode()

    async def ask(self, body: bytes) -> Answer:
        """Send a question once.

        Raises:
            Limited, Failed, Fatal, Refused: there is no answer.
        """
        try:
            async with asyncio.timeout(self._settings.call_seconds):
                if self._settings.stream:
                    return await self._streamed(body)
                return await self._whole(body)
        except (TimeoutError, openai.APITimeoutError) as error:
            raise Failed(CaptionReason.TIMEOUT) from error
        except openai.APIStatusError as error:
            raise _by_status(error) from error
        except (openai.APIResponseValidationError, json.JSONDecodeError, UnicodeError) as error:
            raise Failed(CaptionReason.BAD_ANSWER) from error
        except (openai.APIError, httpx2.HTTPError) as error:
            if isinstance(error.__cause__, _TooLong):
                raise Failed(CaptionReason.BAD_ANSWER) from error
            raise Failed(CaptionReason.MODEL_FAILED) from error
        except (_TooLong, ArithmeticError, RecursionError, *_SHAPELESS) as error:
            # The SDK builds its objects from whatever JSON it is given.
            raise Failed(CaptionReason.BAD_ANSWER) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _whole(self, body: bytes) -> Answer:
        reply: Any = await self._client.post(
            _PATH, cast_to=ChatCompletion, content=body, options=_OPTIONS
        )
        choice = reply.choices[0]
        _refuse(choice.finish_reason, getattr(choice.message, "refusal", None))
        return _answer(choice.message.content, reply.usage)

    async def _streamed(self, body: bytes) -> Answer:
        stream: Any = await self._client.post(
            _PATH,
            cast_to=ChatCompletionChunk,
            content=body,
            options=_OPTIONS,
            stream=True,
            stream_cls=openai.AsyncStream[ChatCompletionChunk],
        )
        parts: list[str] = []
        length, usage, finished = 0, None, None
        async with stream:
            async for chunk in stream:
                usage = chunk.usage or usage
                for choice in chunk.choices[:1]:
                    _refuse(choice.finish_reason, getattr(choice.delta, "refusal", None))
                    finished = choice.finish_reason or finished
                    parts.append(choice.delta.content or "")
                    length += len(parts[-1])
                if length > _MOST_ANSWER_CHARACTERS:
                    finished = finished or "length"
                    break
        if finished is None:  # the connection ended politely in the middle of the answer
            raise Failed(CaptionReason.MODEL_FAILED)
        return _answer("".join(parts), usage)


async def _bound(response: httpx2.Response) -> None:
    """Let no more of a body into memory than an answer can have, whatever its status; counted
    after decompression, which httpx does in pieces of 1 MiB.
    """
    unbounded = response.aiter_bytes

    async def bounded(chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        length = 0
        async with aclosing(unbounded(chunk_size)) as chunks:
            async for chunk in chunks:
                length += len(chunk)
                if length > _MOST_BODY_BYTES:
                    raise _TooLong
                yield chunk

    response.aiter_bytes = bounded  # type: ignore[method-assign]  # whole bodies and streams pass it


def _refuse(finish_reason: object, refusal: object) -> None:
    if finish_reason == "content_filter" or refusal:
        raise Refused(CaptionReason.REFUSED)


def _answer(text: object, usage: Any) -> Answer:
    if not isinstance(text, str) or not text.strip():
        raise Failed(CaptionReason.BAD_ANSWER)
    return Answer(
        text[:_MOST_ANSWER_CHARACTERS],
        _tokens(getattr(usage, "prompt_tokens", 0)),
        _tokens(getattr(usage, "completion_tokens", 0)),
    )


def _tokens(given: object) -> int:
    """A count as told, which a counter can take; 0 for nonsense, the answer is good without."""
    if isinstance(given, float) and math.isfinite(given):
        given = int(given)
    return min(max(given, 0), _MOST_TOKENS) if isinstance(given, int) else 0


def _by_status(error: openai.APIStatusError) -> Exception:
    status, code = error.status_code, str(error.code).lower()
    after = _patience(error.response.headers)
    if status == 429 and code != "insufficient_quota":
        return Limited(_DEFAULT_PATIENCE_SECONDS if after is None else after)
    if status >= 500:
        if after is not None:
            return Limited(after, failing=True)
        return Failed(CaptionReason.MODEL_FAILED)
    if status in _AGAIN_STATUS:
        return Failed(CaptionReason.TIMEOUT)
    if code in _POLICY_CODES:
        return Refused(CaptionReason.REFUSED)
    if status in _FATAL_STATUS or status == 429 or code in _FATAL_CODES:
        return Fatal(status)
    return Refused(CaptionReason.REJECTED)


def _patience(headers: Any) -> float | None:
    """Seconds that Retry-After asks for, as a number or a date; None where it says nothing."""
    given = headers.get("retry-after")
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(given).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return _DEFAULT_PATIENCE_SECONDS
    if math.isnan(seconds):
        return _DEFAULT_PATIENCE_SECONDS
    return min(max(seconds, 0.05), _MOST_PATIENCE_SECONDS)
