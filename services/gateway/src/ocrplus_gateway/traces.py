"""The traces of the jobs whose events this gateway delivers, for spans of delivery and exemplars.

Events carry no trace: clients keep them. A job's is read from its record when its first event is
heard, or when one of its events was sent, and kept; an event's way never waits for it.
"""

import asyncio
import time
from collections import OrderedDict
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

_Job = tuple[UserId, TaskId]


class JobTraces:
    """Which trace a job belongs to, as far as it was asked for; nothing while traces are off."""

    def __init__(self, client: "redis.asyncio.Redis", keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._known: OrderedDict[_Job, TraceContext | None] = OrderedDict()
        self._asking: dict[_Job, asyncio.Task[None]] = {}

    def heard(self, user: UserId, event: Event) -> TraceContext | None:
        """The trace of a live event's job, if it is known by now."""
        if not tracing.is_on():
            return None
        job = user, TaskId(event.task)
        if event.type == "submitted":  # the name may stand for another document by now
            self._known.pop(job, None)
            self._ask(job)
        return self._known.get(job)

    def delivered(
        self, event: Event, user: UserId, protocol: str, since: float
    ) -> TraceContext | None:
        """Tell of an event's way to a connection that opened at `since`; its trace, if known."""
        told = _TOLD_ORIGINAL if protocol == "original" else _TOLD
        if not tracing.is_on() or event.type not in told:
            return None
        job, times = (user, TaskId(event.task)), (since, time.time())
        if job in self._known:
            _tell(self._known[job], event, user, protocol, times)
            return self._known[job]
        asking = self._ask(job)
        if asking is not None:
            asking.add_done_callback(lambda _: self._tell_later(job, event, protocol, times))
        return None

    def _tell_later(
        self, job: _Job, event: Event, protocol: str, times: tuple[float, float]
    ) -> None:
        _tell(self._known.get(job), event, job[0], protocol, times)

    async def stop(self) -> None:
        """Ask no more."""
        await ended(*self._asking.values())

    def _ask(self, job: _Job) -> "asyncio.Task[None] | None":
        if job not in self._asking:
            if len(self._asking) >= _MOST_ASKED:
                return None
            self._asking[job] = asyncio.create_task(self._read(job))
        return self._asking[job]

    async def _read(self, job: _Job) -> None:
        try:
            raw: Any = await self._client.hget(self._keys.job(*job), "traceparent")  # bytes
            self._known[job] = TraceContext.parse(raw.decode()) if raw is not None else None
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
    page = {"page": event.data["page"]} if event.type in ("page", "caption") else {}
    attributes: tracing.Attributes = {
        **tracing.of_job(user, event.task),
        **page,
        "event": event.type,
        "protocol": protocol,
        "replayed": event.made < since,
    }
    tracing.tell("deliver", trace, attributes, began=max(event.made, since), ended=sent)
