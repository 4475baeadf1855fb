"""Numbers and bullets that hang in the margin, with the text that they are of. Pure.

The layout model may give the numbers of questions or the marks of a list a region of their own;
then they would be said in one heap. Bare numbers before nearly every row count the lines of a
text, as in a contract: those stay apart.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.lines import text_of
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.rows import Row, rows

_HOLDERS: Final = frozenset(
    {BlockKind.TEXT, BlockKind.LIST, BlockKind.REFERENCE, BlockKind.ASIDE, BlockKind.HEADING}
)
_TARGETS: Final = frozenset({BlockKind.TEXT, BlockKind.LIST, BlockKind.REFERENCE})
_MARK: Final = re.compile(
    r"(?:[（(]?\d{1,3}[.)）、．]?|[（(]?[a-zA-Z][.)）]|Q\d{1,2}[.:]?|[•●▪◦‣∙·■□☐–—*-]|[①-⑳])"
)
_MOST_BLOCKS: Final = 300
_MOST_PAIRS: Final = 200_000  # of marks and rows
_NEAR: Final = 4.0  # line heights before the text
_LEVEL: Final = 0.5  # of a line height
_MOST_HOMELESS: Final = 0.3
_EVERY_ROW: Final = 0.8
_LEAST_ROWS: Final = 4


def join_hanging_marks(page: Page) -> Page:
    """The page with each hanging mark in the block of the text beside it."""
    if len(page.blocks) > _MOST_BLOCKS:
        return page
    heaps = [b for b in page.blocks if _is_heap(b)]
    if not heaps:
        return page
    blocks: list[Block | None] = list(page.blocks)
    targets = [
        (n, row) for n, b in enumerate(page.blocks) if _is_target(b) for row in rows(b.lines)
    ]
    if sum(len(heap.lines) for heap in heaps) * len(targets) > _MOST_PAIRS:
        return page
    for heap in heaps:
        homes = {line: home for line in heap.lines if (home := _home(line, targets)) is not None}
        homeless = len(heap.lines) - len(homes)
        if homeless > _MOST_HOMELESS * len(heap.lines) or _counts_lines(homes, page.blocks):
            continue
        for index in set(homes.values()):
            text = blocks[index]
            assert text is not None  # no heap is a target
            own = [line for line, home in homes.items() if home == index]
            blocks[index] = _of_lines(text, [*text.lines, *own])
        left = [line for line in heap.lines if line not in homes]
        at = next(n for n, b in enumerate(page.blocks) if b is heap)
        blocks[at] = _of_lines(heap, left) if left else None
    return replace(page, blocks=tuple(filter(None, blocks)))


def _is_heap(block: Block) -> bool:
    """Whether a block has marks only, one under the other."""
    if block.kind not in _HOLDERS or not block.lines:
        return False
    return all(_MARK.fullmatch(line.text.strip()) for line in block.lines)


def _is_target(block: Block) -> bool:
    return block.kind in _TARGETS and bool(block.lines) and not _is_heap(block)


def _home(line: TextLine, targets: Sequence[tuple[int, Row]]) -> int | None:
    """Index of the block whose row begins right of a mark, at its height."""
    height = line.box[3] - line.box[1]
    middle = (line.box[1] + line.box[3]) / 2
    level = [
        (row.box[0] - line.box[2], index)
        for index, row in targets
        if abs((row.box[1] + row.box[3]) / 2 - middle) <= _LEVEL * height
        and 0 <= row.box[0] - line.box[2] <= _NEAR * height
        and _alike(row.lines[0], line)
    ]
    return min(level)[1] if level else None


def _alike(one: TextLine, other: TextLine) -> bool:
    """Whether a mark is of the text's size: what is smaller is a note's."""
    if not (one.size and other.size):
        return True
    return abs(one.size - other.size) <= 0.15 * one.size


def _counts_lines(homes: dict[TextLine, int], blocks: Sequence[Block]) -> bool:
    """Whether bare numbers stand before nearly every row of a text of some length."""
    if not all(line.text.strip().isdecimal() for line in homes):
        return False
    marks = Counter(homes.values())
    found = sum(len(rows(blocks[index].lines)) for index in marks)
    return found >= _LEAST_ROWS and sum(marks.values()) >= _EVERY_ROW * found


def _of_lines(block: Block, lines: Sequence[TextLine]) -> Block:
    ordered = [line for row in rows(lines) for line in row.lines]
    box = around(line.box for line in ordered)
    return replace(block, text=text_of(ordered), box=box, lines=tuple(ordered))
