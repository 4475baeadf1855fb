"""How much of what was found on a page its Markdown has. Pure.

What stands in a picture, and headers, footers and page numbers, need not be there; a formula is
written in other signs than it is printed. Letters and digits are compared, so that neither
Markdown's signs nor joined lines count as a loss.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from ocrplus_ocr.engine import BlockKind, TextLine
from ocrplus_ocr.engine.labels import FURNITURE, PICTURES
from ocrplus_ocr.markdown.geometry import holds
from ocrplus_ocr.markdown.page import Page

_EXCUSED: Final = FURNITURE | PICTURES | {BlockKind.FORMULA}

_CODE: Final = re.compile(r"^(```\n.*?\n```)$", re.M | re.S)
_ESCAPED: Final = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}


def coverage(page: Page, markdown: str) -> float:
    """Share of the characters of the page's lines that the Markdown has, 0..1."""
    written = squeezed(_unescaped(markdown))
    total = there = 0.0
    for line in expected(page):
        size = len(squeezed(line.text))
        total += size
        there += size * _share_of(line.text, written)
    return round(there / total, 4) if total else 1.0


def _unescaped(markdown: str) -> str:
    """The Markdown with the signs that its writer escaped; code has none escaped."""
    parts = _CODE.split(markdown)
    parts[::2] = [re.sub("&(?:lt|gt|amp);", lambda m: _ESCAPED[m[0]], part) for part in parts[::2]]
    return "\n".join(parts)


def expected(page: Page) -> list[TextLine]:
    """The lines that the Markdown must have."""
    left_out = [b for b in page.blocks if b.kind in _EXCUSED]
    excused = {id(line) for block in left_out for line in block.lines}
    pictures = [block.box for block in left_out if block.kind in PICTURES]
    return [
        line
        for line in page.lines
        if id(line) not in excused and not any(holds(box, line.box) for box in pictures)
    ]


def _share_of(text: str, written: str) -> float:
    """All of a line, else that part of its words."""
    if squeezed(text) in written:
        return 1.0
    words = [word for part in text.split() if (word := squeezed(part))]
    size = sum(map(len, words))
    return _size(word for word in words if word in written) / size if size else 1.0


def _size(words: Iterable[str]) -> int:
    return sum(map(len, words))


def squeezed(text: str) -> str:
    """Letters and digits only, each in its plain form."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in plain if character.isalnum())
