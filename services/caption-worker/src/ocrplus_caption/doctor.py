"""`python -m ocrplus_caption.doctor`: what a caption worker depends on, and what to do.

The endpoint is asked for its list of models: that needs the key and costs nothing.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final  # Any: what an endpoint answers
from urllib.parse import urlsplit

import openai
import redis

from ocrplus_contract.doctor import Check, Finding, run, shared_checks
from ocrplus_contract.doctor.findings import fail, ok, warn
from ocrplus_contract.doctor.machine import Machine
from ocrplus_contract.doctor.server import Server, why_no_connection
from ocrplus_contract.keys import Keys
from ocrplus_contract.settings import CaptionWorkerSettings

_SECONDS: Final = 2.0
_SHOWN_MODELS: Final = 5
_LIMIT_HEADER: Final = "x-ratelimit-limit-requests"  # a minute's, where an endpoint tells
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_SHAPELESS: Final = (AttributeError, TypeError, KeyError, ValueError)
_KEY: Final = "put a valid key into OPENAI_API_KEY or its Secret; the workers start anew by it"
_URL: Final = "correct OPENAI_BASE_URL; it ends as the provider says, often in /v1"


def own_checks(settings: CaptionWorkerSettings) -> list[Check]:
    """What only this image can look at."""
    server = Server(settings.redis_url.get_secret_value(), Keys(settings.key_prefix))
    return [
        Check("vlm", Endpoint(settings).look),
        Check("vlm.breaker", Breaker(server).look, after=server.name),
    ]


def checks(settings: CaptionWorkerSettings) -> list[Check]:
    """Everything that this image can look at."""
    lease = settings.lease_seconds
    shared = shared_checks(settings, lease_seconds=lease, machine=Machine(), writes_blobs=False)
    return [*shared, *own_checks(settings)]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The vision-language model's endpoint."""

    settings: CaptionWorkerSettings

    @property
    def _place(self) -> str:
        url = self.settings.openai_base_url
        if url is None:
            return "OpenAI's own endpoint"
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"

    def look(self) -> Iterator[Finding]:
        """Reachable, the key accepted, the model there, our pace within its limit."""
        if not self.settings.captions_configured:
            yield ok("vlm", "captions are off: neither OPENAI_BASE_URL nor OPENAI_API_KEY is set")
            return
        try:
            headers, models = self._asked()
        except openai.APIError as error:
            yield self._refused(error)
            return
        except _SHAPELESS:
            yield fail("vlm", f"what answers at {self._place} is no such endpoint", _URL)
            return
        yield ok("vlm", f"{self._place} answers and accepts the key")
        yield self._model(models)
        yield self._pace(headers.get(_LIMIT_HEADER, ""))
        if self.settings.openai_api_key is not None and self._sent_openly:
            reason = f"the key and the figures travel unencrypted to {self._place}"
            yield warn("vlm.transport", reason, "use https://")

    def _asked(self) -> tuple[Any, list[str]]:
        key = self.settings.openai_api_key
        with openai.OpenAI(
            base_url=self.settings.openai_base_url,
            api_key=key.get_secret_value() if key else "none",
            max_retries=0,
            timeout=_SECONDS,
        ) as client:
            answer = client.models.with_raw_response.list()
            return answer.headers, [str(model.id) for model in answer.parse().data]

    @property
    def _sent_openly(self) -> bool:
        parts = urlsplit(self.settings.openai_base_url or "https://")
        return parts.scheme == "http" and parts.hostname not in _LOOPBACK

    def _refused(self, error: openai.APIError) -> Finding:
        place = self._place
        if isinstance(error, openai.APITimeoutError):
            reason = f"{place} does not answer within {_SECONDS:g} s"
            return fail("vlm", reason, "let the caption worker reach it: NetworkPolicy, proxy, DNS")
        if isinstance(error, openai.APIConnectionError):
            reason = f"{place}: {why_no_connection(error)}"
            return fail("vlm", reason, f"{_URL}; let the caption worker reach it")
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return fail("vlm", f"{place} does not accept the key ({error.status_code})", _KEY)
        if isinstance(error, openai.NotFoundError):
            return warn("vlm", f"{place} answers, and does not list its models", _URL)
        if isinstance(error, openai.RateLimitError):
            reason = f"{place} asks for patience: too many calls, or the quota is used up"
            return warn(
                "vlm", reason, "lower OCRPLUS_CAPTION__REQUESTS_PER_MINUTE, or pay for more"
            )
        status = getattr(error, "status_code", "with an error")
        return fail("vlm", f"{place} answers {status}", "look at the provider's own status page")

    def _model(self, models: list[str]) -> Finding:
        wanted = self.settings.caption.model
        if wanted in models:
            return ok("vlm.model", f"it has {wanted}")
        shown = ", ".join(models[:_SHOWN_MODELS]) or "none"
        do = f"set OCRPLUS_CAPTION__MODEL to one of its {len(models)} models: {shown}"
        return fail("vlm.model", f"it does not list {wanted}", do)

    def _pace(self, told: str) -> Finding:
        ours = self.settings.caption.requests_per_minute
        if told.isdigit() and (not ours or ours > int(told)):
            reason = f"it takes {told} requests a minute, we send up to {ours or 'any number'}"
            return warn("vlm.pace", reason, f"set OCRPLUS_CAPTION__REQUESTS_PER_MINUTE to {told}")
        return ok("vlm.pace", f"we send up to {ours or 'any number of'} requests a minute")


@dataclass(frozen=True, slots=True)
class Breaker:
    """The circuit breaker that all caption workers share."""

    server: Server

    def look(self) -> Iterator[Finding]:
        """One finding."""
        try:
            with self.server.client() as client:
                state: Any = client.hget(self.server.keys.breaker(), "state")
        except redis.RedisError as error:
            reason = f"it cannot be read ({type(error).__name__})"
            yield fail("vlm.breaker", reason, "see the findings about redis")
            return
        if state in (None, b"closed"):
            yield ok("vlm.breaker", "it is closed: the model is asked")
        else:
            yield warn(
                "vlm.breaker",
                f"it is {state.decode()}: calls failed in a row, figures wait",
                "mend what `vlm` says; it closes by itself with the first call that goes well",
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """0 all is well, 1 warnings, 2 something failed."""
    return run("caption", CaptionWorkerSettings, checks, arguments)


if __name__ == "__main__":
    sys.exit(main())
