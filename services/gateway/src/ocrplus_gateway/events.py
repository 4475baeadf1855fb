"""A user's durable events, and how one connection takes them: in order, without doubles, bounded.

Positions are our own numbers within an epoch. Ids of Redis tell only where to read on: those of
two servers do not compare, for clocks go back.
"""

import asyncio
import json
import logging
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final  # Any: JSON

from ocrplus_contract.ledger import LostReason
from ocrplus_contract.names import UserId

log = logging.getLogger(__name__)

MOST_QUEUED_EVENTS: Final = 256
MOST_QUEUED_BYTES: Final = 1 << 20
_LARGEST: Final = 2**64 - 1

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


class Gap(Exception):
    """The gateway does not know what came meanwhile; another one may. The client has to resume."""


class Subscription:
    """One connection's events, in order, without doubles, bounded while they wait.

    `epoch` and `seq` are those of the event before the next one; epoch "" stands for any.
    `at_once` may take an event for which `next` is waited; True: it is dealt with.
    """

    __slots__ = (
        "_arrived",
        "_bytes",
        "_events",
        "_failure",
        "after",
        "at_once",
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
        self._failure: type[SlowConsumer | Gap] | None = None
        self.replaying = self.read_again = False
        self.doubted = False  # whether the stream may be of another epoch by now
        self.at_once: Callable[[Event], bool] = lambda _: False

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self._events

    @property
    def ends(self) -> bool:
        """Whether nothing comes behind what waits: `next` raises then."""
        return self._failure is not None

    @property
    def room(self) -> int:
        """How many events may still be queued."""
        return MOST_QUEUED_EVENTS - len(self._events)

    @property
    def full(self) -> bool:
        """Whether what comes should wait in the stream; a result need not."""
        return self.room <= 0 or self._bytes >= MOST_QUEUED_BYTES

    def is_of(self, event: Event) -> bool:
        """Whether the event is of this epoch; ids of two do not compare, for clocks go back."""
        return self.epoch in ("", event.epoch)

    def follows(self, event: Event) -> bool:
        """Whether the event is the very next one."""
        return event.seq == self.seq + 1 and self.is_of(event)

    def offer(self, event: Event) -> None:
        """Queue an event that is newer than the last one, or of another epoch."""
        follows = self.follows(event)
        if self.ends or (event.at <= self.after and (follows or self.is_of(event))):
            return
        if follows and self._is_awaited and self._given_at_once(event):
            # Waking a task costs as much as all the rest of an event's way.
            self.after, self.epoch, self.seq = event.at, event.epoch, event.seq
            return
        if not follows:
            reason: LostReason = "trimmed" if self.is_of(event) else "epoch"
            self._events.append(Lost(reason, event.epoch, event.seq - 1))
        self.after, self.epoch, self.seq = event.at, event.epoch, event.seq
        self._events.append(event)
        self._bytes += len(event.text)
        self._wake()

    def _given_at_once(self, event: Event) -> bool:
        """Whether it is dealt with. A failure is this connection's alone: others hear the event."""
        try:
            return self.at_once(event)
        except Exception:  # whether the client has the event nobody knows: he resumes
            log.exception("an event could not be sent; its client has to resume")
            self.end(Gap)
            return True

    def pass_over(self, stream_id: str) -> None:
        """Go on behind an entry that is no event."""
        self.after = max(self.after, position(stream_id))

    def end(self, why: "type[SlowConsumer | Gap]") -> None:
        """Nothing more is queued; `next` raises it behind what is."""
        self._failure = self._failure or why
        self._wake()

    @property
    def _is_awaited(self) -> bool:
        """Whether all before is dealt with and nothing is known to follow, as in a replay."""
        return self._arrived is not None and not self.replaying

    def _wake(self) -> None:
        arrived, self._arrived = self._arrived, None
        if arrived is not None and not arrived.done():
            arrived.set_result(None)

    async def next(self) -> Event | Lost:
        """The next event, or word that events before it are gone.

        Raises:
            SlowConsumer: too much was waiting for too long.
            Gap: nobody knows what comes next.
        """
        while not self._events:
            if self._failure is not None:
                raise self._failure
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        item = self._events.popleft()
        if isinstance(item, Event):
            self._bytes -= len(item.text)
        return item
