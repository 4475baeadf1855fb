"""Headers, footers and page numbers that the layout model took for text, and the reverse. Pure.

What tells them: a number that says it is a page's; a stamp along the page's side; a row or two in
the page's margin, apart from the text, that is set smaller or in italics, parted from it by a line,
or mixed with a page's number. A first or last line like the others is text: a header lost is less
than a sentence lost. A bare number is left to the whole document, which sees it count.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind
from ocrplus_ocr.engine.labels import FURNITURE, PICTURES
from ocrplus_ocr.markdown.geometry import area, common
from ocrplus_ocr.markdown.joining import is_cjk
from ocrplus_ocr.markdown.lines import rows_of
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.page_numbers import is_number, says_page
from ocrplus_ocr.markdown.rows import Row, rows

_MARGIN: Final = 0.08  # of the page's height
_DEEP: Final = 0.15  # no header begins that far from the page's edge
_EDGES: Final = frozenset({BlockKind.HEADER, BlockKind.FOOTER})
_DOUBTS: Final = frozenset({BlockKind.TEXT, BlockKind.HEADING, BlockKind.TITLE})
_SURE: Final = 0.5  # the model's own score
_SAME_PLACE: Final = 0.6  # of the larger of two regions
_SIDE: Final = 0.1  # of its width
_OUTSIDE: Final = 0.06
_NARROW: Final = 0.05
_LONGEST_TITLE: Final = 40
_LONGEST_NUMBER: Final = 40
_LONGEST_MIXED: Final = 200
_MOST_BLOCKS: Final = 500
_LEAST_ROW: Final = 20  # characters: shorter ones may be labels
_MOST_ROWS: Final = 2
_APART: Final = 1.0  # line heights
_LARGER: Final = 1.2
_SMALLER: Final = 0.93
_SMALLER_SCANNED: Final = 0.8
_LEAST_RULE: Final = 0.2  # of the page's width
_LEAST_BODY: Final = 100  # characters: a page with less has nothing to be a header of
_WORDS: Final = frozenset(
    {BlockKind.TEXT, BlockKind.REFERENCE, BlockKind.ASIDE, BlockKind.FOOTNOTE, BlockKind.HEADING}
)
_MIXED: Final = re.compile(
    r"(?:^\d{1,4}\s*[|·•–—]\s*\D)|(?:\D\s*[|·•–—]\s*\d{1,4}$)"
    r"|(?:[,|·•–—]\s*(?:page|p\.|seite)\s*\d{1,4}$)"
    r"|(?:\b(?:page|seite)\s*\d{1,4}\s*(?:/|of|von)\s*\d{1,4}$)"
    r"|(?:(?:^|[\s|·•–—])第\s*\d{1,4}\s*页(?:$|[\s|]))",
    re.I,
)
_RUNNING: Final = frozenset({BlockKind.TEXT, BlockKind.LIST, BlockKind.REFERENCE})
_ALIKE: Final = 0.03  # of the text's size
_ALIKE_SCANNED: Final = 0.15
_ALIGNED: Final = 0.5  # line heights
_OF_PRINTERS: Final = re.compile(
    r"©|\(c\)\s*\d{4}|copyright|https?:|www\.|\bdoi\b|\bissn\b|\bisbn\b|\bvol(?:ume|\.)\s*\d|版权所有|\bdownload(?:ed)?\b|[\w.]@[\w.]",
    re.I,
)
_STAMP: Final = re.compile(
    r"\bdownload(?:ed)?\s+(?:from|date|by|on)\b|\ball rights reserved\b", re.I
)
_OF_PUBLISHERS: Final = re.compile(
    rf"{_OF_PRINTERS.pattern}|\barxiv:|manuscript|permission|licen[cs]", re.I
)
_SENTENCE_END: Final = re.compile(r"[.,;:!?。，；：！？、][\"'”’)）]*$")


@dataclass(frozen=True, slots=True)
class _Body:
    """How most of a page's text is set."""

    height: float
    size: float
    bold: bool
    italic: bool


def mark_furniture(page: Page) -> Page:
    """The page with its headers, footers and page numbers named as such."""
    body = [b for b in page.blocks if b.kind not in FURNITURE and b.kind not in PICTURES]
    if len(page.blocks) > _MOST_BLOCKS:
        return page
    if sum(len(b.text) for b in body) < _LEAST_BODY or not any(b.lines for b in body):
        # One line at the top of an empty page may be all that it says; deeper stands no header.
        deep = (replace(b, kind=BlockKind.TEXT) if _is_deep(b, page) else b for b in page.blocks)
        return replace(page, blocks=tuple(deep))
    usual = _body_of(body)
    blocks = tuple(
        replace(block, kind=kind) if (kind := _kind(block, page, usual)) is not None else block
        for block in page.blocks
    )
    return replace(page, blocks=blocks)


def _is_deep(block: Block, page: Page) -> bool:
    """Whether a header or footer stands where none does."""
    height = page.size[1]
    inside = _DEEP * height <= block.box[1] and block.box[3] <= (1 - _DEEP) * height
    return inside and block.kind in _EDGES


def _body_of(blocks: Sequence[Block]) -> _Body:
    found = [row for block in blocks for row in rows(block.lines)]
    counted = [row for row in found if len(row.text) >= _LEAST_ROW] or found
    lines = [line for row in found for line in row.lines]
    return _Body(
        median(line.box[3] - line.box[1] for line in lines),
        median(row.size for row in counted),
        2 * sum(row.bold for row in counted) > len(counted),
        2 * sum(_is_italic(row) for row in counted) > len(counted),
    )


def _is_italic(row: Row) -> bool:
    return all(line.italic for line in row.lines)


def _kind(block: Block, page: Page, usual: _Body) -> BlockKind | None:
    """What a block is in truth, if it is furniture, or if it was taken for some."""
    if block.kind in _EDGES and block.lines:
        return _restored(block, page, usual)
    if block.kind not in _WORDS or not block.lines:
        return None
    if _is_stamp(block, page):
        return BlockKind.HEADER
    height_in_rows = len(rows_of(block.lines))
    if height_in_rows > _MOST_ROWS:
        return None
    height = page.size[1]
    above, below = block.box[3] / height, 1 - block.box[1] / height
    near = min(above, below)
    if height_in_rows == 1 and near < _DEEP and _is_beside_furniture(block, page):
        return BlockKind.PAGE_NUMBER
    if near >= _MARGIN or not _outermost(block, page.blocks):
        return None
    if height_in_rows == 1 and says_page(block.text):
        return BlockKind.PAGE_NUMBER
    if _STAMP.search(block.text[:_LONGEST_MIXED]) or _is_running(block, page, usual):
        return BlockKind.HEADER if above < below else BlockKind.FOOTER
    return None


def _is_running(block: Block, page: Page, usual: _Body) -> bool:
    """Whether more than its place tells that a block in the margin is no line of the text."""
    tall = max(line.box[3] - line.box[1] for line in block.lines)
    if tall > _LARGER * usual.height or _distance(block, page.blocks) < _APART * tall:
        return False
    found = rows(block.lines)
    text = block.text.strip()
    if all(_is_smaller(row, usual) for row in found):
        return True
    bold = all(row.bold for row in found)
    if bold == usual.bold and (_SENTENCE_END.search(text[-_LONGEST_NUMBER:]) or text[:1].islower()):
        return False
    if all(map(_is_italic, found)) and not usual.italic:
        return True
    mixed = len(text) <= _LONGEST_MIXED and _MIXED.search(text) is not None
    return mixed or _is_ruled_off(block, page)


def _is_smaller(row: Row, usual: _Body) -> bool:
    """Whether a row is set smaller; in a scan, where sizes are guesses, by both its measures."""
    if not row.is_scanned:
        return row.size < _SMALLER * usual.size
    return row.size < _SMALLER_SCANNED * usual.size and row.height < _SMALLER_SCANNED * usual.height


def _is_ruled_off(block: Block, page: Page) -> bool:
    """Whether a line is drawn between a block in the margin and the page's text."""
    top, bottom = block.box[1], block.box[3]
    upper = top + bottom < page.size[1]
    reach = _distance(block, page.blocks)
    return any(
        (bottom <= y0 and y1 <= bottom + reach if upper else top - reach <= y0 and y1 <= top)
        for x0, y0, x1, y1 in page.rules
        if x1 - x0 > _LEAST_RULE * page.size[0] and y1 - y0 < x1 - x0
    )


def _restored(block: Block, page: Page, usual: _Body) -> BlockKind | None:
    """What a header or footer is by how it is set, where that is not one: a line of the text in
    the margin, or a heading deep in the page with other words further out."""
    if _is_set_as_text(block, page, usual):
        return BlockKind.TEXT
    if (told := _also_told(block, page)) is not None:
        return told
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
    return BlockKind.HEADING if short or tall > _LARGER * usual.height else BlockKind.TEXT


def _also_told(block: Block, page: Page) -> BlockKind | None:
    """What else the layout model takes a header or footer for: in doubt it is said, and goes when
    it runs over the pages."""
    alike = (
        box
        for box in page.layout
        if box.kind in _DOUBTS
        and box.score >= _SURE
        and common(box.box, block.box) >= _SAME_PLACE * max(area(box.box), area(block.box))
    )
    found = max(alike, key=lambda box: box.score, default=None)
    return found.kind if found is not None else None


def _is_set_as_text(block: Block, page: Page, usual: _Body) -> bool:
    """Whether a header or footer stands in the text's column and font and nothing but its place
    speaks for it. In a scan, where sizes are guesses, it has to read as a sentence, too. A line
    that is kept here and runs over the pages goes when the document is whole."""
    text = block.text.strip()
    if is_number(text) or (len(text) <= _LONGEST_MIXED and _MIXED.search(text)):
        return False
    if _OF_PRINTERS.search(text[:_LONGEST_MIXED]) or _is_ruled_off(block, page):
        return False
    if not any(c.islower() or is_cjk(c) for c in text):
        return False  # capitals, or the number of a standard
    if any(other is not block and _is_beside(block, other) for other in page.blocks):
        return False
    if not all(_is_set_like(row, usual) for row in rows(block.lines)):
        return False
    if abs(block.lines[0].box[0] - _left(block, page)) > _ALIGNED * usual.height:
        return False
    if block.lines[0].size:
        return True
    return text[:1].islower() or _SENTENCE_END.search(text[-_LONGEST_NUMBER:]) is not None


def _is_set_like(row: Row, usual: _Body) -> bool:
    """Whether a row has the size, weight and slant of the text."""
    if row.is_scanned:
        return abs(row.height - usual.height) <= _ALIKE_SCANNED * usual.height
    alike = abs(row.size - usual.size) <= _ALIKE * usual.size
    return alike and row.bold == usual.bold and _is_italic(row) == usual.italic


def _left(block: Block, page: Page) -> float:
    """Where the lines of the nearest text begin."""
    texts = [b for b in page.blocks if b.kind in _RUNNING and b.lines]
    nearest = min(
        texts,
        key=lambda b: max(b.box[1] - block.box[3], block.box[1] - b.box[3]),
        default=None,
    )
    return min((line.box[0] for line in nearest.lines), default=0.0) if nearest else float("-inf")


def _is_beside_furniture(block: Block, page: Page) -> bool:
    """Whether a block is a number in one row with a header or footer, with nothing further out."""
    if not is_number(block.text):
        return False
    headers = any(b.kind in _EDGES and _is_beside(block, b) for b in page.blocks)
    return headers and _outermost(block, page.blocks)


def _is_beside(block: Block, other: Block) -> bool:
    """Whether another block stands in the same row: a header and its number."""
    return min(block.box[3], other.box[3]) > max(block.box[1], other.box[1])


def _is_stamp(block: Block, page: Page) -> bool:
    """Whether a block stands along the side of the page, turned away from its text: further out
    than text is printed, or with a publisher's words."""
    x0, y0, x1, y1 = block.box
    if x1 > _SIDE * page.size[0] and x0 < (1 - _SIDE) * page.size[0]:
        return False
    if all(line.turn for line in block.lines):
        if 2 * sum(line.turn > 0 for line in page.lines) > len(page.lines):
            return False
        outside = x1 <= _OUTSIDE * page.size[0] or x0 >= (1 - _OUTSIDE) * page.size[0]
        return outside or _OF_PUBLISHERS.search(block.text[:_LONGEST_MIXED]) is not None
    narrow = x1 - x0 < _NARROW * page.size[0] and y1 - y0 > 4 * (x1 - x0)
    # Numbers of questions stand upright beside them, one under the other.
    lying = any(x1 - x0 > y1 - y0 for x0, y0, x1, y1 in (line.box for line in block.lines))
    lying = lying or len(block.lines) > _MOST_ROWS
    return narrow and not lying and not any(is_cjk(line.text[:1]) for line in block.lines)


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
