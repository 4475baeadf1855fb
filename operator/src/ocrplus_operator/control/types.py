"""What the law reads, remembers and answers.

A reading that failed is a value of its own (`Unknown`), never a zero. `Memory` is a convenience,
not a truth: an operator that starts anew begins with `Memory()` (or `Memory.resumed`), and the
drain protocol goes on from what stands in Redis and in the cluster.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

DRAINED_DELETION_COST: Final = -1000  # of the first pod that has drained, -999 of the next …
LAST_DELETION_COST: Final = -500  # a cost above is somebody else's
OWN_KIND: Final = "WorkerPool"  # as it stands in `Cluster.conflict`
DELETION_COST_ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"


@dataclass(frozen=True, slots=True)
class Unknown:
    """A side that could not be read: a CamelCase reason (`Loading`, `Timeout`) and a sentence."""

    reason: str
    message: str = ""


# ------------------------------------------------------------------ what is read


class WorkerPhase(StrEnum):
    """The states of a worker's record, word for word."""

    WARMING = "warming"
    IDLE = "idle"
    BUSY = "busy"
    DRAINING = "draining"
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class Worker:
    """A live worker record of `worker:{pool}:*`; times are unix seconds, 0 where not so.

    `chunk_pages` is the number of pages of the chunk in hand, 0 where not known.
    """

    id: str
    pod: str
    phase: WorkerPhase
    chunk_pages: int = 0
    pages_left: int = 0
    page_started_at: float = 0.0
    chunk_started_at: float = 0.0
    seconds_per_page: float = 0.0
    cold_start_seconds: float = 0.0
    idle_since: float = 0.0

    @property
    def holds_work(self) -> bool:
        """Whether a chunk is in its hands, draining or not."""
        return self.pages_left > 0 or self.phase is WorkerPhase.BUSY


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Sums of `a:{second}` over the last `span_seconds` (600; less while the record is younger).

    `pages_by_minute`: the pages of each of those minutes, in any order; empty where not known.
    """

    pages: int = 0
    chunks: int = 0
    chunks_squared: int = 0
    span_seconds: float = 600.0
    last_at: float = 0.0
    pages_by_minute: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """One round trip to Redis. Every field is known, or the whole reading is `Unknown`.

    `waiting_chunks` is the group's lag, `doorbells` the Celery queue's length, `expired_leases`
    the leases whose holder is gone and whose chunk nobody has taken again, `draining` the set
    `drain:{pool}` (pod names).
    """

    waiting_chunks: int = 0
    waiting_pages: int = 0
    expired_leases: int = 0
    expired_pages: int = 0
    doorbells: int = 0
    oldest_wait_seconds: float = 0.0
    arrivals: Arrivals = field(default_factory=Arrivals)
    workers: tuple[Worker, ...] = ()
    draining: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that the target's selector selects and that has not ended.

    `unready_since`: when a pod that was ready ceased to be, 0 if it never was or is.
    """

    name: str
    created_at: float
    scheduled: bool = True
    running: bool = True
    ready: bool = True
    terminating: bool = False
    deletion_cost: int = 0
    unready_since: float = 0.0

    @property
    def cheap(self) -> bool:
        """Whether it was given the deletion cost of one that has drained."""
        return self.deletion_cost <= LAST_DELETION_COST


@dataclass(frozen=True, slots=True)
class Cluster:
    """The target and its pods.

    `replicas` is the target's `spec.replicas` as the API server has it now: read it in this tick
    or use the answer to the last patch, never an older cache. `quota_replicas` is the most replicas
    that the GPU quota leaves this pool, the present ones included; None where nothing limits.
    `rollout` says that old and new pods live side by side or the target has not observed its
    newest generation. `conflict` names another scaler of the target, as `Kind/name`.
    """

    replicas: int
    pods: tuple[Pod, ...] = ()
    quota_replicas: int | None = None
    rollout: bool = False
    conflict: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """Annotations of the resource: `ocrplus.io/paused`, `ocrplus.io/paused-scale-down`."""

    all: bool = False
    scale_down: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one decision sees; `now` is unix seconds."""

    now: float
    cluster: Cluster | Unknown
    redis: Reading | Unknown
    pause: Pause = field(default_factory=Pause)


# ------------------------------------------------------------------ what is remembered


Progress = tuple[str, float, int, float]
"""A busy worker as last seen: id, chunk's start, pages left, start of the page in hand."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """Seconds between arrivals, as a slow mean of so many; when the last one was."""

    mean_seconds: float = 0.0
    count: int = 0
    last_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What one decision leaves to the next. All of it may be lost.

    What carries a drain is not here: the mark stands in `drain:{pool}`, the confirmation in the
    worker's record, the next step in the pod's deletion cost, the order in `spec.replicas`.
    From status (`resumed`): seconds per page and cold start, since when readings are unknown.
    Begun anew, each on the side of holding: the window of needs (nothing is drained until one
    window of readings has passed), the silence before zero, the gaps between arrivals, the time a
    drain has taken, the back-off of provisioning.
    """

    desired: int | None = None
    since: float | None = None
    last_at: float | None = None
    needs: tuple[tuple[float, float], ...] = ()
    quiet_since: float | None = None
    gaps: Gaps = field(default_factory=Gaps)
    seconds_per_page: float | None = None
    progress: tuple[Progress, ...] = ()
    cold_start_seconds: float | None = None
    unknown_since: float | None = None
    marked: tuple[tuple[str, float], ...] = ()
    leaving: frozenset[str] = frozenset()
    retry_at: float | None = None
    backoff_seconds: float = 0.0
    doorbells_missing_since: float | None = None

    @classmethod
    def resumed(
        cls,
        *,
        seconds_per_page: float | None = None,
        cold_start_seconds: float | None = None,
        unknown_since: float | None = None,
    ) -> "Memory":
        """What `status.rates` and the condition MetricsAvailable still say after a restart."""
        return cls(
            seconds_per_page=seconds_per_page,
            cold_start_seconds=cold_start_seconds,
            unknown_since=unknown_since,
        )


# ------------------------------------------------------------------ what is answered


class Reason(StrEnum):
    """Why `desired` is what it is; the words of `status.lastDecision.reason`."""

    FROM_ZERO = "FromZero"
    BACKLOG = "Backlog"
    RATE = "Rate"
    DRAIN = "Drain"
    IDLE = "Idle"
    HOLD = "Hold"
    PAUSED = "Paused"
    SCHEDULE = "Schedule"
    LIMITED = "Limited"
    MINIMUM = "Minimum"
    MANUAL = "Manual"
    FALLBACK = "Fallback"
    CONFLICT = "Conflict"


@dataclass(frozen=True, slots=True)
class Inputs:
    """The numbers behind a decision, for status, events, the log and `explain`.

    Workers, not replicas, unless a name says so. `rate_workers` is what arrivals alone ask for,
    `hold_workers` the window's largest need, `capacity_seconds` what is there does within the
    drain target.
    """

    waiting_chunks: int = 0
    waiting_pages: int = 0
    in_flight: int = 0
    expired: int = 0
    oldest_wait_seconds: float = 0.0
    work_seconds: float = 0.0
    capacity_seconds: float = 0.0
    pages_per_second: float = 0.0
    seconds_per_page: float = 0.0
    cold_start_seconds: float = 0.0
    rate_workers: float = 0.0
    hold_workers: int = 0
    ready_workers: int = 0
    starting_workers: int = 0
    floor_replicas: int = 0
    ceiling_replicas: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Pods that are not terminating, by what they do, for status; the rest of them is idle."""

    pods: int = 0
    ready: int = 0
    warming: int = 0
    busy: int = 0
    draining: int = 0


class ConditionType(StrEnum):
    """Types of the resource's conditions."""

    READY = "Ready"
    ACTIVE = "Active"
    METRICS_AVAILABLE = "MetricsAvailable"
    SCALING_LIMITED = "ScalingLimited"
    SLO_ATTAINABLE = "SLOAttainable"
    PAUSED = "Paused"
    CONFLICT = "Conflict"
    DOORBELLS_MISSING = "DoorbellsMissing"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition without its times: who writes status adds them. None is `Unknown`."""

    type: ConditionType
    status: bool | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell in an Event: CamelCase reason, sentence, whether it is a warning."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, in this order: unmark, forget, mark, cheapen, scale.

    `unmark`: take the deletion cost off, then the pod out of `drain:{pool}`; only if both worked
    may `scale_to` of the same decision be carried out.
    `forget`: take names of pods that are gone out of `drain:{pool}`.
    `mark`: add pods to `drain:{pool}`.
    `cheapen`: set `deletion_cost` on these pods: above that of those that were made cheap before,
    which have been seen to be drained once more and so must go before them.
    `scale_to`: patch the scale subresource to this; None leaves it alone.
    A step that fails is simply not done: the next decision sees so and asks for it again.
    `desired` is None only while the cluster has never been read.
    """

    desired: int | None
    reason: Reason
    message: str
    inputs: Inputs = field(default_factory=Inputs)
    counts: Counts = field(default_factory=Counts)
    unmark: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()
    mark: tuple[str, ...] = ()
    cheapen: tuple[str, ...] = ()
    deletion_cost: int = DRAINED_DELETION_COST
    scale_to: int | None = None
    conditions: tuple[Condition, ...] = ()
    notices: tuple[Notice, ...] = ()
