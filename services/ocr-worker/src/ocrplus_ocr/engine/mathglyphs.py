"""Characters of the rows of a text layer that hold formulas, one by one with their baselines.

A formula's sense lies in where its characters stand, which lines of text lose. Rows without any
sign of mathematics are left out: most pages give nothing here.
"""

import ctypes
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pypdfium2.raw as pdfium_c

Matrix = tuple[float, float, float, float, float, float]

_MOST_CHARACTERS: Final = 20_000
_MOST_SIGNS: Final = 600
_BAND: Final = 2.4  # font sizes above and below a sign that its formula may reach
_SIGNS: Final = frozenset("=±×÷√∞∂∇≈≠≤≥∝→←↔⇒⇔∥")
_RANGES: Final = ((0x1D400, 0x1D7FF), (0x2200, 0x22FF), (0x2A00, 0x2AFF))


@dataclass(frozen=True, slots=True)
class MathGlyph:
    """A character: its drawn box and baseline in points of the upright page, its font size."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    baseline: float
    size: float


def read_math_glyphs(page: Any, matrix: Matrix) -> tuple[MathGlyph, ...]:
    """Glyphs of the rows with formulas on a pypdfium2 page. Call in the rendering process only."""
    text_page = page.get_textpage()
    try:
        count = text_page.count_chars()
        if not 0 < count <= _MOST_CHARACTERS:
            return ()
        characters = _characters(text_page, count)
        signs = [index for index, text in characters if _is_sign(text)]
        if not signs or len(signs) > _MOST_SIGNS:
            return ()
        bands = _bands([_glyph(text_page, index, "", matrix) for index in signs])
        glyphs = (
            _glyph(text_page, index, text, matrix)
            for index, text in characters
            if text.strip() and _near(text_page, index, bands, matrix)
        )
        return tuple(glyph for glyph in glyphs if glyph is not None)
    finally:
        text_page.close()


def _characters(text_page: Any, count: int) -> list[tuple[int, str]]:
    """Index and character; of a pair of surrogates the second one's index."""
    characters = []
    high = 0
    for index in range(count):
        code = pdfium_c.FPDFText_GetUnicode(text_page, index)
        if 0xD800 <= code < 0xDC00:
            high = code
            continue
        if 0xDC00 <= code < 0xE000:
            code = 0x10000 + ((high - 0xD800) << 10) + code - 0xDC00 if high else 0xFFFD
        high = 0
        if code and code != 0xFFFE and code != 2:
            characters.append((index, chr(code)))
    return characters


def _is_sign(text: str) -> bool:
    code = ord(text)
    return text in _SIGNS or any(first <= code <= last for first, last in _RANGES)


def _glyph(text_page: Any, index: int, text: str, matrix: Matrix) -> MathGlyph | None:
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    x, y = ctypes.c_double(), ctypes.c_double()
    shape = pdfium_c.FS_MATRIX()
    if not (
        pdfium_c.FPDFText_GetCharBox(text_page, index, left, right, bottom, top)
        and pdfium_c.FPDFText_GetCharOrigin(text_page, index, x, y)
        and pdfium_c.FPDFText_GetMatrix(text_page, index, shape)
    ):
        return None
    a, b, c, d, e, f = matrix
    if abs(b) > 0.01 or abs(c) > 0.01:  # a page that is shown turned
        return None
    size = pdfium_c.FPDFText_GetFontSize(text_page, index) * math.hypot(shape.c, shape.d)
    x0, x1 = sorted((a * left.value + e, a * right.value + e))
    y0, y1 = sorted((d * bottom.value + f, d * top.value + f))
    values = (x0, y0, x1, y1, d * y.value + f, size)
    return MathGlyph(unicodedata.normalize("NFC", text), *(round(value, 2) for value in values))


def _bands(signs: Sequence[MathGlyph | None]) -> list[tuple[float, float]]:
    bands: list[tuple[float, float]] = []
    spans = (
        (sign.baseline - _BAND * sign.size, sign.baseline + _BAND * sign.size)
        for sign in signs
        if sign is not None
    )
    for top, bottom in sorted(spans):
        if bands and top <= bands[-1][1]:
            bands[-1] = bands[-1][0], max(bottom, bands[-1][1])
        else:
            bands.append((top, bottom))
    return bands


def _near(text_page: Any, index: int, bands: Sequence[tuple[float, float]], matrix: Matrix) -> bool:
    x, y = ctypes.c_double(), ctypes.c_double()
    if not pdfium_c.FPDFText_GetCharOrigin(text_page, index, x, y):
        return False
    shown = matrix[1] * x.value + matrix[3] * y.value + matrix[5]
    return any(top <= shown <= bottom for top, bottom in bands)
