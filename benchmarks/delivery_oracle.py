"""What must hold of the events that a client received, however often it was cut."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import ledger_steps
import redis
from delivery_setup import page_text

from ocrplus_contract.names import UserId


@dataclass(frozen=True, slots=True)
class Taken:
    """An event as a client received it."""

    connection: int
    seq: int
    task: str
    text: str


@dataclass
class Journal:
    """All that one user's client saw, over all its connections."""

    user: str
    taken: list[Taken] = field(default_factory=list)
    resumes: list[float] = field(default_factory=list)
    other: Counter[str] = field(default_factory=Counter)
    closes: Counter[str] = field(default_factory=Counter)
    unexplained: int = 0


@dataclass(frozen=True)
class Verdict:
    """The oracle's findings on one user."""

    acknowledged: int
    received: int
    doubles: int
    faults: tuple[str, ...]


def judge(client: redis.Redis, journal: Journal) -> Verdict:
    """Hold what a user's client received against what the ledger acknowledged."""
    user = journal.user
    kept = {event["seq"]: event for event in ledger_steps.events(client, user)}
    newest: Any = client.hget(ledger_steps.KEYS.events(UserId(user)), "seq")  # bytes
    counted = int(newest or 0)
    faults = []
    if sorted(kept) != list(range(1, counted + 1)):
        faults.append(f"the stream holds {len(kept)} of {counted} events: trimmed or with a gap")
    first: dict[int, Taken] = {}
    doubles = 0
    for one in journal.taken:
        before = first.get(one.seq)
        if before is None:
            first[one.seq] = one
            if one.seq != len(first):
                faults.append(f"seq {one.seq} came as number {len(first)}")
            faults += _wrong(user, one, kept.get(one.seq))
            continue
        doubles += 1
        if before.connection == one.connection:
            faults.append(f"seq {one.seq} came twice on one connection")
        if before.text != one.text:
            faults.append(f"seq {one.seq} came again with another content")
    missing = set(range(1, counted + 1)) - set(first)
    if missing:
        faults.append(f"{len(missing)} of {counted} events missing, the first is {min(missing)}")
    faults += [f"{count} times {kind}" for kind, count in journal.other.items()]
    return Verdict(counted, len(first), doubles, tuple(f"{user}: {fault}" for fault in faults))


def _wrong(user: str, one: Taken, kept: dict[str, Any] | None) -> list[str]:
    if not one.task.startswith(user + "-"):
        return [f"seq {one.seq} is of another user: {one.task}"]
    got = json.loads(one.text)
    if kept is None or any(got[name] != kept[name] for name in ("epoch", "type", "task_id")):
        return [f"seq {one.seq} is not what was acknowledged"]
    if got["type"] == "page" and got["markdown"] != page_text(one.task, got["page"]):
        return [f"seq {one.seq} has not its page's text"]
    return []
