"""Figures and what is written of them: records, reasons, and the ledger's calls for them.

A figure's record lies in its job under a number and begins as pending; `commit_caption` ends it,
once.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Literal  # Any: redis-py's replies

from pydantic import BaseModel, ConfigDict

from ocrplus_contract.errors import LeaseLost
from ocrplus_contract.ledger import Call, Ledger
from ocrplus_contract.names import Permit, Pool, TaskId, UserId
from ocrplus_contract.records import INLINE_TEXT_BYTES


class CaptionState(StrEnum):
    """What became of a figure."""

    PENDING = "pending"
    OK = "ok"
    SKIPPED = "skipped"
    FAILED = "failed"


class CaptionReason(StrEnum):
    """Why a figure has no description."""

    LATE = "caption_late"
    TOO_SMALL = "caption_too_small"
    SHAPE = "caption_shape"
    BUDGET_JOB = "caption_budget_job"
    BUDGET_USER = "caption_budget_user"
    REFUSED = "caption_refused"
    REJECTED = "caption_rejected"
    BAD_ANSWER = "caption_bad_answer"
    TIMEOUT = "caption_timeout"
    MODEL_FAILED = "caption_model_failed"
    UNAVAILABLE = "caption_unavailable"
    FIGURE_LOST = "caption_figure_lost"
    POISON = "caption_poison"


NOT_MISSED: Final = frozenset({CaptionReason.TOO_SMALL, CaptionReason.SHAPE})
"""Nobody owes a description of a rule or an icon: results stay complete without."""


class CaptionRecord(BaseModel):
    """One figure of a job as stored; `captioner` names the model and the prompt's version."""

    model_config = ConfigDict(frozen=True)

    state: CaptionState
    page: int
    figure: str
    caption: str | None = None
    reason: CaptionReason | None = None
    captioner: str | None = None

    @property
    def is_missed(self) -> bool:
        """Whether a description is owed and will not come."""
        ended_without = self.state in (CaptionState.SKIPPED, CaptionState.FAILED)
        return ended_without and self.reason not in NOT_MISSED

    def event_body(self, task: TaskId) -> str:
        """The `caption` event of this record; a large table travels by reference, as null."""
        inline = self.caption is not None and len(self.caption.encode()) <= INLINE_TEXT_BYTES
        return json.dumps(
            {
                "type": "caption",
                "task_id": task,
                "page": self.page,
                "figure": self.figure,
                "state": self.state,
                "caption": self.caption if inline else None,
                "reason": self.reason,
                "captioner": self.captioner,
            },
            ensure_ascii=False,
        )


def read_captions(fields: Mapping[Any, Any]) -> list[CaptionRecord]:
    """Read `HGETALL job:{user}:{task}:captions`, in the figures' order."""
    numbered = sorted((int(number), raw) for number, raw in fields.items())
    return [CaptionRecord.model_validate_json(raw) for _, raw in numbered]


def commit_caption(
    ledger: Ledger, permit: Permit, task: TaskId, record: CaptionRecord
) -> Call[bool]:
    """End a figure and give its permit back; False when nobody wants it any more.

    Raises (when run):
        LeaseLost: the permit was released.
    """
    return ledger.call(
        "commit_caption",
        _is_committed,
        Pool.CAPTION,
        permit,
        record.state,
        int(record.is_missed),
        record.captioner or "",
        record.model_dump_json(),
        record.event_body(task),
    )


def settle(
    ledger: Ledger, user: UserId, task: TaskId
) -> Call[Literal["ended", "given_up", "unknown"]]:
    """End a job's wait for captions: with its result, or after that by giving them up."""
    return ledger.call("settle", bytes.decode, user, task)  # type: ignore[arg-type]  # one of these


def _is_committed(reply: bytes) -> bool:
    if reply == b"lost":
        raise LeaseLost
    return reply == b"committed"
