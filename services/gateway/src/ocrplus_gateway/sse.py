"""A task's events as Server-Sent Events: the same events as on the WebSocket, resumed by id."""

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from ocrplus_contract.errors import ErrorCode, JobRefused
from ocrplus_contract.names import TaskId, UserId
from ocrplus_contract.records import JobRecord
from ocrplus_gateway.deliver import delivered, history_lost
from ocrplus_gateway.events import (
    START,
    Event,
    Gap,
    Lost,
    SlowConsumer,
    Subscription,
    just_before,
)
from ocrplus_gateway.hub import Hub
from ocrplus_gateway.jobs import Jobs, is_open, status
from ocrplus_gateway.traces import JobTraces

_PING_SECONDS: Final = 15.0
_ID: Final = re.compile(r"([0-9a-f]{1,64})-(\d{1,18})")
_RETRY_MS: Final = 2000


class EventStream:
    """One client's stream of one task's events."""

    def __init__(
        self, hub: Hub, jobs: Jobs, traces: JobTraces, user: UserId, job: JobRecord
    ) -> None:
        self._hub = hub
        self._jobs = jobs
        self._traces = traces
        self._user = user
        self._task = TaskId(job.task_id)
        self._begins = _position(job.begins) if job.begins else None
        self._ended = not is_open(job)
        self._is_used_again = False  # the task's name, by now for another

    async def is_complete(self, last: str) -> bool:
        """Whether a client that has taken `last` has all there will be.

        Raises:
            JobRefused: bad_message for an id that none of our events has.
        """
        epoch, seq = _position(last)
        at = await self._jobs.locate(self._user, epoch, seq)
        if not self._ended or at.lost or await self._waits_for_captions():
            return False
        if at.seq == seq:
            return True
        subscription = await self._hub.attach(
            self._user, just_before(at.stream_id) if at.including else at.stream_id, at.epoch, seq
        )
        try:
            while subscription.seq < at.seq or not subscription.empty:
                item = await subscription.next()
                if isinstance(item, Event) and self._is_own(item):
                    return False
            return True
        finally:
            await self._hub.detach(subscription)

    def _is_own(self, event: Event) -> bool:
        """Whether it is of this task, and not of one before or after it by the same name."""
        if event.task != self._task or self._is_used_again:
            return False
        if self._begins is None:
            return True
        epoch, first = self._begins
        if event.epoch == epoch and event.seq < first:
            return False
        self._is_used_again = event.type == "submitted" and (event.epoch, event.seq) != self._begins
        return not self._is_used_again

    async def lines(self, last: str | None) -> AsyncGenerator[str, None]:
        """The stream's text: from the task's beginning, or behind the event `last`."""
        if last is None:  # wherever the task began, it is behind the oldest event there is
            at, after = await self._jobs.locate(self._user), START
            seq = at.oldest_seq - 1 if at.oldest_seq else at.seq
        else:
            epoch, seq = _position(last)
            at = await self._jobs.locate(self._user, epoch, seq)
            after = just_before(at.stream_id) if at.including else at.stream_id
        if at.lost:
            yield await self._lost(Lost(at.lost, at.epoch, at.seq))
            seq = at.seq
            if self._ended:
                return
        subscription, since = await self._hub.attach(self._user, after, at.epoch, seq), time.time()
        yield f"retry: {_RETRY_MS}\n\n"
        try:
            own = self._own(subscription, at.seq if last is None else None)
            async with aclosing(own):
                async for item in own:
                    if item is None:
                        yield ": ping\n\n"
                    elif isinstance(item, Lost):
                        yield await self._lost(item)
                    else:
                        yield await self._event(item)
                        self._traces.delivered(item, self._user, "sse", since)
        except (SlowConsumer, Gap, JobRefused):
            return  # it comes back with the id of what it took last, or the task was deleted
        finally:
            await self._hub.detach(subscription)

    async def _own(
        self, subscription: Subscription, top: int | None
    ) -> AsyncGenerator[Event | Lost | None, None]:
        """The task's events to its end, what is lost of them, None for a silence. Its end is its
        result, or the last caption that came too late for that.

        Who begins with the task has a `top`: up to there its first event must have come. What else
        the user has lost before is not this task's.
        """
        begun = top is None
        while True:
            if not begun and subscription.empty and subscription.seq >= (top or 0):
                begun = True
                yield Lost("trimmed", subscription.epoch, subscription.seq)
            if begun and self._ended and await self._is_over(subscription):
                return
            item = await _next(subscription)
            if item is None:
                yield None
            elif isinstance(item, Lost):
                if begun or item.reason == "epoch":
                    begun = True
                    yield item
            elif self._is_own(item):
                if not begun and item.type != "submitted":
                    yield Lost("trimmed", item.epoch, item.seq - 1)
                begun = True
                yield item
                if self._ends_with(item):
                    return

    def _ends_with(self, event: Event) -> bool:
        """Whether nothing comes after an event: a result that lacks no captions."""
        if event.type != "result":
            return False
        self._ended = True
        return bool(event.data["captions"] != "partial")

    async def _is_over(self, subscription: Subscription) -> bool:
        """Whether all was taken, and nothing of the ended task is to come."""
        if await self._waits_for_captions():
            return False
        top = (await self._jobs.locate(self._user)).seq
        return subscription.empty and subscription.seq >= top  # as it is now: events came meanwhile

    async def _waits_for_captions(self) -> bool:
        return await self._jobs.waits_for_captions(self._user, self._task)

    async def _event(self, event: Event) -> str:
        text = await delivered(event, self._user, self._jobs)
        return f"id: {event.epoch}-{event.seq}\nevent: {event.type}\ndata: {text}\n\n"

    async def _lost(self, lost: Lost) -> str:
        """What is lost, then how the task stands: for one task that is all there is to know."""
        message = await history_lost(lost, self._user, self._jobs)
        job = await self._jobs.find(self._user, self._task)
        return (
            f"id: {lost.epoch}-{lost.seq}\nevent: history_lost\n"
            f"data: {message.model_dump_json()}\n\n"
            f"event: status\ndata: {json.dumps(status(job))}\n\n"
        )


async def _next(subscription: Subscription) -> Event | Lost | None:
    """What comes next, None for a silence."""
    try:
        async with asyncio.timeout(_PING_SECONDS):
            return await subscription.next()
    except TimeoutError:
        return None


def _position(event_id: str) -> tuple[str, int]:
    match = _ID.fullmatch(event_id)
    if match is None:
        raise JobRefused(ErrorCode.BAD_MESSAGE, "'Last-Event-ID' is no id of these events.")
    return match[1], int(match[2])
