"""What a page draws besides text: images, straight lines, shapes; and the page as a text layer.

Call in the rendering process only.
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final  # Any: pypdfium2 is untyped

import pypdfium2.raw as pdfium_c

from ocrplus_ocr.engine import Box, Evidence
from ocrplus_ocr.engine.glyphs import MOST_CHARACTERS, Matrix, read_glyphs, transformed
from ocrplus_ocr.engine.mathglyphs import read_math_glyphs
from ocrplus_ocr.engine.rulings import drawn_rules
from ocrplus_ocr.engine.runs import distinct, main_turn, runs_of
from ocrplus_ocr.engine.textlayer import TextLayer, odd_share
from ocrplus_ocr.markdown.geometry import upright

_MOST_OBJECTS: Final = 4000
_MOST_KEPT: Final = 1500
_DEEPEST_FORM: Final = 3
_FULL_PAGE: Final = 0.8
_THIN: Final = 2.0  # points
_LEAST_PICTURE: Final = 4.0
_ALL: Final = 0.9


@dataclass(slots=True)
class _Drawn:
    """Boxes on the page as it is shown; texts before and after the last full-page image."""

    pictures: list[Box] = field(default_factory=list)
    rules: list[Box] = field(default_factory=list)
    drawings: list[Box] = field(default_factory=list)
    texts: int = 0
    covered: int = 0


def read_text_layer(page: Any, to_upright: Matrix, size: tuple[float, float]) -> TextLayer:
    """Read a pypdfium2 page of this size as it is shown."""
    drawn = _look_at_objects(page, to_upright, size)
    image_share = max((_area(box) for box in drawn.pictures), default=0.0) / _area((0, 0, *size))
    text_page = page.get_textpage()
    try:
        count = text_page.count_chars()
        if count > MOST_CHARACTERS:
            return TextLayer((), Evidence(0, 1.0, min(1.0, image_share), 0.0, 0.0))
        glyphs, bad = read_glyphs(text_page, count, to_upright)
    finally:
        text_page.close()
    shown = [glyph for glyph in glyphs if glyph.box is not None]
    hidden = sum(glyph.font.hidden for glyph in shown) / max(1, len(shown))
    covered = drawn.covered / drawn.texts if drawn.texts else 0.0
    if hidden < _ALL:  # a layer that is all hidden is a scan's; else it is no part of the page
        glyphs = [glyph for glyph in glyphs if not glyph.font.hidden]
    glyphs = distinct(glyphs)
    turn = main_turn(glyphs)
    turned = sum(glyph.turn != turn for glyph in glyphs if glyph.box is not None)
    evidence = Evidence(
        characters=sum(glyph.box is not None for glyph in glyphs),
        bad_share=bad / max(1, len(shown)),
        image_share=min(1.0, image_share),
        hidden_share=max(hidden, covered),
        turned_share=turned / max(1, len(shown)),
        odd_share=odd_share("".join(glyph.text for glyph in glyphs)),
        turn=turn,
    )
    pictures, rules, drawings = (
        tuple(upright(box, turn, size) for box in boxes)
        for boxes in (drawn.pictures[:_MOST_KEPT], drawn.rules, drawn.drawings[:_MOST_KEPT])
    )
    runs = tuple(runs_of(glyphs, turn, size))
    maths = read_math_glyphs(page, to_upright) if turn == 0 else ()
    return TextLayer(runs, evidence, pictures, rules, drawings, maths)


def _look_at_objects(page: Any, to_upright: Matrix, size: tuple[float, float]) -> _Drawn:
    drawn = _Drawn()
    page_area = _area((0, 0, *size))
    for kind, box in _objects(page.raw, to_upright):
        if kind == pdfium_c.FPDF_PAGEOBJ_TEXT:
            drawn.texts += 1
            continue
        box = max(0.0, box[0]), max(0.0, box[1]), min(size[0], box[2]), min(size[1], box[3])
        width, height = box[2] - box[0], box[3] - box[1]
        if width < 0 or height < 0:
            continue
        if kind == pdfium_c.FPDF_PAGEOBJ_IMAGE:
            if min(width, height) >= _LEAST_PICTURE:
                drawn.pictures.append(box)
            if width * height >= _FULL_PAGE * page_area:
                drawn.covered = drawn.texts
        elif min(width, height) > _THIN and width * height < 0.5 * page_area:
            drawn.drawings.append(box)
    drawn.rules.extend(drawn_rules(page, to_upright))
    return drawn


def _objects(page: Any, matrix: Matrix) -> Iterator[tuple[int, Box]]:
    """Kind and box of each object as shown, those in forms too."""
    left = _MOST_OBJECTS
    todo: list[tuple[Any, Matrix, int]] = [
        (pdfium_c.FPDFPage_GetObject(page, index), matrix, 0)
        for index in range(min(left, pdfium_c.FPDFPage_CountObjects(page)) - 1, -1, -1)
    ]
    while todo and left > 0:
        item, shown, depth = todo.pop()
        left -= 1
        kind = pdfium_c.FPDFPageObj_GetType(item)
        if kind == pdfium_c.FPDF_PAGEOBJ_FORM:
            if depth < _DEEPEST_FORM:
                inner = _inner(item, shown)
                count = min(left, max(0, pdfium_c.FPDFFormObj_CountObjects(item)))
                todo += [
                    (pdfium_c.FPDFFormObj_GetObject(item, index), inner, depth + 1)
                    for index in range(count - 1, -1, -1)
                ]
            continue
        box = _bounds(item, shown)
        if box is not None:
            yield kind, box


def _inner(form: Any, outer: Matrix) -> Matrix:
    """The map of what stands in a form to the page as it is shown."""
    own = pdfium_c.FS_MATRIX()
    if not pdfium_c.FPDFPageObj_GetMatrix(form, ctypes.byref(own)):
        return outer
    a, b, c, d, e, f = outer
    return (
        a * own.a + c * own.b,
        b * own.a + d * own.b,
        a * own.c + c * own.d,
        b * own.c + d * own.d,
        a * own.e + c * own.f + e,
        b * own.e + d * own.f + f,
    )


def _bounds(item: Any, matrix: Matrix) -> Box | None:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not pdfium_c.FPDFPageObj_GetBounds(item, left, bottom, right, top):
        return None
    rect = pdfium_c.FS_RECTF(left=left.value, top=top.value, right=right.value, bottom=bottom.value)
    box = transformed(rect, matrix)
    return box if all(abs(side) < 1e6 for side in box) else None


def _area(box: Box) -> float:
    return max(1e-6, box[2] - box[0]) * max(1e-6, box[3] - box[1])
