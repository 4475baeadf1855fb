"""Dashes that stand alone in the cells of a scanned table, where they say "no value".

Text detection passes them over: they are no text to it. Pure.
"""

from collections.abc import Sequence
from typing import Any, Final  # Any: the image's type parameter

import numpy as np

from ocrplus_ocr.engine import Box, TextLine

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_LEAST_LINES: Final = 2
_WIDTHS: Final = (0.28, 1.3)  # in heights of a line of text
_HIGHEST: Final = 0.2
_FLATTEST: Final = 2.5  # times as wide as high
_CLEAR_BESIDE: Final = 0.45  # line heights without ink around
_CLEAR_ABOVE: Final = 0.3
_MOST_SPECKS: Final = 0.04  # of the cleared area: a scan's dust
_GROUND_PX: Final = 3
_SAME_GROUND: Final = 10.0  # of 255
_LEAST_CONTRAST: Final = 30.0
_EM_DASH: Final = 0.6


def lone_dashes(image: Pixels, tables: Sequence[Box], lines: Sequence[TextLine]) -> list[TextLine]:
    """Dashes in the tables' boxes, as lines of text; all in pixels of the image."""
    found: list[TextLine] = []
    for table in tables:
        heights = [line.box[3] - line.box[1] for line in lines if _holds(table, line.box)]
        if len(heights) >= _LEAST_LINES:
            found += _in_table(image, table, float(np.median(heights)))
    return [dash for dash in found if not any(_overlap(line.box, dash.box) for line in lines)]


def _in_table(image: Pixels, table: Box, height: float) -> list[TextLine]:
    import cv2

    rows, columns = image.shape[:2]
    x0, y0 = max(0, int(table[0])), max(0, int(table[1]))
    x1, y1 = min(columns, round(table[2])), min(rows, round(table[3]))
    if x1 - x0 < 8 or y1 - y0 < 8:
        return []
    grey = cv2.cvtColor(np.ascontiguousarray(image[y0:y1, x0:x1]), cv2.COLOR_BGR2GRAY)
    ink = cv2.adaptiveThreshold(grey, 1, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, 31, 15)
    total = cv2.integral(ink)
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    dashes = []
    for x, y, width, tall, _ in stats[1:]:
        flat = width >= _FLATTEST * tall and tall <= max(2, _HIGHEST * height)
        if not flat or not _WIDTHS[0] * height <= width <= _WIDTHS[1] * height:
            continue
        place = (int(x), int(y), int(x + width), int(y + tall))
        if not _stands_alone(total, place, height) or not _is_stroke(grey, place):
            continue
        text = "—" if width >= _EM_DASH * height else "-"
        middle = y0 + y + tall / 2
        box = (
            float(x0 + x),
            middle - height / 2,
            float(x0 + x + width),
            middle + height / 2,
        )
        dashes.append(TextLine(text, box))
    return dashes


def _stands_alone(total: Any, box: tuple[int, int, int, int], height: float) -> bool:
    """Whether nothing else is drawn around a stroke."""
    x0, y0, x1, y1 = box
    beside, above = round(_CLEAR_BESIDE * height), round(_CLEAR_ABOVE * height)
    rows, columns = total.shape[0] - 1, total.shape[1] - 1
    left, top = max(0, x0 - beside), max(0, y0 - above)
    right, bottom = min(columns, x1 + beside), min(rows, y1 + above)

    def ink(a: int, b: int, c: int, d: int) -> int:
        return int(total[d, c] - total[b, c] - total[d, a] + total[b, a])

    around = ink(left, top, right, bottom) - ink(x0, y0, x1, y1)
    cleared = (right - left) * (bottom - top) - (x1 - x0) * (y1 - y0)
    return bool(around <= _MOST_SPECKS * cleared)


def _is_stroke(grey: Any, box: tuple[int, int, int, int]) -> bool:
    """Whether it is dark on one ground: at a coloured row's edge the grounds differ."""
    x0, y0, x1, y1 = box
    above = grey[max(0, y0 - _GROUND_PX - 1) : max(1, y0 - 1), x0:x1]
    below = grey[y1 + 1 : y1 + 1 + _GROUND_PX, x0:x1]
    if not above.size or not below.size:
        return False
    over, under = float(above.mean()), float(below.mean())
    stroke = float(grey[y0:y1, x0:x1].mean())
    return abs(over - under) <= _SAME_GROUND and min(over, under) - stroke >= _LEAST_CONTRAST


def _holds(outer: Box, inner: Box) -> bool:
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]


def _overlap(a: Box, b: Box) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) - max(a[1], b[1]) > 0.3 * (
        b[3] - b[1]
    )
