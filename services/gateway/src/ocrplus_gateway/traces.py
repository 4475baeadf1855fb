"""The traces of the jobs whose events this gateway delivers, for spans of delivery and exemplars.

Events carry no trace: clients keep them. A job's is read from its record when its first event is
heard, or when one of its events was sent, and kept; an event's way never waits for it.
"""

import asyncio
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final  # redis-py's replies

import redis.asyncio
from redis.exceptions import RedisError

from ocrplus_contract import tracing
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import TaskId, UserId
from ocrplus_contract.trace import TraceContext
from ocrplus_gateway.cancellation import ended
from ocrplus_gateway.events import Event

_MOST_KNOWN: Final = 10_000
_MOST_ASKED: Final = 100  # jobs whose records are being read; what comes above goes without
_TOLD: Final = frozenset({"submitted", "page", "caption", "result"})
_TOLD_ORIGINAL: Final = frozenset({"submitted", "result"})  # its clients hear of nothing else

_PAGE: Final = re.compile(r'"page":\s*(\d+)')  # an event's own comes before any text

_Job = tuple[UserId, TaskId]


@dataclass(frozen=True, slots=True)
class _Known:
    """A job's trace, and the place of its first event: the name may have been another's before."""

    trace: TraceContext | None
    epoch: str
    seq: int

    def of(self, event: Event) -> TraceContext | None:
        """The trace that an event of this name belongs to."""
        before = event.epoch == self.epoch and event.seq < self.seq
        return None if before else self.trace

    def is_older_than(self, event: Event) -> bool:
        """Whether a name's first event says that it stands for another document by now."""
        return event.type == "submitted" and (event.epoch, event.seq) != (self.epoch, self.seq)


class JobTraces:
    """Which trace a job belongs to, as far as it was asked for; nothing while traces are off."""

    def __init__(self, client: "redis.asyncio.Redis", keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._known: OrderedDict[_Job, _Known] = OrderedDict()
        self._asking: dict[_Job, asyncio.Task[None]] = {}

    def heard(self, user: UserId, event: Event) -> TraceContext | None:
        """The trace of a live event's job, if it is known by now; for when spans are recorded."""
        job = user, TaskId(event.task)
        known = self._current(job, event)
        if known is None and event.type == "submitted":
            self._ask(job)
        return known.of(event) if known is not None else None

    def delivered(
        self, event: Event, user: UserId, protocol: str, since: float
    ) -> TraceContext | None:
        """Tell of an event's way to a connection that opened at `since`; its trace, if known."""
        told = _TOLD_ORIGINAL if protocol == "original" else _TOLD
        if not tracing.is_on() or event.type not in told:
            return None
        job, times = (user, TaskId(event.task)), (since, time.time())
        known = self._current(job, event)
        if known is not None:
            _tell(known.of(event), event, user, protocol, times)
            return known.of(event)
        asking = self._ask(job)
        if asking is not None:
            asking.add_done_callback(lambda _: self._tell_later(job, event, protocol, times))
        return None

    async def stop(self) -> None:
        """Ask no more."""
        await ended(*self._asking.values())

    def _current(self, job: _Job, event: Event) -> _Known | None:
        known = self._known.get(job)
        if known is not None and known.is_older_than(event):
            del self._known[job]
            return None
        return known

    def _tell_later(
        self, job: _Job, event: Event, protocol: str, times: tuple[float, float]
    ) -> None:
        known = self._known.get(job)
        if known is not None:
            _tell(known.of(event), event, job[0], protocol, times)

    def _ask(self, job: _Job) -> "asyncio.Task[None] | None":
        if job not in self._asking:
            if len(self._asking) >= _MOST_ASKED:
                return None
            self._asking[job] = asyncio.create_task(self._read(job))
        return self._asking[job]

    async def _read(self, job: _Job) -> None:
        try:
            key = self._keys.job(*job)
            fields: Any = await self._client.hmget(key, ["traceparent", "begins"])  # bytes, None
            traceparent, begins = ((field or b"").decode() for field in fields)
            epoch, _, seq = begins.rpartition("-")
            self._known[job] = _Known(TraceContext.parse(traceparent), epoch, int(seq or 0))
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        except (RedisError, OSError):
            pass  # the next event asks again
        finally:
            del self._asking[job]


def _tell(
    trace: TraceContext | None,
    event: Event,
    user: UserId,
    protocol: str,
    times: tuple[float, float],
) -> None:
    """From the event, or from the connection where that is younger, to its sending."""
    since, sent = times
    found = _PAGE.search(event.text) if event.type in ("page", "caption") else None
    page = {"page": int(found[1])} if found is not None else {}
    attributes: tracing.Attributes = {
        **tracing.of_job(user, event.task),
        **page,
        "event": event.type,
        "protocol": protocol,
        "replayed": event.made < since,
    }
    tracing.tell("deliver", trace, attributes, began=max(event.made, since), ended=sent)
