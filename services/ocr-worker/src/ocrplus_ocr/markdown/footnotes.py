"""Footnotes that the layout model took for text or references. Pure.

Not every layout model has a word for them, and a paragraph has to find its rest past them, in the
next column or on the next page. What tells one: it is the last of its column, set smaller than the
text, and begins with a note's mark or stands under a short line.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind
from ocrplus_ocr.engine.labels import FURNITURE
from ocrplus_ocr.markdown.geometry import across
from ocrplus_ocr.markdown.headings import body_of
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.rows import Row, rows

_MAY_BE: Final = frozenset({BlockKind.TEXT, BlockKind.REFERENCE, BlockKind.LIST, BlockKind.ASIDE})
_MARK: Final = re.compile(
    r"(?:\d{1,3}(?!\d|[.,]\d)|[*†‡§¶]{1,2}|[①-⑳]|[a-z](?=\s)|\([\da-z]\))\s*\S"
)
_LOWER: Final = 0.5  # of the page's height
_SMALLER: Final = 0.93
_SMALLER_SCANNED: Final = 0.85
_UNDER: Final = 2.0  # line heights between the line and the note
_LONGEST_RULE: Final = 0.7  # of the page's width: longer ones part other things
_LEAST_RULE: Final = 0.04
_OVERLAP: Final = 0.2
_MOST_BLOCKS: Final = 500


def mark_footnotes(page: Page) -> Page:
    """The page with its footnotes named as such."""
    if len(page.blocks) > _MOST_BLOCKS:
        return page
    size = body_of(page.blocks).size
    blocks = list(page.blocks)
    lowest_first = sorted(range(len(blocks)), key=lambda n: -blocks[n].box[3])
    for index in lowest_first:
        block = blocks[index]
        if _may_be(block, page) and _is_small(block, size) and _is_last(block, blocks):
            found = rows(block.lines)
            if _MARK.match(found[0].text) or _is_under_rule(found[0], page):
                blocks[index] = replace(block, kind=BlockKind.FOOTNOTE)
    return replace(page, blocks=tuple(blocks))


def _may_be(block: Block, page: Page) -> bool:
    return block.kind in _MAY_BE and bool(block.lines) and block.box[1] > _LOWER * page.size[1]


def _is_small(block: Block, size: float) -> bool:
    return all(
        row.size < (_SMALLER_SCANNED if row.is_scanned else _SMALLER) * size and not row.mono
        for row in rows(block.lines)
    )


def _is_last(block: Block, blocks: Sequence[Block]) -> bool:
    """Whether nothing but notes and furniture stands below a block in its column."""
    return not any(
        other.box[1] >= block.box[3] - 1.0
        and across(other.box, block.box) > _OVERLAP
        and other.kind not in FURNITURE
        and other.kind is not BlockKind.FOOTNOTE
        for other in blocks
        if other is not block
    )


def _is_under_rule(first: Row, page: Page) -> bool:
    """Whether a short line is drawn right above a note."""
    left, top = first.box[0], first.box[1]
    width = page.size[0]
    return any(
        abs(x0 - left) <= first.height
        and _LEAST_RULE * width <= x1 - x0 <= _LONGEST_RULE * width
        and y1 - y0 < 0.2 * (x1 - x0)
        and 0 <= top - y1 <= _UNDER * first.height
        for x0, y0, x1, y1 in page.rules
    )
