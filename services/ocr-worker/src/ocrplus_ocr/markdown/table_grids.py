"""Tables by their drawn lines, or by how their words stand, where that is surer than the model.

The structure model guesses; a PDF's own lines and words do not. Tables that the layout model
missed are found by their lines. Pure.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine import Block, BlockKind, Box, TextLine
from ocrplus_ocr.engine.labels import PICTURES
from ocrplus_ocr.markdown.aligned_grid import aligned_grid
from ocrplus_ocr.markdown.found_tables import found_tables
from ocrplus_ocr.markdown.geometry import area, common, holds, shared, upright
from ocrplus_ocr.markdown.grid import Cell, Grid, filled, grid_html, trimmed
from ocrplus_ocr.markdown.lines import in_reading_order, text_of
from ocrplus_ocr.markdown.lost_lines import paragraphs
from ocrplus_ocr.markdown.missed_borders import with_missed_borders, without_stroke
from ocrplus_ocr.markdown.outer_rows import with_outer_rows
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.placing import placed
from ocrplus_ocr.markdown.read_dashes import with_dashes
from ocrplus_ocr.markdown.ruled_grid import connected, ruled_grid
from ocrplus_ocr.markdown.tables import has_rows

_CAPTION: Final = re.compile(r"(?:table|表)\s*[\dA-Z]{1,3}(?:[.-]\d+)?[\s.:：　]", re.I)
_MOSTLY: Final = 0.7
_MOST_CUT: Final = 0.4  # a detector may join the words of two cells
_LEAST_SIDE: Final = 20.0
_LEAST_TURNED: Final = 6  # lines
_MARGIN: Final = 6.0  # points that a table's lines may lie outside the layout model's box


def rebuild_tables(page: Page) -> Page:
    """The page with its tables made from what is drawn and written, where that works."""
    page = _rebuilt(page)
    for turn in (1, 2, 3):
        if sum(line.turn == turn for line in page.lines) >= _LEAST_TURNED:
            page = _with_tables(page, _turned_tables(page, turn))
    return page


def _turned_tables(page: Page, turn: int) -> dict[Box, Block]:
    """Tables that lie sideways on the page, found as on a page turned upright."""
    width, height = page.size
    size = (height, width) if turn % 2 else (width, height)
    own = {
        replace(line, box=upright(line.box, turn, page.size), turn=0): line
        for line in page.lines
        if line.turn == turn
    }
    upright_of = {line: shown for shown, line in own.items()}
    blocks = [
        Block(
            block.kind,
            block.text,
            upright(block.box, turn, page.size),
            tuple(upright_of[line] for line in block.lines if line in upright_of),
        )
        for block in page.blocks
        if 2 * sum(line.turn == turn for line in block.lines) > len(block.lines)
    ]
    seen = replace(
        page,
        size=size,
        lines=tuple(own),
        blocks=tuple(blocks),
        rules=tuple(upright(rule, turn, page.size) for rule in page.rules),
    )
    tables = {}
    for block in _rebuilt(seen).blocks:
        if block.kind is BlockKind.TABLE and block.lines:
            box = upright(block.box, (4 - turn) % 4, size)
            shown = tuple(own[line] for line in block.lines)
            tables[box] = replace(block, box=box, lines=shown)
    return tables


def _rebuilt(page: Page) -> Page:
    ruled = _ruled_tables(page)
    page = _with_tables(page, ruled)
    blocks: list[Block] = []
    for block in page.blocks:
        made = block.kind is BlockKind.TABLE and block.box not in ruled
        blocks.extend(_by_words(block, page) if made else [block])
    page = replace(page, blocks=tuple(blocks))
    return _with_tables(page, {grid.box: _table(grid, page) for grid in found_tables(page)})


def _ruled_tables(page: Page) -> dict[Box, Block]:
    """Tables that the page's lines make, by place."""
    tables = {}
    words = [line.box for line in page.lines]
    for group in connected(page.rules):
        grid = _table_grid(ruled_grid(group, words), page)
        if grid is not None:
            grid = _as_the_model_sees(grid, page)
            tables[grid.box] = _table(grid, page)
    return tables


def _as_the_model_sees(grid: Grid, page: Page) -> Grid:
    """The grid with the rows outside of its lines that the model's region of it holds."""
    regions = (b for b in page.blocks if b.kind is BlockKind.TABLE)
    region = next((b.box for b in regions if shared(b.box, grid.box) > _MOSTLY), None)
    if region is None:
        return grid
    lines = [line for line in page.lines if holds(region, line.box)]
    wider = with_outer_rows(grid, lines)
    inside = [line for line in page.lines if holds(wider.box, line.box)]
    return grid if wider is grid else filled(wider, inside)


def _table(grid: Grid, page: Page) -> Block:
    inside = tuple(line for line in page.lines if holds(grid.box, line.box))
    return Block(BlockKind.TABLE, grid_html(grid), grid.box, inside)


def _table_grid(grid: Grid | None, page: Page) -> Grid | None:
    """A grid of lines that is a table: large enough, with words in most of its rows."""
    if grid is None or min(grid.size) < 2 or grid.size[0] * grid.size[1] < 4:
        return None
    box = grid.box
    if min(box[2] - box[0], box[3] - box[1]) < _LEAST_SIDE:
        return None
    inside = [line for line in page.lines if holds(box, line.box)]
    if _is_photo(box, page) or _cuts_words(grid, inside):
        return None
    if page.source is TextSource.OCR:
        grid = with_missed_borders(grid, inside)
    grid = trimmed(filled(grid, inside))
    if page.source is TextSource.OCR:
        grid = with_dashes(without_stroke(grid))
    if min(grid.size) < 2:
        return None
    worded = {row for c in grid.cells if c.text for row in range(c.row, c.row + c.rows)}
    columns = {col for c in grid.cells if c.text for col in range(c.column, c.column + c.columns)}
    if len(worded) < 0.6 * grid.size[0] or len(columns) < 2:
        return None
    in_picture = any(b.kind in PICTURES and shared(b.box, box) > 0.9 for b in page.blocks)
    return None if in_picture and not _is_listing(grid) else grid


def _is_photo(box: Box, page: Page) -> bool:
    """Whether the lines are edges in a photograph on a scanned page."""
    if page.source is not TextSource.OCR:
        return False
    return any(common(photo, box) > _MOSTLY * area(photo) for photo in page.pictures)


def _cuts_words(grid: Grid, lines: Sequence[TextLine]) -> bool:
    """Whether the borders go through the words: those are strokes of a picture or of writing."""
    row_of = [
        [c for c in grid.cells if c.row <= row < c.row + c.rows] for row in range(grid.size[0])
    ]

    def cells(line: TextLine) -> list[Cell]:
        row = bisect_right(grid.ys, (line.box[1] + line.box[3]) / 2) - 1
        return row_of[min(max(row, 0), len(row_of) - 1)]

    cut = sum(not any(_fits(line, grid, cell) for cell in cells(line)) for line in lines)
    return cut > _MOST_CUT * len(lines)


def _fits(line: TextLine, grid: Grid, cell: Cell) -> bool:
    left, right = grid.xs[cell.column], grid.xs[cell.column + cell.columns]
    top, bottom = grid.ys[cell.row], grid.ys[cell.row + cell.rows]
    x0, y0, x1, y1 = line.box
    within = min(x1, right) - max(x0, left)
    return top <= (y0 + y1) / 2 <= bottom and within >= _MOSTLY * (x1 - x0)


def _is_listing(grid: Grid) -> bool:
    """Whether each row has a name in front, as no chart's lines do."""
    named = {cell.row for cell in grid.cells if cell.column == 0 and cell.text}
    return grid.size[0] >= 3 and len(named) >= 0.8 * grid.size[0]


def _with_tables(page: Page, tables: dict[Box, Block]) -> Page:
    """The page with these tables instead of whatever stood in their places."""
    blocks = page.blocks
    for box, table in tables.items():
        place: int | None = None
        kept: list[Block] = []
        for block in blocks:
            inside = shared(block.box, box) > 0.7 and _smaller(block.box, box)
            if inside:
                place = len(kept) if place is None else place
            else:
                kept.extend(_without_lines(block, table))
        if place is None:
            blocks = placed(table, tuple(kept))
        else:
            blocks = (*kept[:place], table, *kept[place:])
    return replace(page, blocks=blocks)


def _smaller(inner: Box, outer: Box) -> bool:
    return (inner[2] - inner[0]) * (inner[3] - inner[1]) < 1.5 * (outer[2] - outer[0]) * (
        outer[3] - outer[1]
    )


def _without_lines(block: Block, table: Block) -> list[Block]:
    """A block without the lines that stand in a table, nor their text; none where no line stays."""
    taken = frozenset(table.lines)
    lines = tuple(line for line in block.lines if line not in taken)
    if len(lines) == len(block.lines):
        return [block]
    if block.kind in PICTURES:
        return [replace(block, lines=lines)]
    if not lines:
        return []
    grid = aligned_grid(lines, []) if block.kind is BlockKind.TABLE else None
    if grid is not None:
        return [replace(block, text=grid_html(grid), lines=lines)]
    kind = BlockKind.TEXT if block.kind is BlockKind.TABLE else block.kind
    return [replace(block, kind=kind, text=text_of(in_reading_order(lines)), lines=lines)]


def _by_words(block: Block, page: Page) -> list[Block]:
    """A table of the model, made anew from its words where they stand in clear rows.

    Its printed caption is no row of it, and one line alone is no table.
    """
    lines: Sequence[TextLine] = block.lines
    if 0 < len(lines) <= 2:
        text = " ".join(line.text for line in lines)
        return [replace(block, kind=BlockKind.TEXT, text=text, lines=tuple(lines))]
    caption, lines = _caption(lines)
    x0, y0, x1, y1 = block.box
    around_it = (x0 - _MARGIN, y0 - _MARGIN, x1 + _MARGIN, y1 + _MARGIN)
    rules = [rule for rule in page.rules if holds(around_it, rule)]
    grid = aligned_grid(lines, rules)
    if grid is None:
        return [block] if has_rows(block.text) else _as_text(block, page)
    if page.source is TextSource.OCR:
        grid = with_dashes(without_stroke(grid))
    table = replace(block, text=grid_html(grid), lines=tuple(lines))
    if caption is None:
        return [table]
    printed = Block(BlockKind.CAPTION, caption.text, caption.box, (caption,))
    return [printed, table] if caption.box[1] < grid.ys[1] else [table, printed]


def _as_text(block: Block, page: Page) -> list[Block]:
    """The lines of a table that nothing can be made of."""
    return paragraphs(block.lines, page.size[0]) if block.lines else []


def _caption(lines: Sequence[TextLine]) -> tuple[TextLine | None, Sequence[TextLine]]:
    """The line that is the table's caption, and the others."""
    for line in lines:
        if _CAPTION.match(line.text.strip()):
            return line, [other for other in lines if other is not line]
    return None, lines
