from dataclasses import replace

import pytest
from pools import (
    NOW,
    WATCHED,
    answer,
    busy,
    cheap,
    condition,
    drained,
    fleet_of,
    idle,
    look,
    pod,
    spec,
    starting,
)

from ocrplus_operator.control.law import decide
from ocrplus_operator.control.spec import Mode
from ocrplus_operator.control.types import ConditionType, Reason, WorkerPhase

ONE = spec(mode=Mode.MANUAL, replicas=1)
"""A person wants one replica: the drain without the law's pace."""


def test_a_marked_pod_is_waited_for_until_its_worker_has_confirmed() -> None:
    snapshot = look((pod("a"), pod("b")), (busy("a"), busy("b")), draining=("a",))

    decision = answer(snapshot, pool=ONE)

    assert (decision.mark, decision.cheapen, decision.scale_to) == ((), (), None)


def test_a_confirmed_pod_is_made_cheap_and_not_yet_removed() -> None:
    snapshot = look((pod("a"), pod("b")), (drained("a"), busy("b")), draining=("a",))

    decision = answer(snapshot, pool=ONE)

    assert (decision.cheapen, decision.scale_to) == (("a",), None)


def test_the_next_look_removes_it() -> None:
    snapshot = look((cheap("a"), pod("b")), (drained("a"), busy("b")), draining=("a",))

    decision = answer(snapshot, pool=ONE)

    assert decision.scale_to == 1
    assert decision.notices[0].reason == "Removing"


def test_who_drains_later_is_made_less_cheap_so_that_the_first_goes_first() -> None:
    pods = (cheap("a"), pod("b"), pod("c"))
    workers = (drained("a"), drained("b"), busy("c"))

    first = answer(look(pods, workers, draining=("a", "b")), pool=ONE)
    both = (cheap("a"), pod("b", deletion_cost=first.deletion_cost), pod("c"))
    then = answer(look(both, workers, draining=("a", "b")), pool=ONE)

    # "b" has been seen to be drained only once: the order that goes out now must not take it
    assert (first.scale_to, first.cheapen, first.deletion_cost) == (2, ("b",), -999)
    assert (then.scale_to, then.cheapen) == (1, ())


def test_a_removal_under_way_is_not_ordered_twice() -> None:
    snapshot = look((cheap("a"), pod("b")), (drained("a"), busy("b")), draining=("a",), replicas=1)

    assert answer(snapshot, pool=ONE).scale_to is None


def test_a_pod_that_is_gone_is_forgotten() -> None:
    leaving = replace(cheap("a"), terminating=True)

    still = answer(look((leaving, pod("b")), (busy("b"),), draining=("a",)), pool=ONE)
    gone = answer(look((pod("b"),), (busy("b"),), draining=("a",)), pool=ONE)

    assert (still.forget, gone.forget) == ((), ("a",))


def test_new_work_takes_a_draining_pod_back_before_anything_is_ordered() -> None:
    snapshot = look((cheap("a"), pod("b")), (drained("a"), busy("b")), draining=("a",), pages=120)

    decision = answer(snapshot)

    assert (decision.unmark, decision.scale_to) == (("a",), None)
    assert (decision.desired, decision.reason) == (2, Reason.BACKLOG)


def test_more_work_orders_beyond_those_taken_back() -> None:
    snapshot = look((cheap("a"), pod("b")), (drained("a"), busy("b")), draining=("a",), pages=310)

    decision = answer(snapshot)

    # 318 s of work; the two warm ones do 180 of it in 90 s, each new one 30
    assert (decision.unmark, decision.desired, decision.scale_to) == (("a",), 7, 7)


def test_half_of_the_pods_drain_at_one_time() -> None:
    pods, workers = fleet_of(8)

    first = answer(look(pods, workers))
    second = answer(look(pods, workers, draining=first.mark))

    assert (len(first.mark), second.mark) == (4, ())


def test_a_pod_that_the_target_has_given_up_is_not_taken_back() -> None:
    snapshot = look(
        (cheap("a"), pod("b")), (drained("a"), busy("b")), draining=("a",), replicas=1, pages=100
    )

    decision = answer(snapshot)

    assert (decision.unmark, decision.scale_to) == ((), 2)


def test_nor_while_the_targets_controller_has_not_seen_the_order() -> None:
    pods, workers = (cheap("a"), pod("b"), pod("c")), (drained("a"), busy("b"), busy("c"))
    unseen = look(pods, workers, draining=("a",), replicas=2, pages=300, rollout=True)

    decision, _ = decide(unseen, replace(WATCHED, leaving=frozenset({"a"})), spec())

    assert decision.reason is Reason.BACKLOG
    assert decision.unmark == ()  # else the ReplicaSet would take a pod that works
    assert decision.notices == ()  # and "a" has not stayed: it has not gone yet


def test_warming_pods_go_first_the_newest_before_the_others() -> None:
    pods = (pod("busy"), pod("idle"), starting("old", age=30), starting("new", age=5))
    workers = (busy("busy"), idle("idle"))

    decision = answer(look(pods, workers), pool=replace(ONE, replicas=2))

    assert decision.mark == ("new", "old")


def test_the_idle_longest_goes_before_who_has_least_left() -> None:
    pods = tuple(pod(n) for n in "abcd")
    workers = (busy("a", pages=2), idle("b", seconds=5), idle("c", seconds=50), busy("d", pages=9))

    decision = answer(look(pods, workers), pool=ONE)

    assert decision.mark == ("c", "b", "a")


def test_nothing_is_drained_during_a_rollout() -> None:
    pods, workers = fleet_of(3)

    marks = answer(look(pods, workers, rollout=True), pool=ONE)
    ready = answer(
        look((cheap("a"), pod("b")), (drained("a"), busy("b")), draining=("a",), rollout=True),
        pool=ONE,
    )

    assert (marks.mark, ready.scale_to, ready.cheapen) == ((), None, ())
    limited = condition(marks, ConditionType.SCALING_LIMITED)
    assert (limited.status, limited.reason) == (True, "DrainBlocked")


def test_a_pod_that_is_not_ready_would_go_instead_and_stops_the_removal() -> None:
    sick = pod("b", ready=False)

    removal = answer(look((cheap("a"), sick), (drained("a"), busy("b")), draining=("a",)), pool=ONE)
    marks = answer(look((pod("a"), sick), (idle("a"), busy("b"))), pool=ONE)

    assert removal.scale_to is None
    assert (marks.mark, marks.scale_to) == ((), None)


def test_a_warming_pod_that_confirmed_goes_although_another_warms() -> None:
    new, old = cheap("new", ready=False, age=5.0), starting("old", age=30)

    decision = answer(look((new, old), (drained("new"),), draining=("new",)), pool=ONE)

    assert decision.scale_to == 1


def test_a_pod_that_was_never_placed_goes_after_a_look() -> None:
    waiting = starting("w", scheduled=False, running=False)
    snapshot = look((waiting, pod("b")), (busy("b"),))

    first, memory = decide(snapshot, WATCHED, ONE)
    marked = replace(snapshot, now=NOW + 3, redis=replace(snapshot.redis, draining=frozenset("w")))
    second, memory = decide(marked, memory, ONE)
    dear = replace(waiting, deletion_cost=-1000)
    third, _ = decide(
        replace(marked, cluster=replace(marked.cluster, pods=(dear, pod("b"))), now=NOW + 6),
        memory,
        ONE,
    )

    assert (first.mark, second.cheapen, third.scale_to) == (("w",), ("w",), 1)


def test_all_workers_of_a_pod_must_have_confirmed() -> None:
    pool = replace(ONE, limits=replace(ONE.limits, workers_per_replica=2))
    half = look(
        (cheap("a"), pod("b")),
        (drained("a"), busy("b"), busy("b", slot=1)),
        draining=("a",),
    )
    both = look(
        (cheap("a"), pod("b")),
        (drained("a"), drained("a", slot=1), busy("b"), busy("b", slot=1)),
        draining=("a",),
    )

    assert answer(half, pool=pool).scale_to is None
    assert answer(both, pool=pool).scale_to == 1


def test_a_worker_that_says_drained_without_a_mark_does_not_count() -> None:
    snapshot = look((cheap("a"), pod("b")), (drained("a"), busy("b")))

    decision = answer(snapshot, pool=replace(ONE, replicas=2))

    assert (decision.scale_to, decision.cheapen) == (None, ())


def test_a_drain_that_takes_too_long_is_undone_and_told() -> None:
    snapshot = look((pod("a"), pod("b")), (busy("a"), busy("b")), draining=("a",))
    memory = replace(WATCHED, marked=(("a", NOW - 300),))

    decision = answer(snapshot, memory, ONE)

    assert decision.unmark == ("a",)
    assert decision.notices[0].reason == "DrainTimedOut"


def test_a_dead_pod_nobody_has_heard_of_goes_after_the_time_of_a_drain() -> None:
    dead = cheap("a", ready=False)
    snapshot = look((dead, pod("b")), (busy("b"),), draining=("a",))

    early = answer(snapshot, replace(WATCHED, marked=(("a", NOW - 299),)), ONE)
    late = answer(snapshot, replace(WATCHED, marked=(("a", NOW - 300),)), ONE)

    assert (early.scale_to, late.scale_to) == (None, 1)


def test_the_wrong_pod_gone_is_told() -> None:
    snapshot = look((cheap("a"), pod("b")), (drained("a"), busy("b")), draining=("a",), replicas=2)
    memory = replace(WATCHED, leaving=frozenset({"a"}))

    assert answer(snapshot, memory, ONE).notices[0].reason == "WrongPodRemoved"


def test_leaving_automatic_mode_gives_draining_pods_back() -> None:
    snapshot = look((cheap("a"), pod("b")), (drained("a"), busy("b")), draining=("a",))

    assert answer(snapshot, pool=spec(mode=Mode.DRY_RUN)).unmark == ("a",)


def test_an_order_that_found_no_pod_yet_is_taken_back_without_removing_any() -> None:
    snapshot = look((pod("b"),), (busy("b"),), replicas=3)

    assert answer(snapshot, pool=ONE).scale_to == 1


@pytest.mark.parametrize("phase", [WorkerPhase.DRAINING, WorkerPhase.IDLE, WorkerPhase.BUSY])
def test_only_drained_is_a_confirmation(phase: WorkerPhase) -> None:
    says = replace(drained("a"), phase=phase)

    decision = answer(look((cheap("a"), pod("b")), (says, busy("b")), draining=("a",)), pool=ONE)

    assert decision.scale_to is None
