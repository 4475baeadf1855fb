"""What each script promises, one promise a test."""

import json
import random
import time
from dataclasses import replace

import pytest
import redis
from ledger_steps import (
    CAPTIONS_ON,
    KEYS,
    LEDGER,
    admit,
    commit,
    events,
    finish,
    milestones,
    release,
    take,
    take_figure,
)

from ocrplus_contract.errors import ErrorCode, LeaseLost
from ocrplus_contract.ledger import Admission, Full, Ledger, Limits, run
from ocrplus_contract.names import Pool, TaskId, UserId
from ocrplus_contract.records import JobRecord, PageRecord
from ocrplus_contract.states import JobState, PageState
from ocrplus_contract.trace import TraceContext

USER, TASK = UserId("u"), TaskId("t")


def job(client: redis.Redis) -> JobRecord:
    record = JobRecord.from_hash(TASK, client.hgetall(KEYS.job(USER, TASK)))
    assert record is not None
    return record


def die_with(client: redis.Redis, page: int):
    """Take the next chunk, get as far as `page`, and die with it in hand."""
    lease = take(client)
    assert lease is not None
    for done in range(lease.first, page):
        commit(client, lease, done)
    return release(client, lease, "died")


def test_the_last_page_ends_the_job_with_one_result(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 2)])
    lease = take(client)

    commit(client, lease, 1)
    commit(client, lease, 2)

    assert job(client).state is JobState.OK
    assert [e["type"] for e in milestones(client, "u")] == ["submitted", "page", "page", "result"]
    assert finish(client, lease)


def test_a_job_keeps_its_trace_and_every_lease_of_it_tells_it(client: redis.Redis) -> None:
    trace = TraceContext.new(sampled=True)
    facts = {"traceparent": trace.traceparent, **CAPTIONS_ON}
    admit(client, "u", "t", [(1, 1), (2, 2)], facts=facts)

    first = take(client)
    commit(client, first, 1, figures=["p1-f1"])
    release(client, take(client), "died")

    assert (first.trace, take(client).trace, take_figure(client).trace) == (trace,) * 3
    assert job(client).trace == trace


def test_a_lease_says_since_when_its_own_chunk_waited_whoevers_permit_it_is(client) -> None:
    def now() -> float:
        seconds, micros = client.time()
        return seconds + micros / 1e6

    admit(client, "a", "long", [(1, 2), (3, 4)], facts=CAPTIONS_ON)
    time.sleep(0.2)
    later = now()
    admit(client, "b", "short", [(1, 1)])
    waited = {lease.task: lease.waiting_since for lease in (take(client), take(client))}
    assert waited["long"] <= later - 0.2 < later - 0.01 <= waited["short"] <= now()

    time.sleep(0.2)
    back = now()
    tail = take(client)
    assert tail.waiting_since == waited["long"]
    commit(client, tail, 3, figures=["p3-f1"])
    release(client, tail, "died")
    assert back - 0.01 <= take(client).waiting_since <= now()
    assert back - 0.01 <= take_figure(client).waiting_since <= now()


def test_a_job_that_was_admitted_before_there_were_traces_is_read_all_the_same(client) -> None:
    admit(client, "u", "t", [(1, 1)], facts=CAPTIONS_ON)

    lease = take(client)
    commit(client, lease, 1, figures=["p1-f1"])

    assert (lease.trace, take_figure(client).trace, job(client).trace) == (None,) * 3
    assert (lease.blob, lease.options) == ("b", "{}")


def test_a_failed_page_makes_the_job_partial(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 2)])
    lease = take(client)

    commit(client, lease, 1, PageState.FAILED)
    commit(client, lease, 2)

    assert job(client).state is JobState.PARTIAL
    assert job(client).failed_pages == (1,)
    assert events(client, "u")[-1]["failed_pages"] == [1]


def test_a_chunk_with_pages_missing_cannot_be_finished(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 2)])
    lease = take(client)
    commit(client, lease, 1)

    assert not finish(client, lease)
    assert client.hlen(KEYS.lease(Pool.OCR)) == 1


def test_a_page_of_another_chunk_is_refused(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 2), (3, 4)])
    lease = take(client)

    with pytest.raises(redis.ResponseError, match="not of this chunk"):
        commit(client, lease, 3)


def test_the_first_death_brings_the_rest_back_to_the_front(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 5), (6, 10)])

    released = die_with(client, 3)

    lease = take(client)
    assert (released.permits, released.blamed) == (1, 3)
    assert (lease.first, lease.last, lease.first_page_deaths) == (3, 5, 1)


def test_the_second_death_sets_the_suspect_page_apart_and_behind(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 5)])
    die_with(client, 3)
    die_with(client, 3)

    rest, suspect = take(client), take(client)

    assert (rest.first, rest.last) == (4, 5)
    assert (suspect.first, suspect.last) == (3, 3)


def test_the_third_death_fails_the_page_and_the_document_goes_on(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 5)])
    die_with(client, 3)
    die_with(client, 3)
    rest = take(client)
    for page in rest.pages:
        commit(client, rest, page)
    finish(client, rest)

    die_with(client, 3)

    assert job(client).state is JobState.PARTIAL
    assert job(client).failed_pages == (3,)
    record = PageRecord.unpack(client.hget(KEYS.pages(USER, TASK), "3"))
    assert (record.state, record.error) == (PageState.FAILED, "page_poison")
    assert client.hget(KEYS.load(Pool.OCR), "poisoned") == b"1"


def test_giving_a_chunk_back_blames_nobody(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 5)])
    for _ in range(5):
        assert release(client, take(client), "returned").blamed == 0

    assert take(client).first_page_deaths == 0


def test_a_renewed_lease_does_not_expire(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 2)])
    lease = take(client)
    time.sleep(0.06)
    run(client, LEDGER.renew(Pool.OCR, lease.permit))

    assert not release(client, lease, "expired", idle_ms=50).held
    time.sleep(0.06)
    assert release(client, lease, "expired", idle_ms=50).held


def test_chunks_that_were_brought_back_are_counted_by_reason(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 2)])
    reasons = ("returned", "died", "expired")
    for reason in reasons:
        lease = take(client)
        time.sleep(0.002)
        assert release(client, lease, reason, idle_ms=1).held

    assert KEYS.load(Pool.OCR) == "load:ocr"  # the tests on clusters ask by this name
    assert client.hmget(KEYS.load(Pool.OCR), *reasons) == [b"1", b"1", b"1"]


def test_a_job_deleted_and_admitted_anew_takes_no_page_of_the_old_one(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 2)])
    old = take(client)
    client.delete(KEYS.job(USER, TASK), KEYS.pages(USER, TASK))
    time.sleep(0.002)
    admit(client, "u", "t", [(1, 2)], fingerprint="another")

    assert not commit(client, old, 1), "the old worker is told to stop"
    assert client.hlen(KEYS.pages(USER, TASK)) == 0
    assert finish(client, old)


def test_cancelling_removes_what_waits_and_tells_who_holds(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 1), (2, 2), (3, 3)])
    admit(client, "u", "other", [(1, 1)])
    lease = take(client)

    call = LEDGER.cancel(USER, TASK, state=JobState.CANCELLED, code=ErrorCode.CANCELLED)
    state = run(client, call)

    assert state is JobState.CANCELLED
    assert client.xinfo_groups(KEYS.work(Pool.OCR))[0]["lag"] == 1
    assert not commit(client, lease, 1)
    assert finish(client, lease)
    assert take(client).task == "other"


def stand(client: redis.Redis, *gateways: str) -> None:
    for name in gateways:
        client.set(KEYS.gateway(name), 1)


def confirmed(client: redis.Redis, socket: str, at: str) -> bool:
    """A pong of the user's only epoch."""
    client.hset(KEYS.events(USER), "epoch", "e")
    return run(client, LEDGER.confirm(USER, socket, at, "e"))


def test_a_position_moves_forward_only(client: redis.Redis) -> None:
    stand(client, "g")
    assert run(client, LEDGER.join(USER, "g.1")) == "0-0"
    assert confirmed(client, "g.1", "1000-5")

    assert not confirmed(client, "g.1", "999-9")
    assert not confirmed(client, "g.1", "1000-5")
    assert confirmed(client, "g.1", "1000-12")
    assert client.hget(KEYS.last_id(), "u") == b"1000-12"


def test_the_least_of_several_sockets_counts_on_any_gateway(client: redis.Redis) -> None:
    stand(client, "g", "h")
    run(client, LEDGER.join(USER, "g.1"))
    run(client, LEDGER.join(USER, "h.1"))

    assert not confirmed(client, "g.1", "50-0")
    assert confirmed(client, "h.1", "20-0")
    assert client.hget(KEYS.last_id(), "u") == b"20-0"

    client.delete(KEYS.gateway("h"))  # its process died
    assert confirmed(client, "g.1", "60-0")
    assert client.hget(KEYS.last_id(), "u") == b"60-0"


def test_a_closed_socket_holds_the_position_until_its_client_is_back(client: redis.Redis) -> None:
    stand(client, "g")
    run(client, LEDGER.join(USER, "g.1"))
    run(client, LEDGER.join(USER, "g.2"))
    confirmed(client, "g.1", "10-0")
    run(client, LEDGER.leave(USER, "g.2"))

    assert not confirmed(client, "g.1", "30-0")
    assert run(client, LEDGER.join(USER, "g.3")) == "0-0"
    assert confirmed(client, "g.3", "30-0")
    assert client.hget(KEYS.last_id(), "u") == b"30-0"


@pytest.mark.parametrize(
    ("epoch", "seq", "lost"),
    [
        ("", None, None),
        ("", 0, None),
        ("now", 3, None),
        ("now", 4, None),
        ("now", 5, "future_position"),
        ("other", 3, "epoch"),
    ],
)
def test_a_position_is_found_or_its_loss_is_named(
    client: redis.Redis, epoch: str, seq: int | None, lost: str | None
) -> None:
    admit(client, "u", "t", [(1, 1)])
    commit(client, take(client), 1)
    entries = client.xrange(KEYS.stream(USER))
    current = events(client, "u")[0]["epoch"]

    found = run(client, LEDGER.locate(USER, current if epoch == "now" else epoch, seq))

    assert (found.lost, found.epoch, found.seq, found.oldest_seq) == (lost, current, 4, 1)
    if lost is None and seq is not None and seq < 4:
        assert (found.including, found.stream_id) == (True, entries[seq][0].decode())
    else:
        assert (found.including, found.stream_id) == (False, entries[-1][0].decode())


def test_a_position_before_what_was_trimmed_is_lost(client: redis.Redis) -> None:
    for number in range(5):
        admit(client, "u", f"t{number}", [(1, 1)])
    client.xtrim(KEYS.stream(USER), maxlen=2, approximate=False)

    assert run(client, LEDGER.locate(USER, "", 2)).lost == "trimmed"
    assert run(client, LEDGER.locate(USER, "", 3)).lost is None
    assert run(client, LEDGER.locate(USER, "", 3)).oldest_seq == 4


def write_events(client: redis.Redis, rnd: random.Random, count: int) -> list[str]:
    """Numbered events whose ids share milliseconds, crowd in one, or lie far apart; the ids."""
    client.delete(KEYS.stream(USER))
    client.hset(KEYS.events(USER), mapping={"epoch": "ab", "seq": count})
    ids, ms, n = [], rnd.randrange(1, 10**13), 0
    for seq in range(1, count + 1):
        step = rnd.choice([0, 0, 0, 1, 7, 3_600_000])
        ms, n = (ms + step, rnd.randrange(3)) if step else (ms, n + rnd.randint(1, 9))
        event = f'{{"epoch":"ab","seq":{seq},"type":"progress","task_id":"t"}}'
        client.xadd(KEYS.stream(USER), {"event": event}, id=f"{ms}-{n}")
        ids.append(f"{ms}-{n}")
    return ids


@pytest.mark.parametrize("seed", range(8))
def test_every_position_is_located_as_the_events_after_it_say(
    client: redis.Redis, seed: int
) -> None:
    rnd = random.Random(seed)
    count = rnd.randint(1, 260)
    ids = write_events(client, rnd, count)
    kept = set(range(rnd.choice([1, 1, rnd.randint(1, count)]), count + 1))
    if seed % 2:  # nothing of ours makes holes; whoever does must not be believed
        kept -= set(rnd.sample(range(1, count + 1), rnd.randint(1, min(3, count))))
    for seq in set(range(1, count + 1)) - kept:
        client.xdel(KEYS.stream(USER), ids[seq - 1])

    for seq in range(count + 1):
        found = run(client, LEDGER.locate(USER, "ab", seq))
        assert (found.lost is None) == kept.issuperset(range(seq + 1, count + 1)), seq
        if found.lost is None and seq < count:
            assert (found.including, found.stream_id) == (True, ids[seq])
        else:
            top = ids[max(kept) - 1] if kept else "0-0"
            assert (found.including, found.stream_id) == (False, top)


def test_locating_asks_for_few_of_the_events_that_were_missed(client: redis.Redis) -> None:
    write_events(client, random.Random(1), 2000)
    asked = 0

    with client.monitor() as monitor:
        run(client, LEDGER.locate(USER, "ab", 1))
        client.echo("done")
        while not (command := monitor.next_command()["command"]).startswith("ECHO"):
            if " COUNT " in command:
                asked += int(command.rpartition(" ")[2])

    assert 0 < asked < 100


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (Limits(5, 99, 99), "all"),
        (Limits(99, 5, 99), "pages"),
        (Limits(99, 99, 1), "tasks"),
    ],
)
def test_what_waits_is_bounded_for_all_and_for_each(
    client: redis.Redis, limits: Limits, limit: str
) -> None:
    admit(client, "u", "first", [(1, 8)], limits=limits)  # large, but alone

    with pytest.raises(Full) as full:
        admit(client, "u", "second", [(1, 1)], limits=limits)
    assert full.value.limit == limit
    if limit != "all":
        admit(client, "v", "second", [(1, 1)], limits=limits)
    run(client, LEDGER.forget(USER, TaskId("first")))
    admit(client, "u", "second", [(1, 1)], limits=limits)


def test_a_forgotten_job_leaves_nothing_but_its_events(client: redis.Redis) -> None:
    admit(client, "u", "done", [(1, 1)])
    lease = take(client)
    commit(client, lease, 1)
    finish(client, lease)
    admit(client, "u", "open", [(1, 1)])

    assert run(client, LEDGER.forget(USER, TaskId("done")))
    assert run(client, LEDGER.forget(USER, TaskId("open")))
    assert not run(client, LEDGER.forget(USER, TaskId("never")))

    left = {key.decode() for key in client.keys("*")}
    lasting = {KEYS.work(Pool.OCR), KEYS.load(Pool.OCR)}
    passing = {KEYS.forgetting(USER, TaskId(task)) for task in ("done", "open")}
    assert left == lasting | passing | {KEYS.stream(USER), KEYS.events(USER)}
    assert all(0 < client.ttl(key) <= 60 for key in passing)
    assert events(client, "u")[-1]["status"] == "cancelled"


def test_a_second_job_of_the_same_content_takes_the_first_ones_pages(client: redis.Redis) -> None:
    client.set(KEYS.engine(), "e1")
    admit(client, "u", "t", [(1, 2)], facts={"content": "c"})
    lease = take(client)
    for page in (1, 2):
        commit(client, lease, page)
    assert client.get(KEYS.content(USER, "c")) == b"e1 t"

    bodies = [PageRecord(page=n, state="ok").event_body(TaskId("t2")) for n in (1, 2)]
    call = LEDGER.reuse(
        USER,
        TaskId("t2"),
        fingerprint="f",
        source=(TASK, job(client).begins),
        facts={"name": "b.pdf"},
        submitted_body=json.dumps({"type": "submitted", "task_id": "t2"}),
        page_bodies=bodies,
    )

    assert run(client, call) == Admission(0)
    assert run(client, call) == Admission(0, JobState.OK)
    mine = [e["type"] for e in milestones(client, "u") if e["task_id"] == "t2"]
    assert mine == ["submitted", "page", "page", "result"]
    assert client.hgetall(KEYS.pages(USER, TaskId("t2"))) == client.hgetall(KEYS.pages(USER, TASK))
    client.set(KEYS.content(USER, "c"), "e1 t2")
    run(client, LEDGER.forget(USER, TASK))
    assert client.get(KEYS.content(USER, "c")) == b"e1 t2", "it is another's by now"
    assert run(client, replace(call, args=(*call.args[:3], "t3", *call.args[4:]))) is None


def test_a_second_job_takes_no_pages_of_what_its_source_stands_for_now(
    client: redis.Redis,
) -> None:
    admit(client, "u", "t", [(1, 1)])
    commit(client, take(client), 1)
    read = job(client)
    call = LEDGER.reuse(
        USER,
        TaskId("t2"),
        fingerprint="f",
        source=(TASK, read.begins),
        facts={},
        submitted_body=json.dumps({"type": "submitted", "task_id": "t2"}),
        page_bodies=[PageRecord(page=1, state="ok").event_body(TaskId("t2"))],
    )
    run(client, LEDGER.forget(USER, TASK))
    admit(client, "u", "t", [(1, 1)], fingerprint="other bytes")
    commit(client, take(client), 1)
    assert job(client).state is JobState.OK and job(client).begins != read.begins

    assert run(client, call) is None
    assert not client.exists(KEYS.job(USER, TaskId("t2")))


def test_a_lost_event_history_starts_a_new_epoch(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 1)])
    before = events(client, "u")[0]["epoch"]
    client.delete(KEYS.events(USER))

    commit(client, take(client), 1)

    after = events(client, "u")
    assert [e["seq"] for e in after] == [1, 2, 3]
    assert before not in {e["epoch"] for e in after}


def test_a_numbering_outlives_its_events(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 16)])
    lease, meta, stream = take(client), KEYS.events(USER), KEYS.stream(USER)
    assert client.ttl(meta) > 16 * client.ttl(stream)
    client.expire(meta, 1)  # as if it was long ago

    for page in range(1, 17):
        commit(client, lease, page)

    assert client.ttl(meta) > 16 * client.ttl(stream)


def test_a_numbering_outlives_the_events_of_who_comes_seldom(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 3)])
    meta, stream = KEYS.events(USER), KEYS.stream(USER)
    client.delete(stream)  # as after its time
    client.expire(meta, 1)  # as after nearly 30 of them

    commit(client, take(client), 1)

    assert client.ttl(meta) > 16 * client.ttl(stream) > 0
    assert events(client, "u")[0]["seq"] == 2


def test_a_numbering_outlives_events_that_are_kept_longer_now(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 3)])
    longer = Ledger(ttl_seconds=100 * LEDGER.ttl_seconds)
    call = longer.admit(
        USER,
        TaskId("t2"),
        fingerprint="f",
        chunks=[(1, 1)],
        facts={},
        submitted_body='{"type":"submitted","task_id":"t2"}',
        deadline_seconds=600,
    )

    run(client, call)

    kept = client.ttl(KEYS.stream(USER))
    assert kept > 90 * LEDGER.ttl_seconds
    assert client.ttl(KEYS.events(USER)) > 16 * kept


def test_a_fenced_worker_can_do_nothing(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 2)])
    paused = take(client)
    release(client, paused, "died")
    successor = take(client)

    with pytest.raises(LeaseLost):
        commit(client, paused, 1)
    assert commit(client, successor, 1)


def test_every_key_of_a_finished_job_expires(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 1)])
    lease = take(client)
    commit(client, lease, 1)
    finish(client, lease)

    lasting = {KEYS.work(Pool.OCR), KEYS.load(Pool.OCR)}
    forgotten = [k.decode() for k in client.keys("*") if client.ttl(k) == -1]
    assert set(forgotten) <= lasting


def test_scalers_read_zero_before_the_first_job(client: redis.Redis) -> None:
    assert run(client, LEDGER.resync(Pool.OCR)) == (0, 0)

    (group,) = client.xinfo_groups("work:ocr")
    assert (group["lag"], group["pending"]) == (0, 0)
    admit(client, "u", "t", [(1, 2), (3, 3)])
    (group,) = client.xinfo_groups("work:ocr")
    assert (group["lag"], group["pending"]) == (2, 0)
