"""Boxes: how large, how they lie to each other. Pure."""

from collections.abc import Iterable
from typing import Final

from ocrplus_ocr.engine import Box

_HAIR: Final = 0.1  # points


def area(box: Box) -> float:
    """Square points; 0 for a box turned inside out."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def solid(box: Box) -> Box:
    """A box of some size, whichever of its corners comes first: OCR and broken fonts give
    boxes of no height, and some that are turned inside out."""
    x0, x1, y0, y1 = *sorted((box[0], box[2])), *sorted((box[1], box[3]))
    return x0, y0, max(x1, x0 + _HAIR), max(y1, y0 + _HAIR)


def holds(outer: Box, inner: Box) -> bool:
    """Whether the middle of a box lies in another one."""
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]


def shared(a: Box, b: Box) -> float:
    """Share of the smaller box that lies under the other."""
    smaller = min(area(a), area(b))
    return common(a, b) / smaller if smaller else 0.0


def common(a: Box, b: Box) -> float:
    """Square points that lie in both boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def across(a: Box, b: Box) -> float:
    """How much two boxes overlap from left to right, as a share of the narrower one."""
    narrower = min(a[2] - a[0], b[2] - b[0])
    overlap = min(a[2], b[2]) - max(a[0], b[0])
    return max(0.0, overlap) / narrower if narrower > 0 else 0.0


def around(boxes: Iterable[Box]) -> Box:
    """The smallest box that holds them all; there is at least one."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def upright(box: Box, turn: int, size: tuple[float, float]) -> Box:
    """A box of a page of this size, once the page has been turned back by `turn` quarters."""
    x0, y0, x1, y1 = box
    width, height = size
    if turn == 1:
        return y0, width - x1, y1, width - x0
    if turn == 2:
        return width - x1, height - y1, width - x0, height - y0
    if turn == 3:
        return height - y1, x0, height - y0, x1
    return box
