"""The law: `decide` answers how many replicas, why, and what to do about it now.

Pure: no clock, no network, the same answer for the same three values. The order of precedence is
the order of `_decided`: what cannot be seen holds, another writer holds, a person's word holds,
then the law.
"""

from dataclasses import dataclass, replace
from typing import Final

from ocrplus_operator.control import learning, schedules, words
from ocrplus_operator.control.conditions import View, conditions
from ocrplus_operator.control.drain import (
    Orders,
    Steps,
    check_leaving,
    next_deletion_cost,
    plan,
    remembered,
    undo,
    undoable,
)
from ocrplus_operator.control.fleet import Fleet, Timing, counts, picture, stuck
from ocrplus_operator.control.measures import Measures, measure
from ocrplus_operator.control.spec import Mode, PoolSpec
from ocrplus_operator.control.target import (
    Bounds,
    Target,
    bounded,
    down,
    hold_workers,
    need_workers,
    up,
)
from ocrplus_operator.control.types import (
    OWN_KIND,
    Cluster,
    Decision,
    Memory,
    Notice,
    Reading,
    Reason,
    Snapshot,
    Unknown,
    WorkerPhase,
)
from ocrplus_operator.control.window import with_need

_LONGEST_BACKOFF: Final = 8  # provisioning timeouts
_NOTHING_READ: Final = Reading()


@dataclass(frozen=True, slots=True)
class _Look:
    """One snapshot, joined and measured; `known` is false where Redis could not be read."""

    snapshot: Snapshot
    cluster: Cluster
    reading: Reading
    known: bool
    fleet: Fleet
    measures: Measures
    spec: PoolSpec

    @property
    def now(self) -> float:
        return self.snapshot.now


def decide(snapshot: Snapshot, memory: Memory, spec: PoolSpec) -> tuple[Decision, Memory]:
    """Decide once; call it every three seconds with the memory that it gave last time."""
    if isinstance(snapshot.cluster, Unknown):
        return _blind(snapshot, memory, spec, snapshot.cluster)
    look, memory = _look(snapshot, snapshot.cluster, memory, spec)
    memory, told = check_leaving(look.fleet, memory)
    memory, told_of_places = _provisioning(look, memory)
    bounds = _bounds(look, memory)
    target, acts, why, memory = _decided(look, memory, bounds)
    steps = _steps(look, memory, target, acts)
    memory = _after(look, memory, target, steps)
    view = View(
        snapshot,
        memory,
        spec,
        look.measures if look.known else None,
        bounds,
        target,
        steps.blocked_by,
    )
    case = words.Case(
        look.now, spec, look.fleet, look.reading, look.measures, memory, bounds, target
    )
    decision = Decision(
        desired=target.desired,
        reason=target.reason,
        message=words.message(case, why),
        inputs=words.inputs(case),
        counts=counts(look.fleet),
        unmark=steps.unmark,
        forget=steps.forget,
        mark=steps.mark,
        cheapen=steps.cheapen,
        deletion_cost=next_deletion_cost(look.fleet),
        scale_to=steps.scale_to,
        conditions=conditions(view),
        notices=(*told, *told_of_places, *steps.notices),
    )
    return decision, memory


def _blind(
    snapshot: Snapshot, memory: Memory, spec: PoolSpec, why: Unknown
) -> tuple[Decision, Memory]:
    memory = replace(memory, since=None, quiet_since=None, last_at=snapshot.now)
    decision = Decision(
        desired=memory.desired,
        reason=Reason.HOLD,
        message=f"holds: the cluster cannot be read ({why.reason}: {why.message})",
        conditions=conditions(View(snapshot, memory, spec)),
    )
    return decision, memory


def _look(
    snapshot: Snapshot, cluster: Cluster, memory: Memory, spec: PoolSpec
) -> tuple[_Look, Memory]:
    known = isinstance(snapshot.redis, Reading)
    reading = snapshot.redis if isinstance(snapshot.redis, Reading) else _NOTHING_READ
    learned = learning.seconds_per_page(
        memory, reading.workers, by_report=spec.source.pool == "caption"
    )
    cold = learning.cold_start_seconds(memory.cold_start_seconds, reading.workers, spec.startup)
    timing = Timing(
        now=snapshot.now,
        cold_start_seconds=spec.startup.cold_start_seconds if cold is None else cold,
        provisioning_timeout_seconds=spec.startup.provisioning_timeout_seconds,
        seconds_per_page=learning.PRIOR_SECONDS_PER_PAGE if learned is None else learned,
    )
    fleet = picture(cluster, reading, timing, max(1, spec.limits.workers_per_replica))
    measures = measure(reading, fleet, timing=timing, headroom=spec.objective.headroom)
    memory = replace(
        memory,
        last_at=snapshot.now,
        seconds_per_page=learned,
        progress=learning.progress(reading.workers),
        cold_start_seconds=cold,
        gaps=learning.gaps(memory.gaps, reading.arrivals.last_at),
    )
    return _Look(snapshot, cluster, reading, known, fleet, measures, spec), memory


# ------------------------------------------------------------------ bounds


def _provisioning(look: _Look, memory: Memory) -> tuple[Memory, tuple[Notice, ...]]:
    """Start, prolong or end the back-off of a pool whose pods find no place."""
    late = stuck(look.fleet)
    if not late:
        if memory.retry_at is not None:
            memory = replace(memory, retry_at=None, backoff_seconds=0.0)
        return memory, ()
    timeout = look.spec.startup.provisioning_timeout_seconds
    if memory.retry_at is None:
        told = f"{', '.join(v.name for v in late[:3])} not warm after {timeout:.0f} s: adding stops"
        memory = replace(memory, retry_at=look.now + timeout, backoff_seconds=timeout)
        return memory, (Notice("ProvisioningTimedOut", told, warning=True),)
    return memory, ()


def _bounds(look: _Look, memory: Memory) -> Bounds:
    limits, fleet = look.spec.limits, look.fleet
    ceiling, why = limits.max_replicas, "Maximum"
    quota = look.cluster.quota_replicas
    # Pods that are there have theirs: a quota may have been read before they were seen.
    if quota is not None and (left := max(quota, len(fleet.useful))) < ceiling:
        ceiling, why = left, "Quota"
    scheduled = schedules.floor(look.spec.schedules, look.now) if look.spec.schedules else 0
    least = limits.min_replicas if look.spec.scale_to_zero.enabled else max(1, limits.min_replicas)
    floor = min(max(least, scheduled), ceiling)
    reason = Reason.SCHEDULE if scheduled > least else Reason.MINIMUM
    waiting = fleet.ordered + sum(1 for view in fleet.pods if not view.pod.running)
    most_now = fleet.present + max(0, limits.max_pending - waiting)
    if most_now < ceiling:
        why = "MaxPending"
    if memory.retry_at is not None:
        most_now = min(most_now, fleet.present + (look.now >= memory.retry_at))
        why = "Provisioning"
    return Bounds(floor, ceiling, most_now, why, reason)


# ------------------------------------------------------------------ the decision


def _decided(look: _Look, memory: Memory, bounds: Bounds) -> tuple[Target, bool, str, Memory]:
    """The target, whether it may be acted on, why, and what is remembered."""
    present = look.fleet.present
    unwatched = replace(memory, since=None, quiet_since=None)
    if look.cluster.conflict:
        stays = Target(present, Reason.CONFLICT, present)
        return stays, False, f"{look.cluster.conflict} claims the same target or work", unwatched
    if look.snapshot.pause.all:
        return Target(present, Reason.PAUSED, present), False, "paused by annotation", unwatched
    acts = look.spec.mode is not Mode.DRY_RUN
    if look.spec.mode is Mode.MANUAL:
        target, why, memory = _manual(look, bounds), "spec.replicas of the pool", unwatched
    elif not look.known:
        return _unknown(look, memory, bounds, acts=acts)
    else:
        target, why, memory = _by_law(look, memory, bounds)
    if look.snapshot.pause.scale_down and target.desired < present:
        target = Target(present, Reason.PAUSED, target.unbounded)
        why = "scaling down is paused by annotation"
    return target, acts, why, memory


def _manual(look: _Look, bounds: Bounds) -> Target:
    wanted = look.spec.replicas if look.spec.replicas is not None else look.fleet.present
    free = replace(bounds, floor=0, most_now=bounds.ceiling)
    return bounded(max(0, wanted), Reason.MANUAL, look.fleet, free)


def _unknown(
    look: _Look, memory: Memory, bounds: Bounds, *, acts: bool
) -> tuple[Target, bool, str, Memory]:
    """Hold; after `hold_seconds` rise to the fallback. Never fall, never to zero."""
    since = look.now if memory.unknown_since is None else memory.unknown_since
    memory = replace(memory, unknown_since=since, since=None, quiet_since=None, needs=())
    present, missing = look.fleet.replicas, look.spec.missing_metrics
    why = look.snapshot.redis
    told = f"{why.reason}: {why.message}" if isinstance(why, Unknown) else ""
    fallback = missing.fallback_replicas
    if fallback is not None and fallback > present and look.now - since >= missing.hold_seconds:
        target = bounded(fallback, Reason.FALLBACK, look.fleet, bounds)
        return target, acts, f"nothing known since {words.clock(since)} ({told})", memory
    return Target(present, Reason.HOLD, present), False, f"work is unknown ({told})", memory


def _by_law(look: _Look, memory: Memory, bounds: Bounds) -> tuple[Target, str, Memory]:
    aim, fleet, reading = look.spec.objective, look.fleet, look.reading
    window = look.spec.scale_down.window_seconds
    needs = with_need(
        memory.needs, look.now, need_workers(look.measures, aim), window_seconds=window
    )
    since = look.now if memory.since is None else memory.since
    quiet = _quiet_since(look, memory)
    memory = replace(memory, needs=needs, since=since, quiet_since=quiet, unknown_since=None)
    back = sum(1 for view in undoable(fleet) if view.warm)
    wanted, reason = up(look.measures, reading, fleet, aim, back=back)
    if wanted > fleet.present:
        return bounded(wanted, reason, fleet, bounds), "", memory
    silence = learning.silence_seconds(memory.gaps, look.spec.scale_to_zero)
    if quiet is not None and look.now - quiet >= silence:
        target = bounded(min(fleet.present, bounds.floor), Reason.IDLE, fleet, bounds)
        return _unchanged_holds(target, fleet), f"nothing since {words.clock(quiet)}", memory
    if look.now - since < window:
        target = bounded(fleet.present, Reason.HOLD, fleet, bounds)
        return target, "", memory
    enough = down(fleet, look.measures, hold_workers(needs[0][1]), aim)
    target = bounded(enough, Reason.DRAIN, fleet, bounds)
    return _unchanged_holds(target, fleet), "", memory


def _unchanged_holds(target: Target, fleet: Fleet) -> Target:
    if target.desired == fleet.present and target.reason in (Reason.DRAIN, Reason.IDLE):
        return replace(target, reason=Reason.HOLD)
    return target


def _quiet_since(look: _Look, memory: Memory) -> float | None:
    reading = look.reading
    if reading.waiting_chunks or reading.waiting_pages or reading.expired_leases:
        return None
    if look.measures.in_flight:
        return None
    since = look.now if memory.quiet_since is None else memory.quiet_since
    return max(since, min(reading.arrivals.last_at, look.now))


# ------------------------------------------------------------------ what to do about it


def _steps(look: _Look, memory: Memory, target: Target, acts: bool) -> Steps:
    if not look.known:  # the marks cannot be read: only an order upwards is safe
        rises = acts and target.desired > look.fleet.replicas
        falls = acts and target.desired < look.fleet.replicas
        return Steps(
            scale_to=target.desired if rises else None,
            blocked_by="work is unknown, so nobody can be seen to drain" if falls else "",
        )
    if look.cluster.conflict.startswith(OWN_KIND):
        return Steps()  # the drains of this target or work are the elder pool's
    if not acts:
        return undo(look.fleet)
    down = look.spec.scale_down
    if look.snapshot.pause.scale_down and target.desired == look.fleet.present:
        return undo(look.fleet)
    at_once = look.spec.mode is Mode.MANUAL or target.reason is Reason.IDLE
    orders = Orders(
        now=look.now,
        desired=target.desired,
        max_percent=100 if at_once else down.max_percent,
        timeout_seconds=down.drain_timeout_seconds,
        rollout=look.cluster.rollout,
    )
    return plan(look.fleet, memory, orders)


def _after(look: _Look, memory: Memory, target: Target, steps: Steps) -> Memory:
    memory = replace(
        memory,
        desired=target.desired,
        doorbells_missing_since=_doorbells_missing_since(look, memory),
    )
    if look.known:
        memory = remembered(memory, look.fleet, steps, look.now)
    retried = memory.retry_at is not None and look.now >= memory.retry_at
    if retried and steps.scale_to is not None and steps.scale_to > look.fleet.replicas:
        timeout = look.spec.startup.provisioning_timeout_seconds
        backoff = min(2 * memory.backoff_seconds, _LONGEST_BACKOFF * timeout)
        memory = replace(memory, retry_at=look.now + backoff, backoff_seconds=backoff)
    return memory


def _doorbells_missing_since(look: _Look, memory: Memory) -> float | None:
    reading = look.reading
    if not reading.waiting_chunks or reading.doorbells:
        return None
    idle = any(
        w.phase is WorkerPhase.IDLE and w.pod not in reading.draining for w in reading.workers
    )
    if not idle:
        return None
    return look.now if memory.doorbells_missing_since is None else memory.doorbells_missing_since
