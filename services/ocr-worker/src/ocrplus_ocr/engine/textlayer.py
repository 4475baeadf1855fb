"""Text lines from a PDF's own text layer, and whether to trust them.

Characters are read one by one: PDFium's text ranges are not aligned with its boxes, and its
rectangles join the cells of a table row. A line is split where the gap between two characters is
wide for their height; in a table half that gap already parts two cells.
"""

import ctypes
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pypdfium2.raw as pdfium_c

from ocrplus_contract.states import TextSource

MOST_CHARACTERS: Final = 60_000
"""A page with more is no page of text; it is read by OCR, within the page's deadline."""

CELL_GAP: Final = 0.5
"""In line heights. Measured: 0.5 parts table cells, 0.75 leaves justified prose whole."""
PROSE_GAP: Final = 0.75

_FEW_CHARACTERS: Final = 40
_MOST_BAD: Final = 0.02
_FULL_PAGE: Final = 0.8
_HYPHENS: Final = frozenset("\u0002\ufffe")  # PDFium's marks of a hyphen at a line's end
_SPACES: Final = frozenset("\u00a0\u2002\u2003\u2009\u202f\u3000\t ")
_INVISIBLE: Final = 3  # text render mode of a hidden OCR layer
_OBJECTS_LOOKED_AT: Final = 3000

Matrix = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f: x' = a·x + c·y + e, y' = b·x + d·y + f."""


@dataclass(frozen=True, slots=True)
class Line:
    """A run of text on one line: box in points of the upright page, origin top left."""

    x0: float
    y0: float
    x1: float
    y1: float
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a page before anything is read. Shares are 0..1."""

    characters: int
    bad_share: float
    image_share: float
    hidden_share: float
    turned_share: float


@dataclass(frozen=True, slots=True)
class TextLayer:
    """A page's text layer: fine runs (split at CELL_GAP) and the evidence about it."""

    runs: tuple[Line, ...]
    evidence: Evidence


def choose_source(
    evidence: Evidence, asked: Literal["auto", "ocr", "text_layer"] = "auto"
) -> TextSource:
    """Decide where a page's characters come from; `asked` overrides where it can."""
    if asked == "ocr" or evidence.characters == 0:
        return TextSource.OCR
    if asked == "text_layer":
        return TextSource.TEXT_LAYER
    broken = evidence.bad_share >= _MOST_BAD
    scan = evidence.image_share >= _FULL_PAGE and (
        evidence.hidden_share >= 0.5 or evidence.characters < 5 * _FEW_CHARACTERS
    )
    sparse = evidence.characters < _FEW_CHARACTERS and evidence.image_share >= 0.05
    sideways = evidence.turned_share >= 0.5
    return TextSource.OCR if broken or scan or sparse or sideways else TextSource.TEXT_LAYER


def read_text_layer(page: Any, to_upright: Matrix, area: float) -> TextLayer:
    """Read a pypdfium2 page; `area` in square points. Call in the rendering process only."""
    text_page = page.get_textpage()
    try:
        count = text_page.count_chars()
        image_share, hidden_share = _look_at_objects(page, area)
        if count > MOST_CHARACTERS:
            return TextLayer((), Evidence(0, 1.0, image_share, hidden_share, 0.0))
        glyphs, bad = _glyphs(text_page, count, to_upright)
    finally:
        text_page.close()
    turned = sum(1 for glyph in glyphs if glyph.turned)
    shown = sum(1 for glyph in glyphs if glyph.box is not None)
    evidence = Evidence(
        characters=shown,
        bad_share=bad / max(1, shown),
        image_share=image_share,
        hidden_share=hidden_share,
        turned_share=turned / max(1, shown),
    )
    upright = [glyph for glyph in glyphs if not glyph.turned]
    return TextLayer(tuple(_runs(upright)), evidence)


@dataclass(slots=True)
class _Glyph:
    """A character; `box` is None for a space or a line's end."""

    text: str
    box: tuple[float, float, float, float] | None
    turned: bool = False


def _glyphs(text_page: Any, count: int, matrix: Matrix) -> tuple[list[_Glyph], int]:
    """Characters in the layer's order, and how many of them are broken."""
    glyphs: list[_Glyph] = []
    bad = 0
    rect = pdfium_c.FS_RECTF()
    pointer = ctypes.byref(rect)
    high = 0
    for index in range(count):
        code = pdfium_c.FPDFText_GetUnicode(text_page, index)
        if 0xD800 <= code < 0xDC00:
            high = code
            continue
        if 0xDC00 <= code < 0xE000:
            code = 0x10000 + ((high - 0xD800) << 10) + code - 0xDC00 if high else 0xFFFD
        high = 0
        text = _clean(code)
        if text in ("\n", " "):
            glyphs.append(_Glyph(text, None))
            continue
        if not text:
            continue
        if not pdfium_c.FPDFText_GetLooseCharBox(text_page, index, pointer):
            continue
        box = _transformed(rect, matrix)
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        if _broken(text):
            bad += 1
        glyphs.append(_Glyph(text, box, _is_turned(text_page, index, matrix)))
    return glyphs, bad


def _clean(code: int) -> str:
    """One character of Markdown for a code point: "" to leave out, " " or newline to part."""
    if code in (0x0A, 0x0D):
        return "\n"
    text = chr(code) if 0 < code < 0x110000 else " "
    if text in _HYPHENS:
        return "-"
    if text in _SPACES or text.isspace():
        return " "
    if unicodedata.category(text) in ("Cc", "Cf", "Cs"):
        return ""
    return unicodedata.normalize("NFKC", text) if "\ufb00" <= text <= "\ufb06" else text


def _broken(text: str) -> bool:
    return text == "\ufffd" or unicodedata.category(text[0]) in ("Co", "Cn")


def _is_turned(text_page: Any, index: int, matrix: Matrix) -> bool:
    """Whether a character does not stand upright on the page as it is shown."""
    angle = pdfium_c.FPDFText_GetCharAngle(text_page, index)  # radians, -1 where unknown
    if angle < 0:
        return False
    x, y = math.cos(angle), math.sin(angle)
    shown_x = matrix[0] * x + matrix[2] * y
    shown_y = matrix[1] * x + matrix[3] * y
    return shown_x < 0.7 * math.hypot(shown_x, shown_y)


def _transformed(rect: Any, matrix: Matrix) -> tuple[float, float, float, float]:
    a, b, c, d, e, f = matrix
    x0 = a * rect.left + c * rect.bottom + e
    x1 = a * rect.right + c * rect.top + e
    y0 = b * rect.left + d * rect.bottom + f
    y1 = b * rect.right + d * rect.top + f
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _runs(glyphs: Sequence[_Glyph]) -> list[Line]:
    """Join characters to runs, parted at line ends, at cell gaps and at steps back."""
    runs: list[Line] = []
    box: list[float] = []
    text: list[str] = []
    space = False

    def flush() -> None:
        joined = "".join(text).strip()
        if joined:
            runs.append(Line(box[0], box[1], box[2], box[3], joined))
        text.clear()

    for glyph in glyphs:
        if glyph.box is None:
            if glyph.text == "\n":
                flush()
            space = True
            continue
        x0, y0, x1, y1 = glyph.box
        if text and _parted(box, glyph.box, CELL_GAP):
            flush()
        if not text:
            box[:] = [x0, y0, x1, y1]
        else:
            if space:
                text.append(" ")
            box[:] = [min(box[0], x0), min(box[1], y0), max(box[2], x1), max(box[3], y1)]
        text.append(glyph.text)
        space = False
    flush()
    return runs


def _parted(box: Sequence[float], following: Sequence[float], gap_limit: float) -> bool:
    """Whether what follows a run belongs to another one."""
    height = max(box[3] - box[1], following[3] - following[1])
    least = min(box[3] - box[1], following[3] - following[1])
    overlap = min(box[3], following[3]) - max(box[1], following[1])
    gap = following[0] - box[2]
    return overlap < 0.3 * least or gap > gap_limit * height or gap < -1.5 * height


def join_prose(
    runs: Sequence[Line], tables: Sequence[tuple[float, float, float, float]]
) -> list[Line]:
    """Join neighbouring runs up to PROSE_GAP, except inside the tables' boxes (same unit)."""
    joined: list[Line] = []
    for run in runs:
        last = joined[-1] if joined else None
        if (
            last is not None
            and not _inside_any(run, tables)
            and not _inside_any(last, tables)
            and not _parted(_box(last), _box(run), PROSE_GAP)
        ):
            joined[-1] = Line(
                min(last.x0, run.x0),
                min(last.y0, run.y0),
                max(last.x1, run.x1),
                max(last.y1, run.y1),
                f"{last.text} {run.text}",
            )
        else:
            joined.append(run)
    return joined


def _box(line: Line) -> tuple[float, float, float, float]:
    return line.x0, line.y0, line.x1, line.y1


def _inside_any(line: Line, boxes: Sequence[tuple[float, float, float, float]]) -> bool:
    x, y = (line.x0 + line.x1) / 2, (line.y0 + line.y1) / 2
    return any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in boxes)


def _look_at_objects(page: Any, area: float) -> tuple[float, float]:
    """Share of the page under its largest image, share of its text objects that are invisible."""
    largest = 0.0
    texts = hidden = 0
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    count = min(pdfium_c.FPDFPage_CountObjects(page), _OBJECTS_LOOKED_AT)
    for index in range(count):
        item = pdfium_c.FPDFPage_GetObject(page, index)
        kind = pdfium_c.FPDFPageObj_GetType(item)
        if kind == pdfium_c.FPDF_PAGEOBJ_TEXT:
            texts += 1
            hidden += pdfium_c.FPDFTextObj_GetTextRenderMode(item) == _INVISIBLE
        elif kind == pdfium_c.FPDF_PAGEOBJ_IMAGE and pdfium_c.FPDFPageObj_GetBounds(
            item, left, bottom, right, top
        ):
            width, height = right.value - left.value, top.value - bottom.value
            largest = max(largest, width * height)
    return min(1.0, largest / area) if area > 0 else 0.0, hidden / texts if texts else 0.0
