"""Rows of a table that stand outside of its drawn lines: headings above, sums below. Pure.

The layout model's region tells that they belong to the table; that their words stand in its
columns tells that they are rows, and no caption or remark.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import TextLine
from ocrplus_ocr.markdown.grid import Cell, Grid
from ocrplus_ocr.markdown.rows import Row, rows

_LEAST_CELLS: Final = 2
_LEAST_SHARE: Final = 0.5  # of the columns
_NEAR: Final = 1.5  # line heights between a row and the table
_MOST: Final = 3  # rows on each side
_OUT: Final = 2.0  # points that a word may stand out of its column


def with_outer_rows(grid: Grid, lines: Sequence[TextLine]) -> Grid:
    """The grid with the rows right above and below it, without their text."""
    top, bottom = grid.ys[0], grid.ys[-1]
    above = [row for row in rows(lines) if _middle(row) < top]
    below = [row for row in rows(lines) if _middle(row) > bottom]
    for row in above[: -_MOST - 1 : -1]:
        if grid.ys[0] - row.box[3] > _NEAR * row.height or not _in_columns(row, grid):
            break
        cells = [replace(cell, row=cell.row + 1) for cell in grid.cells]
        grid = Grid(grid.xs, (row.box[1] - 1.0, *grid.ys), (*_cells(grid, 0), *cells))
    for row in below[:_MOST]:
        if row.box[1] - grid.ys[-1] > _NEAR * row.height or not _in_columns(row, grid):
            break
        cells = list(grid.cells) + _cells(grid, grid.size[0])
        grid = Grid(grid.xs, (*grid.ys, row.box[3] + 1.0), tuple(cells))
    return grid


def _cells(grid: Grid, row: int) -> list[Cell]:
    return [Cell(row, column) for column in range(grid.size[1])]


def _middle(row: Row) -> float:
    return (row.box[1] + row.box[3]) / 2


def _in_columns(row: Row, grid: Grid) -> bool:
    """Whether the words of a row stand in columns of their own."""
    places = []
    for line in row.lines:
        x0, _, x1, _ = line.box
        column = bisect_right(grid.xs, (x0 + x1) / 2) - 1
        if not 0 <= column < grid.size[1]:
            return False
        if x0 < grid.xs[column] - _OUT or x1 > grid.xs[column + 1] + _OUT:
            return False
        places.append(column)
    several = len(places) >= max(_LEAST_CELLS, _LEAST_SHARE * grid.size[1])
    return several and len(set(places)) == len(places)
