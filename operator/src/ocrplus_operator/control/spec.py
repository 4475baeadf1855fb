"""The WorkerPool's spec as values: the fields, names and defaults of the custom resource.

One dataclass a block of the resource, so that a path in the resource is the same path here.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Mode(StrEnum):
    """Who decides: the law, a person, or the law without effect."""

    AUTO = "Auto"
    MANUAL = "Manual"
    DRY_RUN = "DryRun"


@dataclass(frozen=True, slots=True)
class TargetRef:
    """The object whose scale subresource is written."""

    name: str
    kind: str = "Deployment"
    api_version: str = "apps/v1"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds in replicas (pods); `max_pending` bounds pods that are ordered and not running."""

    min_replicas: int = 0
    max_replicas: int = 16
    max_pending: int = 16
    workers_per_replica: int = 1


@dataclass(frozen=True, slots=True)
class Objective:
    """What the law aims at: drain known work in so many seconds, with this much headroom."""

    target_drain_seconds: float = 20.0
    headroom: float = 1.1
    min_useful_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class ScaleDown:
    """How slowly: the window's largest need holds; at most this share drains at one time."""

    window_seconds: float = 30.0
    max_percent: int = 50
    drain_timeout_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class ScaleToZero:
    """Whether and after how long a silence the pool falls to its minimum.

    `adaptive`: longer, up to six times, where work has been coming in gaps that a cold start
    after each silence would not be worth.
    """

    enabled: bool = True
    after_seconds: float = 300.0
    adaptive: bool = True


@dataclass(frozen=True, slots=True)
class Startup:
    """From a pod's creation to its first chunk; `learn` prefers what workers report."""

    cold_start_seconds: float = 60.0
    learn: bool = True
    provisioning_timeout_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """A floor of replicas from each time that `cron` names, for `duration_seconds`."""

    cron: str
    duration_seconds: float
    min_replicas: int
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class RedisSource:
    """Where the Redis URL stands and what comes before every key."""

    secret_name: str = ""
    secret_key: str = "url"
    key_prefix: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Names of what is measured."""

    redis: RedisSource = field(default_factory=RedisSource)
    pool: str = "ocr"
    group: str = "workers"
    celery_queue: str = "ocr"


@dataclass(frozen=True, slots=True)
class MissingMetrics:
    """Unknown readings hold; after `hold_seconds` they may raise to `fallback_replicas`."""

    hold_seconds: float = 600.0
    fallback_replicas: int | None = None


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """One WorkerPool's spec."""

    target: TargetRef
    mode: Mode = Mode.AUTO
    replicas: int | None = None
    limits: Limits = field(default_factory=Limits)
    objective: Objective = field(default_factory=Objective)
    scale_down: ScaleDown = field(default_factory=ScaleDown)
    scale_to_zero: ScaleToZero = field(default_factory=ScaleToZero)
    startup: Startup = field(default_factory=Startup)
    schedules: tuple[Schedule, ...] = ()
    source: Source = field(default_factory=Source)
    missing_metrics: MissingMetrics = field(default_factory=MissingMetrics)
