"""Blocks in the order in which one reads them. Pure.

The pipeline's own order jumps between the columns of dense pages. Where the page can be cut into
bands and columns that order is taken; headers come first and footers last.
"""

from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind
from ocrplus_ocr.markdown.cutting import Columns, reading_order
from ocrplus_ocr.markdown.page import Page

_GUTTER: Final = 4.0  # points
_LEAST_COLUMN: Final = 0.12  # of the page's width
_MOST_BREAK: Final = 0.04  # of the page's height
_FIRST: Final = frozenset({BlockKind.HEADER})
_LAST: Final = frozenset({BlockKind.FOOTER, BlockKind.PAGE_NUMBER})


def order_blocks(page: Page) -> Page:
    """The page with its blocks in reading order."""
    first = [b for b in page.blocks if b.kind in _FIRST]
    last = [b for b in page.blocks if b.kind in _LAST]
    body = [b for b in page.blocks if b.kind not in _FIRST | _LAST]
    columns = Columns(_GUTTER, _LEAST_COLUMN * page.size[0], _MOST_BREAK * page.size[1])
    order = reading_order([b.box for b in body], columns)
    ordered: list[Block] = [*first, *(body[i] for i in order), *last]
    return replace(page, blocks=tuple(ordered))
