"""How much of what was found on a page its Markdown has. Pure.

What stands in a picture, and headers, footers and page numbers, need not be there; a formula is
written in other signs than it is printed. Letters and digits are compared, so that neither
Markdown's signs nor joined lines count as a loss.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ocrplus_ocr.engine import BlockKind, TextLine
from ocrplus_ocr.engine.labels import FURNITURE, PICTURES
from ocrplus_ocr.markdown.geometry import holds
from ocrplus_ocr.markdown.page import Page

_EXCUSED: Final = FURNITURE | PICTURES | {BlockKind.FORMULA}

_CODE: Final = re.compile(r"^(```\n.*?\n```)$", re.M | re.S)
_TAG: Final = re.compile(r"</?(?:table|tr|td)\b[^<>]*>")
_GAP: Final = " "
_ESCAPED: Final = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}


def coverage(page: Page, markdown: str) -> float:
    """Share of the characters of the page's lines that the Markdown has, 0..1.

    Words count as often as they are found: what is written twice stands for nothing that is lost.
    """
    needed = Counter(_tokens(line.text for line in expected(page)))
    lacking = _lacking(needed, list(_tokens([_unescaped(_TAG.sub(" ", markdown))])))
    total = _size(needed)
    return round(1 - _size(lacking) / total, 4) if total else 1.0


def _tokens(texts: Iterable[str]) -> Iterator[str]:
    return (token for text in texts for word in text.split() if (token := squeezed(word)))


def _lacking(needed: Counter[str], written: Sequence[str]) -> Counter[str]:
    """The words that are not written, be it joined to others or parted by spaces."""
    rest = needed.copy()
    spare = []  # in their order; a gap where a word is found
    for token in written:
        spare.append(_GAP if rest[token] > 0 else token)
        rest[token] -= 1
    left = "".join(spare)
    lacking: Counter[str] = Counter()
    for word, times in sorted((+rest).items(), key=lambda item: (-len(item[0]), item[0])):
        there = min(times, left.count(word))
        left = left.replace(word, _GAP, there)
        lacking[word] = times - there
    return lacking


def _size(words: Counter[str]) -> int:
    return sum(len(word) * times for word, times in words.items())


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


def squeezed(text: str) -> str:
    """Letters and digits only, each in its plain form."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in plain if character.isalnum())
