"""A page's text layer, and whether to trust it. Pure.

A layer is left for OCR where it is broken, or where it is another OCR's guess under a scan. What
decides is measured once, in the process that reads the PDF, and told with the page's result.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine import Box, Evidence
from ocrplus_ocr.engine.mathglyphs import MathGlyph

_FEW_CHARACTERS: Final = 40
_MOST_BAD: Final = 0.02
_MOST_ODD: Final = 0.3
_FULL_PAGE: Final = 0.8

_LEAST_LETTERS: Final = 200
_VOWEL_SHARES: Final = (0.2, 0.6)  # English 0.38, German 0.37, French 0.43, Finnish 0.49
_MOST_HIGH_LATIN: Final = 0.25  # Vietnamese, the richest in marks, stays at or below this


@dataclass(frozen=True, slots=True)
class Line:
    """A run of text on one line: box in points of the upright page, origin top left.

    `size` in points; `weight` as fonts count it (400 regular); `turn` counts quarter turns
    clockwise that it stands away from the page's own writing.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    text: str
    size: float = 0.0
    weight: int = 0
    italic: bool = False
    mono: bool = False
    turn: int = 0


@dataclass(frozen=True, slots=True)
class TextLayer:
    """A page's text layer: fine runs (split at CELL_GAP), the evidence, and what else is drawn:
    images, straight lines, and the boxes of other drawn shapes; characters of formulas."""

    runs: tuple[Line, ...]
    evidence: Evidence
    pictures: tuple[Box, ...] = ()
    rules: tuple[Box, ...] = ()
    drawings: tuple[Box, ...] = ()
    maths: tuple[MathGlyph, ...] = ()


def choose_source(
    evidence: Evidence, asked: Literal["auto", "ocr", "text_layer"] = "auto"
) -> tuple[TextSource, str]:
    """Where a page's characters come from, and why; `asked` overrides where it can."""
    if asked == "ocr":
        return TextSource.OCR, "asked for"
    if evidence.characters == 0:
        return TextSource.OCR, "no text layer"
    if asked == "text_layer":
        return TextSource.TEXT_LAYER, "asked for"
    against = _against(evidence)
    return (TextSource.OCR, against) if against else (TextSource.TEXT_LAYER, "sound")


def _against(evidence: Evidence) -> str:
    """What speaks against a layer; "" for nothing."""
    if evidence.bad_share >= _MOST_BAD:
        return "characters without a meaning"
    if evidence.odd_share >= _MOST_ODD:
        return "letters of no language"
    full_page = evidence.image_share >= _FULL_PAGE
    if full_page and evidence.hidden_share >= 0.5:
        return "hidden under a scan"
    if full_page and evidence.characters < 5 * _FEW_CHARACTERS:
        return "few characters on a scan"
    if evidence.characters < _FEW_CHARACTERS and evidence.image_share >= 0.05:
        return "few characters beside a picture"
    return ""


def odd_share(text: str) -> float:
    """How unlike any language the letters are, 0 or 1 by now: a font without a map to Unicode
    gives letters of another code page, or shifted ones without vowels."""
    letters = [c for c in text if c.isalpha()]
    if len(letters) < _LEAST_LETTERS:
        return 0.0
    high = sum("\u0080" <= c < "\u0250" for c in letters) / len(letters)
    if high > _MOST_HIGH_LATIN:
        return 1.0
    plain = "".join(c for c in letters if c < "\u0250")
    if len(plain) < _LEAST_LETTERS or len(plain) < 0.5 * len(letters):
        return 0.0
    vowels = len(re.findall(r"[aeiouyäöüåáàâéèêëíìîïóòôøúùûýæœ]", plain.lower())) / len(plain)
    return 0.0 if _VOWEL_SHARES[0] <= vowels <= _VOWEL_SHARES[1] else 1.0
