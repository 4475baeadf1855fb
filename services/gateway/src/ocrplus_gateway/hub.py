"""Delivery: every user's events to every connection, with a handful of Redis connections.

Writers append to a user's stream and publish in one script. A process subscribes to the channels
of its connected users over one connection and reads a stream only when somebody joins, when the
subscription was renewed, or when the sequence shows a gap. (One blocking read per client dies at
2,500 clients, one read over all streams costs their number per event: both measured.)
"""

import asyncio
import json
import logging
import math
import re
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
from redis.exceptions import RedisError

from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import LostReason
from ocrplus_contract.names import UserId
from ocrplus_gateway.cancellation import ended

log = logging.getLogger(__name__)

MOST_QUEUED_EVENTS: Final = 256
MOST_QUEUED_BYTES: Final = 1 << 20
_READ_AT_ONCE: Final = 200
_LARGEST: Final = 2**64 - 1
_RECONNECT_SECONDS: Final = 0.5
_SUBSCRIBE_SECONDS: Final = 20
_PING_SECONDS: Final = 10.0

_HEAD: Final = re.compile(
    r'\{"epoch":"([0-9a-f]+)","seq":(\d+),\s*"type":\s*"(\w+)",\s*"task_id":\s*"([^"]+)"'
)

Position = tuple[int, int]
"""A stream id as numbers, so that ids compare."""

START: Final = "0-0"


def position(stream_id: str) -> Position:
    """Parse `ms-n`."""
    ms, _, n = stream_id.partition("-")
    return int(ms), int(n or 0)


def just_before(stream_id: str) -> str:
    """The position behind which this id is the next possible one."""
    ms, n = position(stream_id)
    return f"{ms}-{n - 1}" if n else f"{ms - 1}-{_LARGEST}"


@dataclass(slots=True)  # frozen ones take three times as long to make, and each event makes one
class Event:
    """One durable event of a user; only what delivery decides by is read from its text."""

    stream_id: str
    at: Position
    text: str
    epoch: str
    seq: int
    type: str
    task: str

    @classmethod
    def parse(cls, stream_id: str, text: bytes) -> "Event":
        """Read the text that a script wrote: epoch, seq, type and task come first.

        Raises:
            ValueError: it is no event.
        """
        event = text.decode()
        head = _HEAD.match(event)
        if head is None:
            raise ValueError("not an event")
        epoch, seq, kind, task = head.groups()
        return cls(stream_id, position(stream_id), event, epoch, int(seq), kind, task)

    @property
    def made(self) -> float:
        """When it was written: unix seconds by the server's clock."""
        return self.at[0] / 1000

    @property
    def data(self) -> dict[str, Any]:
        """The whole event, read anew each time."""
        data: dict[str, Any] = json.loads(self.text)
        return data


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands where events are missing from the stream; what follows begins behind `seq`."""

    reason: LostReason
    epoch: str
    seq: int


class SlowConsumer(Exception):
    """A connection did not take its events in time; it has to come back and resume."""


class Subscription:
    """One connection's events, in order, without doubles, bounded while they wait.

    `epoch` and `seq` are those of the event before the next one; epoch "" stands for any.
    """

    __slots__ = (
        "_arrived",
        "_bytes",
        "_events",
        "_overflown",
        "after",
        "doubted",
        "epoch",
        "read_again",
        "replaying",
        "seq",
        "user",
    )

    def __init__(self, user: UserId, after: str, epoch: str, seq: int) -> None:
        self.user = user
        self.after = position(after)
        self.epoch = epoch
        self.seq = seq
        self._events: deque[Event | Lost] = deque()
        self._bytes = 0
        self._arrived: asyncio.Future[None] | None = None
        self._overflown = self.replaying = self.read_again = False
        self.doubted = False  # whether the stream may be of another epoch by now

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self._events

    @property
    def full(self) -> bool:
        """Whether a replay should wait for the connection."""
        return len(self._events) >= MOST_QUEUED_EVENTS or self._bytes >= MOST_QUEUED_BYTES

    def is_of(self, event: Event) -> bool:
        """Whether the event is of this epoch; ids of two do not compare, for clocks go back."""
        return self.epoch in ("", event.epoch)

    def follows(self, event: Event) -> bool:
        """Whether the event is the very next one."""
        return event.seq == self.seq + 1 and self.is_of(event)

    def offer(self, event: Event) -> None:
        """Queue an event that is newer than the last one, or of another epoch."""
        if event.at <= self.after and self.is_of(event):
            return
        if self.full and event.type != "result":
            self._overflown = True
        else:
            if not self.follows(event):
                reason: LostReason = "trimmed" if self.is_of(event) else "epoch"
                self._events.append(Lost(reason, event.epoch, event.seq - 1))
            self.after, self.epoch, self.seq = event.at, event.epoch, event.seq
            self._events.append(event)
            self._bytes += len(event.text)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def next(self) -> Event | Lost:
        """The next event, or word that events before it are gone.

        Raises:
            SlowConsumer: too much was waiting.
        """
        while not self._events:
            if self._overflown:
                raise SlowConsumer
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        item = self._events.popleft()
        if isinstance(item, Event):
            self._bytes -= len(item.text)
        return item


class _Feed:
    """What the hub knows of one user: who is there or on his way, and how far the channel is."""

    __slots__ = ("asked", "subscribed", "subscriptions", "users")

    def __init__(self) -> None:
        self.users = 0
        self.asked = False
        self.subscriptions: set[Subscription] = set()
        self.subscribed = asyncio.Event()


class Hub:
    """Fans the users' streams out to the connections of one process."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        listener: "redis.asyncio.Redis",
        keys: Keys,
        observe: Callable[[str, Event], None],
    ) -> None:
        self._observe = observe
        self._client = client
        self._keys = keys
        self._feeds: dict[str, _Feed] = {}
        self._pubsub = listener.pubsub()
        self._subscribing = asyncio.Lock()  # redis-py would connect twice at once, and lose one
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard = 0.0

    async def start(self) -> None:
        """Begin to listen; a server that is not there yet is waited for."""
        self._spawn(self._listen())
        self._spawn(self._watch())

    async def stop(self) -> None:
        """Stop listening."""
        await ended(*self._tasks)
        with suppress(RedisError, OSError):
            await self._pubsub.aclose()  # type: ignore[no-untyped-call]  # untyped there

    async def attach(self, user: UserId, after: str, epoch: str, seq: int) -> Subscription:
        """Join a user's events behind a stream id, that of the event `seq` of `epoch`."""
        channel = self._keys.stream(user)
        subscription = Subscription(user, after, epoch, seq)
        feed = self._feeds.setdefault(channel, _Feed())
        feed.users += 1
        try:
            if not feed.asked:
                feed.asked = True
                async with self._subscribing:
                    await self._pubsub.subscribe(channel)
            # Subscribe first, then read: nothing falls between, and doubles go by position.
            async with asyncio.timeout(_SUBSCRIBE_SECONDS):
                await feed.subscribed.wait()
        except BaseException:
            feed.asked = feed.subscribed.is_set()  # or nobody would ever subscribe it
            await self._leave(channel, feed)
            raise
        feed.subscriptions.add(subscription)
        self._spawn(self._replay(channel, feed, subscription))
        return subscription

    async def detach(self, subscription: Subscription) -> None:
        """Leave; the last one of a user ends the channel's subscription."""
        channel = self._keys.stream(subscription.user)
        feed = self._feeds[channel]
        feed.subscriptions.discard(subscription)
        await self._leave(channel, feed)

    async def _leave(self, channel: str, feed: _Feed) -> None:
        feed.users -= 1
        if feed.users:
            return
        del self._feeds[channel]
        with suppress(RedisError, OSError):
            async with self._subscribing:
                if channel not in self._feeds:  # nobody has come meanwhile
                    await self._pubsub.unsubscribe(channel)

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self) -> None:
        while True:
            try:
                await self._read_messages()
            except (RedisError, OSError):
                log.warning("lost the event connection, trying again")
            except Exception:  # the outermost loop: without it nobody would hear anything again
                log.exception("listening failed, trying again")
            # Connecting subscribes anew; each confirmation closes the gap.
            with suppress(RedisError, OSError):
                if self._pubsub.connection is not None:
                    await self._pubsub.connection.disconnect(nowait=True)
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _read_messages(self) -> None:
        """Take messages until the connection fails.

        They are read from the connection itself: the layers above it cost more than all the rest
        of an event's way (measured: 28,000 events a second with them).
        """
        if self._pubsub.connection is None:  # listening needs a connection, hence a channel
            async with self._subscribing:
                await self._pubsub.subscribe(self._keys.prefix + "hub")
        connection: Any = self._pubsub.connection  # its methods are untyped
        await connection.connect()  # does nothing where it is connected
        handle: Any = self._pubsub.handle_message  # untyped there
        self._heard = time.monotonic()
        while True:
            message = await connection.read_response(timeout=math.inf, disconnect_on_error=False)
            self._heard = time.monotonic()
            try:
                if message[0] == b"message":
                    self._take(message[1].decode(), message[2])
                else:
                    await handle(message)  # it remembers the channels
                    if message[0] == b"subscribe":
                        self._subscribed(message[1].decode())
            except (ValueError, KeyError):
                log.exception("an event could not be read; it is left out")

    async def _watch(self) -> None:
        """Have the server say something now and then; a connection that is silent is cut."""
        while True:
            await asyncio.sleep(_PING_SECONDS)
            connection = self._pubsub.connection
            if connection is None:
                continue
            with suppress(RedisError, OSError):
                if time.monotonic() - self._heard > 2.5 * _PING_SECONDS:
                    await connection.disconnect(nowait=True)
                else:
                    await connection.send_command("PING", check_health=False)

    def _subscribed(self, channel: str) -> None:
        feed = self._feeds.get(channel)
        if feed is not None:
            feed.subscribed.set()
            for subscription in feed.subscriptions:
                subscription.doubted = True  # what was connected anew may be another server
                self._spawn(self._replay(channel, feed, subscription))

    def _take(self, channel: str, data: bytes) -> None:
        feed = self._feeds.get(channel)
        if feed is not None:
            stream_id, _, text = data.partition(b" ")
            event = Event.parse(stream_id.decode(), text)
            self._observe(channel, event)
            self._fan_out(channel, feed, event)

    def _fan_out(self, channel: str, feed: _Feed, event: Event) -> None:
        for subscription in feed.subscriptions:
            if not subscription.is_of(event):
                subscription.doubted = True
            elif event.at <= subscription.after:
                continue
            if subscription.replaying:
                subscription.read_again = True  # the stream has it: jump no queue
            elif subscription.follows(event):
                subscription.offer(event)
            else:  # something between did not arrive: the stream has it
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
        try:
            if subscription.doubted:
                subscription.doubted = False  # what comes from here on may raise new doubts
                oldest: Any = await self._client.xrange(channel, count=1)
                for entry_id, fields in oldest:
                    if not subscription.is_of(Event.parse(entry_id.decode(), fields[b"event"])):
                        subscription.after = position(START)  # begin anew
            after = f"({subscription.after[0]}-{subscription.after[1]}"
            entries: Any = await self._client.xrange(channel, min=after, count=_READ_AT_ONCE)
        except (RedisError, OSError):
            subscription.doubted = True
            await asyncio.sleep(_RECONNECT_SECONDS)
            return True
        for entry_id, fields in entries:
            if subscription.full:
                return True  # what was not offered is read again from the position
            subscription.offer(Event.parse(entry_id.decode(), fields[b"event"]))
        return len(entries) == _READ_AT_ONCE
