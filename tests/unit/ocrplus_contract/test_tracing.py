"""Spans: recorded where a collector is named, and never in the way of what they tell of."""

import logging
import sys
import time
from collections.abc import Iterator

import otlp_receiver
import pytest

from ocrplus_contract import otlp, trace, tracing
from ocrplus_contract.errors import LeaseLost
from ocrplus_contract.ledger import Lease
from ocrplus_contract.names import Permit, Pool, TaskId, UserId
from ocrplus_contract.trace import TraceContext

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(autouse=True)
def off_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(sys.modules["os"].environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    yield
    tracing.stop(1)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[otlp_receiver.Collector]:
    with otlp_receiver.collecting() as found:
        for name, value in found.env.items():
            monkeypatch.setenv(name, value)
        yield found


def test_a_trace_that_nobody_has_begun_begins_with_its_own_ids(collector) -> None:
    tracing.configure("gateway")
    told = TraceContext.new()

    with trace.within(told), tracing.span("submit", {"job": "t"}) as root, tracing.span("inspect"):
        assert root.context == TraceContext(told.trace_id, told.span_id, sampled=True)
    tracing.stop()

    inner, outer = collector.spans
    assert (outer.name, outer.trace, outer.span) == ("submit", told.trace_id, told.span_id)
    assert outer.parent == ""
    assert (inner.name, inner.trace, inner.parent) == ("inspect", told.trace_id, told.span_id)
    assert outer.service == "ocrplus-gateway"
    assert outer.attributes == {"ocrplus.job": "t"}


def test_a_clients_decision_not_to_record_holds(collector) -> None:
    tracing.configure("gateway")
    of_client = TraceContext.parse(f"00-{'a' * 32}-{'b' * 16}-00")

    with tracing.span("submit", parent=of_client) as span:
        assert span.context is not None
        assert (span.context.trace_id, span.context.sampled) == ("a" * 32, False)
        assert tracing.exemplar(span.context) is None
    tracing.tell("deliver", of_client, began=1.0, ended=2.0)
    with tracing.span("kept", parent=TraceContext("c" * 32, "d" * 16, sampled=True)) as kept:
        assert tracing.exemplar(kept.context) == {"trace_id": "c" * 32}
    tracing.stop()

    (only,) = collector.spans
    assert (only.name, only.trace, only.parent) == ("kept", "c" * 32, "d" * 16)


def test_the_sampler_of_the_environment_decides_of_new_traces(collector, monkeypatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
    tracing.configure("gateway")

    for _ in range(400):
        told = tracing.new_trace()
        with tracing.span("submit", parent=told) as span, tracing.span("inspect"):
            assert span.context == told
    tracing.stop()

    recorded = [span for span in collector.spans if span.name == "submit"]
    assert 50 < len(recorded) < 150
    assert len(collector.spans) == 2 * len(recorded)


def test_an_error_is_told_by_its_kind_and_not_by_its_words(collector) -> None:
    tracing.configure("gateway")

    with pytest.raises(ValueError), tracing.span("submit", {"job": "t"}):
        raise ValueError("CANARY")
    tracing.stop()

    (span,) = collector.spans
    assert (span.error, span.attributes["ocrplus.job"]) == ("ValueError", "t")
    assert not any(b"CANARY" in body for body in collector.raw)


def test_what_is_over_is_told_with_its_times_and_never_ends_before_it_began(collector) -> None:
    tracing.configure("ocr-worker")
    job = TraceContext("a" * 32, "b" * 16, sampled=True)

    tracing.tell("queue", job, began=1000.0, ended=1002.5)
    tracing.tell("deliver", job, began=1000.0, ended=999.0)
    tracing.tell("nobody's", None, began=1.0, ended=2.0)
    tracing.stop()

    assert [(s.name, s.began, s.seconds) for s in collector.spans] == [
        ("queue", 1000.0, 2.5),
        ("deliver", 1000.0, 0.0),
    ]


@pytest.mark.parametrize("mode", ["hang", "refuse"])
def test_a_collector_that_takes_nothing_costs_neither_time_nor_lines(
    collector, caplog, mode
) -> None:
    collector.mode = mode
    tracing.configure("gateway")
    began = time.monotonic()
    for _ in range(5000):  # twice what may wait
        with tracing.span("page"):
            pass
    spent = time.monotonic() - began
    began = time.monotonic()
    with caplog.at_level(logging.INFO):
        tracing.stop(0.5)

    assert collector.requests > 0
    assert spent < 5
    assert time.monotonic() - began < 1.5
    assert len(caplog.records) <= 1


def test_a_collector_that_is_not_there_is_said_once_and_that_it_is_back_once(caplog) -> None:
    class Moody:
        fails = True

        def export(self, spans):
            if self.fails:
                raise ConnectionRefusedError
            return otlp.SpanExportResult.SUCCESS

    inner = Moody()
    exporter = otlp._Said(inner)
    with caplog.at_level(logging.INFO, "ocrplus_contract.otlp"):
        for fails in (True, True, True, False, False, True):
            inner.fails = fails
            exporter.export([])

    said = [record.message.partition(";")[0] for record in caplog.records]
    cannot = "spans cannot be sent and are dropped"
    assert said == [cannot, "spans are sent again", cannot]


@pytest.mark.parametrize(
    "env",
    [
        {},
        {ENDPOINT: ""},
        {ENDPOINT: "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {ENDPOINT: "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
        {ENDPOINT: "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_off_nothing_is_recorded(env, monkeypatch) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    tracing.configure("gateway")

    with tracing.span("submit", parent=TraceContext.new()) as span:
        span.note(pages=2)
        span.fail("x")
        assert span.context is None
        assert trace.current() is None
    assert not tracing.is_on()
    assert tracing.of_job("ada", "t") == {}
    assert tracing.exemplar(TraceContext("a" * 32, "b" * 16, sampled=True)) is None


def test_without_the_package_traces_are_off_and_say_what_to_install(caplog, monkeypatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "ocrplus_contract.otlp", None)
    monkeypatch.delattr("ocrplus_contract.otlp")

    tracing.configure("gateway")

    assert not tracing.is_on()
    assert "ocrplus[traces]" in caplog.records[0].problem


def test_the_environment_says_who_tells(collector, monkeypatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "papers")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    tracing.configure("gateway")
    with tracing.span("submit"):
        pass
    tracing.stop()

    assert collector.spans[0].service == "papers"
    assert b"deployment.environment" in collector.raw[0]


def leased() -> Lease:
    trace_ = TraceContext("a" * 32, "b" * 16, sampled=True)
    text = {"blob": "b", "options": "{}", "first_page_deaths": 0}
    who = {"permit": Permit("5-0"), "user": UserId("ada"), "task": TaskId("t")}
    return Lease(**who, **text, first=3, last=4, trace=trace_, waiting_since=900.0)


def test_the_work_of_a_process_that_died_is_told_under_the_id_that_its_pages_name(
    collector,
) -> None:
    tracing.configure("ocr-worker")
    lease = leased()
    held = {"user": "ada", "task": "t", "first": 3, "last": 4, "owner": "pod.0", "taken": 1000.0}
    with pytest.raises(LeaseLost), tracing.worked(lease), tracing.span("page"):
        raise LeaseLost
    with trace.within(lease.trace):
        tracing.broken_off(lease.permit, held, Pool.OCR, "expired")
    tracing.waited(lease)
    tracing.stop()

    page, chunk, queue = collector.spans
    assert (page.name, chunk.name, queue.name) == ("page", "chunk", "queue")
    assert page.parent == chunk.span and page.trace == chunk.trace == "a" * 32
    assert (chunk.began, chunk.error, chunk.parent) == (1000.0, "expired", "b" * 16)
    assert chunk.attributes["ocrplus.chunk"] == "3-4"
    assert chunk.attributes["ocrplus.worker"] == "pod.0"
    assert queue.began == 900.0
