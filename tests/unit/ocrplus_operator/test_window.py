from hypothesis import given
from hypothesis import strategies as st

from ocrplus_operator.control.window import with_need

STEPS = st.lists(st.tuples(st.integers(1, 30), st.floats(0, 20)), min_size=1, max_size=60)


@given(STEPS)
def test_the_first_entry_is_the_largest_need_of_the_window(steps: list[tuple[int, float]]) -> None:
    needs: tuple[tuple[float, float], ...] = ()
    now, seen = 0.0, []
    for passed, need in steps:
        now += passed
        seen.append((now, need))
        needs = with_need(needs, now, need, window_seconds=60)

        assert needs[0][1] == max(n for at, n in seen if at >= now - 60)


def test_a_falling_need_leaves_with_the_window() -> None:
    needs = with_need((), 0.0, 5.0, window_seconds=60)
    needs = with_need(needs, 30.0, 2.0, window_seconds=60)

    assert with_need(needs, 60.0, 1.0, window_seconds=60)[0][1] == 5.0
    assert with_need(needs, 61.0, 1.0, window_seconds=60)[0][1] == 2.0


def test_a_long_window_keeps_only_what_can_be_the_largest_again() -> None:
    needs: tuple[tuple[float, float], ...] = ()
    for second in range(3600):
        needs = with_need(needs, float(second), float(second % 7), window_seconds=3600)

    assert len(needs) <= 8
