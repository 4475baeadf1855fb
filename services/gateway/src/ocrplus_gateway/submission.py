"""A document on its way in, and what became of it."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ocrplus_contract.names import TaskId, UserId
from ocrplus_contract.options import JobOptions
from ocrplus_contract.states import JobState

STORE_AWAY: Final = "The document store does not answer. Try again later."
SERVER_FULL: Final = "The service has no room for another document now. Try again later."


@dataclass(frozen=True, slots=True)
class Submission:
    """A document on its way in: its bytes lie in `file`; `began`: when it began to come."""

    user: UserId
    task: TaskId
    file: Path
    name: str
    options: JobOptions
    began: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class Admitted:
    """An accepted document, or the job that was there with the same bytes and options: of that one
    nothing is foretold while it is open, None."""

    pages_total: int
    duplicate_of: JobState | None
    pages_ahead: int | None = 0
    estimated_seconds: float | None = 0.0
