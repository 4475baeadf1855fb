"""The trace that a document belongs to, from its submission to its delivery (W3C Trace Context).

A job is given one when it is submitted: the client's, by its `traceparent`, or a new one. It lies
in the job's record and comes with every lease, so that the lines and spans of all processes that
worked on a document are found by one id. Who makes spans of it stands elsewhere.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from ocrplus_contract import logs

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED: Final = 0x01
_MOST_CHARACTERS: Final = 512  # of a later version, which may say more behind a dash


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A trace, the span in it that what follows is caused by, and whether spans are recorded.

    Of one that nobody has begun, the first span has its span id, and decides of the last.
    """

    trace_id: str
    span_id: str
    sampled: bool = False
    begun: bool = field(default=True, compare=False)

    @classmethod
    def new(cls, sampled: bool = False) -> "TraceContext":
        """A trace that nobody has begun yet."""
        return cls(secrets.token_hex(16), secrets.token_hex(8), sampled, begun=False)

    @classmethod
    def parse(cls, traceparent: object) -> "TraceContext | None":
        """Read a `traceparent`; None for what is none: the trace is then begun anew."""
        if not isinstance(traceparent, str) or len(traceparent) > _MOST_CHARACTERS:
            return None
        match = _TRACEPARENT.fullmatch(traceparent.strip(" \t"))
        if match is None:
            return None
        version, trace_id, span_id, flags, more = match.groups()
        if version == "ff" or (version == "00" and more is not None):
            return None
        if not trace_id.strip("0") or not span_id.strip("0"):
            return None
        return cls(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))

    @property
    def traceparent(self) -> str:
        """As it travels: in headers, in the job's record."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


_CURRENT: Final[ContextVar[TraceContext | None]] = ContextVar("ocrplus_trace", default=None)


def current() -> TraceContext | None:
    """The trace that the running task or thread works for, if any."""
    return _CURRENT.get()


def current_or_new() -> TraceContext:
    """The trace of what runs, begun here where it has none."""
    return _CURRENT.get() or TraceContext.new()


@contextmanager
def within(context: TraceContext | None, **fields: object) -> Iterator[None]:
    """Work for this trace inside the block; None (a record from before traces): for no trace.

    Lines that are logged there tell it, and the `fields`.
    """
    token = _CURRENT.set(context)
    try:
        with logs.bind(trace=context and context.trace_id, **fields):
            yield
    finally:
        _CURRENT.reset(token)


@contextmanager
def under(context: TraceContext | None) -> Iterator[None]:
    """Inside, what begins hangs under this span of the trace; lines go on as they are."""
    token = _CURRENT.set(context)
    try:
        yield
    finally:
        _CURRENT.reset(token)
