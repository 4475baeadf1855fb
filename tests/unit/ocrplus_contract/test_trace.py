"""What is read as a `traceparent` (W3C Trace Context), and what is not."""

import asyncio

import pytest

from ocrplus_contract.trace import TraceContext, current, current_or_new, within

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_traceparent_is_read_and_written_again() -> None:
    context = TraceContext.parse(f"00-{TRACE}-{SPAN}-01")

    assert context == TraceContext(TRACE, SPAN, sampled=True)
    assert context.traceparent == f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "given, sampled",
    [
        (f" 00-{TRACE}-{SPAN}-00\t", False),
        (f"00-{TRACE}-{SPAN}-03", True),  # a flag that is not known here, beside the one that is
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
        (f"cc-{TRACE}-{SPAN}-01", True),
    ],
)
def test_whitespace_other_flags_and_later_versions_are_read(given: str, sampled: bool) -> None:
    assert TraceContext.parse(given) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "given",
    [
        None,
        7,
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01\nx",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 1000}",
    ],
)
def test_what_is_malformed_is_none(given: object) -> None:
    assert TraceContext.parse(given) is None


def test_new_ones_differ_and_are_read_back() -> None:
    first, second = TraceContext.new(), TraceContext.new(sampled=True)

    assert first.trace_id != second.trace_id and (first.sampled, second.sampled) == (False, True)
    assert TraceContext.parse(second.traceparent) == second


def test_tasks_work_for_the_trace_that_they_were_begun_in() -> None:
    outer, inner = TraceContext.new(), TraceContext.new()

    async def seen() -> TraceContext | None:
        await asyncio.sleep(0)
        return current()

    async def both() -> list[TraceContext | None]:
        with within(outer):
            first = asyncio.create_task(seen())
            with within(inner):
                second = asyncio.create_task(seen())
            return [await first, await second, current_or_new()]

    assert asyncio.run(both()) == [outer, inner, outer]
    assert current() is None
