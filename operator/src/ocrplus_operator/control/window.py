"""Sliding windows over time: the largest need, and how much went.

The largest need is kept as a falling sequence (an entry that a later, larger one covers can never
be the maximum again), so that a long window costs no more than a short one.
"""

Needs = tuple[tuple[float, float], ...]
Removals = tuple[tuple[float, int], ...]


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


def within(removals: Removals, now: float, *, window_seconds: float) -> Removals:
    """The removals that are still in the window."""
    if not removals or removals[0][0] > now - window_seconds:
        return removals
    return tuple(entry for entry in removals if entry[0] > now - window_seconds)


def allowance(removals: Removals, present: int, *, max_percent: int) -> int:
    """How many more may go now, of those that were there when the window began; one always may."""
    gone = sum(count for _, count in removals)
    return max(max(1, (present + gone) * max_percent // 100) - gone, 0)
