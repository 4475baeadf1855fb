"""The reading order of boxes by cutting the page: into bands, and bands into columns. Pure.

Bands whose columns go on from one to the next are read together, so that a gap which happens to
cross both columns does not make one read across them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ocrplus_ocr.engine import Box
from ocrplus_ocr.markdown.geometry import around

_OVERLAP: Final = 0.03  # of a box's side: regions of a layout model touch
_DEEPEST: Final = 12
_MOST_BOXES: Final = 1000  # the work grows by the square; no page that is read has as many


@dataclass(frozen=True, slots=True)
class Columns:
    """What makes a column: how far it is from the next, how wide it is at least, and how large
    a gap it may go on over where the gap crosses its neighbour too. A column of nothing but
    `floats`, by index, is read after the ones beside it."""

    gutter: float
    width: float
    gap: float
    floats: frozenset[int] = frozenset()


def reading_order(boxes: Sequence[Box], columns: Columns) -> list[int]:
    """Indices of the boxes as they are read."""
    if len(boxes) > _MOST_BOXES:
        return sorted(range(len(boxes)), key=lambda i: (boxes[i][1], boxes[i][0]))
    return _ordered(list(range(len(boxes))), boxes, columns, 0)


def _ordered(items: list[int], boxes: Sequence[Box], columns: Columns, depth: int) -> list[int]:
    if len(items) < 2 or depth > _DEEPEST:
        return sorted(items, key=lambda i: (boxes[i][1], boxes[i][0]))
    apart = _parts(items, [(boxes[i][1], boxes[i][3]) for i in items], columns.gap)
    if len(apart) > 1:
        return [i for band in apart for i in _ordered(band, boxes, columns, depth + 1)]
    beside = _columns(items, boxes, columns)
    if len(beside) > 1:
        beside.sort(key=lambda column: columns.floats.issuperset(column))
        return [i for column in beside for i in _ordered(column, boxes, columns, depth + 1)]
    bands = _bands(items, boxes)
    if len(bands) == 1:
        return _rows(items, boxes)
    groups: list[list[int]] = []
    for band in bands:
        if groups and _go_on(groups[-1], band, boxes, columns):
            groups[-1] = groups[-1] + band
        else:
            groups.append(band)
    if len(groups) == 1:
        return _rows(items, boxes)
    return [i for group in groups for i in _ordered(group, boxes, columns, depth + 1)]


def _go_on(group: list[int], band: list[int], boxes: Sequence[Box], columns: Columns) -> bool:
    """Whether the columns of a group go on in the next band."""
    gap = min(boxes[i][1] for i in band) - max(boxes[i][3] for i in group)
    return gap <= columns.gap and len(_columns(group + band, boxes, columns)) > 1


def _rows(items: Sequence[int], boxes: Sequence[Box]) -> list[int]:
    """What cannot be cut: from top to bottom, what starts level from left to right."""
    left = sorted(items, key=lambda i: (boxes[i][1], boxes[i][0]))
    ordered: list[int] = []
    while left:
        first = left[0]
        level = boxes[first][1] + 0.5 * (boxes[first][3] - boxes[first][1])
        row = [i for i in left if boxes[i][1] < level and boxes[i][3] > boxes[first][1]]
        row = [i for i in row if (boxes[i][1] + boxes[i][3]) / 2 < boxes[first][3]] or [first]
        row.sort(key=lambda i: boxes[i][0])
        ordered.append(row[0])
        left.remove(row[0])
    return ordered


def _bands(items: Sequence[int], boxes: Sequence[Box]) -> list[list[int]]:
    """Items parted where a horizontal line touches none of them."""
    return _parts(items, [(boxes[i][1], boxes[i][3]) for i in items], 0.0)


def _columns(items: Sequence[int], boxes: Sequence[Box], columns: Columns) -> list[list[int]]:
    """Items parted where a wide enough vertical gap touches none of them; one part where the
    parts do not stand beside each other."""
    parts = _parts(items, [(boxes[i][0], boxes[i][2]) for i in items], columns.gutter)
    parts = _without_narrow(parts, boxes, columns.width)
    frames = [around(boxes[i] for i in part) for part in parts]
    beside = all(min(a[3], b[3]) > max(a[1], b[1]) for a, b in pairwise(frames))
    return parts if beside else [list(items)]


def _without_narrow(parts: list[list[int]], boxes: Sequence[Box], width: float) -> list[list[int]]:
    """What is too narrow for a column goes with its nearer neighbour."""
    while len(parts) > 1:
        frames = [around(boxes[i] for i in part) for part in parts]
        at = min(range(len(parts)), key=lambda k: frames[k][2] - frames[k][0])
        if frames[at][2] - frames[at][0] >= width:
            break
        left = frames[at][0] - frames[at - 1][2] if at > 0 else float("inf")
        right = frames[at + 1][0] - frames[at][2] if at + 1 < len(parts) else float("inf")
        first = at - 1 if left <= right else at
        parts = [*parts[:first], parts[first] + parts[first + 1], *parts[first + 2 :]]
    return parts


def _parts(
    items: Sequence[int], sides: Sequence[tuple[float, float]], least_gap: float
) -> list[list[int]]:
    """Items parted where the next begins `least_gap` after all before it have ended."""
    parts: list[list[int]] = []
    reach = float("-inf")
    order = sorted(range(len(items)), key=lambda k: sides[k])
    for k in order:
        start, end = sides[k]
        spare = _OVERLAP * (end - start) if least_gap == 0 else 0.0
        if start + spare >= reach + least_gap:
            parts.append([])
        parts[-1].append(items[k])
        reach = max(reach, end - spare)
    return parts
