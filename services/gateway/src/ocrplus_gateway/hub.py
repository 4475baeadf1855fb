"""Delivery: every user's events to every connection, with a handful of Redis connections.

Writers append to a user's stream and publish in one script. A process subscribes to the channels
of its connected users over one connection and reads a stream only when somebody joins, when the
subscription was renewed, or when the sequence shows a gap. (One blocking read per client dies at
2,500 clients, one read over all streams costs their number per event: both measured.)
"""

import asyncio
import json
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
from redis.exceptions import RedisError

from ocrplus_contract.keys import Keys
from ocrplus_contract.names import UserId

log = logging.getLogger(__name__)

MOST_QUEUED_EVENTS: Final = 256
MOST_QUEUED_BYTES: Final = 1 << 20
_READ_AT_ONCE: Final = 200
_RECONNECT_SECONDS: Final = 0.5
_SUBSCRIBE_SECONDS: Final = 20

Position = tuple[int, int]
"""A stream id as numbers, so that ids compare."""


def position(stream_id: str) -> Position:
    """Parse `ms-n`."""
    ms, _, n = stream_id.partition("-")
    return int(ms), int(n or 0)


@dataclass(frozen=True, slots=True)
class Event:
    """One durable event of a user."""

    stream_id: str
    data: dict[str, Any]
    size: int

    @classmethod
    def parse(cls, stream_id: str, text: bytes) -> "Event":
        """Read the text that a script wrote."""
        return cls(stream_id, json.loads(text), len(text))


class SlowConsumer(Exception):
    """A connection did not take its events in time; it has to come back and resume."""


class Subscription:
    """One connection's events, in order, without doubles, bounded while they wait."""

    def __init__(self, user: UserId, after: Position) -> None:
        self.user = user
        self.after = after
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._overflown = False
        self.replaying = False
        self.read_again = False

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self._events

    @property
    def full(self) -> bool:
        """Whether a replay should wait for the connection."""
        return len(self._events) >= MOST_QUEUED_EVENTS or self._bytes >= MOST_QUEUED_BYTES

    def offer(self, event: Event) -> None:
        """Queue an event that is newer than the last one."""
        at = position(event.stream_id)
        if at <= self.after:
            return
        if self.full and event.data.get("type") != "result":
            self._overflown = True
        else:
            self.after = at
            self._events.append(event)
            self._bytes += event.size
        self._arrived.set()

    async def next(self) -> Event:
        """The next event.

        Raises:
            SlowConsumer: too much was waiting.
        """
        while not self._events:
            if self._overflown:
                raise SlowConsumer
            self._arrived.clear()
            await self._arrived.wait()
        event = self._events.popleft()
        self._bytes -= event.size
        return event


class _Feed:
    """What the hub knows of one user: his subscriptions and the last sequence seen."""

    def __init__(self) -> None:
        self.subscriptions: set[Subscription] = set()
        self.subscribed = asyncio.Event()
        self.epoch = ""
        self.seq = 0


class Hub:
    """Fans the users' streams out to the connections of one process."""

    def __init__(self, client: "redis.asyncio.Redis", keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._feeds: dict[str, _Feed] = {}
        self._pubsub = client.pubsub()
        self._subscribing = asyncio.Lock()  # redis-py would connect twice at once, and lose one
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen; a server that is not there yet is waited for."""
        self._spawn(self._listen())

    async def stop(self) -> None:
        """Stop listening."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(RedisError, OSError):
            await self._pubsub.aclose()  # type: ignore[no-untyped-call]  # untyped there

    async def attach(self, user: UserId, after: str) -> Subscription:
        """Join a user's events behind a stream id ("0" for all that are kept)."""
        channel = self._keys.stream(user)
        subscription = Subscription(user, await self._sane(channel, position(after)))
        feed = self._feeds.get(channel)
        if feed is None:
            feed = self._feeds[channel] = _Feed()
            try:
                async with self._subscribing:
                    await self._pubsub.subscribe(channel)
            except BaseException:
                self._feeds.pop(channel, None)  # or nobody would ever subscribe it
                raise
        # Subscribe first, then read: nothing falls between, and doubles are dropped by position.
        async with asyncio.timeout(_SUBSCRIBE_SECONDS):
            await feed.subscribed.wait()
        feed.subscriptions.add(subscription)
        self._spawn(self._replay(channel, feed, subscription))
        return subscription

    async def detach(self, subscription: Subscription) -> None:
        """Leave; the last one of a user ends the channel's subscription."""
        channel = self._keys.stream(subscription.user)
        feed = self._feeds.get(channel)
        if feed is None:
            return
        feed.subscriptions.discard(subscription)
        if not feed.subscriptions:
            del self._feeds[channel]
            with suppress(RedisError, OSError):
                await self._pubsub.unsubscribe(channel)

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sane(self, stream: str, after: Position) -> Position:
        """A position ahead of the stream is from another history: begin at the beginning."""
        newest: Any = await self._client.xrevrange(stream, count=1)
        if newest and after > position(newest[0][0].decode()):
            return 0, 0
        return after

    async def _listen(self) -> None:
        while True:
            try:
                if self._pubsub.connection is None:  # listening needs a connection, hence a channel
                    async with self._subscribing:
                        await self._pubsub.subscribe(self._keys.prefix + "hub")
                message = await self._pubsub.get_message(timeout=5)
                if message is not None:
                    self._take(message)
            except (RedisError, OSError):
                # The client subscribes anew by itself; each confirmation closes the gap.
                log.warning("lost the event connection, trying again")
                await asyncio.sleep(_RECONNECT_SECONDS)
            except (ValueError, KeyError):
                log.exception("an event could not be read; it is left out")

    def _take(self, message: dict[str, Any]) -> None:
        channel = message["channel"].decode()
        feed = self._feeds.get(channel)
        if feed is None:
            return
        if message["type"] == "subscribe":
            feed.subscribed.set()
            self._catch_up(channel, feed)
        elif message["type"] == "message":
            stream_id, _, text = message["data"].partition(b" ")
            self._fan_out(channel, feed, Event.parse(stream_id.decode(), text))

    def _fan_out(self, channel: str, feed: _Feed, event: Event) -> None:
        epoch, seq = event.data["epoch"], event.data["seq"]
        gap = feed.epoch not in ("", epoch) or (feed.epoch == epoch and seq > feed.seq + 1)
        feed.epoch, feed.seq = epoch, seq
        if gap:
            self._catch_up(channel, feed)
            return
        for subscription in feed.subscriptions:
            if subscription.replaying:
                subscription.read_again = True  # the stream has it: jump no queue
            else:
                subscription.offer(event)

    def _catch_up(self, channel: str, feed: _Feed) -> None:
        for subscription in feed.subscriptions:
            self._spawn(self._replay(channel, feed, subscription))

    async def _replay(self, channel: str, feed: _Feed, subscription: Subscription) -> None:
        """Read what the stream has behind the subscription's position."""
        subscription.read_again = True
        if subscription.replaying:
            return
        subscription.replaying = True
        try:
            while subscription.read_again and subscription in feed.subscriptions:
                subscription.read_again = False
                if subscription.full:
                    await asyncio.sleep(0.05)
                    subscription.read_again = True
                elif await self._read_some(channel, subscription):
                    subscription.read_again = True
        finally:
            subscription.replaying = False

    async def _read_some(self, channel: str, subscription: Subscription) -> bool:
        """Offer the next entries; True when there may be more."""
        after = f"({subscription.after[0]}-{subscription.after[1]}"
        try:
            entries: Any = await self._client.xrange(channel, min=after, count=_READ_AT_ONCE)
        except (RedisError, OSError):
            await asyncio.sleep(_RECONNECT_SECONDS)
            return True
        for entry_id, fields in entries:
            if subscription.full:
                return True  # what was not offered is read again from the position
            subscription.offer(Event.parse(entry_id.decode(), fields[b"event"]))
        return len(entries) == _READ_AT_ONCE
