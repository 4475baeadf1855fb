"""Characters of a PDF's text layer, one by one. Call in the rendering process only.

PDFium's text ranges are not aligned with its boxes, and its rectangles join the cells of a table
row, so each character is asked for its own box, its font and the way it stands.
"""

import ctypes
import math
import unicodedata
from dataclasses import dataclass
from typing import Any, Final  # Any: pypdfium2 is untyped

import pypdfium2.raw as pdfium_c

from ocrplus_ocr.engine import Box

Matrix = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f: x' = a·x + c·y + e, y' = b·x + d·y + f."""

MOST_CHARACTERS: Final = 60_000
"""A page with more is no page of text; it is read by OCR, within the page's deadline."""

_HYPHENS: Final = frozenset("\u0002\u00ad\ufffe\u2010\u2011")
"""PDFium's marks of a hyphen at a line's end, and those of typesetters: no address works with
one of theirs."""
_SPACES: Final = frozenset("\u00a0\u2002\u2003\u2009\u202f\u3000\t ")
_INVISIBLE: Final = 3  # text render mode of a hidden OCR layer
_FIXED_PITCH: Final = 1  # bits of a font's flags
_ITALIC: Final = 1 << 6
_FORCE_BOLD: Final = 1 << 18
_BOLD: Final = 700
_MONO_NAMES: Final = ("mono", "courier", "consol", "menlo", "typewriter", "cmtt", "code")


@dataclass(frozen=True, slots=True)
class Font:
    """How a text object is written; `size` in points as shown."""

    size: float
    weight: int
    italic: bool
    mono: bool
    hidden: bool


UNKNOWN_FONT: Final = Font(0.0, 0, italic=False, mono=False, hidden=False)


@dataclass(slots=True)
class Glyph:
    """A character; `box` is None for a space or a line's end. `turn`: quarter turns clockwise."""

    text: str
    box: Box | None
    turn: int = 0
    font: Font = UNKNOWN_FONT


def read_glyphs(text_page: Any, count: int, matrix: Matrix) -> tuple[list[Glyph], int]:
    """Characters in the layer's order, and how many of them are broken."""
    return _Reader(text_page, matrix).read(count)


class _Reader:
    """Reads one page; remembers the fonts of its text objects."""

    def __init__(self, text_page: Any, matrix: Matrix) -> None:
        self._text_page = text_page
        self._matrix = matrix
        self._fonts: dict[int | None, Font] = {}
        self._rect = pdfium_c.FS_RECTF()
        self._pointer = ctypes.byref(self._rect)

    def read(self, count: int) -> tuple[list[Glyph], int]:
        glyphs: list[Glyph] = []
        bad = 0
        high = 0
        for index in range(count):
            code = pdfium_c.FPDFText_GetUnicode(self._text_page, index)
            if 0xD800 <= code < 0xDC00:
                high = code
                continue
            if 0xDC00 <= code < 0xE000:
                code = 0x10000 + ((high - 0xD800) << 10) + code - 0xDC00 if high else 0xFFFD
            high = 0
            text = clean(code)
            bad += _without_meaning(code)
            if text in ("\n", " "):
                glyphs.append(Glyph(text, None))
            elif text and (glyph := self._glyph(text, index)) is not None:
                glyphs.append(glyph)
        return glyphs, bad

    def _glyph(self, text: str, index: int) -> Glyph | None:
        if not pdfium_c.FPDFText_GetLooseCharBox(self._text_page, index, self._pointer):
            return None
        box = transformed(self._rect, self._matrix)
        if box[2] <= box[0] or box[3] <= box[1]:
            return None
        item = pdfium_c.FPDFText_GetTextObject(self._text_page, index)
        return Glyph(text, box, self._turn(index), self._font(item))

    def _turn(self, index: int) -> int:
        """Quarter turns clockwise of a character on the page as it is shown."""
        angle = pdfium_c.FPDFText_GetCharAngle(self._text_page, index)  # radians, -1: unknown
        if angle < 0:
            return 0
        x, y = math.cos(angle), -math.sin(angle)  # PDFium counts clockwise, page space does not
        a, b, c, d, _, _ = self._matrix
        return round(math.atan2(b * x + d * y, a * x + c * y) / (math.pi / 2)) % 4

    def _font(self, item: Any) -> Font:
        key = ctypes.cast(item, ctypes.c_void_p).value if item else None
        font = self._fonts.get(key)
        if font is None:
            font = self._fonts[key] = _font_of(item) if item else UNKNOWN_FONT
        return font


def _font_of(item: Any) -> Font:
    size, form = ctypes.c_float(), pdfium_c.FS_MATRIX()
    pdfium_c.FPDFTextObj_GetFontSize(item, ctypes.byref(size))
    pdfium_c.FPDFPageObj_GetMatrix(item, ctypes.byref(form))
    scale = math.sqrt(abs(form.a * form.d - form.b * form.c))
    font = pdfium_c.FPDFTextObj_GetFont(item)
    name = _font_name(font)
    flags = pdfium_c.FPDFFont_GetFlags(font) if font else 0
    weight = pdfium_c.FPDFFont_GetWeight(font) if font else 0
    if (flags > 0 and flags & _FORCE_BOLD) or any(w in name for w in ("bold", "black", "heavy")):
        weight = max(weight, _BOLD)
    return Font(
        size=round(size.value * scale, 2) if math.isfinite(size.value * scale) else 0.0,
        weight=max(0, min(1000, weight)),
        italic=(flags > 0 and bool(flags & _ITALIC)) or "italic" in name or "oblique" in name,
        mono=(flags > 0 and bool(flags & _FIXED_PITCH)) or any(w in name for w in _MONO_NAMES),
        hidden=pdfium_c.FPDFTextObj_GetTextRenderMode(item) == _INVISIBLE,
    )


def _font_name(font: Any) -> str:
    if not font:
        return ""
    buffer = ctypes.create_string_buffer(256)
    pdfium_c.FPDFFont_GetBaseFontName(font, buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace").lower()


def clean(code: int) -> str:
    """One character of Markdown for a code point: "" to leave out, " " or newline to part."""
    if code in (0x0A, 0x0D):
        return "\n"
    text = chr(code) if 0 < code < 0x110000 else " "
    if text in _HYPHENS:
        return "-" if text != "\u00ad" else text
    if text in _SPACES or text.isspace():
        return " "
    if unicodedata.category(text) in ("Cc", "Cf", "Cs"):
        return ""
    return unicodedata.normalize("NFKC", text) if "\ufb00" <= text <= "\ufb06" else text


def _without_meaning(code: int) -> bool:
    """Whether a font's map to Unicode is broken here."""
    if code in (0x02, 0x09, 0x0A, 0x0D, 0xFFFE):
        return False
    return code == 0xFFFD or unicodedata.category(chr(code if code < 0x110000 else 0)) in (
        "Cc",
        "Co",
        "Cn",
    )


def transformed(rect: Any, matrix: Matrix) -> Box:
    """A rectangle of page space on the page as it is shown."""
    a, b, c, d, e, f = matrix
    x0 = a * rect.left + c * rect.bottom + e
    x1 = a * rect.right + c * rect.top + e
    y0 = b * rect.left + d * rect.bottom + f
    y1 = b * rect.right + d * rect.top + f
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
