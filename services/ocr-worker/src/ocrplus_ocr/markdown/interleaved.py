"""Two regions whose rows take turns down the page, as the one text that they are. Pure.

The layout model may take the lines of questions for one region and the formulas between them for
another beside it. Columns have rows at the same height; where no row of one stands beside a row
of the other, and they take turns, both are parted where the other comes between.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.geometry import across, around
from ocrplus_ocr.markdown.lines import rows_of, text_of
from ocrplus_ocr.markdown.page import Page

_MAY: Final = frozenset({BlockKind.TEXT, BlockKind.LIST, BlockKind.FORMULA})
_LEAST_TURNS: Final = 4
_BESIDE: Final = 0.3  # of the lower row's height
_LONG: Final = 20  # characters
_MOST_BLOCKS: Final = 100  # the work grows by the square

_Band = tuple[float, float]


def part_interleaved(page: Page) -> Page:
    """The page with such regions in pieces that stand under each other."""
    chosen = [b for b in page.blocks if b.kind in _MAY and len(b.lines) > 1 and not _is_prose(b)]
    if len(chosen) > _MOST_BLOCKS:
        return page
    bands = {id(block): _bands(block) for block in chosen}
    cuts: dict[int, list[_Band]] = {}
    for one, other in combinations(chosen, 2):
        if across(one.box, other.box) == 0 and _take_turns(bands[id(one)], bands[id(other)]):
            cuts.setdefault(id(one), []).extend(bands[id(other)])
            cuts.setdefault(id(other), []).extend(bands[id(one)])
    if not cuts:
        return page
    blocks = [
        piece
        for block in page.blocks
        for piece in (_pieces(block, cuts[id(block)]) if id(block) in cuts else [block])
    ]
    return replace(page, blocks=tuple(blocks))


def _is_prose(block: Block) -> bool:
    """Whether rows go on in the next one: columns set wide may stand half a line apart."""
    texts = [row[0].text for row in rows_of(block.lines)[1:]]
    return 2 * sum(len(t) >= _LONG and t[:2].islower() for t in texts) >= len(texts) > 0


def _bands(block: Block) -> list[_Band]:
    """From where to where the rows of a block reach."""
    return [
        (min(line.box[1] for line in row), max(line.box[3] for line in row))
        for row in rows_of(block.lines)
    ]


def _take_turns(one: Sequence[_Band], other: Sequence[_Band]) -> bool:
    if one[-1][1] <= other[0][0] or other[-1][1] <= one[0][0]:
        return False
    marked = [(band, True) for band in one] + [(band, False) for band in other]
    marked.sort(key=lambda item: sum(item[0]))
    turns = 0
    for (above, whose), (below, whose_next) in pairwise(marked):
        if whose is whose_next:
            continue
        turns += 1
        lower = min(above[1] - above[0], below[1] - below[0])
        if above[1] - below[0] > _BESIDE * lower:
            return False
    return turns >= _LEAST_TURNS


def _pieces(block: Block, between: Sequence[_Band]) -> list[Block]:
    """A block in pieces, parted where something of the others stands between its rows."""
    middles = sorted((top + bottom) / 2 for top, bottom in between)
    pieces: list[list[int]] = []
    rows = rows_of(block.lines)
    last = float("-inf")
    for index, row in enumerate(rows):
        middle = sum(line.box[1] + line.box[3] for line in row) / (2 * len(row))
        if not pieces or any(last < at < middle for at in middles):
            pieces.append([])
        pieces[-1].append(index)
        last = middle
    return [_piece(block, [line for index in piece for line in rows[index]]) for piece in pieces]


def _piece(block: Block, lines: Sequence[TextLine]) -> Block:
    return replace(
        block, text=text_of(lines), box=around(line.box for line in lines), lines=tuple(lines)
    )
