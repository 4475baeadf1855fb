"""Borders of a scanned table that were missed, and strokes that were taken for one. Pure.

A cell that seems to span columns, with a line of text of its own in each of them and none across
their borders, is several cells: the border is faint in that row. An outer column with nothing but
one stroke is none.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import TextLine
from ocrplus_ocr.markdown.geometry import holds
from ocrplus_ocr.markdown.grid import Cell, Grid

_STROKES: Final = frozenset("-–—一|")


def with_missed_borders(grid: Grid, lines: Sequence[TextLine]) -> Grid:
    """The grid with such cells parted."""
    wide = [cell for cell in grid.cells if cell.columns > 1 and cell.rows == 1]
    parted = {
        cell
        for cell in wide
        if _has_one_each(cell, grid, [x for x in lines if holds(grid.cell_box(cell), x.box)])
    }
    if not parted:
        return grid
    cells = [
        part
        for cell in grid.cells
        for part in (
            (
                replace(cell, column=column, columns=1)
                for column in range(cell.column, cell.column + cell.columns)
            )
            if cell in parted
            else (cell,)
        )
    ]
    return replace(grid, cells=tuple(cells))


def without_stroke(grid: Grid) -> Grid:
    """The filled grid without a last column that has no heading and nothing but one stroke."""
    last = grid.size[1] - 1
    own = [cell for cell in grid.cells if cell.column + cell.columns - 1 == last]
    said = [cell for cell in own if cell.text]
    spans = any(cell.columns > 1 for cell in own)
    if last < 2 or spans or len(said) != 1 or said[0].text not in _STROKES:
        return grid
    kept = tuple(cell for cell in grid.cells if cell.column < last)
    return replace(grid, xs=(*grid.xs[:-2], grid.xs[-1]), cells=kept)  # the stroke stays inside


def _has_one_each(cell: Cell, grid: Grid, lines: Sequence[TextLine]) -> bool:
    filled: set[int] = set()
    for line in lines:
        column = next(
            (
                n
                for n in range(cell.column, cell.column + cell.columns)
                if grid.xs[n] <= line.box[0] and line.box[2] <= grid.xs[n + 1]
            ),
            None,
        )
        if column is None:
            return False
        filled.add(column)
    return len(filled) == cell.columns
