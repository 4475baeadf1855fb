"""The same line over and over, as while a server is away: told once, then counted.

A line is the same by its logger, sentence, and whose it is: milestones of different documents are
different lines. A warning that is nobody's is told once in a while; of lines that somebody may
look for by their trace there may be more.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_SECONDS: Final = 30.0
_MOST_KINDS: Final = 500
_MOST_ALIKE: Final = 20
_WHOSE: Final = ("job_id", "user", "chunk", "page", "figure", "pool", "code", "worker_pool")

Kind = tuple[object, ...]


@dataclass(slots=True)
class _Repeated:
    """A line that was told at `began`, and what came since."""

    began: float
    record: logging.LogRecord
    told: int = 1
    count: int = 0


class Flood:
    """Lets the first of equal lines through, and later one that says how often it came again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kinds: dict[Kind, _Repeated] = {}
        self._looked = clock()

    def passed(
        self, record: logging.LogRecord, bound: Mapping[str, Any]
    ) -> Iterator[logging.LogRecord]:
        """What is to be written now: the record, or nothing, and counts that are due."""
        if record.levelno < logging.INFO:  # who asks for those wants all
            yield record
            return
        now = self._clock()
        if now - self._looked > _SECONDS or len(self._kinds) > _MOST_KINDS:
            self._looked = now
            yield from self._due(now - _SECONDS)
        kind = _kind(record, bound)
        known = self._kinds.get(kind)
        if known is not None and now - known.began <= _SECONDS:
            if known.told < _most(record, bound):
                known.told += 1
                yield record
            else:
                known.count += 1
                known.record = record
            return
        if known is not None and known.count:
            record.__dict__["suppressed"] = known.count
        self._kinds[kind] = _Repeated(now, record)
        yield record

    def left(self) -> Iterator[logging.LogRecord]:
        """The counts that nobody was told of."""
        yield from self._due(self._clock() + 1)

    def _due(self, before: float) -> Iterator[logging.LogRecord]:
        full = len(self._kinds) > _MOST_KINDS
        for kind, known in list(self._kinds.items()):
            if known.began < before or full:
                self._kinds.pop(kind, None)
                if known.count:
                    known.record.__dict__["suppressed"] = known.count
                    yield known.record


def _most(record: logging.LogRecord, bound: Mapping[str, Any]) -> int:
    nobodys = "trace" not in bound and not hasattr(record, "trace")
    return 1 if nobodys and record.levelno >= logging.WARNING else _MOST_ALIKE


def _kind(record: logging.LogRecord, bound: Mapping[str, Any]) -> Kind:
    told = {**bound, **record.__dict__}
    error = type(record.exc_info[1]).__name__ if record.exc_info else ""
    whose = tuple(str(told[name]) for name in _WHOSE if name in told)
    return (record.name, record.levelno, record.msg, record.lineno, error, whose)
