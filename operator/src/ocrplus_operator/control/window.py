"""The largest need of a sliding window.

The largest need is kept as a falling sequence (an entry that a later, larger one covers can never
be the maximum again), so that a long window costs no more than a short one.
"""

Needs = tuple[tuple[float, float], ...]


def with_need(needs: Needs, now: float, need: float, *, window_seconds: float) -> Needs:
    """Add a need and drop what has left the window; the first entry is the largest."""
    begin = now - window_seconds
    first = 0
    last = len(needs)
    while first < last and needs[first][0] < begin:
        first += 1
    while last > first and needs[last - 1][1] <= need:
        last -= 1
    return (*needs[first:last], (now, need))
