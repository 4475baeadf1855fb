"""A task's events as Server-Sent Events: the same events as on the WebSocket, resumed by id."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from typing import Final

from ocrplus_contract.errors import ErrorCode, JobRefused
from ocrplus_contract.names import TaskId, UserId
from ocrplus_contract.records import JobRecord
from ocrplus_gateway.deliver import delivered, history_lost
from ocrplus_gateway.hub import Event, Hub, Lost, SlowConsumer, just_before
from ocrplus_gateway.jobs import Jobs, is_open, status

_PING_SECONDS: Final = 15.0
_ID: Final = re.compile(r"([0-9a-f]{1,64})-(\d{1,18})")
_RETRY_MS: Final = 2000


class EventStream:
    """One client's stream of one task's events."""

    def __init__(self, hub: Hub, jobs: Jobs, user: UserId, job: JobRecord) -> None:
        self._hub = hub
        self._jobs = jobs
        self._user = user
        self._task = TaskId(job.task_id)
        self._ended = not is_open(job)

    async def is_complete(self, last: str) -> bool:
        """Whether a client that has taken `last` has all there will be.

        Raises:
            JobRefused: bad_message for an id that none of our events has.
        """
        epoch, seq = _position(last)
        at = await self._jobs.locate(self._user, epoch, seq)
        if not self._ended or at.lost:
            return False
        if at.seq == seq:
            return True
        subscription = await self._hub.attach(
            self._user, just_before(at.stream_id) if at.including else at.stream_id, at.epoch, seq
        )
        try:
            while subscription.seq < at.seq or not subscription.empty:
                item = await subscription.next()
                if isinstance(item, Event) and item.task == self._task:
                    return False
            return True
        finally:
            await self._hub.detach(subscription)

    async def lines(self, last: str | None) -> AsyncGenerator[str, None]:
        """The stream's text: from the task's beginning, or behind the event `last`."""
        epoch, seq = _position(last) if last else ("", 0)
        at = await self._jobs.locate(self._user, epoch, seq)
        if at.lost:
            yield await self._lost(Lost(at.lost, at.epoch, at.seq))
            seq = at.seq
            if self._ended:
                return
        after = just_before(at.stream_id) if at.including else at.stream_id
        subscription = await self._hub.attach(self._user, after, at.epoch, seq)
        yield f"retry: {_RETRY_MS}\n\n"
        try:
            while True:
                try:
                    async with asyncio.timeout(_PING_SECONDS):
                        item = await subscription.next()
                except TimeoutError:
                    yield ": ping\n\n"
                    continue
                if isinstance(item, Lost):
                    yield await self._lost(item)
                elif item.task == self._task:
                    yield await self._event(item)
                    if item.type == "result":
                        return
        except SlowConsumer:
            return  # it comes back with the id of what it took last
        finally:
            await self._hub.detach(subscription)

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


def _position(event_id: str) -> tuple[str, int]:
    match = _ID.fullmatch(event_id)
    if match is None:
        raise JobRefused(ErrorCode.BAD_MESSAGE, "'Last-Event-ID' is no id of these events.")
    return match[1], int(match[2])
