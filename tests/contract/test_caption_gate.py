"""What rations calls to a model: limit, patience, breaker, budgets, turns."""

import asyncio
import json
from dataclasses import fields
from typing import Any

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
    release_figure,
    take,
    take_figure,
)

from ocrplus_caption.describe import Describer
from ocrplus_caption.gate import NotNow
from ocrplus_contract.caption_settings import CaptionSettings
from ocrplus_contract.ledger import Lease, run
from ocrplus_contract.names import Pool, TaskId, UserId

ENDPOINT = "e"
ANY = "0-0"


def slot(client: redis.Redis, call: str, limit: int = 0, permit: str = ANY) -> tuple[str, int]:
    def parse(reply) -> tuple[str, int]:
        return reply[0].decode(), reply[1]

    if permit == ANY:
        client.hset(KEYS.lease(Pool.CAPTION), ANY, "{}")
    args = (ENDPOINT, call, limit, 400_000, 300_000, permit)
    return run(client, LEDGER.call("caption_slot", parse, *args))


def answer(client: redis.Redis, call: str, verdict: str, pause_ms: int = 0) -> str:
    args = (ENDPOINT, call, verdict, pause_ms, 3, 40)
    return run(client, LEDGER.call("caption_answer", bytes.decode, *args))


def wait(client: redis.Redis, milliseconds: int) -> None:
    client.blpop("nothing", timeout=milliseconds / 1000)


def test_no_more_slots_are_granted_than_the_limit(client: redis.Redis) -> None:
    granted = [slot(client, f"c{n}", limit=5)[0] for n in range(8)]

    assert granted == ["go"] * 5 + ["wait"] * 3


def test_a_slot_is_free_60_seconds_after_its_answer(client: redis.Redis) -> None:
    slot(client, "c", limit=1)
    in_flight = client.zscore(KEYS.slots(ENDPOINT), "c") - client.time()[0]
    answer(client, "c", "ok")

    answered = client.zscore(KEYS.slots(ENDPOINT), "c") - client.time()[0]
    verdict, ms = slot(client, "d", limit=1)

    assert 395 < in_flight < 402
    assert 58 < answered < 61.1
    assert verdict == "wait" and 58_000 < ms <= 60_000


def test_asked_for_patience_holds_for_all(client: redis.Redis) -> None:
    answer(client, "c", "limited", pause_ms=80)
    answer(client, "d", "limited", pause_ms=10)

    verdict, ms = slot(client, "e")

    assert verdict == "closed" and 10 < ms <= 80, "the longest patience counts"
    wait(client, 100)
    assert slot(client, "e")[0] == "go"


def test_failures_in_a_row_open_the_breaker_and_one_call_tries(client: redis.Redis) -> None:
    assert [answer(client, "c", "failed") for _ in range(3)] == ["closed", "closed", "open"]
    assert slot(client, "d")[0] == "closed"
    wait(client, 60)

    assert [slot(client, name)[0] for name in ("probe", "second")] == ["go", "closed"]
    assert client.hget(KEYS.breaker(), "state") == b"half_open"
    assert answer(client, "probe", "ok") == "closed"
    assert slot(client, "second")[0] == "go"


def test_failures_that_ask_for_patience_get_it_and_open_the_breaker(client: redis.Redis) -> None:
    states = [answer(client, "c", "failed", pause_ms=900) for _ in range(3)]

    assert states == ["closed", "closed", "open"]
    assert 0 < client.pttl(KEYS.pause(ENDPOINT)) <= 900


def test_a_failed_try_doubles_the_wait(client: redis.Redis) -> None:
    answer(client, "c", "fatal")
    wait(client, 60)
    slot(client, "probe")

    assert answer(client, "probe", "failed") == "open"
    verdict, ms = slot(client, "d")
    assert verdict == "closed" and 40 < ms <= 81  # in milliseconds, rounded up


def test_an_answer_between_failures_keeps_the_breaker_closed(client: redis.Redis) -> None:
    for verdict in ("failed", "failed", "ok", "failed", "failed"):
        state = answer(client, "c", verdict)

    assert state == "closed"


def test_a_try_that_was_broken_off_leaves_it_to_the_next(client: redis.Redis) -> None:
    answer(client, "c", "fatal")
    wait(client, 60)
    slot(client, "probe")
    answer(client, "probe", "unknown")

    assert slot(client, "next")[0] == "go"


@pytest.mark.parametrize("verdict", ["unknown", "failed"])
def test_a_call_from_before_says_nothing_of_the_try(client: redis.Redis, verdict: str) -> None:
    slot(client, "before")
    answer(client, "c", "fatal")
    wait(client, 60)
    slot(client, "probe")

    assert answer(client, "before", verdict) == "half_open"
    assert slot(client, "next")[0] == "closed", "one at a time"
    assert answer(client, "probe", "failed") == "open"


def held(client: redis.Redis, figures: int, task: str = "t") -> list[Lease]:
    """A job whose only page has so many figures, all of them in hand."""
    admit(client, "u", task, [(1, 1)], facts=CAPTIONS_ON)
    commit(client, take(client), 1, figures=[f"p1-f{n + 1}" for n in range(figures)])
    return [lease for _ in range(figures) if (lease := take_figure(client)) is not None]


def spend(client: redis.Redis, lease: Lease, job: int, day: int) -> str:
    args = (lease.permit, "20260101", job, day)
    return run(client, LEDGER.call("spend", bytes.decode, *args))


def test_budgets_are_never_exceeded(client: redis.Redis) -> None:
    leases = held(client, 5)

    assert [spend(client, lease, 2, 0) for lease in leases[:3]] == ["granted", "granted", "job"]
    assert [spend(client, lease, 0, 3) for lease in leases[3:]] == ["granted", "user"]


def test_a_figure_is_charged_once_however_often_it_is_taken(client: redis.Redis) -> None:
    (lease,) = held(client, 1)
    for _ in range(4):
        assert spend(client, lease, 1, 1) == "granted"
        release_figure(client, lease)
        lease = take_figure(client)

    assert client.hget(KEYS.job("u", "t"), "captions_asked") == b"1"
    assert client.get(KEYS.caption_calls("u", "20260101")) == b"1"
    assert caption(client, lease)


def test_a_forgotten_job_spends_nothing_and_asks_nobody(client: redis.Redis) -> None:
    (lease,) = held(client, 1)
    run(client, LEDGER.forget(UserId("u"), TaskId("t")))
    server = client.connection_pool.connection_kwargs

    async def charge() -> None:
        async with redis.asyncio.Redis(host=server["host"], port=server["port"]) as own:
            rest: Any = dict.fromkeys(f.name for f in fields(Describer))
            rest |= {"client": own, "ledger": LEDGER, "settings": CaptionSettings()}
            await Describer(**rest)._spend(lease)

    with pytest.raises(NotNow):
        asyncio.run(charge())

    assert spend(client, lease, 0, 0) == "closed"
    assert not client.keys("job:*")


def test_a_fenced_worker_spends_nothing(client: redis.Redis) -> None:
    (lease,) = held(client, 1)
    release_figure(client, lease, "died")

    assert spend(client, lease, 0, 0) == "closed"


@pytest.mark.parametrize("reason", ["died", "returned"])
def test_a_try_whose_lease_ends_leaves_it_to_the_next(client: redis.Redis, reason) -> None:
    first, second = held(client, 2)
    answer(client, "c", "fatal")
    wait(client, 60)
    assert slot(client, "probe", permit=first.permit)[0] == "go"

    release_figure(client, second, reason)
    assert slot(client, "next")[0] == "closed", "another's lease ended"
    release_figure(client, first, reason)

    assert slot(client, "next")[0] == "go"


def test_a_lease_that_ends_after_its_failed_try_opens_nothing(client: redis.Redis) -> None:
    (lease,) = held(client, 1)
    answer(client, "c", "fatal")
    wait(client, 60)
    slot(client, "probe", permit=lease.permit)
    answer(client, "probe", "failed")

    until = client.hget(KEYS.breaker(), "until")
    release_figure(client, lease)

    assert client.hmget(KEYS.breaker(), "state", "until") == [b"open", until]


def turn(client: redis.Redis, lease: Lease, picture: str = "terms:p") -> tuple[Any, ...]:
    return run(client, LEDGER.call("turn", tuple, lease.permit, picture, "terms:1x1"))


def remember(
    client: redis.Redis, lease: Lease, said: str, picture: str = "terms:p", alike: str = "terms:1x1"
) -> bool:
    entry = json.dumps({"task": lease.task, "picture": picture})
    given = (lease.permit, lease.user, picture, alike, said, entry)
    return run(client, LEDGER.call("remember", bool, *given))


def test_a_turn_is_one_s_until_it_is_over_or_its_lease_ends(client: redis.Redis) -> None:
    first, second = held(client, 2)

    assert [turn(client, first), turn(client, second)] == [(b"mine",), (b"wait",)]
    assert not remember(client, second, "")
    assert turn(client, second) == (b"wait",), "it was another's to end"
    release_figure(client, first, "died")
    assert turn(client, first) == (b"closed",), "the dead ask nobody"
    assert turn(client, second) == (b"mine",), "nobody waits for the dead"
    assert remember(client, second, "said")
    assert turn(client, second) == (b"known", b"said")


def test_a_turn_comes_with_the_pictures_of_its_size(client: redis.Redis) -> None:
    first, second = held(client, 2)
    turn(client, first)
    remember(client, first, "said")

    ours, entry = turn(client, second, "terms:other")

    assert ours == b"mine" and json.loads(entry)["picture"] == "terms:p"


def test_a_deleted_job_s_descriptions_go_with_it(client: redis.Redis) -> None:
    (lease,) = held(client, 1)
    turn(client, lease)
    remember(client, lease, "said")

    run(client, LEDGER.forget(UserId("u"), TaskId("t")))

    assert not remember(client, lease, "said again"), "its worker had not heard of it"
    assert client.keys("descri*") + client.keys("alike*") + client.keys("*:described") == []


def test_a_description_that_another_job_shows_stays_for_it(client: redis.Redis) -> None:
    (lease,) = held(client, 1)
    turn(client, lease)
    remember(client, lease, "said")
    admit(client, "u", "t2", [(1, 1)], facts=CAPTIONS_ON)
    commit(client, take(client), 1, figures=["a"])
    other = take_figure(client)
    assert turn(client, other) == (b"known", b"said")

    run(client, LEDGER.forget(UserId("u"), TaskId("t")))
    assert turn(client, other) == (b"known", b"said")
    assert client.lrange(KEYS.alike(UserId("u"), "terms:1x1"), 0, -1) == [], "its figure is gone"
    run(client, LEDGER.forget(UserId("u"), TaskId("t2")))

    assert client.keys("descri*") + client.keys("*:described") == []


def test_a_job_that_takes_over_pages_shows_their_pictures(client: redis.Redis) -> None:
    (lease,) = held(client, 1)
    turn(client, lease)
    remember(client, lease, "said")
    caption(client, lease)
    call = LEDGER.reuse(
        UserId("u"),
        TaskId("t2"),
        fingerprint="f",
        source=(TaskId("t"), client.hget(KEYS.job(UserId("u"), TaskId("t")), "begins").decode()),
        facts={"captions": "on"},
        submitted_body='{"type":"submitted","task_id":"t2"}',
        page_bodies=['{"type":"page","task_id":"t2"}'],
        caption_bodies=['{"type":"caption","task_id":"t2"}'],
    )
    assert run(client, call) is not None

    run(client, LEDGER.forget(UserId("u"), TaskId("t")))
    assert client.get(KEYS.described(UserId("u"), "terms:p")) == b"said"
    run(client, LEDGER.forget(UserId("u"), TaskId("t2")))
    assert client.keys("descri*") + client.keys("*:described") == []


def test_a_job_that_has_expired_keeps_no_description(client: redis.Redis) -> None:
    (lease,) = held(client, 1)
    turn(client, lease)
    remember(client, lease, "said")
    client.sadd(KEYS.described_for(UserId("u"), "terms:p"), "expired")

    run(client, LEDGER.forget(UserId("u"), TaskId("t")))

    assert not client.exists(KEYS.described(UserId("u"), "terms:p"))


def test_descriptions_live_as_long_as_results(client: redis.Redis) -> None:
    (lease,) = held(client, 1)
    turn(client, lease)
    remember(client, lease, "said")
    caption(client, lease)

    user, ttl = UserId("u"), LEDGER.ttl_seconds
    for key in (
        KEYS.described(user, "terms:p"),
        KEYS.described_for(user, "terms:p"),
        KEYS.descriptions(user, TaskId("t")),
        KEYS.alike(user, "terms:1x1"),
    ):
        assert ttl - 60 < client.ttl(key) <= ttl, key


def test_a_try_whose_worker_was_fenced_is_over(client: redis.Redis) -> None:
    (lease,) = held(client, 1)
    answer(client, "c", "fatal")
    wait(client, 60)
    assert slot(client, "probe", permit=lease.permit)[0] == "go"
    client.hdel(KEYS.lease(Pool.CAPTION), lease.permit)  # whatever took it away

    (next_one,) = held(client, 1, task="t2")
    assert slot(client, "next", permit=next_one.permit)[0] == "go"


def test_a_fenced_worker_does_not_try(client: redis.Redis) -> None:
    (lease,) = held(client, 1)
    release_figure(client, lease, "expired")

    assert slot(client, "call", permit=lease.permit)[0] == "closed"


def postponed(client: redis.Redis, lease: Lease) -> int:
    call = LEDGER.release(Pool.CAPTION, lease.permit, "postponed")
    return run(client, call).permits


def test_a_postponed_figure_waits_behind_the_others(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 1)], facts=CAPTIONS_ON)
    commit(client, take(client), 1, figures=["a", "b", "c"])

    first = take_figure(client)
    assert postponed(client, first) == 1
    order = [take_figure(client).first for _ in range(3)]

    assert (first.first, order) == (1, [2, 3, 1])
    assert client.hget(KEYS.job(UserId("u"), TaskId("t")), "figure-deaths:1") is None


def test_a_postponed_figure_s_user_gives_way_and_pays_nothing(client: redis.Redis) -> None:
    for user in ("u", "v"):
        admit(client, user, "t", [(1, 1)], facts=CAPTIONS_ON)
        commit(client, take(client), 1, figures=["a", "b"])
    for _ in range(20):
        lease = take_figure(client)
        while lease.user != "u":
            run(client, LEDGER.release(Pool.CAPTION, lease.permit, "returned"))
            lease = take_figure(client)
        postponed(client, lease)
        found = take_figure(client)
        assert found.user == "v", "the next one comes first"
        run(client, LEDGER.release(Pool.CAPTION, found.permit, "returned"))

    scores = dict(client.zrange(KEYS.waiting(Pool.CAPTION), 0, -1, withscores=True))
    assert scores[b"u"] <= scores[b"v"] + 1
