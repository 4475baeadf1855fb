"""Spans of a document's way through the processes, sent to an OpenTelemetry collector.

Off unless the standard variables name a collector: then what makes spans is not imported, and a
span costs a look at one variable. On, `otlp` records them; whatever it does or fails to do, the
work that a span tells of never waits for it. Spans say which job, page and chunk; never what is
written there, what a document is called, or who its user is.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Protocol  # Any: a lease is JSON

from ocrplus_contract import logs
from ocrplus_contract.errors import LeaseLost
from ocrplus_contract.ledger import Lease
from ocrplus_contract.names import Permit, Pool
from ocrplus_contract.trace import TraceContext, current, under

log = logging.getLogger(__name__)

Attribute = str | int | float | bool
Attributes = Mapping[str, Attribute]

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

    def drop(self) -> None:
        """Another process has told of it, or will."""

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
        attributes: Attributes,
    ) -> Span:
        """A span that has begun, now or at a time in unix seconds."""
        ...

    def would_record(self, trace_id: str) -> bool:
        """Whether a trace that begins here with this id is recorded."""
        ...

    def stop(self, seconds: float) -> None:
        """Send what waits, for so long at most."""
        ...


_NONE: Final = Span()
_NO_ATTRIBUTES: Final[Attributes] = MappingProxyType({})
_recorder: Recorder | None = None


def configure(component: str) -> None:
    """Record spans from here on, if the environment says where they go; once a process."""
    global _recorder
    if _recorder is not None or not _asked_for():
        return
    try:
        from ocrplus_contract import otlp
    except ImportError as missing:
        problem = f"{missing.name} is not installed: install ocrplus[traces]"
        log.warning("traces are off", extra={"problem": problem})
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
        problem = f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, and only {_SPOKEN} is spoken"
        log.warning("traces are off", extra={"problem": problem})
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


def new_trace() -> TraceContext:
    """A trace that nobody has begun; whether it will be recorded stands fast."""
    trace = TraceContext.new()
    if _recorder is None:
        return trace
    return replace(trace, sampled=_recorder.would_record(trace.trace_id))


@contextmanager
def span(
    name: str,
    attributes: Attributes = _NO_ATTRIBUTES,
    *,
    parent: TraceContext | None = None,
    began: float | None = None,
    span_id: str | None = None,
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
    with under(made.context):
        try:
            yield made
        except BaseException as error:
            made.fail(_kind(error))
            raise
        finally:
            made.end()


def _kind(error: BaseException) -> str:
    """A code of ours, or the exception's name: its words may be a document's."""
    code = getattr(error, "code", None)
    return str(code) if isinstance(code, StrEnum) else type(error).__name__


def tell(
    name: str,
    parent: TraceContext | None,
    attributes: Attributes = _NO_ATTRIBUTES,
    *,
    began: float,
    ended: float,
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


def of_lease(lease: Lease) -> dict[str, Attribute]:
    """The attributes of what is done under a lease: its job, and its chunk or its figure."""
    if _recorder is None:
        return {}
    which: dict[str, Attribute] = {"chunk": f"{lease.first}-{lease.last}"}
    if lease.figure:
        pending = json.loads(lease.figure)
        which = {"page": pending["page"], "figure": pending["figure"]}
    return {**of_job(lease.user, lease.task), **which}


@contextmanager
def worked(lease: Lease, **attributes: Attribute) -> Iterator[Span]:
    """A span around the work under a lease, by an id of which `broken_off` knows.

    Of one whose lease is lost, whoever took that away has told.
    """
    name = "figure" if lease.figure else "chunk"
    with span(
        name,
        {**of_lease(lease), **attributes},
        parent=lease.trace,
        span_id=_id_under(lease.permit),
    ) as made:
        try:
            yield made
        except LeaseLost:
            made.drop()
            raise


def broken_off(permit: Permit, lease: Mapping[str, Any], pool: Pool, why: str) -> None:
    """Tell of the work under a lease whose process cannot; within its job's trace.

    `lease` is what the ledger has of it. What that process told before hangs under this span.
    """
    parent = current()
    if _recorder is None or parent is None or not parent.sampled:
        return
    attributes = {
        **of_job(lease["user"], lease["task"]),
        "chunk": f"{lease['first']}-{lease['last']}",
        "worker": lease["owner"],
    }
    name = "figure" if pool is Pool.CAPTION else "chunk"
    span_id = _id_under(permit)
    began: float = lease["taken"]
    made = _recorder.begin(name, parent, began=began, span_id=span_id, attributes=attributes)
    made.fail(why)
    made.end(max(began, time.time()))


def _id_under(permit: Permit) -> str:
    return hashlib.sha256(permit.encode()).hexdigest()[:16]


def waited(lease: Lease) -> None:
    """Tell how long what was just taken had waited."""
    began, ended = lease.waiting_since, time.time()
    tell("queue", lease.trace, of_lease(lease), began=began, ended=ended)
