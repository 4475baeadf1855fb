"""Photographs on a scanned page that the layout model takes for one picture as a whole. Pure.

Such a page is read as text; what of it is really a picture shows in its texture, where no line of
text stands.
"""

from collections.abc import Sequence
from typing import Any, Final  # Any: the image's type parameter

import numpy as np

from ocrplus_ocr.engine import Box, TextLine

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_CELL_PX: Final = 16
_LEAST_TEXTURE: Final = 12.0  # standard deviation of the grey values in a cell
_LEAST_SHARE: Final = 0.04  # of the page
_LEAST_FILL: Final = 0.6
_SURE: Final = 0.85
_MOST_SHARE: Final = 0.6


def photos(image: Pixels, lines: Sequence[TextLine], region: Box) -> list[Box]:
    """Boxes of textured patches in a region, without those where lines of text stand."""
    import cv2

    height, width = image.shape[0] // _CELL_PX, image.shape[1] // _CELL_PX
    if min(height, width) < 4:
        return []
    gray = cv2.cvtColor(image[: height * _CELL_PX, : width * _CELL_PX], cv2.COLOR_BGR2GRAY)
    cells = gray.reshape(height, _CELL_PX, width, _CELL_PX).astype(np.float32)
    textured = (cells.std(axis=(1, 3)) > _LEAST_TEXTURE).astype(np.uint8)
    allowed = np.zeros_like(textured)
    _fill(allowed, region, 1)
    for line in lines:
        if line.score >= _SURE:  # what is read into a photograph is a guess
            _fill(allowed, line.box, 0)
    square = np.ones((3, 3), np.uint8)
    closed = cv2.morphologyEx(textured & allowed, cv2.MORPH_CLOSE, square) & allowed
    found = cv2.morphologyEx(closed, cv2.MORPH_OPEN, square)
    _, _, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=4)
    page = height * width
    return [
        tuple(float(side * _CELL_PX) for side in (x, y, x + w, y + h))  # type: ignore[misc]
        for x, y, w, h, size in stats[1:].tolist()
        if _LEAST_SHARE * page < w * h < _MOST_SHARE * page and size > _LEAST_FILL * w * h
    ]


def _fill(cells: Any, box: Box, value: int) -> None:
    x0, y0 = int(box[0] // _CELL_PX), int(box[1] // _CELL_PX)
    x1, y1 = int(-(-box[2] // _CELL_PX)), int(-(-box[3] // _CELL_PX))
    cells[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = value
