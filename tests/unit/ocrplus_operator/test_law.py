from dataclasses import replace
from typing import Any

import pytest
from pools import (
    NOW,
    WATCHED,
    Arrivals,
    Mode,
    Schedule,
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
    unread,
)

from ocrplus_operator.control.law import decide
from ocrplus_operator.control.types import (
    ConditionType,
    Memory,
    Pause,
    Reason,
    Snapshot,
    Unknown,
)

# ------------------------------------------------------------------ up


def test_work_at_zero_replicas_orders_one_worker_for_each_thirty_seconds_of_it() -> None:
    decision = answer(look(pages=100))

    assert (decision.desired, decision.scale_to, decision.reason) == (4, 4, Reason.FROM_ZERO)


def test_expired_leases_at_zero_replicas_wake_the_pool() -> None:
    decision = answer(look(expired_leases=1, expired_pages=3))

    assert (decision.scale_to, decision.reason) == (1, Reason.FROM_ZERO)


def test_work_beyond_the_drain_target_orders_what_new_workers_can_still_do() -> None:
    pods, workers = fleet_of(2)

    decision = answer(look(pods, workers, pages=300))

    # 2 workers do 180 s within 90 s; each new one does 30 s of the other 120
    assert (decision.desired, decision.scale_to, decision.reason) == (6, 6, Reason.BACKLOG)


def test_work_that_will_be_done_before_a_worker_is_warm_orders_none() -> None:
    pods, workers = fleet_of(2)

    decision = answer(look(pods, workers, pages=100))

    assert (decision.desired, decision.scale_to) == (2, None)


def test_arrivals_order_workers_once_something_waits() -> None:
    pods, workers = fleet_of(2)
    arrivals = Arrivals(pages=2400, chunks=240, chunks_squared=240, last_at=NOW)

    waiting = answer(look(pods, workers, pages=2, arrivals=arrivals))
    nothing = answer(look(pods, workers, pages=0, arrivals=arrivals))

    assert (waiting.desired, waiting.reason) == (6, Reason.RATE)  # 4 + sqrt(4 * 1)
    assert nothing.scale_to is None


def test_a_burst_is_work_and_not_a_rate() -> None:
    minutes = (30,) * 9
    steady = Arrivals(pages=300, chunks=30, chunks_squared=30, pages_by_minute=(*minutes, 30))
    burst = replace(steady, pages=6270, pages_by_minute=(*minutes, 6000))

    assert answer(look(arrivals=burst)).inputs.rate_workers < 1.5 + 2 * (
        answer(look(arrivals=steady)).inputs.rate_workers
    )


def test_pods_of_two_workers_are_counted_in_workers() -> None:
    pool = spec(limits={"workers_per_replica": 2})

    assert answer(look(pages=100), pool=pool).scale_to == 2  # 4 workers


# ------------------------------------------------------------------ down


def test_idle_workers_beyond_the_windows_need_are_marked_and_not_removed() -> None:
    pods, workers = fleet_of(4)

    decision = answer(look(pods, workers, arrivals=Arrivals(last_at=NOW)))

    assert (decision.desired, decision.reason) == (1, Reason.DRAIN)
    assert len(decision.mark) == 2  # at most half of four at one time
    assert decision.scale_to is None


def test_nothing_is_drained_before_one_window_has_been_watched() -> None:
    pods, workers = fleet_of(4)

    decision = answer(look(pods, workers), memory=Memory())

    assert (decision.desired, decision.mark) == (4, ())


def test_a_need_within_the_window_keeps_its_workers() -> None:
    pods, workers = fleet_of(4)
    memory = replace(WATCHED, needs=((NOW - 50, 4.0),))

    assert answer(look(pods, workers), memory=memory).desired == 4


def test_who_works_is_not_drained_while_nothing_asks_for_fewer() -> None:
    pods, _ = fleet_of(3)
    workers = tuple(busy(p.name, pages=1) for p in pods)

    decision = answer(look(pods, workers))

    assert (decision.desired, decision.mark) == (3, ())


def test_nobody_is_drained_while_known_work_exceeds_what_is_there() -> None:
    pods = tuple(starting(n, age=30) for n in "abcdefg")
    memory = replace(WATCHED, needs=((NOW - 3, 4.5),))

    decision = answer(look(pods, pages=90), memory)

    assert (decision.desired, decision.mark) == (7, ())


def test_silence_takes_the_pool_to_zero() -> None:
    memory = replace(WATCHED, quiet_since=NOW - 300)

    decision = answer(look((pod("a"),), (idle("a"),)), memory=memory)

    assert (decision.desired, decision.reason, decision.mark) == (0, Reason.IDLE, ("a",))


def test_an_arrival_breaks_the_silence_even_when_it_was_done_between_two_looks() -> None:
    memory = replace(WATCHED, quiet_since=NOW - 300)
    arrivals = Arrivals(pages=1, chunks=1, chunks_squared=1, last_at=NOW - 2)

    decision, memory = decide(look((pod("a"),), (idle("a"),), arrivals=arrivals), memory, spec())

    assert decision.desired == 1
    assert memory.quiet_since == NOW - 2


def test_a_pool_that_may_not_sleep_keeps_one() -> None:
    memory = replace(WATCHED, quiet_since=NOW - 3000)
    pool = spec(scale_to_zero={"enabled": False})

    assert answer(look((pod("a"),), (idle("a"),)), memory, pool).desired == 1
    assert answer(look(), memory, pool).scale_to == 1


# ------------------------------------------------------------------ bounds


def test_the_maximum_binds_and_says_so() -> None:
    decision = answer(look(pages=10_000))

    assert (decision.desired, decision.reason) == (16, Reason.LIMITED)
    limited = condition(decision, ConditionType.SCALING_LIMITED)
    assert (limited.status, limited.reason) == (True, "Maximum")
    assert condition(decision, ConditionType.SLO_ATTAINABLE).reason == "Limited"


def test_the_gpu_quota_binds_below_the_maximum() -> None:
    decision = answer(look(pages=10_000, quota_replicas=3))

    assert decision.scale_to == 3
    assert condition(decision, ConditionType.SCALING_LIMITED).reason == "Quota"


def test_a_quota_read_before_its_pods_were_seen_drains_none_of_them() -> None:
    pods, workers = fleet_of(3)

    decision = answer(look(pods, workers, quota_replicas=0, pages=10_000))

    assert (decision.mark, decision.scale_to, decision.desired) == ((), None, 3)
    assert condition(decision, ConditionType.SCALING_LIMITED).reason == "Quota"


def test_no_more_pods_are_ordered_than_may_wait_for_a_place() -> None:
    pool = spec(limits={"max_pending": 2})
    waiting = (starting("a", running=False, scheduled=False),)

    decision = answer(look(waiting, pages=10_000), pool=pool)

    assert decision.scale_to == 2
    assert condition(decision, ConditionType.SCALING_LIMITED).reason == "MaxPending"


def test_a_minimum_is_ordered_without_any_work() -> None:
    decision = answer(look(), pool=spec(limits={"min_replicas": 2}))

    assert (decision.scale_to, decision.reason) == (2, Reason.MINIMUM)


def test_a_schedule_raises_the_floor_while_it_stands() -> None:
    office = Schedule("0 7 * * 1-5", duration_seconds=12 * 3600, min_replicas=3)
    pool = spec(schedules=(office,))

    before = answer(look(now=NOW + 7 * 3600 - 1), pool=pool)
    after = answer(look(now=NOW + 7 * 3600), pool=pool)

    assert before.scale_to is None
    assert (after.scale_to, after.reason) == (3, Reason.SCHEDULE)


def test_pods_without_a_place_stop_further_orders_until_a_retry() -> None:
    late = starting("a", age=601, scheduled=False, running=False)
    snapshot = look((late,), pages=10_000)

    first, memory = decide(snapshot, WATCHED, spec())
    second, memory = decide(replace(snapshot, now=NOW + 3), memory, spec())
    retry, memory = decide(replace(snapshot, now=NOW + 601), memory, spec())

    assert (first.scale_to, first.reason) == (None, Reason.LIMITED)
    assert first.notices[0].reason == "ProvisioningTimedOut"
    assert (second.scale_to, second.notices) == (None, ())
    assert retry.scale_to == 2
    assert memory.retry_at == NOW + 601 + 1200
    assert condition(second, ConditionType.SCALING_LIMITED).reason == "Provisioning"


def test_a_place_found_ends_the_back_off() -> None:
    memory = replace(WATCHED, retry_at=NOW + 500, backoff_seconds=600)

    decision, memory = decide(look((pod("a"),), (idle("a"),), pages=10_000), memory, spec())

    assert decision.scale_to == 16
    assert memory.retry_at is None


# ------------------------------------------------------------------ what cannot be known


@pytest.mark.parametrize("reason", ["Loading", "NoAuth", "WrongType", "Timeout", "LagUnknown"])
def test_unknown_work_holds_and_names_the_reason(reason: str) -> None:
    pods, _ = fleet_of(3)

    decision = answer(unread(look(pods), reason))

    assert (decision.desired, decision.reason, decision.scale_to) == (3, Reason.HOLD, None)
    assert (decision.mark, decision.unmark, decision.cheapen, decision.forget) == ((), (), (), ())
    available = condition(decision, ConditionType.METRICS_AVAILABLE)
    assert (available.status, available.reason) == (False, reason)


def test_unknown_for_long_rises_to_the_fallback_and_never_falls_to_it() -> None:
    pool = spec(missing_metrics={"hold_seconds": 600, "fallback_replicas": 3})
    memory = replace(WATCHED, unknown_since=NOW - 600)
    few, many = fleet_of(1)[0], fleet_of(5)[0]

    raised = answer(unread(look(few)), memory, pool)
    held = answer(unread(look(many)), memory, pool)
    early = answer(unread(look(few)), replace(memory, unknown_since=NOW - 599), pool)

    assert (raised.scale_to, raised.reason) == (3, Reason.FALLBACK)
    assert (held.scale_to, early.scale_to) == (None, None)


def test_after_an_outage_a_whole_window_is_watched_again() -> None:
    pods, workers = fleet_of(4)
    _, memory = decide(unread(look(pods, workers)), WATCHED, spec())

    decision = answer(look(pods, workers, now=NOW + 3), memory)

    assert (decision.desired, decision.mark) == (4, ())


def test_an_unknown_cluster_answers_the_last_decision() -> None:
    _, memory = decide(look(pages=90), WATCHED, spec())
    blind = replace(look(), cluster=Unknown("ApiServer", "no answer"))

    decision = answer(blind, memory)

    assert (decision.desired, decision.scale_to, decision.reason) == (3, None, Reason.HOLD)
    assert condition(decision, ConditionType.READY).status is False


# ------------------------------------------------------------------ a person's word


def test_a_dry_run_decides_and_does_nothing() -> None:
    decision = answer(look(pages=100), pool=spec(mode=Mode.DRY_RUN))

    assert (decision.desired, decision.reason, decision.scale_to) == (4, Reason.FROM_ZERO, None)


def test_manual_replicas_are_ordered_at_once_and_reduced_by_draining() -> None:
    pods, workers = fleet_of(4)
    pool = spec(mode=Mode.MANUAL, replicas=1)

    more = answer(look(), pool=replace(pool, replicas=2))
    fewer = answer(look(pods, workers, pages=500), pool=pool)

    assert (more.scale_to, more.reason) == (2, Reason.MANUAL)
    assert (len(fewer.mark), fewer.scale_to) == (3, None)


def test_a_pause_of_scaling_down_holds_manual_replicas_too() -> None:
    pods, workers = fleet_of(3)
    pool = spec(mode=Mode.MANUAL, replicas=1)

    decision = answer(look(pods, workers, pause=Pause(scale_down=True)), pool=pool)

    assert (decision.desired, decision.mark, decision.reason) == (3, (), Reason.PAUSED)


def test_manual_replicas_wait_to_fall_until_drains_can_be_seen_and_say_so() -> None:
    pods, workers = fleet_of(3)
    pool = spec(mode=Mode.MANUAL, replicas=1)

    decision = answer(unread(look(pods, workers)), pool=pool)

    limited = condition(decision, ConditionType.SCALING_LIMITED)
    assert (decision.desired, decision.scale_to, limited.reason) == (1, None, "DrainBlocked")
    assert "work is unknown" in limited.message


def test_manual_needs_no_metrics_to_rise() -> None:
    assert answer(unread(look()), pool=spec(mode=Mode.MANUAL, replicas=2)).scale_to == 2


def test_a_pause_keeps_replicas_and_gives_draining_pods_back() -> None:
    snapshot = look(
        (cheap("a"), pod("b")), (drained("a"), busy("b")), draining=("a",), pages=10_000,
        pause=Pause(all=True),
    )  # fmt: skip

    decision = answer(snapshot)

    assert (decision.reason, decision.scale_to, decision.unmark) == (Reason.PAUSED, None, ("a",))
    assert condition(decision, ConditionType.PAUSED).status is True


@pytest.mark.parametrize(
    "held",
    [
        look(*fleet_of(4), pause=Pause(all=True)),
        look(*fleet_of(4), conflict="ScaledObject/ocr"),
        replace(look(), cluster=Unknown("ApiServer", "no answer")),
    ],
)
def test_a_whole_window_is_watched_after_the_law_had_no_say(held: Snapshot) -> None:
    _, memory = decide(held, replace(WATCHED, quiet_since=NOW - 900), spec())

    decision = answer(look(*fleet_of(4), now=NOW + 3), memory)

    assert (decision.desired, decision.mark) == (4, ())


def test_a_pause_of_scaling_down_still_lets_the_pool_grow() -> None:
    pods, workers = fleet_of(4)
    pause = Pause(scale_down=True)

    stays = answer(look(pods, workers, pause=pause))
    grows = answer(look(pods, workers, pages=1000, pause=pause))

    assert (stays.desired, stays.mark, stays.reason) == (4, (), Reason.PAUSED)
    assert grows.scale_to == 16


def test_another_scaler_of_the_target_is_refused() -> None:
    decision = answer(look(pages=1000, conflict="HorizontalPodAutoscaler/ocr"))

    assert (decision.reason, decision.scale_to) == (Reason.CONFLICT, None)
    conflict = condition(decision, ConditionType.CONFLICT)
    assert conflict.status is True
    assert "HorizontalPodAutoscaler/ocr" in conflict.message


def test_drains_are_taken_back_beside_another_scaler_but_not_from_an_elder_pool() -> None:
    pods, workers = (cheap("a"), pod("b")), (drained("a"), idle("b"))

    def beside(conflict: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        decision = answer(look(pods, workers, draining=("a", "elsewhere"), conflict=conflict))
        return decision.unmark, decision.forget

    assert beside("HorizontalPodAutoscaler/ocr") == (("a",), ("elsewhere",))
    assert beside("WorkerPool/elder") == ((), ())


# ------------------------------------------------------------------ conditions and words


def test_every_decision_says_all_conditions_with_reason_and_message() -> None:
    blind = replace(look(), cluster=Unknown("ApiServer", "no answer"))
    for snapshot in (look(pages=10), unread(look()), blind, look(conflict="X/y")):
        decision = answer(snapshot)
        assert [c.type for c in decision.conditions] == list(ConditionType)
        assert all(c.reason and c.message for c in decision.conditions)


def test_idle_workers_without_doorbells_are_told_after_a_while() -> None:
    snapshot = look((pod("a"),), (idle("a"),), pages=5, doorbells=0)

    first, memory = decide(snapshot, WATCHED, spec())
    later = answer(replace(snapshot, now=NOW + 15), memory)

    assert condition(first, ConditionType.DOORBELLS_MISSING).status is False
    assert condition(later, ConditionType.DOORBELLS_MISSING).status is True


def test_a_cold_start_longer_than_the_target_is_told() -> None:
    attainable = condition(answer(look()), ConditionType.SLO_ATTAINABLE)
    kept_warm = answer(look((pod("a"),), (idle("a"),)), pool=spec(limits={"min_replicas": 1}))

    assert (attainable.status, attainable.reason) == (False, "ColdStart")
    assert condition(kept_warm, ConditionType.SLO_ATTAINABLE).status is True


def test_the_message_answers_why() -> None:
    decision = answer(look(pages=100))

    assert decision.message == (
        "0 -> 4: 100 s of work (100 pages wait, 0 chunks in flight), 0 s done in 20 s, "
        "arrivals ask for 0.0 workers"
    )


def night(pages: int = 0, **fields: Any) -> tuple[Snapshot, Memory]:
    pods, workers = fleet_of(3)
    quiet = replace(WATCHED, quiet_since=NOW - 900)
    return look(pods, workers, pages=pages, **fields), quiet


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ({"limits": {"min_replicas": 3}}, "3 stay: nothing since 2026-01-05 00:00:00 UTC"),
        ({"limits": {"min_replicas": 3}}, "; limits.minReplicas keeps at least 3"),
        ({"schedules": (Schedule("0 0 * * *", 3600, 3),)}, "; a schedule keeps at least 3"),
        ({"mode": Mode.DRY_RUN}, "3 stay (DryRun), 0 would be right: nothing since"),
    ],
)
def test_why_three_is_answered_at_night(pool: dict[str, Any], words: str) -> None:
    snapshot, quiet = night(arrivals=Arrivals(last_at=NOW))
    later = replace(snapshot, now=NOW + 3000)

    message = decide(later, quiet, spec(**pool))[0].message

    assert words in message
    assert decide(replace(later, now=NOW + 3003), quiet, spec(**pool))[0].message == message


@pytest.mark.parametrize(
    ("pool", "fields", "words"),
    [
        ({"limits": {"max_replicas": 3}}, {}, "are asked for, limits.maxReplicas allows 3"),
        ({}, {"quota_replicas": 3}, "are asked for, the ResourceQuota leaves 3"),
        ({"limits": {"max_pending": 1}}, {}, "are asked for, limits.maxPending allows for now 4"),
    ],
)
def test_what_binds_stands_in_the_sentence(
    pool: dict[str, Any], fields: dict[str, Any], words: str
) -> None:
    snapshot, _ = night(pages=10_000, **fields)

    assert words in answer(snapshot, pool=spec(**pool)).message


def test_who_drains_and_who_is_not_rung_stands_in_the_sentence() -> None:
    pods, workers = fleet_of(3)
    snapshot = look(pods, workers, pages=9, doorbells=0, draining=("p2",))
    long_ago = replace(WATCHED, doorbells_missing_since=NOW - 60)

    message = answer(snapshot, long_ago).message

    assert message.startswith("2 -> 1, 1 drain: 9 s of work")
    assert message.endswith("; idle workers are not rung (DoorbellsMissing)")


def test_a_window_that_was_not_watched_yet_stands_in_the_sentence() -> None:
    pods, workers = fleet_of(3)

    assert answer(look(pods, workers), Memory(since=NOW - 5)).message == (
        "3 stay: 0 s of work (0 pages wait, 0 chunks in flight), 60 s done in 20 s, "
        "arrivals ask for 0.0 workers; none is let go before 60 s were watched"
    )
