"""What the scripts promise of figures, one promise a test."""

import asyncio
import time

import pytest
import redis
import redis.asyncio
from ledger_steps import (
    CAPTIONS_ON,
    KEYS,
    LEDGER,
    admit,
    caption,
    commit,
    events,
    milestones,
    release_figure,
    settle_job,
    take,
    take_figure,
)

from ocrplus_contract.captions import CaptionReason, CaptionState, read_captions
from ocrplus_contract.errors import ErrorCode, LeaseLost
from ocrplus_contract.ledger import run
from ocrplus_contract.names import Pool, TaskId, UserId
from ocrplus_contract.states import JobState
from ocrplus_gateway.deadlines import CaptionDeadlines

USER, TASK = UserId("u"), TaskId("t")


def read(client: redis.Redis, *figures_of_pages: list[str], **facts: str) -> None:
    """Admit a document and read its pages."""
    last = len(figures_of_pages)
    admit(client, "u", "t", [(1, last)], facts={**CAPTIONS_ON, **facts})
    lease = take(client)
    for page, figures in enumerate(figures_of_pages, 1):
        commit(client, lease, page, figures=figures)


def state(client: redis.Redis) -> str:
    return client.hget(KEYS.job(USER, TASK), "state").decode()


def result(client: redis.Redis) -> dict:
    (found,) = [e for e in events(client, "u") if e["type"] == "result"]
    return found


def records(client: redis.Redis) -> list:
    return read_captions(client.hgetall(KEYS.captions(USER, TASK)))


def test_without_captions_a_figure_leaves_no_trace(client: redis.Redis) -> None:
    read(client, ["p1-f1"], captions="off")

    assert state(client) == "ok"
    assert not client.exists(KEYS.work(Pool.CAPTION), KEYS.captions(USER, TASK))
    assert result(client)["captions"] == "off"


def test_the_page_goes_out_at_once_and_the_result_with_the_last_caption(client) -> None:
    read(client, ["p1-f1"], ["p2-f1"])
    assert state(client) == "running"
    assert [e["type"] for e in milestones(client, "u")] == ["submitted", "page", "page"]

    caption(client, take_figure(client))
    caption(client, take_figure(client))

    types = [e["type"] for e in milestones(client, "u")][3:]
    assert types == ["caption", "caption", "result"]
    assert (result(client)["captions"], result(client)["captioner"]) == ("complete", "m p-1")
    assert state(client) == "ok"


def test_captions_that_come_before_the_last_page_delay_nothing(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 2)], facts=CAPTIONS_ON)
    lease = take(client)
    commit(client, lease, 1, figures=["p1-f1"])
    caption(client, take_figure(client))

    commit(client, lease, 2)

    assert state(client) == "ok"
    assert result(client)["captions"] == "complete"


def test_at_the_deadline_the_result_goes_out_and_late_captions_still_count(client) -> None:
    read(client, ["p1-f1", "p1-f2"])
    caption(client, take_figure(client))
    due = client.zscore(KEYS.caption_deadlines(), "u:t")

    assert settle_job(client, "u", "t") == "ended"

    assert abs(due - client.time()[0] - 30) < 3
    assert (state(client), result(client)["captions"]) == ("ok", "partial")
    assert caption(client, take_figure(client))
    assert [r.state for r in records(client)] == ["ok", "ok"]
    assert events(client, "u")[-1]["type"] == "caption"
    assert not client.exists(KEYS.late_captions(), KEYS.caption_deadlines())


def test_while_the_breaker_is_open_a_result_does_not_wait(client: redis.Redis) -> None:
    trip(client, seconds=60)

    read(client, ["p1-f1"])

    assert (state(client), result(client)["captions"]) == ("ok", "partial")


@pytest.mark.parametrize("breaker", ["open", "half_open"])
def test_a_breaker_whose_time_is_over_lets_a_result_wait(client: redis.Redis, breaker) -> None:
    trip(client, seconds=-3000, state=breaker)

    read(client, ["p1-f1"])
    caption(client, take_figure(client))

    assert result(client)["captions"] == "complete"


def trip(client: redis.Redis, *, seconds: float, state: str = "open") -> None:
    until = client.time()[0] + seconds
    client.hset(KEYS.breaker(), mapping={"state": state, "until": f"{until:.3f}", "openings": 1})


@pytest.mark.parametrize(("seconds", "settled"), [(60, 1), (-3000, 0)])
def test_only_an_open_breaker_ends_what_waits(client, seconds, settled) -> None:
    read(client, ["p1-f1"])
    trip(client, seconds=seconds)

    assert look_at_deadlines(client) == settled
    assert state(client) == ("ok" if settled else "running")


@pytest.mark.parametrize("skew", [-7200, 7200])
def test_deadlines_go_by_the_server_s_clock(client, monkeypatch, skew) -> None:
    read(client, ["p1-f1"])
    real = time.time()
    monkeypatch.setattr("time.time", lambda: real + skew)

    assert look_at_deadlines(client) == 0
    client.zadd(KEYS.caption_deadlines(), {"u:t": client.time()[0] - 1})
    assert look_at_deadlines(client) == 1


def look_at_deadlines(client: redis.Redis) -> int:
    """What the leading gateway does twice a second."""
    server = client.connection_pool.connection_kwargs

    async def once() -> int:
        async with redis.asyncio.Redis(host=server["host"], port=server["port"]) as own:
            return await CaptionDeadlines(own, KEYS, LEDGER, lambda: True).once()

    return asyncio.run(once())


def test_a_deadline_of_zero_does_not_wait(client: redis.Redis) -> None:
    read(client, ["p1-f1"], caption_seconds="0.0")

    assert state(client) == "ok"


def test_what_nobody_begins_is_given_up_with_a_reason(client: redis.Redis) -> None:
    read(client, ["p1-f1", "p1-f2"])
    held = take_figure(client)
    settle_job(client, "u", "t")

    assert settle_job(client, "u", "t") == "given_up"

    assert [r.reason for r in records(client)] == [None, CaptionReason.UNAVAILABLE]
    counted = client.hmget(KEYS.load(Pool.CAPTION), "late", "ended:caption_unavailable")
    assert counted == [b"2", b"1"]
    assert client.zscore(KEYS.late_captions(), "u:t") is not None, "one is in hand still"
    assert caption(client, held)
    assert take_figure(client) is None


def test_a_job_whose_pages_are_still_to_come_keeps_its_figures(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 2)], facts=CAPTIONS_ON)
    lease = take(client)
    commit(client, lease, 1, figures=["p1-f1"])

    assert settle_job(client, "u", "t") == "unknown"  # by a deadline of an earlier job of its name

    assert caption(client, take_figure(client))
    commit(client, lease, 2)
    assert (state(client), result(client)["captions"]) == ("ok", "complete")


@pytest.mark.parametrize(
    ("end", "reason", "whole"),
    [
        (CaptionState.SKIPPED, CaptionReason.TOO_SMALL, "complete"),
        (CaptionState.SKIPPED, CaptionReason.BUDGET_JOB, "partial"),
        (CaptionState.FAILED, CaptionReason.TIMEOUT, "partial"),
    ],
)
def test_a_result_is_complete_unless_a_description_is_owed(client, end, reason, whole) -> None:
    read(client, ["p1-f1"])

    caption(client, take_figure(client), end, reason)

    assert (state(client), result(client)["captions"]) == ("ok", whole)


def test_a_cancelled_job_drops_its_figures(client: redis.Redis) -> None:
    read(client, ["p1-f1", "p1-f2", "p1-f3"])
    held = take_figure(client)

    run(client, LEDGER.cancel(USER, TASK, state=JobState.CANCELLED, code=ErrorCode.CANCELLED))

    assert client.xinfo_groups(KEYS.work(Pool.CAPTION))[0]["lag"] == 0
    assert not run(client, LEDGER.renew(Pool.CAPTION, held.permit))
    assert not caption(client, held)
    assert client.xinfo_groups(KEYS.work(Pool.CAPTION))[0]["pending"] == 0
    assert run(client, LEDGER.resync(Pool.CAPTION)) == (0, 0)


def test_a_job_that_only_waits_for_captions_is_never_given_up(client: redis.Redis) -> None:
    read(client, ["p1-f1"])

    run(client, LEDGER.cancel(USER, TASK, state=JobState.FAILED, code=ErrorCode.WORKER_LOST))

    assert (state(client), result(client)["captions"]) == ("ok", "partial")
    assert caption(client, take_figure(client))


def test_a_forgotten_job_leaves_no_figures(client: redis.Redis) -> None:
    read(client, ["p1-f1", "p1-f2"])
    settle_job(client, "u", "t")

    run(client, LEDGER.forget(USER, TASK))

    assert not client.exists(KEYS.captions(USER, TASK), KEYS.late_captions())
    assert take_figure(client) is None


def test_the_third_death_with_a_figure_in_hand_ends_it(client: redis.Redis) -> None:
    read(client, ["p1-f1"])

    for _ in range(3):
        release_figure(client, take_figure(client), "died")

    assert records(client)[0].reason is CaptionReason.POISON
    assert (state(client), result(client)["captions"]) == ("ok", "partial")
    assert take_figure(client) is None


def test_a_fenced_worker_cannot_end_a_figure(client: redis.Redis) -> None:
    read(client, ["p1-f1"])
    old = take_figure(client)
    release_figure(client, old, "died")

    with pytest.raises(LeaseLost):
        caption(client, old)

    assert caption(client, take_figure(client))


def test_figures_are_counted_as_they_come_wait_and_go(client: redis.Redis) -> None:
    read(client, ["p1-f1", "p1-f2", "p1-f3"])
    take_figure(client)

    load = client.hgetall(KEYS.load(Pool.CAPTION))

    assert (load[b"waiting"], load[b"inflight"]) == (b"2", b"1")
    assert [v for k, v in load.items() if k.startswith(b"a:")] == [b"3:3:9"]


def test_nothing_of_a_figure_lives_longer_than_its_job(client: redis.Redis) -> None:
    read(client, ["p1-f1"])
    ends = [client.pexpiretime(key) for key in (KEYS.captions(USER, TASK), KEYS.job(USER, TASK))]
    assert 0 < ends[0] <= ends[1]

    caption(client, take_figure(client))

    assert 0 < client.pttl(KEYS.captions(USER, TASK)) <= 86400 * 1000
