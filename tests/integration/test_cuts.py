"""Cut connections and killed gateways lose nothing; `benchmarks/delivery.py` does it at length."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import ledger_steps
import pytest
import redis_server
from delivery_cuts import Plan, under_cuts
from delivery_oracle import Journal, Taken, judge
from delivery_original import hand_over, make_messages
from delivery_setup import Gateways, gateways, page_text, play


@pytest.fixture(scope="module")
def server() -> Iterator[redis_server.Server]:
    with redis_server.running("valkey") as running:
        yield running


@pytest.fixture(scope="module")
def pair(
    server: redis_server.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateways]:
    with gateways(server.url, tmp_path_factory.mktemp("pair")) as running:
        yield running


@pytest.fixture(scope="module")
def played(server: redis_server.Server) -> list[Taken]:
    """A job of three pages as a client receives it."""
    with server.client as store:
        play(store, "a", "a-1", 3)
        events = ledger_steps.events(store, "a")
        for event in events:
            if event["type"] == "page":
                event["markdown"] = page_text("a-1", event["page"])
    return [Taken(1, e["seq"], e["task_id"], json.dumps(e)) for e in events]


async def test_a_client_that_is_cut_and_whose_gateway_dies_receives_everything_once(
    server: redis_server.Server, pair: Gateways
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    plan = Plan(users=1, cuts=20, kills=2, events_per_second=60, seconds=3, victims=(1,))

    with server.client as store:
        outcome = await under_cuts(store, pair.ws, pair, plan, seed)

    assert outcome.faults == [], f"seed {seed}"
    assert outcome.journals[0].closes.total() >= plan.cuts
    assert outcome.verdicts[0].received == outcome.verdicts[0].acknowledged > 60


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (lambda taken: None, ""),
        (lambda taken: taken.pop(3), "1 of 8 events missing, the first is 4"),
        (lambda taken: taken.pop(), "1 of 8 events missing, the first is 8"),
        (lambda taken: taken.reverse(), "seq 8 came as number 1"),
        (lambda taken: taken.append(taken[2]), "seq 3 came twice on one connection"),
        (lambda taken: taken.append(replace(taken[2], connection=2)), ""),
        (
            lambda taken: taken.append(replace(taken[2], connection=2, text="{}")),
            "seq 3 came again with another content",
        ),
        (
            lambda taken: taken.insert(0, replace(taken.pop(0), task="b-1")),
            "seq 1 is of another user: b-1",
        ),
        (
            lambda taken: taken.insert(0, replace(taken.pop(0), text=taken[4].text)),
            "seq 1 is not what was acknowledged",
        ),
    ],
)
def test_the_oracle_finds_what_is_wrong(
    server: redis_server.Server,
    played: list[Taken],
    tamper: Callable[[list[Taken]], object],
    found: str,
) -> None:
    journal = Journal("a", taken=list(played))
    tamper(journal.taken)

    with server.client as store:
        faults = judge(store, journal).faults

    assert (f"a: {found}" in faults) if found else not faults


@pytest.mark.parametrize("count", [0, 50])
def test_an_original_client_that_is_killed_leaves_the_rest_to_the_next(
    server: redis_server.Server, pair: Gateways, count: int
) -> None:
    user = f"original-{count}"
    with server.client as store:
        everything = make_messages(store, user)
    one, other = pair.ws

    outcome = hand_over((one + user, other + user), everything, count, "kill")

    assert outcome.faults(count) == []
    assert len(everything) == 300
