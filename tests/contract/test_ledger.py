"""What each script promises, one promise a test."""

import time

import pytest
import redis
from ledger_steps import admit, commit, events, finish, release, take

from ocrplus_contract.errors import ErrorCode, LeaseLost
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Ledger, run
from ocrplus_contract.names import Pool, TaskId, UserId
from ocrplus_contract.records import JobRecord, PageRecord
from ocrplus_contract.states import JobState, PageState

KEYS = Keys()
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
    assert [e["type"] for e in events(client, "u")] == ["submitted", "page", "page", "result"]
    assert finish(client, lease)


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


def test_giving_a_chunk_back_blames_nobody(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 5)])
    for _ in range(5):
        assert release(client, take(client), "returned").blamed == 0

    assert take(client).first_page_deaths == 0


def test_a_renewed_lease_does_not_expire(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 2)])
    lease = take(client)
    time.sleep(0.06)
    run(client, Ledger().renew(Pool.OCR, lease.permit))

    assert not release(client, lease, "expired", idle_ms=50).held
    time.sleep(0.06)
    assert release(client, lease, "expired", idle_ms=50).held


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

    call = Ledger().cancel(USER, TASK, state=JobState.CANCELLED, code=ErrorCode.CANCELLED)
    state = run(client, call)

    assert state is JobState.CANCELLED
    assert client.xinfo_groups(KEYS.work(Pool.OCR))[0]["lag"] == 1
    assert not commit(client, lease, 1)
    assert finish(client, lease)
    assert take(client).task == "other"


def test_a_position_moves_forward_only(client: redis.Redis) -> None:
    ledger = Ledger()
    assert run(client, ledger.confirm(USER, "1000-5"))

    assert not run(client, ledger.confirm(USER, "999-9"))
    assert not run(client, ledger.confirm(USER, "1000-5"))
    assert run(client, ledger.confirm(USER, "1000-12"))
    assert client.hget(KEYS.last_id(), "u") == b"1000-12"


def test_a_lost_event_history_starts_a_new_epoch(client: redis.Redis) -> None:
    admit(client, "u", "t", [(1, 1)])
    before = events(client, "u")[0]["epoch"]
    client.delete(KEYS.events(USER))

    commit(client, take(client), 1)

    after = events(client, "u")
    assert [e["seq"] for e in after] == [1, 2]
    assert before not in {e["epoch"] for e in after}


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
