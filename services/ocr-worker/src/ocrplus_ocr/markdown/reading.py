"""Blocks in the order in which one reads them. Pure.

The pipeline's own order jumps between the columns of dense pages. Where the page can be cut into
bands and columns that order is taken; headers come first and footers last.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind
from ocrplus_ocr.engine.labels import PICTURES
from ocrplus_ocr.markdown.cutting import Columns, reading_order
from ocrplus_ocr.markdown.geometry import across
from ocrplus_ocr.markdown.lines import is_right_to_left, is_vertical
from ocrplus_ocr.markdown.page import Page

_GUTTER: Final = 4.0  # points
_LEAST_COLUMN: Final = 0.12  # of the page's width
_MOST_BREAK: Final = 0.04  # of the page's height
_MIDDLE: Final = 0.06  # of the page's width
_CAPTION_LINES: Final = 3
_RIGHT_UNDER: Final = 16.0  # points
_WITHIN: Final = 0.9
_TITLES: Final = frozenset({BlockKind.TITLE, BlockKind.HEADING})
_FIRST: Final = frozenset({BlockKind.HEADER})
_LAST: Final = frozenset({BlockKind.FOOTER, BlockKind.PAGE_NUMBER})


def order_blocks(page: Page) -> Page:
    """The page with its blocks in reading order."""
    first, last = _outside(page.blocks)
    outside = {id(block) for block in (*first, *last)}
    body = [b for b in page.blocks if id(b) not in outside]
    top, rest = _title(body, page)
    floats = frozenset(i for i, b in enumerate(rest) if _floats(b, rest))
    width, height = page.size
    columns = Columns(_GUTTER, _LEAST_COLUMN * width, _MOST_BREAK * height, floats)
    boxes = [b.box for b in rest]
    if _from_the_right(page):
        boxes = [(-x1, y0, -x0, y1) for x0, y0, x1, y1 in boxes]
    order = reading_order(boxes, columns)
    ordered: list[Block] = [*first, *top, *(rest[i] for i in order), *last]
    return replace(page, blocks=tuple(ordered))


def _outside(blocks: Sequence[Block]) -> tuple[list[Block], list[Block]]:
    """Headers above all the rest, and what stands at the foot. What the model calls a header but
    stands beside the text keeps its place: it may be the heading of a column."""
    tops = [b.box[1] for b in blocks if b.kind not in _FIRST | _LAST]
    highest = min(tops, default=float("inf"))
    above = [b for b in blocks if b.kind in _FIRST and (b.box[1] + b.box[3]) / 2 <= highest]
    return above, [b for b in blocks if b.kind in _LAST]


def _from_the_right(page: Page) -> bool:
    """Whether columns follow each other from right to left: Hebrew, Arabic, vertical Chinese."""
    backwards = sum(is_right_to_left(line.text) for line in page.lines)
    return 2 * backwards > len(page.lines) or (bool(page.lines) and is_vertical(page.lines))


def _floats(block: Block, blocks: Sequence[Block]) -> bool:
    """Whether a block is a picture, or the words right under one."""
    if block.kind in PICTURES:
        return True
    return len(block.lines) <= _CAPTION_LINES and any(
        b.kind in PICTURES
        and 0 <= block.box[1] - b.box[3] < _RIGHT_UNDER
        and across(b.box, block.box) > _WITHIN
        for b in blocks
    )


def _title(body: list[Block], page: Page) -> tuple[list[Block], list[Block]]:
    """A heading above all else that is no column's own, apart from the rest."""
    highest = min(body, key=lambda b: b.box[1], default=None)
    if highest is None or highest.kind not in _TITLES:
        return [], body
    rest = [b for b in body if b is not highest]
    middle = (highest.box[0] + highest.box[2]) / 2
    alone = all(b.box[1] >= highest.box[3] - 1.0 for b in rest)
    is_title = alone and middle < (0.5 + _MIDDLE) * page.size[0]
    return ([highest], rest) if is_title else ([], body)
