"""A picture that is several, each with its own printed letter: "(a) before   (b) after". Pure.

The layout model puts a box around them all; the letters under them tell where one ends.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.engine.labels import PICTURES
from ocrplus_ocr.markdown.geometry import holds
from ocrplus_ocr.markdown.lines import rows_of, text_of
from ocrplus_ocr.markdown.page import Page

_LETTER: Final = re.compile(r"[(（]\s*([a-h])\s*[)）]")
_FOOT: Final = 0.75  # the letters stand in the last quarter
_LEAST_WIDTH: Final = 40.0  # points
_MOST_WORDS: Final = 80  # characters


def part_subfigures(page: Page) -> Page:
    """The page with one picture and one caption for each lettered part."""
    blocks: list[Block] = []
    for block in page.blocks:
        blocks += _parts(block, page) if block.kind in PICTURES else [block]
    return replace(page, blocks=tuple(blocks))


def _parts(block: Block, page: Page) -> list[Block]:
    lines = [line for line in page.lines if holds(block.box, line.box)]
    row = _lettered_row(block, lines)
    if len(row) < 2:
        return [block]
    x0, y0, x1, _ = block.box
    middles = [(line.box[0] + line.box[2]) / 2 for line in row]
    cuts = [x0, *((a + b) / 2 for a, b in pairwise(middles)), x1]
    if min(right - left for left, right in pairwise(cuts)) < _LEAST_WIDTH:
        return [block]
    foot = min(line.box[1] for line in row)
    parts: list[Block] = []
    for line, (left, right) in zip(row, pairwise(cuts), strict=True):
        box = (left, y0, right, foot)
        own = tuple(other for other in block.lines if holds(box, other.box))
        parts.append(replace(block, box=box, lines=own, text=""))
        parts.append(Block(BlockKind.CAPTION, text_of([line]), line.box, (line,)))
    return parts


def _lettered_row(block: Block, lines: Sequence[TextLine]) -> list[TextLine]:
    """The lines under the parts: (a), (b) … in one row, with nothing of the picture below."""
    rows = rows_of(lines)
    if not rows:
        return []
    row = rows[-1]
    letters = [found.group(1) if (found := _LETTER.match(line.text)) else "" for line in row]
    ascending = letters == [chr(ord("a") + i) for i in range(len(letters))]
    height = block.box[3] - block.box[1]
    low = min(line.box[1] for line in row) > block.box[1] + _FOOT * height
    short = all(len(line.text) <= _MOST_WORDS for line in row)
    return row if ascending and low and short else []
