"""Pictures that are tables: the layout model takes ruled or dense tables for images.

Told before the pipeline reads tables, it is read as one; told later, its cells would be lost in a
picture. Pure.
"""

from collections.abc import Sequence
from typing import Any, Final  # Any: the image's type parameter

import numpy as np

from ocrplus_ocr.engine import Box, TextLine
from ocrplus_ocr.markdown.geometry import holds
from ocrplus_ocr.markdown.lines import rows_of

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_LONG: Final = 0.5  # of the region's side
_LEAST_RULES: Final = 3
_LEAST_SIDE_PX: Final = 40
_LEAST_WORDS: Final = 0.3  # of the rows and columns
_INK: Final = 40  # grey levels off the paper's
_MOST_INK: Final = 0.02
_LEAST_CELLS: Final = 0.6  # of the crossings that a full grid has
_MOST_CELLS: Final = 1000
_FULL_ROW: Final = 3
_LEAST_ROWS: Final = 4
_MOSTLY: Final = 0.7
_MOST_CELL_LETTERS: Final = 40


def is_table(image: Pixels, lines: Sequence[TextLine], box: Box) -> bool:
    """Whether a region that was taken for a picture is a table."""
    inside = [line for line in lines if holds(box, line.box)]
    return bool(inside) and (is_grid(inside) or is_ruled(image, inside, box))


def is_ruled(image: Pixels, lines: Sequence[TextLine], box: Box) -> bool:
    """Whether long horizontal and vertical lines cross in a region, with words between them: the
    words of a chart with grid lines stand around them."""
    height, width = image.shape[:2]
    x0, y0 = max(0, int(box[0])), max(0, int(box[1]))
    x1, y1 = min(width, round(box[2])), min(height, round(box[3]))
    if min(x1 - x0, y1 - y0) < _LEAST_SIDE_PX:
        return False
    level, upright = _rules(image[y0:y1, x0:x1])
    rows, columns = _bars(level.max(axis=1)), _bars(upright.max(axis=0))
    if min(rows, columns) < _LEAST_RULES:
        return False
    if _count(level & upright) < _LEAST_CELLS * rows * columns:
        return False
    ys, xs = np.nonzero(level.max(axis=1))[0], np.nonzero(upright.max(axis=0))[0]
    grid = (x0 + xs[0], y0 + ys[0], x0 + xs[-1], y0 + ys[-1])
    between = sum(holds(grid, line.box) for line in lines)
    if between >= _MOSTLY * len(lines):
        return between >= _LEAST_WORDS * (rows + columns - 2)
    # A form to be filled in: nothing in its cells, words beside and above them.
    beside = sum(any(c.isalpha() for c in line.text) for line in lines)
    inside = image[grid[1] : grid[3], grid[0] : grid[2]]
    named = beside >= _MOSTLY * max(rows - 1, len(lines))
    return named and _is_blank(inside, level | upright, ys, xs)


def _is_blank(inside: Pixels, rules: Any, ys: Any, xs: Any) -> bool:
    """Whether there is only paper between the rules: a chart has bars or curves there."""
    import cv2

    mask = cv2.dilate(rules, np.ones((9, 9), np.uint8))[ys[0] : ys[-1], xs[0] : xs[-1]]
    paper = cv2.cvtColor(inside, cv2.COLOR_BGR2GRAY)[mask == 0].astype(int)
    if not paper.size:
        return False
    return bool((abs(paper - np.median(paper)) > _INK).mean() < _MOST_INK)


def _rules(part: Pixels) -> tuple[Any, Any]:
    """Where long horizontal and long vertical lines are."""
    import cv2

    gray = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY)
    ink = cv2.adaptiveThreshold(
        gray, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, 25, 12
    )
    wide, high = int(_LONG * ink.shape[1]), int(_LONG * ink.shape[0])
    level = cv2.morphologyEx(_bridged(ink, (9, 3)), cv2.MORPH_OPEN, np.ones((1, wide), np.uint8))
    upright = cv2.morphologyEx(_bridged(ink, (3, 9)), cv2.MORPH_OPEN, np.ones((high, 1), np.uint8))
    return level, upright


def _count(marks: Any) -> int:
    import cv2

    return int(cv2.connectedComponents(marks)[0]) - 1


def _bridged(ink: Any, size: tuple[int, int]) -> Any:
    """Ink with the small gaps of a scanned line closed."""
    import cv2

    return cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((size[1], size[0]), np.uint8))


def _bars(profile: Any) -> int:
    """How many separate lines a projection shows."""
    on = np.concatenate([[0], (profile > 0).astype(int)])
    return int((np.diff(on) == 1).sum())


def is_grid(lines: Sequence[TextLine]) -> bool:
    """Whether the lines of a region stand in rows and columns, each as short as a cell."""
    if len(lines) > _MOST_CELLS:
        return False
    rows = rows_of(lines)
    full = [row for row in rows if len(row) >= _FULL_ROW]
    if len(full) < _LEAST_ROWS or len(full) < _MOSTLY * len(rows):
        return False
    if any(len(line.text) > _MOST_CELL_LETTERS for row in full for line in row):
        return False
    count = len(max(full, key=len))
    return sum(_aligned(row, full) for row in full) >= _MOSTLY * len(full) and count >= _FULL_ROW


def _aligned(row: Sequence[TextLine], rows: Sequence[Sequence[TextLine]]) -> bool:
    """Whether most cells of a row stand under or over cells of most other rows."""
    others = [other for other in rows if other is not row]
    matched = 0
    for cell in row:
        middle = (cell.box[0] + cell.box[2]) / 2
        hits = sum(any(o.box[0] <= middle <= o.box[2] for o in other) for other in others)
        matched += hits >= 0.5 * len(others)
    return matched >= _MOSTLY * len(row)
