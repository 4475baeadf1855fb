"""The work ledger: every change to jobs, chunks and leases, each one Lua script.

`Ledger` builds calls, it does no I/O; `run` and `run_async` carry one to a server. So gateway
(asyncio) and workers (threads) share one description of every script's arguments and result.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

import redis
import redis.asyncio
from redis.exceptions import NoScriptError

from ocrplus_contract import scripts
from ocrplus_contract.errors import Conflict, ErrorCode, LeaseLost, OcrPlusError
from ocrplus_contract.names import Permit, Pool, TaskId, UserId
from ocrplus_contract.states import JobState, PageState
from ocrplus_contract.trace import TraceContext

T = TypeVar("T")

MAX_DEATHS: Final = 3
"""A page in hand at this many deaths is committed as failed (architecture, section 4)."""

ARRIVAL_WINDOW_SECONDS: Final = 900

ReleaseReason = Literal["died", "expired", "returned", "postponed"]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One script with its arguments, and how to read its reply."""

    script: str
    args: tuple[str | bytes | int | float, ...]
    parse: Callable[[Any], T]  # Any: a Redis reply is nested lists of bytes and ints


def run(client: "redis.Redis", call: Call[T]) -> T:
    """Run a script on a server whose client returns bytes."""
    try:
        reply = client.evalsha(scripts.digest(call.script), 0, *call.args)
    except NoScriptError:
        reply = client.eval(scripts.source(call.script), 0, *call.args)
    return call.parse(reply)


async def run_async(client: "redis.asyncio.Redis", call: Call[T]) -> T:
    """Run a script from an event loop."""
    try:
        reply = await client.evalsha(scripts.digest(call.script), 0, *call.args)
    except NoScriptError:
        reply = await client.eval(scripts.source(call.script), 0, *call.args)
    return call.parse(reply)


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of a submission: `permits` doorbells to ring, or the job that was there."""

    permits: int
    duplicate_of: JobState | None = None


class Full(OcrPlusError):
    """Too much waits: `limit` is all (pages of everybody), pages or tasks (of this user)."""

    def __init__(self, limit: str) -> None:
        self.limit = limit
        super().__init__(limit)


@dataclass(frozen=True, slots=True)
class Limits:
    """What admission lets wait: pages of all, pages and open tasks of one user."""

    pages: int
    user_pages: int
    user_tasks: int


NO_LIMITS: Final = Limits(2**31, 2**31, 2**31)

LostReason = Literal["epoch", "future_position", "trimmed"]


@dataclass(frozen=True, slots=True)
class Location:
    """Where a client's position lies: read behind `stream_id`, or at it if `including`.

    `lost` says why the position cannot be resumed from; then `stream_id` is the top's.
    """

    lost: LostReason | None
    epoch: str
    seq: int
    oldest_seq: int
    stream_id: str
    including: bool


@dataclass(frozen=True, slots=True)
class Lease:
    """A chunk in hand. `first_page_deaths` of the first page came before this attempt."""

    permit: Permit
    user: UserId
    task: TaskId
    first: int
    last: int
    blob: str
    options: str
    first_page_deaths: int
    figure: str = ""
    """Of pool caption: the figure's record in JSON."""
    trace: TraceContext | None = None
    """The job's; None for one that a gateway of before traces admitted."""
    waiting_since: float = 0.0
    """When it began to wait: unix seconds by the server's clock."""

    @property
    def pages(self) -> range:
        """Pages of the chunk."""
        return range(self.first, self.last + 1)


@dataclass(frozen=True, slots=True)
class Committed:
    """A page is in: whether its job is still open, and figures that wait now (doorbells)."""

    open: bool
    figures: int


@dataclass(frozen=True, slots=True)
class Released:
    """What a release did: `permits` doorbells to ring, the page that was blamed (0: none)."""

    held: bool
    permits: int = 0
    blamed: int = 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """Builds the calls of one deployment: its key prefix, how long results are kept."""

    prefix: str = ""
    ttl_seconds: int = 86400

    def call(
        self, script: str, parse: Callable[[Any], T], *args: str | bytes | int | float
    ) -> Call[T]:
        """A script of this deployment; `captions` builds some too."""
        return Call(script, (self.prefix, self.ttl_seconds, *args), parse)

    def admit(
        self,
        user: UserId,
        task: TaskId,
        *,
        fingerprint: str,
        chunks: Sequence[tuple[int, int]],
        facts: Mapping[str, str],
        submitted_body: str,
        deadline_seconds: int,
        limits: Limits = NO_LIMITS,
        pool: Pool = Pool.OCR,
    ) -> Call[Admission]:
        """Accept a document. `facts` are job fields (name, blob, options, traceparent, …).

        Raises (when run):
            Conflict: the task_id stands for another fingerprint.
            Full: too much waits.
        """
        return self.call(
            "admit",
            _admission,
            pool,
            user,
            task,
            fingerprint,
            deadline_seconds,
            submitted_body,
            _facts(facts),
            json.dumps([list(chunk) for chunk in chunks]),
            limits.pages,
            limits.user_pages,
            limits.user_tasks,
        )

    def reuse(
        self,
        user: UserId,
        task: TaskId,
        *,
        fingerprint: str,
        source: tuple[TaskId, str],  # and `begins` of its record: the name may be another's by now
        facts: Mapping[str, str],
        submitted_body: str,
        page_bodies: Sequence[str],
        caption_bodies: Sequence[str] = (),
    ) -> Call[Admission | None]:
        """A new job from the pages of a finished one; None when that is gone.

        Raises (when run):
            Conflict: the task_id stands for another fingerprint.
        """
        return self.call(
            "reuse",
            lambda reply: None if reply[0] == b"missing" else _admission(reply),
            user,
            task,
            fingerprint,
            source[0],
            submitted_body,
            _facts(facts),
            json.dumps(list(page_bodies)),
            json.dumps(list(caption_bodies)),
            source[1],
        )

    def forget(self, user: UserId, task: TaskId) -> Call[bool]:
        """Cancel a job if it is open and delete what is kept of it; False for an unknown one."""
        return self.call("forget", bool, Pool.OCR, user, task)

    def take(self, pool: Pool, owner: str) -> Call[Lease | None]:
        """Take the next chunk, or None when nothing waits."""
        return self.call("take", _lease, pool, owner)

    def renew(self, pool: Pool, permit: Permit) -> Call[bool]:
        """Start the lease anew; False when the job has ended.

        Raises (when run):
            LeaseLost: the permit was released.
        """
        return self.call("renew", _still_open, pool, permit)

    def commit_page(
        self,
        pool: Pool,
        permit: Permit,
        *,
        page: int,
        state: PageState,
        record: bytes,
        body: str,
        next_page: int | None,
        figures: Sequence[str] = (),
    ) -> Call[Committed]:
        """Write a page (doubles are harmless); its `figures` wait for captions if it has any.

        Raises (when run):
            LeaseLost: the permit was released.
        """
        return self.call(
            "commit_page",
            _committed,
            pool,
            permit,
            page,
            state,
            record,
            body,
            next_page if next_page is not None else "",
            json.dumps(list(figures)),
        )

    def finish(self, pool: Pool, permit: Permit) -> Call[bool]:
        """Give back a done chunk; False when pages are missing and it has to be released.

        Raises (when run):
            LeaseLost: the permit was released.
        """
        return self.call("finish", _finished, pool, permit)

    def release(
        self, pool: Pool, permit: Permit, reason: ReleaseReason, *, idle_ms: int = 0
    ) -> Call[Released]:
        """Bring a taken chunk back; with `expired` only if idle for `idle_ms` still."""
        return self.call("release", _released, pool, permit, reason, idle_ms, MAX_DEATHS)

    def cancel(
        self, user: UserId, task: TaskId, *, state: JobState, code: ErrorCode
    ) -> Call[JobState | None]:
        """End an open job; the state it is in afterwards, None for an unknown one."""
        return self.call(
            "cancel",
            lambda reply: _cancelled(reply, state),
            Pool.OCR,
            user,
            task,
            state,
            code,
        )

    def resync(self, pool: Pool) -> Call[tuple[int, int]]:
        """Count load anew; by how many pages (waiting, in flight) it had drifted."""
        return self.call(
            "resync", lambda reply: (int(reply[0]), int(reply[1])), pool, ARRIVAL_WINDOW_SECONDS
        )

    def locate(self, user: UserId, epoch: str, seq: int | None) -> Call[Location]:
        """Where a client's position lies; no `seq`: from now on, no `epoch`: the present one."""
        return self.call("locate", _location, user, epoch, "" if seq is None else seq)

    def join(self, user: UserId, socket: str) -> Call[str]:
        """A socket of an original client opens; the position it begins behind."""
        return self.call("join", bytes.decode, user, socket)

    def confirm(self, user: UserId, socket: str, stream_id: str, epoch: str) -> Call[bool]:
        """A socket has taken its epoch's events up to here; whether the user's position moved."""
        return self.call("confirm", bool, user, socket, stream_id, epoch)

    def leave(self, user: UserId, socket: str) -> Call[bool]:
        """A socket has closed."""
        return self.call("leave", bool, user, socket)


def _encodable(text: str) -> str:
    """Half a surrogate pair, as a client's JSON may hold, becomes "?": Redis takes UTF-8 only."""
    return text.encode("utf-8", "replace").decode()


def _facts(facts: Mapping[str, str]) -> str:
    return json.dumps({name: _encodable(value) for name, value in facts.items()})


def _location(reply: Any) -> Location:
    reason, epoch, top, oldest, behind = reply
    return Location(
        lost=reason.decode() or None,
        epoch=epoch.decode(),
        seq=int(top),
        oldest_seq=int(oldest),
        stream_id=behind.decode().removeprefix("("),
        including=behind.startswith(b"("),
    )


def _admission(reply: Any) -> Admission:
    match reply[0]:
        case b"busy":
            raise Full(reply[1].decode())
        case b"admitted":
            return Admission(permits=int(reply[1]))
        case b"duplicate":
            return Admission(permits=0, duplicate_of=JobState(reply[1].decode()))
    raise Conflict


def _lease(reply: Any) -> Lease | None:
    if reply is None:
        return None
    permit, user, task, first, last, blob, options, deaths, figure, traceparent, since = reply
    return Lease(
        permit=Permit(permit.decode()),
        user=UserId(user.decode()),
        task=TaskId(task.decode()),
        first=int(first),
        last=int(last),
        blob=blob.decode(),
        options=options.decode(),
        first_page_deaths=int(deaths),
        figure=figure.decode(),
        trace=TraceContext.parse(traceparent.decode()),
        waiting_since=float(since),
    )


def _still_open(reply: bytes) -> bool:
    if reply == b"lost":
        raise LeaseLost
    return reply != b"closed"


def _committed(reply: Any) -> Committed:
    return Committed(open=_still_open(reply[0]), figures=int(reply[1]))


def _finished(reply: bytes) -> bool:
    if reply == b"lost":
        raise LeaseLost
    return reply == b"finished"


def _released(reply: Any) -> Released:
    if not reply[0]:
        return Released(held=False)
    return Released(held=True, permits=int(reply[1]), blamed=int(reply[2]))


def _cancelled(reply: Any, state: JobState) -> JobState | None:
    if reply[0] == b"ended":
        return state
    return JobState(reply[1].decode()) if reply[0] == b"closed" else None
