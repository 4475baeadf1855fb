"""The ledger's scripts as short functions, for tests that walk through them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import redis

from ocrplus_contract.captions import (
    CaptionReason,
    CaptionRecord,
    CaptionState,
    commit_caption,
    settle,
)
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import (
    NO_LIMITS,
    Admission,
    Lease,
    Ledger,
    Limits,
    Released,
    ReleaseReason,
    run,
)
from ocrplus_contract.names import Pool, TaskId, UserId
from ocrplus_contract.records import PageRecord
from ocrplus_contract.states import PageState, TextSource

LEDGER = Ledger()
KEYS = Keys()


def admit(
    client: redis.Redis,
    user: str,
    task: str,
    chunks: Sequence[tuple[int, int]],
    fingerprint: str = "f",
    limits: Limits = NO_LIMITS,
    facts: Mapping[str, str] | None = None,
) -> Admission:
    call = LEDGER.admit(
        UserId(user),
        TaskId(task),
        fingerprint=fingerprint,
        chunks=chunks,
        facts={"name": "a.pdf", "blob": "b", "options": "{}", **(facts or {})},
        limits=limits,
        submitted_body=json.dumps({"type": "submitted", "task_id": task}),
        deadline_seconds=600,
    )
    return run(client, call)


def take(client: redis.Redis, owner: str = "w.0") -> Lease | None:
    return run(client, LEDGER.take(Pool.OCR, owner))


def commit(
    client: redis.Redis,
    lease: Lease,
    page: int,
    state: PageState = PageState.OK,
    figures: Sequence[str] = (),
    text: str = "",
) -> bool:
    record = PageRecord(
        page=page, state=state, markdown=text or f"page {page}", source=TextSource.OCR
    )
    call = LEDGER.commit_page(
        Pool.OCR,
        lease.permit,
        page=page,
        state=state,
        record=record.pack(),
        body=record.event_body(lease.task),
        next_page=page + 1 if page < lease.last else None,
        figures=figures,
    )
    return run(client, call).open


def finish(client: redis.Redis, lease: Lease) -> bool:
    return run(client, LEDGER.finish(Pool.OCR, lease.permit))


def release(
    client: redis.Redis, lease: Lease, reason: ReleaseReason = "returned", idle_ms: int = 0
) -> Released:
    return run(client, LEDGER.release(Pool.OCR, lease.permit, reason, idle_ms=idle_ms))


CAPTIONS_ON = {"captions": "on", "caption_seconds": "30", "late_seconds": "900"}
"""Facts of a job whose figures are described."""


def take_figure(client: redis.Redis, owner: str = "c.0") -> Lease | None:
    return run(client, LEDGER.take(Pool.CAPTION, owner))


def caption(
    client: redis.Redis,
    lease: Lease,
    state: CaptionState = CaptionState.OK,
    reason: CaptionReason | None = None,
) -> bool:
    pending = CaptionRecord.model_validate_json(lease.figure)
    text = f"figure {pending.figure}" if state is CaptionState.OK else None
    changes = {"state": state, "reason": reason, "caption": text, "captioner": "m p-1"}
    record = pending.model_copy(update=changes)
    return run(client, commit_caption(LEDGER, lease.permit, lease.task, record))


def release_figure(
    client: redis.Redis, lease: Lease, reason: ReleaseReason = "returned", idle_ms: int = 0
) -> Released:
    return run(client, LEDGER.release(Pool.CAPTION, lease.permit, reason, idle_ms=idle_ms))


def settle_job(client: redis.Redis, user: str, task: str) -> str:
    return run(client, settle(LEDGER, UserId(user), TaskId(task)))


def events(client: redis.Redis, user: str) -> list[dict[str, Any]]:
    entries: Any = client.xrange(KEYS.stream(UserId(user)))  # bytes
    return [json.loads(fields[b"event"]) for _, fields in entries]


def milestones(client: redis.Redis, user: str) -> list[dict[str, Any]]:
    """A user's events without those that only tell of progress."""
    return [event for event in events(client, user) if event["type"] != "progress"]


def read(store: redis.Redis, user: str, task: str, text: str = "page") -> None:
    """A one-page job from admission to its end."""
    admit(store, user, task, [(1, 1)])
    lease = take(store)
    assert lease is not None
    commit(store, lease, 1, text=text)
    finish(store, lease)
