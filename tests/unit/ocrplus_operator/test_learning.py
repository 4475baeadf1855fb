from dataclasses import replace

import pytest
from pools import NOW, WATCHED, busy, idle

from ocrplus_operator.control.learning import (
    cold_start_seconds,
    gaps,
    progress,
    seconds_per_page,
    silence_seconds,
)
from ocrplus_operator.control.spec import ScaleToZero, Startup
from ocrplus_operator.control.types import Gaps, Memory, Worker


def worker_at(pages_left: int, began: float, *, chunk: float = 0.0) -> Worker:
    return replace(
        busy("a", pages=pages_left), chunk_started_at=NOW + chunk, page_started_at=NOW + began
    )


def after(first: Worker, second: Worker) -> float:
    memory = replace(WATCHED, progress=progress((first,)))
    found = seconds_per_page(memory, (second,))
    assert found is not None
    return found


def test_nothing_is_known_before_the_first_report() -> None:
    assert seconds_per_page(Memory(), (idle("a"),)) is None
    assert seconds_per_page(Memory(), (replace(busy("a"), seconds_per_page=0.7),)) == 0.7


def test_workers_with_several_things_in_hand_are_believed() -> None:
    first, second = worker_at(1, 0), replace(worker_at(1, 4), seconds_per_page=0.25)
    memory = replace(WATCHED, progress=progress((first,)))

    assert seconds_per_page(memory, (second,), by_report=True) == 0.25
    assert seconds_per_page(memory, (idle("a"),), by_report=True) == memory.seconds_per_page


def test_pages_between_two_looks_move_the_mean_by_their_number() -> None:
    found = after(worker_at(16, 0), worker_at(6, 30))  # ten pages of three seconds

    assert found == pytest.approx(1.0 + 0.002 * 10 * (3.0 - 1.0))


def test_the_rest_of_a_chunk_counts_when_its_worker_is_idle_again() -> None:
    rested = replace(idle("a"), idle_since=NOW + 8)

    assert after(worker_at(4, 0), rested) == pytest.approx(1.0 + 0.002 * 4 * (2.0 - 1.0))


def test_a_new_chunk_ends_the_last_one_and_counts_its_own_pages() -> None:
    found = after(worker_at(4, 0), worker_at(14, 16, chunk=8))

    last = 1.0 + 0.002 * 4 * (2.0 - 1.0)
    assert found == pytest.approx(last + 0.002 * 2 * (4.0 - last))


def test_the_same_look_twice_teaches_nothing() -> None:
    assert after(worker_at(4, 0), worker_at(4, 0)) == 1.0


def test_a_broken_clock_moves_nothing_far() -> None:
    assert after(worker_at(4, 0), worker_at(3, 1e9)) <= 1.0 + 0.002 * 30
    assert after(worker_at(4, 0), worker_at(3, -1e9)) == 1.0


def test_three_quarters_of_the_workers_were_warm_within_the_cold_start() -> None:
    workers = [replace(idle("a"), cold_start_seconds=s) for s in (10.0, 20.0, 30.0, 500.0)]

    assert cold_start_seconds(None, workers, Startup()) == 30.0


def test_the_cold_start_is_remembered_at_zero_and_not_learned_where_told_so() -> None:
    assert cold_start_seconds(42.0, (), Startup()) == 42.0
    known = replace(idle("a"), cold_start_seconds=10.0)
    assert cold_start_seconds(42.0, (known,), Startup(learn=False)) is None


def test_a_cold_start_that_no_worker_has_reported_stays_the_specs_to_say() -> None:
    assert cold_start_seconds(None, (), Startup(cold_start_seconds=75)) is None


def arrivals_every(seconds: float, count: int = 20) -> Gaps:
    known = Gaps()
    for i in range(count):
        known = gaps(known, NOW + i * seconds)
    return known


def test_the_gaps_between_arrivals_are_learned_from_the_last_of_each_look() -> None:
    known = arrivals_every(240)

    assert (known.mean_seconds, known.count) == (pytest.approx(240), 19)
    assert gaps(known, known.last_at) == known


@pytest.mark.parametrize(
    ("gap", "silence"),
    [(5, 300), (50, 300), (240, 1440), (100, 600), (450, 1800), (460, 300), (3600, 300)],
)
def test_gaps_worth_waiting_for_are_waited_out(gap: float, silence: float) -> None:
    assert silence_seconds(arrivals_every(gap), ScaleToZero()) == pytest.approx(silence)


def test_the_plain_silence_stands_where_little_is_known_or_nothing_is_to_be_learned() -> None:
    few = arrivals_every(240, count=4)

    assert silence_seconds(few, ScaleToZero()) == 300
    assert silence_seconds(arrivals_every(240), ScaleToZero(adaptive=False)) == 300
