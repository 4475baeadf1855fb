"""The next step of every drain: mark, wait for `drained`, make cheap, scale, check.

Each step is read off the cluster and Redis, not off memory, so that whoever looks next goes on.
A pod leaves only when two looks in a row saw it marked and its workers `drained` (the second
also saw its deletion cost), and only when the ReplicaSet can choose no other: it ranks pods
that wait, and pods that are not ready, before any deletion cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ocrplus_operator.control.fleet import Fleet, PodView
from ocrplus_operator.control.types import (
    DRAINED_DELETION_COST,
    LAST_DELETION_COST,
    Memory,
    Notice,
)


@dataclass(frozen=True, slots=True)
class Steps:
    """What `Decision` says of these names, and what memory keeps."""

    unmark: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()
    mark: tuple[str, ...] = ()
    cheapen: tuple[str, ...] = ()
    scale_to: int | None = None
    notices: tuple[Notice, ...] = ()
    leaving: frozenset[str] = frozenset()
    blocked_by: str = ""


@dataclass(frozen=True, slots=True)
class Orders:
    """What the drain has to reach, how fast it may go there, and what forbids it.

    `max_percent`: the share of replicas that may drain at one time; one always may.
    """

    now: float
    desired: int
    max_percent: int
    timeout_seconds: float
    rollout: bool


def worth(view: PodView) -> tuple[int, float, str]:
    """The order in which pods go: unplaced, warming (newest first), idle longest, least left."""
    if not view.pod.scheduled:
        return (0, -view.pod.created_at, view.name)
    if not view.warm:
        return (1, -view.pod.created_at, view.name)
    if not view.busy:
        return (2, view.idle_since, view.name)
    return (3, view.left_seconds, view.name)


def may_go(view: PodView, memory: Memory, orders: Orders) -> bool:
    """Whether no worker of this marked pod can have, or take, a chunk.

    They said so; or none was ever placed to start; or the pod is not ready and nothing has been
    heard of it for as long as a drain may take: what it held has been taken again by others.
    """
    if view.confirmed:
        return True
    since = dict(memory.marked).get(view.name, orders.now)
    if not view.marked or not view.silent:
        return False
    if not view.pod.scheduled:
        return since < orders.now
    return not view.pod.ready and orders.now - since >= orders.timeout_seconds


def undo(fleet: Fleet) -> Steps:
    """Give every pod back that is not yet leaving."""
    return Steps(unmark=tuple(v.name for v in undoable(fleet)), forget=fleet.gone_marks)


def plan(fleet: Fleet, memory: Memory, orders: Orders) -> Steps:
    """The steps of this look."""
    late = _late(fleet, memory, orders)
    if late:
        names = tuple(view.name for view in late)
        told = Notice("DrainTimedOut", f"{', '.join(names)} did not drain: works on", warning=True)
        return Steps(unmark=names, forget=fleet.gone_marks, notices=(told,))
    if orders.desired > fleet.present:
        return _grow(fleet, orders.desired - fleet.present)
    if fleet.ordered and fleet.draining:  # rather than wait for a pod, keep one
        return _grow(fleet, fleet.ordered, order=False)
    return _shrink(fleet, memory, orders)


def remembered(memory: Memory, fleet: Fleet, steps: Steps, now: float) -> Memory:
    """Since when each pod has been marked, and who is expected to go."""
    if not (memory.marked or fleet.draining or steps.mark or memory.leaving):
        return memory
    known = dict(memory.marked)
    marked = [
        (v.name, known.get(v.name, now)) for v in fleet.draining if v.name not in steps.unmark
    ]
    marked += [(name, now) for name in steps.mark]
    leaving = memory.leaving | steps.leaving
    if steps.scale_to is not None and not steps.leaving:
        leaving = frozenset()  # a new order: who goes because of the last one cannot be told
    return replace(memory, marked=tuple(marked), leaving=leaving)


def next_deletion_cost(fleet: Fleet) -> int:
    """The deletion cost of who drains next: above all that were made cheap before."""
    there = [view.pod.deletion_cost for view in fleet.pods if view.cheap]
    if not there:
        return DRAINED_DELETION_COST
    return min(max(DRAINED_DELETION_COST, *there) + 1, LAST_DELETION_COST)


def check_leaving(fleet: Fleet, memory: Memory) -> tuple[Memory, tuple[Notice, ...]]:
    """Did the pods go that were meant to? Looked at once the ReplicaSet has done its part."""
    if not memory.leaving or fleet.leaving:
        return memory, ()
    stayed = sorted(memory.leaving & {view.name for view in fleet.pods})
    memory = replace(memory, leaving=frozenset())
    if stayed:
        told = f"{', '.join(stayed)} had drained, but another pod was removed"
        return memory, (Notice("WrongPodRemoved", told, warning=True),)
    return memory, ()


def undoable(fleet: Fleet) -> list[PodView]:
    """Draining pods that the target's spec has not given up, the soonest useful first."""
    views = [v for v in fleet.draining if not (fleet.leaving and v.cheap)]
    return sorted(views, key=worth, reverse=True)


def _late(fleet: Fleet, memory: Memory, orders: Orders) -> list[PodView]:
    since = dict(memory.marked)
    return [
        view
        for view in undoable(fleet)
        if orders.now - since.get(view.name, orders.now) >= orders.timeout_seconds
        and not may_go(view, memory, orders)
    ]


def _grow(fleet: Fleet, count: int, *, order: bool = True) -> Steps:
    """Take back what drains before anything new is ordered: it is warm."""
    back = undoable(fleet)[:count]
    rest = count - len(back)
    return Steps(
        unmark=tuple(view.name for view in back),
        forget=fleet.gone_marks,
        scale_to=fleet.replicas + rest if order and rest else None,
    )


def _shrink(fleet: Fleet, memory: Memory, orders: Orders) -> Steps:
    blocked = _blocked_by(fleet, orders)
    excess = min(fleet.present - orders.desired, _allowance(fleet, orders.max_percent))
    if excess > 0 and fleet.ordered:
        cut = 0 if blocked else min(excess, fleet.ordered)
        return Steps(
            forget=fleet.gone_marks,
            scale_to=fleet.replicas - cut if cut else None,
            blocked_by=blocked,
        )
    may = [view for view in fleet.draining if may_go(view, memory, orders)]
    going = _surely_chosen(fleet, [view for view in may if view.cheap])
    if going and not orders.rollout and not fleet.leaving:
        return Steps(
            forget=fleet.gone_marks,
            cheapen=tuple(view.name for view in may if not view.cheap),
            scale_to=len(fleet.pods) - len(going),
            notices=_goodbyes(going),
            leaving=frozenset(view.name for view in going),
        )
    mark = () if blocked or excess <= 0 else _choice(fleet, excess)
    return Steps(
        forget=fleet.gone_marks,
        mark=mark,
        cheapen=() if orders.rollout else tuple(v.name for v in may if not v.cheap),
        blocked_by=blocked if excess > 0 or may else "",
    )


def _allowance(fleet: Fleet, max_percent: int) -> int:
    draining = len(fleet.draining)
    return max(max(1, (fleet.present + draining) * max_percent // 100) - draining, 0)


def _choice(fleet: Fleet, count: int) -> tuple[str, ...]:
    return tuple(view.name for view in sorted(fleet.useful, key=worth)[:count])


def _blocked_by(fleet: Fleet, orders: Orders) -> str:
    """What forbids to begin a drain: a rollout, or a pod that would be taken instead."""
    if orders.rollout:
        return "a rollout is under way"
    for view in fleet.useful:
        pod = view.pod
        if view.warm and pod.scheduled and not (pod.ready and pod.running):
            return f"{view.name} is not ready and would be removed instead"
    return ""


def _surely_chosen(fleet: Fleet, may: Sequence[PodView]) -> list[PodView]:
    """Those of `may` that the ReplicaSet ranks before every pod that must stay."""
    names = {view.name for view in may}
    first_to_stay = min((v.rank for v in fleet.pods if v.name not in names), default=None)
    return [view for view in may if first_to_stay is None or view.rank < first_to_stay]


def _goodbyes(going: Sequence[PodView]) -> tuple[Notice, ...]:
    names = ", ".join(view.name for view in going)
    return (Notice("Removing", f"{names} had drained and goes"),)
