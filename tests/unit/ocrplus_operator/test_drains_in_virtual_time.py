"""The drain as a whole: over many lives of a pool, and with an operator that dies at every step."""

import random
from collections.abc import Callable

import clusters
import pytest
from pools import spec
from virtual_pool import VirtualPool

from ocrplus_operator.control.law import decide
from ocrplus_operator.control.spec import PoolSpec
from ocrplus_operator.control.types import Memory

BRISK = spec(
    scale_down={"window_seconds": 9, "drain_timeout_seconds": 120},
    scale_to_zero={"after_seconds": 20},
    startup={"cold_start_seconds": 20, "provisioning_timeout_seconds": 300},
)


def live_through(pool: VirtualPool, luck: random.Random, *, removals: int) -> None:
    """Waves of work, sickness, rollouts and restarts of the operator until so many have gone."""
    memory = Memory()
    while len(pool.removals) < removals:
        second = int(pool.now)
        if luck.random() < 0.012:
            pool.arrive(*(luck.randrange(1, 17) for _ in range(luck.randrange(1, 60))))
        if luck.random() < 0.001 and pool.replicas and not pool.rollout_until:
            pool.begin_rollout(luck.randrange(10, 60))
        pool.placing = luck.choice([0, 0, 1, 12])
        if second % 3 == 0:
            if luck.random() < 0.01:
                memory = Memory()
            decision, memory = decide(pool.snapshot(), memory, BRISK)
            pool.act(decision)
        pool.step()


def test_a_thousand_scale_downs_interrupt_no_chunk() -> None:
    pool = VirtualPool(seed=7, sickness=0.0005)

    live_through(pool, random.Random(7), removals=1000)

    interrupted = [r for r in pool.removals if r.with_chunk]
    clusters.note(
        **{
            "in virtual time: pods removed by scale-downs": len(pool.removals),
            "of them with a chunk in hand": len(interrupted),
            "chunks done meanwhile": pool.done,
        }
    )
    assert pool.done > 4000
    assert interrupted == []
    assert [r for r in pool.removals if r.started and not r.confirmed] == []
    assert sum(r.confirmed for r in pool.removals) >= 900


# ------------------------------------------------------------------ restarts

Scene = Callable[[], VirtualPool]


def three_pods() -> VirtualPool:
    """Three warm pods, two of them busy for half a minute yet; nothing waits."""
    pool = VirtualPool(replicas=3)
    for _ in range(pool.cold_start + 2):
        pool.step()
    pool.arrive(30, 25)
    for _ in range(3):
        pool.step()
    return pool


def play(
    pool: VirtualPool, *, dies_after: int, seconds: int, work_at: int | None = None
) -> tuple[int, int]:
    """Run an operator that dies once, after that many calls; how many calls it made in all."""
    memory, calls = Memory(since=0.0), 0
    for second in range(seconds):
        if second == work_at:
            pool.arrive(*[16] * 30)
        if second % 3 == 0:
            decision, memory = decide(pool.snapshot(), memory, SLOW)
            for _ in pool.actions(decision):
                calls += 1
                if calls == dies_after:
                    memory = Memory()  # what it had not done is left, what it knew is lost
                    break
        pool.step()
    return calls, len(pool.removals)


SLOW: PoolSpec = spec(
    scale_down={"window_seconds": 9, "drain_timeout_seconds": 120},
    scale_to_zero={"after_seconds": 600},
    startup={"cold_start_seconds": 20},
)
SECONDS = 150
CALLS = play(three_pods(), dies_after=0, seconds=SECONDS)[0]


def test_an_operator_that_lives_drains_to_one() -> None:
    pool = three_pods()

    play(pool, dies_after=0, seconds=SECONDS)

    assert CALLS >= 8  # two marks, two costs, one or two orders, two names forgotten
    assert (pool.replicas, len(pool.pods), pool.draining) == (1, 1, set())


@pytest.mark.parametrize("step", range(1, CALLS + 1))
def test_an_operator_that_dies_at_a_step_of_a_drain_completes_it_when_back(step: int) -> None:
    pool = three_pods()

    play(pool, dies_after=step, seconds=SECONDS)

    assert (pool.replicas, len(pool.pods), pool.draining) == (1, 1, set())
    assert all(r.confirmed for r in pool.removals)
    assert len(pool.removals) == 2
    assert pool.orders == sorted(set(pool.orders), reverse=True)  # each order once, downwards


@pytest.mark.parametrize("work_at", range(0, 60, 6))
@pytest.mark.parametrize("step", range(1, CALLS + 1, 2))
def test_work_that_comes_meanwhile_finds_its_workers_again(step: int, work_at: int) -> None:
    pool = three_pods()

    play(pool, dies_after=step, seconds=300, work_at=work_at)

    assert all(r.confirmed for r in pool.removals)
    assert pool.waiting == []
    assert pool.done == 32
    assert pool.draining <= set(pool.pods)
    assert all(p.cost == 0 for p in pool.pods.values() if p.name not in pool.draining)
