"""What the law promises for every pool that can be, not only for those somebody thought of."""

import time
import timeit
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import NOW, WATCHED, spec

from ocrplus_operator.control.law import decide
from ocrplus_operator.control.spec import Mode, PoolSpec
from ocrplus_operator.control.types import (
    DRAINED_DELETION_COST,
    Arrivals,
    Cluster,
    Decision,
    Memory,
    Pause,
    Pod,
    Reading,
    Snapshot,
    Unknown,
    Worker,
    WorkerPhase,
)

NAMES = tuple("abcdef")
settings.register_profile("law", max_examples=50, deadline=None)
settings.load_profile("law")


@st.composite
def pods(draw: st.DrawFn, name: str) -> Pod:
    scheduled = draw(st.integers(0, 9)) > 0
    running = scheduled and draw(st.integers(0, 9)) > 0
    return Pod(
        name,
        created_at=NOW - draw(st.floats(0, 2000)),
        scheduled=scheduled,
        running=running,
        ready=running and draw(st.integers(0, 3)) > 0,
        terminating=draw(st.integers(0, 9)) == 0,
        deletion_cost=draw(st.sampled_from([0, 0, DRAINED_DELETION_COST])),
    )


@st.composite
def workers(draw: st.DrawFn, name: str) -> Worker:
    phase = draw(st.sampled_from(list(WorkerPhase)))
    at_work = phase in (WorkerPhase.BUSY, WorkerPhase.DRAINING)
    began = NOW - draw(st.floats(0, 60))
    return Worker(
        f"{name}.0",
        name,
        phase,
        chunk_pages=16 if at_work else 0,
        pages_left=draw(st.integers(1, 16)) if at_work else 0,
        page_started_at=began if at_work else 0.0,
        chunk_started_at=began if at_work else 0.0,
        idle_since=NOW - draw(st.floats(0, 600)),
        cold_start_seconds=draw(st.sampled_from([0.0, 30.0, 90.0])),
    )


@st.composite
def readings(draw: st.DrawFn, names: tuple[str, ...]) -> Reading:
    pages = draw(st.one_of(st.just(0), st.integers(0, 3000)))
    arrived = draw(st.integers(0, 3000))
    chunks = -(-arrived // 16)
    heard = [n for n in names if draw(st.integers(0, 4)) > 0]
    return Reading(
        waiting_chunks=-(-pages // 16),
        waiting_pages=pages,
        expired_leases=draw(st.integers(0, 1)),
        doorbells=draw(st.integers(0, 2)),
        arrivals=Arrivals(arrived, chunks, chunks * draw(st.integers(1, 6)), 600.0, NOW - 5),
        workers=tuple(draw(workers(n)) for n in heard),
        draining=frozenset(draw(st.sets(st.sampled_from(NAMES)))),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    names = tuple(draw(st.lists(st.sampled_from(NAMES), unique=True)))
    there = tuple(draw(pods(n)) for n in names)
    live = sum(not p.terminating for p in there)
    cluster = Cluster(
        replicas=max(0, live + draw(st.sampled_from([0, 0, 0, -1, 1, 2]))),
        pods=there,
        quota_replicas=draw(st.sampled_from([None, None, 3])),
        rollout=draw(st.integers(0, 9)) == 0,
    )
    return Snapshot(NOW, cluster, draw(readings(names)))


MEMORIES = st.builds(
    Memory,
    since=st.sampled_from([None, NOW - 30, NOW - 3600]),
    last_at=st.just(NOW - 3),
    needs=st.sampled_from([(), ((NOW - 20, 3.0),), ((NOW - 50, 8.0), (NOW - 3, 1.0))]),
    quiet_since=st.sampled_from([None, NOW - 10, NOW - 900]),
    seconds_per_page=st.sampled_from([None, 0.3, 1.0, 5.0]),
    marked=st.sets(st.sampled_from(NAMES)).map(lambda s: tuple((n, NOW - 200) for n in s)),
)
SPECS = st.builds(
    lambda low, high, headroom, sleeps: spec(
        limits={"min_replicas": low, "max_replicas": low + high},
        objective={"headroom": headroom},
        scale_to_zero={"enabled": sleeps},
    ),
    st.integers(0, 2),
    st.integers(0, 16),
    st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    st.booleans(),
)


def live(snapshot: Snapshot) -> list[Pod]:
    assert isinstance(snapshot.cluster, Cluster)
    return [p for p in snapshot.cluster.pods if not p.terminating]


def reading_of(snapshot: Snapshot) -> Reading:
    assert isinstance(snapshot.redis, Reading)
    return snapshot.redis


def replicas_of(snapshot: Snapshot) -> int:
    assert isinstance(snapshot.cluster, Cluster)
    return snapshot.cluster.replicas


def with_pages(snapshot: Snapshot, more: int) -> Snapshot:
    reading = reading_of(snapshot)
    pages = reading.waiting_pages + more
    return replace(
        snapshot, redis=replace(reading, waiting_pages=pages, waiting_chunks=-(-pages // 16))
    )


def decision_of(snapshot: Snapshot, memory: Memory, pool: PoolSpec) -> Decision:
    return decide(snapshot, memory, pool)[0]


def may_be_removed(snapshot: Snapshot, scale_to: int) -> list[Pod]:
    """Every pod that the ReplicaSet could take to get there, ties of its ranking included."""
    there = sorted(live(snapshot), key=rank)
    count = len(there) - scale_to
    if count <= 0:
        return []
    last = rank(there[count - 1])
    return [p for p in there if rank(p) <= last]


def rank(pod: Pod) -> tuple[Any, ...]:
    return (pod.scheduled, pod.running, pod.ready, pod.deletion_cost)


@given(snapshots(), MEMORIES, SPECS, st.integers(1, 2000))
def test_more_work_never_asks_for_fewer(
    snapshot: Snapshot, memory: Memory, pool: PoolSpec, more: int
) -> None:
    less = decision_of(snapshot, memory, pool).desired
    greater = decision_of(with_pages(snapshot, more), memory, pool).desired

    assert less is not None
    assert greater is not None
    assert less <= greater


@given(snapshots(), MEMORIES, SPECS)
def test_only_pods_that_surely_hold_nothing_can_be_removed(
    snapshot: Snapshot, memory: Memory, pool: PoolSpec
) -> None:
    decision = decision_of(snapshot, memory, pool)
    if decision.scale_to is None or decision.scale_to >= len(live(snapshot)):
        return
    reading = reading_of(snapshot)
    by_pod = {w.pod: w for w in reading.workers}

    for pod in may_be_removed(snapshot, decision.scale_to):
        assert pod.name in reading.draining
        worker = by_pod.get(pod.name)
        if worker:
            assert worker.phase is WorkerPhase.DRAINED
        else:
            assert not pod.scheduled


@given(snapshots(), MEMORIES, SPECS)
def test_replicas_never_fall_below_the_chunks_in_flight(
    snapshot: Snapshot, memory: Memory, pool: PoolSpec
) -> None:
    decision = decision_of(snapshot, memory, pool)
    reading = reading_of(snapshot)
    names = {p.name for p in live(snapshot)}
    in_flight = {w.pod for w in reading.workers if w.holds_work and w.pod in names}

    if decision.scale_to is not None and decision.scale_to < replicas_of(snapshot):
        assert decision.scale_to >= len(in_flight)
    staying = in_flight - reading.draining
    assert decision.desired is not None
    assert decision.desired >= min(len(staying), replicas_of(snapshot), _ceiling(snapshot, pool))


def _ceiling(snapshot: Snapshot, pool: PoolSpec) -> int:
    assert isinstance(snapshot.cluster, Cluster)
    quota, most = snapshot.cluster.quota_replicas, pool.limits.max_replicas
    if quota is None:
        return most
    # Pods that are there have theirs, even one more than was ordered.
    useful = [pod for pod in live(snapshot) if pod.name not in reading_of(snapshot).draining]
    return min(max(quota, len(useful)), most)


@given(snapshots(), MEMORIES, SPECS)
def test_orders_stay_within_maximum_and_quota(
    snapshot: Snapshot, memory: Memory, pool: PoolSpec
) -> None:
    decision = decision_of(snapshot, memory, pool)

    if decision.scale_to is not None and decision.scale_to > replicas_of(snapshot):
        draining = sum(p.name in reading_of(snapshot).draining for p in live(snapshot))
        assert decision.desired is not None
        assert decision.desired <= _ceiling(snapshot, pool)
        assert decision.scale_to - draining <= _ceiling(snapshot, pool)


@given(snapshots(), MEMORIES, SPECS)
def test_steps_name_pods_that_are_there_and_never_contradict(
    snapshot: Snapshot, memory: Memory, pool: PoolSpec
) -> None:
    decision = decision_of(snapshot, memory, pool)
    names = {p.name for p in live(snapshot)}
    draining = reading_of(snapshot).draining

    assert set(decision.mark) <= names - draining
    assert set(decision.unmark) <= names & draining
    assert set(decision.cheapen) <= names & draining
    assert not set(decision.cheapen) & set(decision.unmark)
    assert not (decision.mark and decision.unmark)
    if decision.unmark and decision.scale_to is not None:
        assert decision.scale_to > replicas_of(snapshot)


@given(snapshots(), MEMORIES, SPECS, st.sampled_from(["Loading", "NoAuth", "Timeout"]))
def test_an_unknown_reading_changes_nothing(
    snapshot: Snapshot, memory: Memory, pool: PoolSpec, reason: str
) -> None:
    decision = decision_of(replace(snapshot, redis=Unknown(reason)), memory, pool)

    assert decision.scale_to is None
    assert (decision.mark, decision.unmark, decision.cheapen) == ((), (), ())
    assert decision.desired == replicas_of(snapshot)


@given(snapshots(), MEMORIES, SPECS, st.sampled_from(["dry", "paused", "conflict"]))
def test_who_may_not_act_only_gives_draining_pods_back(
    snapshot: Snapshot, memory: Memory, pool: PoolSpec, why: str
) -> None:
    if why == "dry":
        pool = replace(pool, mode=Mode.DRY_RUN)
    elif why == "paused":
        snapshot = replace(snapshot, pause=Pause(all=True))
    else:
        assert isinstance(snapshot.cluster, Cluster)
        snapshot = replace(snapshot, cluster=replace(snapshot.cluster, conflict="X/y"))

    decision = decision_of(snapshot, memory, pool)

    assert (decision.scale_to, decision.mark, decision.cheapen) == (None, (), ())


@given(snapshots(), SPECS)
def test_an_operator_that_starts_anew_begins_no_drain(snapshot: Snapshot, pool: PoolSpec) -> None:
    pool = replace(pool, limits=replace(pool.limits, max_replicas=99))
    assert isinstance(snapshot.cluster, Cluster)
    snapshot = replace(snapshot, cluster=replace(snapshot.cluster, quota_replicas=None))

    assert decision_of(snapshot, Memory(), pool).mark == ()


@given(snapshots(), MEMORIES, SPECS)
def test_the_same_three_values_give_the_same_answer(
    snapshot: Snapshot, memory: Memory, pool: PoolSpec
) -> None:
    assert decide(snapshot, memory, pool) == decide(snapshot, memory, pool)


@settings(max_examples=60)
@given(
    st.integers(0, 6),
    st.integers(1, 2500),
    st.sampled_from([0.3, 1.0, 3.0]),
    st.sampled_from([0.0, 3.0, 9.0]),
)
def test_nothing_is_ordered_twice_while_the_first_order_warms(
    ready: int, pages: int, seconds_per_page: float, creation_delay: float
) -> None:
    pool = spec(limits={"max_replicas": 500, "max_pending": 500})
    memory = replace(WATCHED, seconds_per_page=seconds_per_page)
    base = tuple(Pod(f"old{i}", NOW - 600) for i in range(ready))
    at_work = tuple(
        Worker(f"old{i}.0", f"old{i}", WorkerPhase.BUSY, 16, 16, NOW, NOW) for i in range(ready)
    )
    replicas, orders, waits = ready, [], pages
    for tick in range(20):  # a cold start; nobody is warm yet, the ready ones stand still
        now = NOW + 3 * tick
        ordered = replicas - ready if 3 * tick >= creation_delay else 0
        new = tuple(
            Pod(f"new{i}", NOW + creation_delay, ready=False) for i in range(max(0, ordered))
        )
        reading = Reading(waiting_chunks=-(-waits // 16), waiting_pages=waits, workers=at_work)
        snapshot = Snapshot(now, Cluster(replicas, base + new), reading)
        decision, memory = decide(snapshot, memory, pool)
        if decision.scale_to is not None:
            orders.append(decision.scale_to)
            replicas = decision.scale_to
        # known work shrinks by what the ready ones did
        waits = max(0, pages - int(ready * 3 * (tick + 1) / seconds_per_page))

    assert len([n for n in orders if n > ready]) <= 1


@pytest.mark.parametrize("pages", [0, 5000])
def test_a_decision_over_a_thousand_workers_takes_five_milliseconds_at_most(pages: int) -> None:
    pool = spec(limits={"max_replicas": 2000, "max_pending": 2000})
    there = tuple(Pod(f"p{i}", NOW - 600) for i in range(1000))
    records = tuple(
        Worker(f"p{i}.0", f"p{i}", WorkerPhase.BUSY, 16, 1 + i % 16, NOW - 1, NOW - 9)
        for i in range(1000)
    )
    snapshot = Snapshot(NOW, Cluster(1000, there), Reading(pages // 16, pages, workers=records))
    _, memory = decide(snapshot, WATCHED, pool)

    def once() -> None:
        decide(snapshot, memory, pool)

    best = min(timeit.repeat(once, timer=time.process_time, number=1, repeat=30))

    assert best <= 0.005
