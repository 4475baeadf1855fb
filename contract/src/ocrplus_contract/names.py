"""Names that more than one process must spell alike: pools, tasks, groups, ids."""

import re
from enum import StrEnum
from typing import Final, NewType

UserId = NewType("UserId", str)
TaskId = NewType("TaskId", str)
"""The wire's name for a job's id; unique for its user."""
Permit = NewType("Permit", str)
"""Id of a work-stream entry; the fencing token of whoever holds its chunk."""


def made_at(permit: Permit) -> float:
    """When a permit was made: unix seconds by the server's clock.

    Permits are taken in order and bound to chunks when they are, so what one has waited is the
    queue's wait, not that of its chunk.
    """
    return int(permit.partition("-")[0]) / 1000


# No colon, slash or brace: ids become parts of Redis keys, chunk names and blob names.
ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$"
_ID: Final = re.compile(ID_PATTERN + r"\Z")


def valid_id(text: str) -> bool:
    """Tell whether `text` may serve as a user or task id."""
    return _ID.match(text) is not None


class Pool(StrEnum):
    """A kind of work with its own permits, leases, workers and Celery queue of the same name."""

    OCR = "ocr"
    CAPTION = "caption"


GROUP: Final = "workers"
CONSUMER: Final = "worker"
"""One consumer for all workers: the lease hash knows the owners, and nobody has to tidy up."""

RING_TASK: Final[dict[Pool, str]] = {
    Pool.OCR: "ocrplus.ocr.ring",
    Pool.CAPTION: "ocrplus.caption.ring",
}
