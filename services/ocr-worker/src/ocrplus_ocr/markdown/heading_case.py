"""Headings printed in capitals, in the letters of the PDF's bookmarks. Pure.

Where bookmarks show that a document prints its headings in capitals, one that has no bookmark is
written as the others are.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind
from ocrplus_ocr.markdown.page import Page

HEADINGS: Final = frozenset({BlockKind.TITLE, BlockKind.HEADING})
_LEAST_CAPITALS: Final = 6  # fewer may be an abbreviation
_SHORT_WORD: Final = 3  # letters: of, the, and
_NUMBER: Final = re.compile(r"^\s*(?:(?:\d+(?:\.\d+)*|[IVXL]+|[A-Z])[.)、]?\s+)")
_LETTERS: Final = re.compile(r"[^\W\d_]")
_NOT_LETTERS: Final = re.compile(r"[\W_]+")


def in_their_case(blocks: Sequence[Block], page: Page) -> list[Block]:
    """The blocks with headings in small letters where the bookmarks have them."""
    cased = [_with_case(block, page) if block.kind in HEADINGS else block for block in blocks]
    if cased == list(blocks):
        return cased
    return [_without_capitals(b) if b.kind in HEADINGS else b for b in cased]


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


def _without_capitals(block: Block) -> Block:
    """A heading that no bookmark names in the letters that the others have there."""
    text = " ".join(block.text.split())
    if not text.isupper() or len(_LETTERS.findall(text)) < _LEAST_CAPITALS:
        return block
    number = _NUMBER.match(text)
    start = number.end() if number else 0
    words = text[start:].split()
    told = [
        word.capitalize() if index == 0 or len(word) > _SHORT_WORD else word.lower()
        for index, word in enumerate(words)
    ]
    return replace(block, text=text[:start] + " ".join(told))


def plain(text: str) -> str:
    """A title to compare: letters and digits, without the number in front."""
    return _NOT_LETTERS.sub("", _NUMBER.sub("", text)).casefold()
