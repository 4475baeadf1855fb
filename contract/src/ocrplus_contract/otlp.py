"""The recorder of spans: OpenTelemetry's SDK and its OTLP exporter, used nowhere else.

The provider is our own and never the process's global one: frameworks that find a global one tell
of every request by path and query, where users and documents have their names. The standard
variables (OTEL_EXPORTER_OTLP_…, OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_…) are the
SDK's own to read.
"""

import importlib.metadata
import logging
import os
import socket
import threading
from collections.abc import Sequence
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision

from ocrplus_contract.trace import TraceContext
from ocrplus_contract.tracing import Attribute, Attributes, Span

log = logging.getLogger(__name__)

_PREFIX: Final = "ocrplus."
_CHATTY: Final = ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal")


class _Ids(IdGenerator):
    """Random ids, save where they are given: a trace that was told of before its first span began,
    a span that another process may have to tell of.
    """

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self._next = threading.local()

    def give(self, trace_id: str, span_id: str) -> None:
        """The ids of the next span of this thread; "" for any."""
        self._next.ids = trace_id, span_id

    def generate_span_id(self) -> int:
        _, given = getattr(self._next, "ids", ("", ""))
        return int(given, 16) if given else self._random.generate_span_id()

    def generate_trace_id(self) -> int:
        given, _ = getattr(self._next, "ids", ("", ""))
        return int(given, 16) if given else self._random.generate_trace_id()


class _Said(SpanExporter):
    """An exporter whose failures are said once, and once that they are over."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:  # the outermost of a thread that is not ours: whatever the client raises
            log.debug("an export of spans failed", exc_info=True)
            result = SpanExportResult.FAILURE
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._failing:
            log.warning("spans cannot be sent and are dropped; see OTEL_EXPORTER_OTLP_ENDPOINT")
        elif self._failing and not failed:
            log.info("spans are sent again")
        self._failing = failed
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True  # the batch is the processor's: nothing waits here


class _OtlpSpan(Span):
    """A span of the SDK."""

    __slots__ = ("_context", "_dropped", "_span")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._dropped = False
        made = span.get_span_context()
        self._context = TraceContext(
            f"{made.trace_id:032x}", f"{made.span_id:016x}", made.trace_flags.sampled
        )

    @property
    def context(self) -> TraceContext | None:
        return self._context

    def note(self, **attributes: Attribute) -> None:
        self._span.set_attributes(_named(attributes))

    def fail(self, why: str) -> None:
        self._span.set_status(trace.StatusCode.ERROR, why)
        self._span.set_attribute("error.type", why)

    def drop(self) -> None:
        self._dropped = True

    def end(self, at: float | None = None) -> None:
        if not self._dropped:  # one that never ends is never sent
            self._span.end(None if at is None else _nanoseconds(at))


class OtlpRecorder:
    """Spans of one process, sent in batches by a thread of their own."""

    def __init__(self, component: str) -> None:
        for chatty in _CHATTY:  # a line for each failed attempt, from each process
            logging.getLogger(chatty).setLevel(logging.CRITICAL)
        self._ids = _Ids()
        self._provider = TracerProvider(
            resource=_resource(component),
            id_generator=self._ids,
            shutdown_on_exit=False,  # it would wait for half a minute
        )
        self._provider.add_span_processor(BatchSpanProcessor(_Said(OTLPSpanExporter())))
        self._tracer = self._provider.get_tracer("ocrplus", _version())

    def begin(
        self,
        name: str,
        parent: TraceContext | None,
        *,
        began: float | None,
        span_id: str | None,
        attributes: Attributes,
    ) -> Span:
        """A span that has begun; one without a parent begins a trace, if the sampler likes."""
        if parent is not None and not parent.begun:
            self._ids.give(parent.trace_id, span_id or parent.span_id)
            parent = None
        else:
            self._ids.give("", span_id or "")
        return _OtlpSpan(
            self._tracer.start_span(
                name,
                _under(parent),
                attributes=_named(attributes),
                start_time=None if began is None else _nanoseconds(began),
                record_exception=False,  # its words may be the document's
                set_status_on_exception=False,
            )
        )

    def would_record(self, trace_id: str) -> bool:
        """What the sampler says of a trace without a parent."""
        asked = self._provider.sampler.should_sample(Context(), int(trace_id, 16), "submit")
        return asked.decision is Decision.RECORD_AND_SAMPLE

    def stop(self, seconds: float) -> None:
        """Send what waits; a collector that does not answer is left behind."""
        last = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(seconds)


def _under(parent: TraceContext | None) -> Context:
    if parent is None:
        return Context()
    flags = trace.TraceFlags.SAMPLED if parent.sampled else trace.TraceFlags.DEFAULT
    context = trace.SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(flags),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(context), Context())


def _named(attributes: Attributes) -> dict[str, Attribute]:
    return {_PREFIX + name: value for name, value in attributes.items()}


def _nanoseconds(unix_seconds: float) -> int:
    return int(unix_seconds * 1e9)


def _resource(component: str) -> Resource:
    """Who tells; what the environment says of it comes first."""
    ours: dict[str, Any] = {  # as the SDK types them
        "service.namespace": "ocrplus",
        "service.name": f"ocrplus-{component}",
        "service.version": _version(),
        "service.instance.id": os.environ.get("OCRPLUS_POD_NAME") or socket.gethostname(),
        "process.pid": os.getpid(),
    }
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})


def _version() -> str:
    return importlib.metadata.version("ocrplus")
