"""Random interleavings of everything that happens to chunks, beside a model in plain Python."""

import random
from dataclasses import dataclass, field

import pytest
import redis
from ledger_steps import (
    CAPTIONS_ON,
    KEYS,
    LEDGER,
    admit,
    caption,
    commit,
    events,
    finish,
    release,
    release_figure,
    settle_job,
    take,
    take_figure,
)

from ocrplus_contract.captions import CaptionState
from ocrplus_contract.errors import Conflict, ErrorCode, LeaseLost
from ocrplus_contract.ledger import Lease, run
from ocrplus_contract.names import GROUP, Pool, TaskId, UserId
from ocrplus_contract.states import JobState

STEPS = 700


@dataclass
class Model:
    """What must be true of the ledger."""

    jobs: dict[str, tuple[str, int]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    held: dict[str, Lease] = field(default_factory=dict)
    next_page: dict[str, int] = field(default_factory=dict)
    dead: list[Lease] = field(default_factory=list)
    described: set[str] = field(default_factory=set)
    figures: dict[str, set[str]] = field(default_factory=dict)
    held_figures: dict[str, Lease] = field(default_factory=dict)
    dead_figures: list[Lease] = field(default_factory=list)


def check(client: redis.Redis, model: Model) -> None:
    """Lag is readable and equals what waits; the load counters are right."""
    check_pool(client, Pool.OCR, len(model.held))
    check_pool(client, Pool.CAPTION, len(model.held_figures))


def check_pool(client: redis.Redis, pool: Pool, held: int) -> None:
    if not client.exists(KEYS.work(pool)):
        return
    group = client.xinfo_groups(KEYS.work(pool))[0]
    users = client.zrange(KEYS.waiting(pool), 0, -1)
    waiting = sum(client.zcard(KEYS.waiting_chunks(pool, UserId(u.decode()))) for u in users)
    assert group["lag"] is not None, "lag is NULL"
    assert group["lag"] == waiting
    assert group["pending"] == client.hlen(KEYS.lease(pool)) == held
    assert client.xlen(KEYS.work(pool)) <= group["lag"] + _span(client, pool, group) + 1
    assert run(client, LEDGER.resync(pool)) == (0, 0)


def _span(client: redis.Redis, pool: Pool, group: dict) -> int:
    """Entries from the oldest pending one to the last delivered: what trimming must keep."""
    pending = client.xpending(KEYS.work(pool), GROUP)
    if not pending["pending"]:
        return 0
    kept = client.xrange(KEYS.work(pool), pending["min"], group["last-delivered-id"])
    return len(kept)


def step_admit(client, model: Model, rnd: random.Random) -> None:
    user, task = f"u{rnd.randrange(4)}", f"j{len(model.jobs)}"
    chunks, page = [], 1
    for _ in range(rnd.randint(1, 6)):
        last = page + rnd.randrange(4)
        chunks.append((page, last))
        page = last + 1 + (rnd.random() < 0.2)
    with_captions = rnd.random() < 0.5
    admission = admit(client, user, task, chunks, facts=CAPTIONS_ON if with_captions else None)
    if with_captions:
        model.described.add(task)
    assert admission.permits == len(chunks)
    model.jobs[task] = (user, sum(last - first + 1 for first, last in chunks))


def step_again(client, model: Model, rnd: random.Random) -> None:
    if not model.jobs:
        return
    task = rnd.choice(list(model.jobs))
    user = model.jobs[task][0]
    assert admit(client, user, task, [(1, 1)]).duplicate_of is not None
    with pytest.raises(Conflict):
        admit(client, user, task, [(1, 1)], fingerprint="other")


def step_take(client, model: Model, rnd: random.Random) -> None:
    lease = take(client)
    if lease is None:
        return
    assert lease.task not in model.ended, "a chunk of an ended job was handed out"
    for other in model.held.values():
        overlap = set(other.pages) & set(lease.pages)
        assert other.task != lease.task or not overlap, "a page is held twice"
    model.held[lease.permit] = lease
    model.next_page[lease.permit] = lease.first


def step_commit(client, model: Model, rnd: random.Random) -> None:
    if not model.held:
        return
    lease = model.held[rnd.choice(list(model.held))]
    page = model.next_page[lease.permit]
    if page > lease.last or lease.task in model.ended:
        assert finish(client, lease)
        del model.held[lease.permit]
        return
    figures = [f"p{page}-f{n + 1}" for n in range(rnd.choice([0, 0, 1, 3]))]
    assert commit(client, lease, page, figures=figures)
    if lease.task in model.described:
        model.figures.setdefault(lease.task, set()).update(figures)
    model.next_page[lease.permit] = page + 1
    _note_end(client, model, lease.task)
    if rnd.random() < 0.1:
        still_open = commit(client, lease, page, figures=["double"])
        assert still_open == (lease.task not in model.ended), "a double is harmless"


def step_renew(client, model: Model, rnd: random.Random) -> None:
    if model.held:
        lease = model.held[rnd.choice(list(model.held))]
        held = run(client, LEDGER.renew(Pool.OCR, lease.permit))
        assert held == (lease.task not in model.ended)


def step_release(client, model: Model, rnd: random.Random) -> None:
    if not model.held:
        return
    lease = model.held.pop(rnd.choice(list(model.held)))
    reason = rnd.choice(["died", "returned", "expired"])
    assert release(client, lease, reason).held
    model.dead.append(lease)
    _note_end(client, model, lease.task)


def step_wake(client, model: Model, rnd: random.Random) -> None:
    """A worker that was thought dead goes on: everything it tries is refused."""
    if not model.dead:
        return
    lease = model.dead.pop()
    with pytest.raises(LeaseLost):
        commit(client, lease, lease.first)
    with pytest.raises(LeaseLost):
        finish(client, lease)
    with pytest.raises(LeaseLost):
        run(client, LEDGER.renew(Pool.OCR, lease.permit))
    assert not release(client, lease).held


def step_take_figure(client, model: Model, rnd: random.Random) -> None:
    lease = take_figure(client)
    if lease is None:
        return
    held = {(other.task, other.first) for other in model.held_figures.values()}
    assert (lease.task, lease.first) not in held, "a figure is held twice"
    assert _state(client, model, lease.task) not in (JobState.CANCELLED, JobState.FAILED)
    model.held_figures[lease.permit] = lease


def step_caption(client, model: Model, rnd: random.Random) -> None:
    if not model.held_figures:
        return
    lease = model.held_figures.pop(rnd.choice(list(model.held_figures)))
    cancelled = _state(client, model, lease.task) is JobState.CANCELLED
    assert caption(client, lease, rnd.choice(list(ENDS))) != cancelled
    model.dead_figures.append(lease)
    _note_end(client, model, lease.task)


def step_release_figure(client, model: Model, rnd: random.Random) -> None:
    if not model.held_figures:
        return
    lease = model.held_figures.pop(rnd.choice(list(model.held_figures)))
    assert release_figure(
        client, lease, rnd.choice(["died", "returned", "expired", "postponed"])
    ).held
    model.dead_figures.append(lease)
    _note_end(client, model, lease.task)


def step_wake_figure(client, model: Model, rnd: random.Random) -> None:
    if not model.dead_figures:
        return
    lease = model.dead_figures.pop()
    with pytest.raises(LeaseLost):
        caption(client, lease)
    assert not release_figure(client, lease).held


def step_settle(client, model: Model, rnd: random.Random) -> None:
    waiting = client.zrange(KEYS.caption_deadlines(), 0, -1)
    late = client.zrange(KEYS.late_captions(), 0, -1)
    if not waiting + late:
        return
    user, _, task = rnd.choice(waiting + late).decode().partition(":")
    assert settle_job(client, user, task) in ("ended", "given_up")
    _note_end(client, model, task)


def _state(client, model: Model, task: str) -> JobState:
    user = UserId(model.jobs[task][0])
    return JobState(client.hget(KEYS.job(user, TaskId(task)), "state").decode())


ENDS = (CaptionState.OK, CaptionState.SKIPPED, CaptionState.FAILED)


def step_cancel(client, model: Model, rnd: random.Random) -> None:
    if not model.jobs:
        return
    task = rnd.choice(list(model.jobs))
    user = UserId(model.jobs[task][0])
    call = LEDGER.cancel(user, TaskId(task), state=JobState.CANCELLED, code=ErrorCode.CANCELLED)
    was = run(client, call)
    assert (was is JobState.CANCELLED) or task in model.ended
    model.ended.add(task)


def _note_end(client, model: Model, task: str) -> None:
    state = _state(client, model, task)
    if state not in (JobState.QUEUED, JobState.RUNNING):
        model.ended.add(task)


STEP_KINDS = (
    [step_admit] * 10
    + [step_take] * 30
    + [step_commit] * 70
    + [step_release] * 8
    + [step_renew] * 5
    + [step_wake] * 4
    + [step_take_figure] * 30
    + [step_caption] * 20
    + [step_release_figure] * 8
    + [step_wake_figure] * 4
    + [step_settle] * 2
    + [step_cancel]
    + [step_again]
)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_interleavings_lose_and_double_nothing(client: redis.Redis, seed: int) -> None:
    rnd, model = random.Random(seed), Model()

    for _ in range(STEPS):
        rnd.choice(STEP_KINDS)(client, model, rnd)
        check(client, model)
    for _ in range(20_000):
        step_take(client, model, rnd)
        step_commit(client, model, rnd)
        step_take_figure(client, model, rnd)
        step_caption(client, model, rnd)
        if not model.held and not model.held_figures and take_nothing(client):
            break

    check(client, model)
    assert_every_page_once(client, model)


def take_nothing(client: redis.Redis) -> bool:
    return all(client.xinfo_groups(KEYS.work(pool))[0]["lag"] == 0 for pool in Pool)


def assert_every_page_once(client: redis.Redis, model: Model) -> None:
    by_user: dict[str, list[dict]] = {}
    for task, (user, pages) in model.jobs.items():
        history = by_user.setdefault(user, events(client, user))
        mine = [e for e in history if e["task_id"] == task]
        results = [e for e in mine if e["type"] == "result"]
        seen = [e["page"] for e in mine if e["type"] == "page"]
        assert len(results) == 1, f"{task} has {len(results)} results"
        assert len(seen) == len(set(seen)), f"{task} announced a page twice"
        captioned = [e["figure"] for e in mine if e["type"] == "caption"]
        assert len(captioned) == len(set(captioned)), f"{task} ended a figure twice"
        if results[0]["status"] in ("ok", "partial"):
            assert len(seen) == pages, f"{task} lost pages"
            assert set(captioned) == model.figures.get(task, set()), f"{task} lost figures"
    for history in by_user.values():
        assert [e["seq"] for e in history] == list(range(1, len(history) + 1))
        assert len({e["epoch"] for e in history}) == 1


def test_a_newcomer_is_served_within_one_chunk_of_a_large_backlog(client: redis.Redis) -> None:
    for job in range(100):
        admit(client, "large", f"a{job}", [(n * 4 + 1, n * 4 + 4) for n in range(10)])
    for _ in range(20):
        take(client)
    admit(client, "new", "b", [(1, 4), (5, 8), (9, 12)])

    users = [lease.user for _ in range(6) if (lease := take(client)) is not None]

    assert users[0] == "new" and users.count("new") == 3


def test_heads_come_before_tails_but_a_tail_waits_for_at_most_32_of_them(client) -> None:
    admit(client, "u", "first", [(1, 1), (2, 2)])
    for job in range(40):
        admit(client, "u", f"later{job}", [(1, 1)])

    order = [lease.task for _ in range(42) if (lease := take(client)) is not None]

    tail = len(order) - 1 - order[::-1].index("first")
    assert order[0] == "first"
    assert order[1] == "later0", "the next document's head comes before the first one's tail"
    assert tail <= 1 + 32


def test_users_with_chunks_of_different_sizes_get_the_same_pages(client: redis.Redis) -> None:
    admit(client, "small", "s", [(n, n) for n in range(1, 201)])
    admit(client, "big", "b", [(n * 10 + 1, n * 10 + 10) for n in range(20)])
    served = {"small": 0, "big": 0}

    for _ in range(110):
        lease = take(client)
        assert lease is not None
        served[lease.user] += len(lease.pages)

    assert abs(served["small"] - served["big"]) <= 10


def test_a_user_who_comes_back_again_and_again_does_not_starve_another(client) -> None:
    admit(client, "big", "b", [(n * 4 + 1, n * 4 + 4) for n in range(50)])
    take(client)
    users = []
    for job in range(30):
        admit(client, "again", f"j{job}", [(1, 1)])
        lease = take(client)
        assert lease is not None
        users.append(lease.user)

    assert users.count("big") >= 4, "one chunk of four for four small jobs"
    assert users.count("again") >= 15
