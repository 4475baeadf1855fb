"""Durable events as v2 and SSE clients receive them: what the stream only refers to filled in."""

import json
from contextlib import suppress
from typing import Any, Final  # JSON

from ocrplus_contract import wire
from ocrplus_contract.errors import ErrorCode, JobRefused
from ocrplus_contract.messages import ErrorObject
from ocrplus_contract.names import TaskId, UserId
from ocrplus_contract.records import JobRecord
from ocrplus_gateway.events import Event, Lost
from ocrplus_gateway.jobs import Jobs, is_open, iso

_MOST_ENDED: Final = 1000  # about 90 bytes each: many clients refuse frames above 1 MiB
_ELSEWHERE: Final = {  # what an event shows whose text is not in it; a small one travels in it
    "page": '"markdown": null',
    "caption": '"state": "ok", "caption": null',
}


def is_whole(event: Event) -> bool:
    """Whether the event goes on the wire as it is: no text stands elsewhere, no word is put in."""
    elsewhere = _ELSEWHERE.get(event.type)
    return event.type != "result" and (elsewhere is None or elsewhere not in event.text)


async def delivered(event: Event, user: UserId, jobs: Jobs) -> str:
    """The event's text on the wire."""
    if is_whole(event):
        return event.text
    if event.type == "result":
        return _result(event.data)
    look_up = _page if event.type == "page" else _caption
    return await look_up(event, user, jobs)


async def history_lost(lost: Lost, user: UserId, jobs: Jobs) -> wire.HistoryLost:
    """What cannot be replayed, said with how things stand now."""
    location = await jobs.locate(user)
    tasks: list[wire.TaskSnapshot] = []
    ended = 0
    async for job in jobs.every(user):
        ended += not is_open(job)
        if is_open(job) or ended <= _MOST_ENDED:
            tasks.append(_snapshot(job))
    return wire.HistoryLost(
        reason=lost.reason,
        epoch=lost.epoch,
        oldest_seq=location.oldest_seq,
        seq=lost.seq,
        tasks=tuple(tasks),
        more=ended > _MOST_ENDED,
    )


def _snapshot(job: JobRecord) -> wire.TaskSnapshot:
    return wire.TaskSnapshot(
        task_id=job.task_id,
        state=job.state,
        pages_done=job.pages_done,
        pages_total=job.pages_total,
    )


async def _page(event: Event, user: UserId, jobs: Jobs) -> str:
    data = event.data
    data["markdown"], data["headings"] = "", []  # where it was deleted or has expired meanwhile
    if await _stands(event, user, jobs):
        with suppress(JobRefused):
            record = await jobs.page(user, TaskId(event.task), data["page"])
            data["markdown"], data["headings"] = record.markdown, record.own_headings()
    return json.dumps(data, ensure_ascii=False)


async def _caption(event: Event, user: UserId, jobs: Jobs) -> str:
    data = event.data
    stands = await _stands(event, user, jobs)
    captions = await jobs.captions(user, TaskId(event.task)) if stands else []
    said = (caption.caption for caption in captions if caption.figure == data["figure"])
    data["caption"] = next(said, None) or ""  # deleted or expired meanwhile
    return json.dumps(data, ensure_ascii=False)


async def _stands(event: Event, user: UserId, jobs: Jobs) -> bool:
    """Whether the task is still the one that the event tells of: its name may be used again."""
    epoch, _, seq = (await jobs.begins(user, TaskId(event.task))).partition("-")
    return event.epoch != epoch or event.seq >= int(seq)


def _result(data: dict[str, Any]) -> str:
    if data["error"] is not None:
        data["error"] = ErrorObject.of(ErrorCode(data["error"])).model_dump()
    data["expires_at"] = iso(data["expires_at"])
    return json.dumps(data, ensure_ascii=False)
