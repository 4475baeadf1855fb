"""Lines that no block claims come back as paragraphs at their place. Pure.

The pipeline drops lines outside of its layout's regions, and all the text of a page that the
layout model takes for one image.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.engine.labels import PICTURES
from ocrplus_ocr.markdown.cutting import Columns, reading_order
from ocrplus_ocr.markdown.geometry import across, around, holds
from ocrplus_ocr.markdown.lines import in_reading_order, is_vertical, rows_of, text_of
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.placing import placed

LEADER: Final = re.compile(r"([^\w\s])(?:\s*\1){4,}")
"""A rule made of dots or dashes."""
_PARAGRAPH_GAP: Final = 0.8  # of the line height
_MOST_GAP: Final = 1.6
_BELOW: Final = 0.5  # share of the narrower line that lies under the other
_LEAST_COLUMN: Final = 0.2  # of the page's width: a label beside its text is no column
_MOST_BREAK: Final = 2.5  # line heights
_MOST_PLACED: Final = 1000  # the work grows by the square; more are one block
_MAY_GO_ON: Final = frozenset({BlockKind.TEXT, BlockKind.LIST, BlockKind.REFERENCE})
_SENTENCE_END: Final = re.compile(r"[.!?。！？:：][\"'”’)]*$")
_MOST_ABOVE: Final = 50  # lines of a paragraph that tell how wide it is
_ALIKE: Final = 1.6  # ratio of the heights of two lines of a paragraph


def bring_back_lines(page: Page) -> Page:
    """The page with a block for every line that had none."""
    claimed = {id(line) for block in page.blocks for line in block.lines}
    pictures = [block.box for block in page.blocks if block.kind in PICTURES]
    lines = [
        line
        for line in page.lines
        if id(line) not in claimed
        and not any(holds(box, line.box) for box in pictures)
        and not LEADER.fullmatch(line.text)
    ]
    blocks = page.blocks
    found = paragraphs(lines, page.size[0])
    if len(found) > _MOST_PLACED:
        found = [_paragraph([line for paragraph in found for line in paragraph.lines])]
    for paragraph in found:
        blocks = _adopted(paragraph, blocks) or placed(paragraph, blocks)
    return replace(page, blocks=blocks)


def _adopted(lost: Block, blocks: Sequence[Block]) -> tuple[Block, ...] | None:
    """The blocks with the line in the one that it goes on, or that goes on with it: a region of
    the layout model may be a line too short."""
    found = rows_of(lost.lines)
    if len(found) != 1:
        return None
    line = max(found[0], key=lambda part: len(part.text))  # a number may stand before it
    for index, block in enumerate(blocks):
        if block.kind not in _MAY_GO_ON or not block.lines:
            continue
        first = min(block.lines, key=lambda other: other.box[1])
        last = max(block.lines, key=lambda other: other.box[3])
        if _goes_on(last, line, block):
            lines = (*block.lines, *found[0])
        elif _goes_on(line, first, block):
            lines = (*found[0], *block.lines)
        else:
            continue
        box = around((block.box, lost.box))
        whole = replace(block, text=text_of(lines), box=box, lines=lines)
        return (*blocks[:index], whole, *blocks[index + 1 :])
    return None


def _goes_on(above: TextLine, below: TextLine, block: Block) -> bool:
    """Whether two lines, one of them a block's, are one sentence: the upper is as wide as the
    block and ends none, the lower begins in the middle of one right under it."""
    height = above.box[3] - above.box[1]
    left = min(line.box[0] for line in block.lines)
    right = max(line.box[2] for line in block.lines)
    return (
        below.text[:1].islower()
        and -0.3 * height <= below.box[1] - above.box[3] <= _PARAGRAPH_GAP * height
        and min(abs(below.box[0] - left), abs(below.box[0] - above.box[0])) <= height
        and -2 * height <= above.box[0] - left
        and abs((below.box[3] - below.box[1]) - height) <= 0.2 * height
        and abs(right - above.box[2]) <= 2 * height
        and _SENTENCE_END.search(above.text) is None
    )


def paragraphs(lines: Sequence[TextLine], page_width: float) -> list[Block]:
    """Lines as paragraphs: column by column, joined where they follow as closely as most do."""
    if is_vertical(lines):
        return [_paragraph(in_reading_order(lines))]
    height = _height(lines)
    columns = Columns(height, _LEAST_COLUMN * page_width, _MOST_BREAK * height)
    ordered = [lines[i] for i in reading_order([line.box for line in lines], columns)]
    usual = _usual_gap(ordered)
    groups: list[list[TextLine]] = []
    for line in ordered:
        if groups and _follows(groups[-1][-_MOST_ABOVE:], line, usual):
            groups[-1].append(line)
        else:
            groups.append([line])
    return [_paragraph(group) for group in groups]


def _height(lines: Sequence[TextLine]) -> float:
    return median(line.box[3] - line.box[1] for line in lines) if lines else 0.0


def _usual_gap(lines: Sequence[TextLine]) -> float:
    """The gap between two lines of a paragraph, in line heights: the median, within bounds."""
    gaps = [
        (below.box[1] - above.box[3]) / max(1.0, above.box[3] - above.box[1])
        for above, below in pairwise(lines)
        if across(above.box, below.box) > _BELOW and below.box[1] > above.box[1]
    ]
    return min(_MOST_GAP, max(_PARAGRAPH_GAP, 1.3 * median(gaps))) if gaps else _PARAGRAPH_GAP


def _follows(group: Sequence[TextLine], line: TextLine, usual: float) -> bool:
    above = group[-1].box
    height = above[3] - above[1]
    if min(above[3], line.box[3]) - max(above[1], line.box[1]) > 0.5 * height:
        return 0 <= line.box[0] - above[2] < 2 * height  # goes on in the same row
    gap = line.box[1] - above[3]
    ratio = (line.box[3] - line.box[1]) / height if height else 1.0
    return (
        -0.5 * height <= gap <= usual * height
        and 1 / _ALIKE < ratio < _ALIKE
        and across(around(item.box for item in group), line.box) > _BELOW
    )


def _paragraph(group: Sequence[TextLine]) -> Block:
    box = around(line.box for line in group)
    return Block(BlockKind.TEXT, text_of(group), box, tuple(group))
