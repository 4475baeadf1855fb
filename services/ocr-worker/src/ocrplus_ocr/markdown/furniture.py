"""Headers, footers and page numbers that the layout model took for text, and the reverse. Pure.

What tells them: a row or two in the page's margin, apart from the text, not larger than it; a
number where page numbers stand; a stamp along the page's side.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind
from ocrplus_ocr.engine.labels import FURNITURE, PICTURES
from ocrplus_ocr.markdown.joining import is_cjk
from ocrplus_ocr.markdown.lines import rows_of
from ocrplus_ocr.markdown.page import Page

_MARGIN: Final = 0.08  # of the page's height
_NUMBER_MARGIN: Final = 0.12
_DEEP: Final = 0.15  # no header begins that far from the page's edge
_EDGES: Final = frozenset({BlockKind.HEADER, BlockKind.FOOTER})
_SIDE: Final = 0.1  # of its width
_NARROW: Final = 0.05
_LONGEST_TITLE: Final = 40
_LONGEST_NUMBER: Final = 40
_MOST_BLOCKS: Final = 500
_MOST_ROWS: Final = 2
_APART: Final = 1.0  # line heights
_LARGER: Final = 1.2
_LEAST_BODY: Final = 100  # characters: a page with less has nothing to be a header of
_WORDS: Final = frozenset(
    {BlockKind.TEXT, BlockKind.REFERENCE, BlockKind.ASIDE, BlockKind.FOOTNOTE, BlockKind.HEADING}
)
_NUMBER: Final = re.compile(
    r"[-–—·•.\s]*(?:page|p\.|第|seite)?\s*(?:\d{1,4}|[ivxlc]{1,7}|[一二三四五六七八九十〇○零百]{1,5})"
    r"\s*页?(?:\s*(?:/|of|von|共)\s*\d{1,4}\s*页?)?[-–—·•.\s]*",
    re.I,
)


def mark_furniture(page: Page) -> Page:
    """The page with its headers, footers and page numbers named as such."""
    body = [b for b in page.blocks if b.kind not in FURNITURE and b.kind not in PICTURES]
    heights = [line.box[3] - line.box[1] for b in body for line in b.lines]
    if len(page.blocks) > _MOST_BLOCKS:
        return page
    if sum(len(b.text) for b in body) < _LEAST_BODY or not heights:
        return page  # one line at the top of an empty page may be all that it says
    usual = median(heights)
    blocks = tuple(
        replace(block, kind=kind) if (kind := _kind(block, page, usual)) is not None else block
        for block in page.blocks
    )
    return replace(page, blocks=blocks)


def _kind(block: Block, page: Page, usual: float) -> BlockKind | None:
    """What a block is in truth, if it is furniture, or if it was taken for some."""
    if block.kind in _EDGES and block.lines:
        return _restored(block, page, usual)
    if block.kind not in _WORDS or not block.lines:
        return None
    if _is_stamp(block, page):
        return BlockKind.HEADER
    rows = len(rows_of(block.lines))
    if rows > _MOST_ROWS:
        return None
    height = page.size[1]
    above, below = block.box[3] / height, 1 - block.box[1] / height
    near = min(above, below)
    if rows == 1 and near < _NUMBER_MARGIN and _is_number(block.text.strip()):
        return BlockKind.PAGE_NUMBER if _outermost(block, page.blocks) else None
    tall = max(line.box[3] - line.box[1] for line in block.lines)
    if near >= _MARGIN or tall > _LARGER * usual or not _outermost(block, page.blocks):
        return None
    if _distance(block, page.blocks) < _APART * tall:
        return None
    return BlockKind.HEADER if above < below else BlockKind.FOOTER


def _is_number(text: str) -> bool:
    return len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text) is not None


def _restored(block: Block, page: Page, usual: float) -> BlockKind | None:
    """What a header is that stands deep in the page with other words further out."""
    height = page.size[1]
    if block.box[1] < _DEEP * height or block.box[3] > (1 - _DEEP) * height:
        return None
    upper = block.box[1] + block.box[3] < height
    further = (
        line.box[3] <= block.box[1] if upper else line.box[1] >= block.box[3] for line in page.lines
    )
    if not any(further):
        return None
    tall = max(line.box[3] - line.box[1] for line in block.lines)
    short = len(rows_of(block.lines)) == 1 and len(block.text.strip()) <= _LONGEST_TITLE
    return BlockKind.HEADING if short or tall > _LARGER * usual else BlockKind.TEXT


def _is_stamp(block: Block, page: Page) -> bool:
    """Whether a block stands along the side of the page, turned."""
    x0, y0, x1, y1 = block.box
    if x1 > _SIDE * page.size[0] and x0 < (1 - _SIDE) * page.size[0]:
        return False
    if all(line.turn for line in block.lines):
        return True
    narrow = x1 - x0 < _NARROW * page.size[0] and y1 - y0 > 4 * (x1 - x0)
    return narrow and not any(is_cjk(line.text[:1]) for line in block.lines)


def _outermost(block: Block, blocks: Sequence[Block]) -> bool:
    """Whether nothing but furniture lies further out."""
    others = [b for b in blocks if b is not block and b.kind not in FURNITURE]
    tops = [b.box[1] for b in others if _rows_apart(block, b)]
    bottoms = [b.box[3] for b in others if _rows_apart(block, b)]
    return all(block.box[3] <= top for top in tops) or all(block.box[1] >= b for b in bottoms)


def _rows_apart(block: Block, other: Block) -> bool:
    """Whether two blocks do not stand beside each other, as the halves of one header do."""
    beside = min(block.box[3], other.box[3]) > max(block.box[1], other.box[1])
    return not (beside and len(rows_of(other.lines)) == 1)


def _distance(block: Block, blocks: Sequence[Block]) -> float:
    """How far the nearest block above or below is."""
    gaps = [
        max(other.box[1] - block.box[3], block.box[1] - other.box[3])
        for other in blocks
        if other is not block and other.kind not in FURNITURE and _rows_apart(block, other)
    ]
    return min(gaps, default=float("inf"))
