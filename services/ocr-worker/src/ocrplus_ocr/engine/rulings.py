"""Drawn lines of a page: what parts the rows and columns of its tables.

From a PDF's own vector graphics where it has them, else from the picture of a scan. Both give
thin boxes, so that everything after works on scans and born-digital pages alike.
"""

import ctypes
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pypdfium2.raw as pdfium_c

from ocrplus_ocr.engine import Box

_THICKEST: Final = 3.0  # points; what is thicker is a box
_SHORTEST: Final = 4.0
_MOST_OBJECTS: Final = 6000
_MOST_RULES: Final = 4000
_DEEPEST: Final = 4

Matrix = tuple[float, float, float, float, float, float]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Point = tuple[float, float]


def drawn_rules(page: Any, to_upright: Matrix) -> list[Box]:
    """The lines of a pypdfium2 page, also those inside larger paths and around boxes.

    Call in the rendering process only.
    """
    rules: list[Box] = []
    for path, matrix in _paths(page, to_upright):
        for box in _pieces(path, matrix):
            width, height = box[2] - box[0], box[3] - box[1]
            if min(width, height) <= _THICKEST:
                if max(width, height) >= _SHORTEST:
                    rules.append(box)
            elif _is_stroked(path):
                rules.extend(_edges(box))
        if len(rules) > _MOST_RULES:
            return []  # a drawing, not a table's lines
    return [_rounded(box) for box in rules]


def _paths(page: Any, to_upright: Matrix) -> Iterator[tuple[Any, Matrix]]:
    """Path objects with the map from their space to the upright page, forms looked into."""
    waiting: list[tuple[Any, Matrix, int]] = []
    for index in range(min(pdfium_c.FPDFPage_CountObjects(page), _MOST_OBJECTS)):
        waiting.append((pdfium_c.FPDFPage_GetObject(page, index), to_upright, 0))
    seen = 0
    while waiting and seen < _MOST_OBJECTS:
        item, matrix, depth = waiting.pop()
        seen += 1
        kind = pdfium_c.FPDFPageObj_GetType(item)
        if kind == pdfium_c.FPDF_PAGEOBJ_PATH:
            yield item, _after(_matrix_of(item), matrix)
        elif kind == pdfium_c.FPDF_PAGEOBJ_FORM and depth < _DEEPEST:
            inner = _after(_matrix_of(item), matrix)
            for index in range(min(pdfium_c.FPDFFormObj_CountObjects(item), _MOST_OBJECTS)):
                waiting.append((pdfium_c.FPDFFormObj_GetObject(item, index), inner, depth + 1))


def _matrix_of(item: Any) -> Matrix:
    m = pdfium_c.FS_MATRIX()
    if not pdfium_c.FPDFPageObj_GetMatrix(item, m):
        return 1, 0, 0, 1, 0, 0
    return m.a, m.b, m.c, m.d, m.e, m.f


def _after(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    g, h, i, j, k, n = then
    return (
        a * g + b * i,
        a * h + b * j,
        c * g + d * i,
        c * h + d * j,
        e * g + f * i + k,
        e * h + f * j + n,
    )


def _pieces(path: Any, matrix: Matrix) -> Iterator[Box]:
    """Boxes of a path's straight parts: one per rectangle, else one per upright line."""
    if not (_is_filled(path) or _is_stroked(path)):
        return
    for points, straight in _subpaths(path, matrix):
        if not straight:
            continue
        if _is_rectangle(points):
            yield _around(points)
        else:
            for a, b in itertools.pairwise(points):
                if abs(a[0] - b[0]) < 0.5 or abs(a[1] - b[1]) < 0.5:
                    yield _around((a, b))


def _subpaths(path: Any, matrix: Matrix) -> Iterator[tuple[list[Point], bool]]:
    """Points of each subpath in upright points, and whether it has no curve."""
    a, b, c, d, e, f = matrix
    x, y = ctypes.c_float(), ctypes.c_float()
    points: list[Point] = []
    straight = True
    for index in range(min(pdfium_c.FPDFPath_CountSegments(path), 500)):
        segment = pdfium_c.FPDFPath_GetPathSegment(path, index)
        kind = pdfium_c.FPDFPathSegment_GetType(segment)
        pdfium_c.FPDFPathSegment_GetPoint(segment, x, y)
        point = (a * x.value + c * y.value + e, b * x.value + d * y.value + f)
        if kind == pdfium_c.FPDF_SEGMENT_MOVETO:
            if len(points) > 1:
                yield points, straight
            points, straight = [point], True
            continue
        straight = straight and kind == pdfium_c.FPDF_SEGMENT_LINETO
        points.append(point)
        if pdfium_c.FPDFPathSegment_GetClose(segment) and points[0] != point:
            points.append(points[0])
    if len(points) > 1:
        yield points, straight


def _is_rectangle(points: Sequence[Point]) -> bool:
    box = _around(points)
    corners = {(x, y) for x in (box[0], box[2]) for y in (box[1], box[3])}
    return 4 <= len(points) <= 6 and all(
        any(abs(p[0] - x) < 0.5 and abs(p[1] - y) < 0.5 for x, y in corners) for p in points
    )


def _is_filled(path: Any) -> bool:
    mode, stroke = ctypes.c_int(), ctypes.c_int()
    return bool(pdfium_c.FPDFPath_GetDrawMode(path, mode, stroke)) and mode.value != 0


def _is_stroked(path: Any) -> bool:
    mode, stroke = ctypes.c_int(), ctypes.c_int()
    return bool(pdfium_c.FPDFPath_GetDrawMode(path, mode, stroke)) and bool(stroke.value)


def _edges(box: Box) -> tuple[Box, Box, Box, Box]:
    x0, y0, x1, y1 = box
    return (x0, y0, x1, y0), (x0, y1, x1, y1), (x0, y0, x0, y1), (x1, y0, x1, y1)


def _around(points: Sequence[Point]) -> Box:
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return min(xs), min(ys), max(xs), max(ys)


def _rounded(box: Box) -> Box:
    return round(box[0], 2), round(box[1], 2), round(box[2], 2), round(box[3], 2)


def scanned_rules(image: Pixels, pixels_per_point: float) -> tuple[Box, ...]:
    """Long thin dark lines of a page's picture (BGR), as boxes in points."""
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    dark = cv2.adaptiveThreshold(
        grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, 25, 12
    )
    long_side = max(24, round(18 * pixels_per_point))
    boxes: list[Box] = []
    for shape in ((long_side, 1), (1, long_side)):
        kernel = cv2.getStructuringElement(cv2.MORPH_RECT, shape)
        lines = cv2.morphologyEx(dark, cv2.MORPH_OPEN, kernel)
        # A line that is not quite straight falls into steps: join them again.
        lines = cv2.dilate(lines, cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3)))
        _, _, stats, _ = cv2.connectedComponentsWithStats(lines, connectivity=8)
        for x, y, width, height, _ in stats[1:]:
            if min(width, height) <= 4 * _THICKEST * pixels_per_point:
                boxes.append(
                    _rounded(
                        (
                            x / pixels_per_point,
                            y / pixels_per_point,
                            (x + width) / pixels_per_point,
                            (y + height) / pixels_per_point,
                        )
                    )
                )
    return tuple(boxes[:_MOST_RULES])
