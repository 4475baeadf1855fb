"""What says of a number at a page's edge that it is the page's. Pure.

Words or signs may say it; a bare number only its place can: in the middle of the page, or at an
outer corner, apart from the text. The year on a title page stands there, too.
"""

import re
from collections.abc import Sequence
from statistics import median
from typing import Final

from ocrplus_ocr.engine import Block
from ocrplus_ocr.engine.labels import FURNITURE
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.page import Page

_LONGEST: Final = 40
_ROMAN: Final = r"(?=[ivxlc])c{0,3}(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})"
_COUNT: Final = r"(?:\s*(?:/|of|von|共)\s*(?P<all>\d{1,4})\s*页?)?"
_NUMBER: Final = re.compile(
    r"(?P<before>[-–—·•.\s]*)(?P<word>page|p\.|第|seite)?\s*"
    rf"(?P<own>\d{{1,4}}|{_ROMAN}|{_ROMAN.upper()}|[一二三四五六七八九十〇○零百]{{1,5}})"
    rf"\s*(?P<leaf>页)?{_COUNT}(?P<after>[-–—·•.\s]*)"
)
_WORDS: Final = re.compile("page|p\\.|seite|of|von", re.I)
_DASH: Final = re.compile("[-–—·•]")
_YEARS: Final = range(1500, 2100)
_CENTRED: Final = 0.03  # of the page's width
_CORNER: Final = 0.08  # of the page's height: in a corner deeper than that stands a sum
_APART: Final = 1.5  # line heights
_FAR: Final = 2.5  # at the left, where a short last line stands, too


def is_number(text: str) -> bool:
    """Whether a text is but a number, as pages have."""
    return _found(text) is not None


def says_page(text: str) -> bool:
    """Whether words or signs say that a number is a page's: "page 3", "3 of 12", "- 3 -"."""
    found = _found(text)
    if found is None:
        return False
    if found["word"] or found["leaf"]:
        return True
    if found["all"]:
        return found["own"].isdecimal() and int(found["own"]) <= int(found["all"]) < _YEARS[0]
    return bool(_DASH.search(found["before"]) and _DASH.search(found["after"]))


def _found(text: str) -> re.Match[str] | None:
    shown = text.strip()
    if len(shown) > _LONGEST:
        return None
    return _NUMBER.fullmatch(_WORDS.sub(lambda word: word.group().lower(), shown))


def is_set_as_number(block: Block, page: Page) -> bool:
    """Whether a bare number stands where page numbers do, apart from the page's text."""
    found = _found(block.text)
    if found is None or not block.lines:
        return False
    if found["own"].isdecimal() and int(found["own"]) in _YEARS:
        return False
    others = [b for b in page.blocks if b is not block and b.kind not in FURNITURE and b.lines]
    if not others:
        return False
    height = median(line.box[3] - line.box[1] for b in others for line in b.lines)
    return _stands(block, others, page.size, height)


def _stands(
    block: Block, others: Sequence[Block], size: tuple[float, float], height: float
) -> bool:
    text = around(other.box for other in others)
    x0, top, x1, bottom = block.box
    apart = max(text[1] - bottom, top - text[3])
    if apart < _APART * height:
        return False
    middle = (x0 + x1) / 2
    if any(abs(middle - at) <= _CENTRED * size[0] for at in (size[0] / 2, (text[0] + text[2]) / 2)):
        return True
    if min(bottom, size[1] - top) > _CORNER * size[1]:
        return False
    return x1 >= text[2] - height or (x0 <= text[0] + height and apart >= _FAR * height)
