"""Delivery: every user's events to every connection, with a handful of Redis connections.

Writers append to a user's stream and publish in one script. A process subscribes to the channels
of its connected users over one connection and reads a stream only when somebody joins, when the
subscription was renewed, or when the sequence shows a gap. (One blocking read per client dies at
2,500 clients, one read over all streams costs their number per event: both measured.)
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import redis.asyncio
from redis.exceptions import RedisError

from ocrplus_contract.keys import Keys
from ocrplus_contract.names import UserId
from ocrplus_gateway.cancellation import ended
from ocrplus_gateway.events import START, Event, Gap, SlowConsumer, Subscription, position

log = logging.getLogger(__name__)

_READ_AT_ONCE: Final = 200
_RECONNECT_SECONDS: Final = 0.5
_SUBSCRIBE_SECONDS: Final = 20
_PING_SECONDS: Final = 10.0
_DEAD_AFTER_PINGS: Final = 2.5
_FIRST_HEARD_SECONDS: Final = 2.0
_MOST_SECONDS_AT_ONCE: Final = 0.005
_FULL_PAUSE_SECONDS: Final = 0.05
_CATCH_UP_SECONDS: Final = 10.0


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
        gap_seconds: float = 45,
    ) -> None:
        self._observe = observe
        self._client = client
        self._keys = keys
        self._feeds: dict[str, _Feed] = {}
        self._pubsub = listener.pubsub()
        self._subscribing = asyncio.Lock()  # redis-py would connect twice at once, and lose one
        self._tasks: set[asyncio.Task[None]] = set()
        self._gap_seconds = gap_seconds
        self._heard = -math.inf
        self._hearing = asyncio.Event()

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
        self._read_on(channel, feed, subscription)
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
            except (RedisError, OSError) as error:
                log.warning("lost the event connection, trying again", extra={"error": error})
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
        self._heard = rested = time.monotonic()
        self._hearing.set()
        while True:
            message = await connection.read_response(timeout=math.inf, disconnect_on_error=False)
            self._heard = time.monotonic()
            if self._heard - rested > _MOST_SECONDS_AT_ONCE:
                await asyncio.sleep(0)  # what lies here already is read without a pause
                rested = time.monotonic()
            try:
                if message[0] == b"message":
                    self._take(message[1].decode(), message[2])
                else:
                    await handle(message)  # it remembers the channels
                    if message[0] == b"subscribe":
                        self._subscribed(message[1].decode())
            except (ValueError, KeyError):
                log.exception("an event could not be read; it is left out")

    async def silence(self) -> float:
        """Seconds since the server was last heard; the first time is waited for, not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_HEARD_SECONDS):
                await self._hearing.wait()
        return time.monotonic() - self._heard

    @property
    def longest_silence(self) -> float:
        """Seconds after which a connection that says nothing is taken for dead."""
        return _DEAD_AFTER_PINGS * self._pause + 1

    @property
    def _pause(self) -> float:
        return min(_PING_SECONDS, self._gap_seconds / 3)

    async def _watch(self) -> None:
        """Have the server say something now and then; a connection that is silent is cut.

        Where nothing was heard for long this gateway may be the only one: its clients go elsewhere.
        """
        while True:
            await asyncio.sleep(self._pause)
            silent = time.monotonic() - self._heard
            if silent > self._gap_seconds:
                for feed in self._feeds.values():
                    for subscription in feed.subscriptions:
                        subscription.end(Gap)
            connection = self._pubsub.connection
            if connection is None:
                continue
            with suppress(RedisError, OSError):
                if silent > _DEAD_AFTER_PINGS * self._pause:
                    await connection.disconnect(nowait=True)
                else:
                    await connection.send_command("PING", check_health=False)

    def _subscribed(self, channel: str) -> None:
        feed = self._feeds.get(channel)
        if feed is not None:
            feed.subscribed.set()
            for subscription in feed.subscriptions:
                subscription.doubted = True  # what was connected anew may be another server
                self._read_on(channel, feed, subscription)

    def _take(self, channel: str, data: bytes) -> None:
        feed = self._feeds.get(channel)
        if feed is not None:
            stream_id, _, text = data.partition(b" ")
            event = Event.parse(stream_id.decode(), text)
            self._observe(channel, event)
            self._fan_out(channel, feed, event)

    def _fan_out(self, channel: str, feed: _Feed, event: Event) -> None:
        for subscription in feed.subscriptions:
            if subscription.follows(event) and not subscription.replaying:
                if subscription.full and event.type != "result":  # a burst, or a slow client
                    self._read_on(channel, feed, subscription, _CATCH_UP_SECONDS)
                else:
                    subscription.offer(event)
                continue
            if not subscription.is_of(event):
                subscription.doubted = True
            elif event.at <= subscription.after:
                continue
            # Jump no queue, leave no gap: the stream has it, and what did not arrive before it.
            self._read_on(channel, feed, subscription)

    def _read_on(
        self, channel: str, feed: _Feed, subscription: Subscription, patience: float = math.inf
    ) -> None:
        """Have read what the stream has behind the subscription's position."""
        subscription.read_again = True
        if not subscription.replaying:
            subscription.replaying = True
            self._spawn(self._replay(channel, feed, subscription, patience))

    async def _replay(
        self, channel: str, feed: _Feed, subscription: Subscription, patience: float
    ) -> None:
        """Read as fast as the client takes events; for `patience` seconds it may be waited for."""
        waited = 0.0
        try:
            while subscription.read_again and subscription in feed.subscriptions:
                subscription.read_again = False
                if subscription.full and waited > patience:
                    subscription.end(SlowConsumer)
                if subscription.ends:
                    return
                if subscription.full:
                    await asyncio.sleep(_FULL_PAUSE_SECONDS)
                    waited += _FULL_PAUSE_SECONDS
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
                for entry in oldest:
                    event = _event_of(entry)
                    if event is not None and not subscription.is_of(event):
                        subscription.after = position(START)  # begin anew
            after = f"({subscription.after[0]}-{subscription.after[1]}"
            count = min(_READ_AT_ONCE, subscription.room)
            entries: Any = await self._client.xrange(channel, min=after, count=count)
        except (RedisError, OSError):
            subscription.doubted = True
            await asyncio.sleep(_RECONNECT_SECONDS)
            return True
        for entry in entries:
            if subscription.full:
                return True  # what was not offered is read again from the position
            event = _event_of(entry)
            if event is None:
                subscription.pass_over(entry[0].decode())
            else:
                subscription.offer(event)
        return len(entries) == count


def _event_of(entry: Any) -> Event | None:
    """An entry of a stream as redis-py has it; None where somebody else wrote it."""
    stream_id, fields = entry
    try:
        return Event.parse(stream_id.decode(), fields[b"event"])
    except (ValueError, KeyError):
        log.error(
            "an entry of a stream is no event; it is left out",
            extra={"stream_id": stream_id.decode()},
        )
        return None
