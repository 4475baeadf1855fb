"""Headings printed in capitals: which rows are some, and the letters of the PDF's bookmarks. Pure.

Where bookmarks show that a document prints its headings in capitals, one that has no bookmark is
written as the others are.
"""

import re
from collections.abc import Collection, Sequence, Set
from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.rows import rows

HEADINGS: Final = frozenset({BlockKind.TITLE, BlockKind.HEADING})
_LEAST_CAPITALS: Final = 6  # fewer may be an abbreviation
_LONGEST_ROW: Final = 80
_ALIKE: Final = 0.04
_SHORT_WORD: Final = 3  # letters: of, the, and
_NUMBER: Final = re.compile(r"^\s*(?:(?:\d+(?:\.\d+)*|[IVXL]+|[A-Z])[.)、]?\s+)")
_ENDS: Final = re.compile(r"[.,;。，；、]$|[:：]$")
_LETTERS: Final = re.compile(r"[^\W\d_]")
_CAPITALS: Final = re.compile(r"\b[A-Z][A-Z\d]+\b")
_NOT_LETTERS: Final = re.compile(r"[\W_]+")


def as_capitals(blocks: Sequence[Block]) -> list[Block]:
    """A row of capitals is a heading where others of its style are: one without a number among
    numbered ones."""
    models = [
        rows(b.lines)[0] for b in blocks if b.kind in HEADINGS and b.lines and b.text.isupper()
    ]
    styles = {(row.size, row.bold) for row in models}
    return [
        replace(block, kind=BlockKind.HEADING)
        if block.kind is BlockKind.TEXT and _is_capitals(block, styles)
        else block
        for block in blocks
    ]


def _is_capitals(block: Block, styles: Collection[tuple[float, bool]]) -> bool:
    text = block.text.strip()
    if not (text.isupper() and block.lines and len(text) <= _LONGEST_ROW):
        return False
    found = rows(block.lines)
    told = len(_LETTERS.findall(text)) >= _LEAST_CAPITALS and not _ENDS.search(text)
    alike = any(
        abs(found[0].size - size) <= _ALIKE * size and found[0].bold == bold
        for size, bold in styles
    )
    return told and alike and len(found) == 1 and not found[0].is_scanned


def in_their_case(blocks: Sequence[Block], page: Page) -> list[Block]:
    """The blocks with headings in small letters where the bookmarks have them."""
    cased = [_with_case(block, page) if block.kind in HEADINGS else block for block in blocks]
    if cased == list(blocks):
        return cased
    texts = [block.text for block in blocks if block.kind not in HEADINGS]
    abbreviations = {word for text in texts for word in _CAPITALS.findall(text)}
    return [_without_capitals(b, abbreviations) if b.kind in HEADINGS else b for b in cased]


def _with_case(block: Block, page: Page) -> Block:
    """A heading in small capitals in the letters of its bookmark."""
    text = " ".join(block.text.split())
    if not text.isupper():
        return block
    for mark in page.bookmarks:
        if mark.page == page.number and plain(mark.title) == plain(text):
            number = _NUMBER.match(text)
            return replace(block, text=f"{number.group() if number else ''}{mark.title}")
    return block


def _without_capitals(block: Block, abbreviations: Set[str]) -> Block:
    """A heading that no bookmark names in the letters that the others have there; what the text
    writes in capitals, too, stays so."""
    text = " ".join(block.text.split())
    if not text.isupper() or len(_LETTERS.findall(text)) < _LEAST_CAPITALS:
        return block
    number = _NUMBER.match(text)
    start = number.end() if number else 0
    words = text[start:].split()
    told = [
        word
        if not abbreviations.isdisjoint(_CAPITALS.findall(word))
        else word.capitalize()
        if index == 0 or len(word) > _SHORT_WORD
        else word.lower()
        for index, word in enumerate(words)
    ]
    return replace(block, text=text[:start] + " ".join(told))


def plain(text: str) -> str:
    """A title to compare: letters and digits, without the number in front."""
    return _NOT_LETTERS.sub("", _NUMBER.sub("", text)).casefold()
