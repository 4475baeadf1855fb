"""Spans of a document's way through the processes, sent to an OpenTelemetry collector.

Off unless the standard variables name a collector: then nothing of OpenTelemetry is imported and a
span costs a look at one variable. On, `otlp` records them; whatever it does or fails to do, the work
that a span tells of never waits for it. Spans say which job, page and chunk; never what is written
there, what a document is called, or who its user is.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

from ocrplus_contract import logs
from ocrplus_contract.trace import TraceContext, current, within

log = logging.getLogger(__name__)

Attribute = str | int | float | bool

STOP_SECONDS: Final = 2.0
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN: Final = "http/protobuf"


class Span:
    """A span in hand. This one is none: `otlp` has the other."""

    __slots__ = ()

    @property
    def context(self) -> TraceContext | None:
        """Where what it causes hangs; None where nothing is recorded."""
        return None

    def note(self, **attributes: Attribute) -> None:
        """Say more of it."""

    def fail(self, why: str) -> None:
        """It did not come to its end: a kind of error, never its words."""

    def end(self, at: float | None = None) -> None:
        """It is over, now or at a time in unix seconds."""


class Recorder(Protocol):
    """What records spans and sends them."""

    def begin(
        self,
        name: str,
        parent: TraceContext | None,
        *,
        began: float | None,
        span_id: str | None,
        attributes: Mapping[str, Attribute],
    ) -> Span:
        """A span that has begun, now or at a time in unix seconds."""
        ...

    def stop(self, seconds: float) -> None:
        """Send what waits, for so long at most."""
        ...


_NONE: Final = Span()
_recorder: Recorder | None = None


def configure(component: str) -> None:
    """Record spans from here on, if the environment says where they go; once a process."""
    global _recorder
    if _recorder is not None or not _asked_for():
        return
    try:
        from ocrplus_contract import otlp
    except ImportError as missing:
        log.warning(
            "traces are off: OpenTelemetry is not installed; install ocrplus[traces]",
            extra={"missing": missing.name},
        )
        return
    _recorder = otlp.OtlpRecorder(component)


def _asked_for() -> bool:
    env = os.environ
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if env.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() not in ("", "otlp"):
        return False
    if not any(env.get(name) for name in _ENDPOINTS):
        return False
    protocol = next((env[name] for name in _PROTOCOLS if env.get(name)), _SPOKEN)
    if protocol != _SPOKEN:
        log.warning("traces are off: only http/protobuf is spoken", extra={"protocol": protocol})
        return False
    return True


def stop(seconds: float = STOP_SECONDS) -> None:
    """Send what waits, for so long at most, and record nothing more."""
    global _recorder
    recorder, _recorder = _recorder, None
    if recorder is not None:
        recorder.stop(seconds)


def is_on() -> bool:
    """Whether spans are recorded."""
    return _recorder is not None


@contextmanager
def span(
    name: str,
    *,
    parent: TraceContext | None = None,
    began: float | None = None,
    span_id: str | None = None,
    **attributes: Attribute,
) -> Iterator[Span]:
    """A span around a block, under `parent` or what the block is done for (`trace.current`).

    What is done inside hangs under it. An exception is told by its kind.
    """
    if _recorder is None:
        yield _NONE
        return
    made = _recorder.begin(
        name, parent or current(), began=began, span_id=span_id, attributes=attributes
    )
    with within(made.context):
        try:
            yield made
        except BaseException as error:
            made.fail(type(error).__name__)
            raise
        finally:
            made.end()


def tell(
    name: str,
    parent: TraceContext | None,
    *,
    began: float,
    ended: float,
    **attributes: Attribute,
) -> None:
    """A span of what is over already; times in unix seconds, of whatever clock."""
    if _recorder is not None and parent is not None and parent.sampled:
        made = _recorder.begin(name, parent, began=began, span_id=None, attributes=attributes)
        made.end(max(began, ended))


def exemplar(context: TraceContext | None) -> dict[str, str] | None:
    """The trace in which an observation of a histogram can be looked up, if it is recorded."""
    if _recorder is None or context is None or not context.sampled:
        return None
    return {"trace_id": context.trace_id}


def of_job(user: str, task: str) -> dict[str, Attribute]:
    """The attributes by which a job's spans are found; its user only as a stand-in."""
    return {"job": task, "user": logs.hashed(user)} if _recorder is not None else {}
