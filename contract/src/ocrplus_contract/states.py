"""States of jobs, pages and workers, and the transitions between them, as data."""

from enum import StrEnum
from typing import Final


class JobState(StrEnum):
    """State of one submitted document."""

    QUEUED = "queued"
    RUNNING = "running"
    OK = "ok"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN_JOB_STATES: Final = frozenset({JobState.QUEUED, JobState.RUNNING})

JOB_TRANSITIONS: Final[dict[JobState, frozenset[JobState]]] = {
    JobState.QUEUED: frozenset(
        {JobState.RUNNING, JobState.OK, JobState.PARTIAL, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.RUNNING: frozenset(
        {JobState.OK, JobState.PARTIAL, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.OK: frozenset(),
    JobState.PARTIAL: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


class PageState(StrEnum):
    """What became of one page; every page of an accepted job ends in exactly one of these."""

    OK = "ok"
    EMPTY = "empty"
    FAILED = "failed"


class TextSource(StrEnum):
    """Where a page's characters came from."""

    OCR = "ocr"
    TEXT_LAYER = "text_layer"


class WorkerState(StrEnum):
    """What a worker's record says of it; the operator reads these words."""

    WARMING = "warming"
    IDLE = "idle"
    BUSY = "busy"
    DRAINING = "draining"
    DRAINED = "drained"


class PartCode(StrEnum):
    """How a part of a gateway is, as `/readyz` tells programs."""

    OK = "ok"
    DRAINING = "draining"
    NO_ANSWER = "no_answer"
    ACCESS_DENIED = "access_denied"
    LOADING = "loading"
    UNFIT = "unfit"
    NO_EVENTS = "no_events"
    GROUP_MISSING = "group_missing"
    LAG_UNKNOWN = "lag_unknown"
    STORE_UNAVAILABLE = "store_unavailable"
    INSPECTION_FAILS = "inspection_fails"
