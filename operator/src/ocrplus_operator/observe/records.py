"""Reading what the other processes wrote: workers' records and the load, by their schema.

The schema stands in docs/operator.md; the workers' side is held to it by a test of its own. What
does not keep to it makes the whole reading unknown: a guess could let a busy pod go.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final  # Any: replies of Redis are nested lists of bytes and ints

from ocrplus_operator.control.types import Arrivals, Reading, Worker, WorkerPhase
from ocrplus_operator.errors import Unreadable

SCHEMA: Final = "1"
WINDOW_SECONDS: Final = 600
_LEAST_SPAN_SECONDS: Final = 120.0


def reading_of(reply: Sequence[Any], local_now: float) -> Reading:
    """The reply of `read.lua` as values, its times moved from the server's clock to ours.

    Raises:
        Unreadable: something in it is unknown or not of the schema.
    """
    server_now, lag, _pending, first, expired, expired_pages, load, bells, drain, workers = reply
    if lag is None:
        raise Unreadable("LagUnknown", "the group's lag is NULL: an entry was deleted or trimmed")
    now = _number(server_now, "time")
    fields = _text(load)
    return Reading(
        waiting_chunks=int(lag),
        waiting_pages=max(0, int(_number(fields.get("waiting", "0"), "load waiting"))),
        expired_leases=int(expired),
        expired_pages=int(expired_pages),
        doorbells=int(bells),
        oldest_wait_seconds=_age(first, now) if lag else 0.0,
        arrivals=_arrivals(fields, now, local_now),
        workers=_workers(workers, local_now - now),
        draining=frozenset(_decoded(name) for name in drain),
    )


def _age(first: bytes, now: float) -> float:
    milliseconds = first.partition(b"-")[0]
    return max(0.0, now - _number(milliseconds, "permit") / 1000) if milliseconds else 0.0


def _arrivals(fields: Mapping[str, str], now: float, local_now: float) -> Arrivals:
    pages = chunks = squared = 0
    by_minute: Counter[int] = Counter()
    oldest, newest = now, 0.0
    for name, value in fields.items():
        if not name.startswith("a:"):
            continue
        second, parts = _number(name[2:], "load arrivals"), value.split(":")
        oldest = min(oldest, second)
        newest = max(newest, second)
        if len(parts) != 3:
            raise Unreadable("RecordUnreadable", f"load: {name} is {value!r}")
        if second > now - WINDOW_SECONDS:
            admitted = int(_number(parts[0], "load arrivals"))
            pages += admitted
            by_minute[int((now - second) // 60)] += admitted
            chunks += int(_number(parts[1], "load arrivals"))
            squared += int(_number(parts[2], "load arrivals"))
    span = min(float(WINDOW_SECONDS), max(_LEAST_SPAN_SECONDS, now - oldest))
    last = newest + local_now - now if newest else 0.0
    minutes = tuple(by_minute[minute] for minute in range(math.ceil(span / 60)))
    return Arrivals(pages, chunks, squared, span, last, minutes)


def _workers(flat: Sequence[Any], ahead: float) -> tuple[Worker, ...]:
    found = []
    for i in range(0, len(flat), 2):
        worker_id, fields = _decoded(flat[i]), _text(flat[i + 1])
        if fields:  # else it stopped beating: the record has lapsed
            found.append(_worker(worker_id, fields, ahead))
    return tuple(found)


def _worker(worker_id: str, fields: Mapping[str, str], ahead: float) -> Worker:
    if fields.get("schema") != SCHEMA:
        raise Unreadable(
            "RecordUnreadable",
            f"worker {worker_id} writes schema {fields.get('schema')!r}, not {SCHEMA}",
        )
    try:
        return Worker(
            id=worker_id,
            pod=fields["pod"],
            phase=WorkerPhase(fields["state"]),
            pages_left=_count(fields["pages_left"]),
            chunk_pages=_pages_of(fields["chunk"]),
            page_started_at=_moved(fields["page_started_at"], ahead),
            chunk_started_at=_moved(fields["chunk_started_at"], ahead),
            seconds_per_page=_finite(fields["seconds_per_page"]),
            cold_start_seconds=_finite(fields["cold_start_seconds"]),
            idle_since=_moved(fields["idle_since"], ahead),
        )
    except (KeyError, ValueError) as error:
        raise Unreadable("RecordUnreadable", f"worker {worker_id}: {error!r}") from error


def _pages_of(chunk: str) -> int:
    """Pages of `{task}/{first}-{last}`; 0 of none."""
    if not chunk:
        return 0
    first, _, last = chunk.rpartition("/")[2].partition("-")
    return int(last) - int(first) + 1


def _moved(text: str, ahead: float) -> float:
    seconds = _finite(text)
    return seconds + ahead if seconds else 0.0


def _finite(text: str | bytes) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no number to reckon with")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(f"{number} is below 0")
    return number


def _text(flat: Sequence[Any]) -> dict[str, str]:
    return {_decoded(flat[i]): _decoded(flat[i + 1]) for i in range(0, len(flat), 2)}


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("RecordUnreadable", f"not UTF-8: {value[:40]!r}") from error


def _number(value: str | bytes, of: str) -> float:
    try:
        return _finite(value)
    except ValueError as error:
        raise Unreadable("RecordUnreadable", f"{of}: {value!r} is no number") from error
