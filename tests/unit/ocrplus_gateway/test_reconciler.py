"""How often the reconciler rings."""

from ocrplus_gateway.reconciler import QueueReading, missing_doorbells


def reading(waiting: int | None, doorbells: int) -> QueueReading:
    return QueueReading(waiting, 0, 0, doorbells, 0.0)


def test_each_waiting_chunk_without_a_doorbell_is_rung_for() -> None:
    assert missing_doorbells(reading(waiting=5, doorbells=2)) == 3


def test_a_round_rings_a_bounded_number_of_times() -> None:
    assert missing_doorbells(reading(waiting=5000, doorbells=0)) == 100


def test_more_doorbells_than_work_are_left_alone() -> None:
    assert missing_doorbells(reading(waiting=1, doorbells=4)) == 0


def test_an_unknown_backlog_is_not_rung_for_and_is_no_zero() -> None:
    assert missing_doorbells(reading(waiting=None, doorbells=0)) == 0
