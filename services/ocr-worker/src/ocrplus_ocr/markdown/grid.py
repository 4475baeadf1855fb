"""Rows and columns of a table with their cells, filled with the lines that stand in them. Pure."""

import html
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ocrplus_ocr.engine import Box, TextLine
from ocrplus_ocr.markdown.joining import is_cjk, joined

_NUMBER: Final = re.compile(r"[-(+$€£¥]{0,2}\d{1,3}(?:(?:,\d{3})+|\d{0,12})(?:\.\d{1,9})?[)%]{0,2}")


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell at its top left row and column (from 0), how many of each it spans, its text."""

    row: int
    column: int
    rows: int = 1
    columns: int = 1
    text: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: its borders from left to right and from top to bottom, and its cells."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    cells: tuple[Cell, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.ys) - 1, len(self.xs) - 1

    @property
    def box(self) -> Box:
        """The table's place."""
        return self.xs[0], self.ys[0], self.xs[-1], self.ys[-1]

    def cell_box(self, cell: Cell) -> Box:
        """A cell's place."""
        return (
            self.xs[cell.column],
            self.ys[cell.row],
            self.xs[cell.column + cell.columns],
            self.ys[cell.row + cell.rows],
        )


def filled(grid: Grid, lines: Iterable[TextLine]) -> Grid:
    """The grid with each line in the cell that holds its middle; a line over several is parted."""
    inside: dict[Cell, list[TextLine]] = {}
    places = _places(grid)
    for line in lines:
        for piece in _parted(line, grid, places):
            x, y = _middle(piece.box)
            cell = places.get((_index(grid.ys, y), _index(grid.xs, x)))
            if cell is not None:
                inside.setdefault(cell, []).append(piece)
    cells = (replace(cell, text=in_order(inside.get(cell, ()))) for cell in grid.cells)
    return replace(grid, cells=tuple(cells))


def _places(grid: Grid) -> dict[tuple[int, int], Cell]:
    """The cell of each row and column."""
    return {
        (row, column): cell
        for cell in grid.cells
        for row in range(cell.row, cell.row + cell.rows)
        for column in range(cell.column, cell.column + cell.columns)
    }


def _index(borders: Sequence[float], at: float) -> int:
    """The row or column between two borders; outside of them none has this index."""
    return bisect_right(borders, at) - 1


def trimmed(grid: Grid) -> Grid:
    """The grid without an empty first or last row that no line parts into cells: a line drawn
    above or below the table."""
    bars = [c for c in grid.cells if not c.text and c.columns == grid.size[1] and c.rows == 1]
    if any(bar.row == 0 for bar in bars) and grid.size[0] > 1:
        cells = (replace(c, row=c.row - 1) for c in grid.cells if c.row > 0)
        return trimmed(Grid(grid.xs, grid.ys[1:], tuple(cells)))
    if any(bar.row == grid.size[0] - 1 for bar in bars) and grid.size[0] > 1:
        cells = (c for c in grid.cells if c.row < grid.size[0] - 1)
        return trimmed(Grid(grid.xs, grid.ys[:-1], tuple(cells)))
    return grid


def in_order(lines: Sequence[TextLine]) -> str:
    """Text of a cell's lines, row by row."""
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda line: _middle(line.box)[1]):
        if rows and _middle(line.box)[1] < rows[-1][0].box[3]:
            rows[-1].append(line)
        else:
            rows.append([line])
    parts = (line.text for row in rows for line in sorted(row, key=lambda line: line.box[0]))
    return " ".join(joined(parts).split())


def _parted(line: TextLine, grid: Grid, places: Mapping[tuple[int, int], Cell]) -> list[TextLine]:
    """A line cut at the borders it runs across, at the nearest space."""
    x0, y0, x1, y1 = line.box
    least = 0.35 * (y1 - y0)
    row = _index(grid.ys, (y0 + y1) / 2)
    columns = range(_index(grid.xs, x0 + least), _index(grid.xs, x1 - least) + 1)
    crossed = dict.fromkeys(filter(None, (places.get((row, column)) for column in columns)))
    if len(crossed) < 2 or x1 <= x0:
        return [line]
    pieces: list[TextLine] = []
    start = 0
    last = list(crossed)[-1]
    for cell in crossed:
        box = grid.cell_box(cell)
        end = len(line.text)
        if box[2] < x1 - least and cell is not last:  # what sticks out of the table stays in it
            end = _cut(line.text, round((box[2] - x0) / (x1 - x0) * len(line.text)))
        text = line.text[start:end].strip()
        if text:
            pieces.append(replace(line, text=text, box=(max(x0, box[0]), y0, min(x1, box[2]), y1)))
        start = end
    return pieces


def _cut(text: str, near: int) -> int:
    """The place nearest to one where a text can be parted: at a space, beside a character that
    is a word by itself, between two numbers; an end of the text where there is none."""
    places = (i for i in range(len(text) + 1) if parts_words(text, i))
    return min(places, key=lambda i: abs(i - near))


def parts_words(text: str, at: int) -> bool:
    """Whether a text can be cut there between two words."""
    before, after = text[at - 1 : at] if at else "", text[at : at + 1]
    if not before or not after or before.isspace() or after.isspace():
        return True
    if is_cjk(before) or is_cjk(after):
        return True
    left, right = text[:at].split()[-1], text[at:].split()[0]
    glued = _NUMBER.fullmatch(left + right) is None
    return glued and _NUMBER.fullmatch(left) is not None and _NUMBER.fullmatch(right) is not None


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def grid_html(grid: Grid) -> str:
    """The table as HTML, the form that blocks of tables have."""
    rows: list[list[Cell]] = [[] for _ in range(grid.size[0])]
    for cell in sorted(grid.cells, key=lambda cell: (cell.row, cell.column)):
        rows[cell.row].append(cell)
    body = "".join("<tr>" + "".join(map(_cell_html, row)) + "</tr>" for row in rows if row)
    return f"<table>{body}</table>"


def _cell_html(cell: Cell) -> str:
    spans = f' colspan="{cell.columns}"' if cell.columns > 1 else ""
    spans += f' rowspan="{cell.rows}"' if cell.rows > 1 else ""
    return f"<td{spans}>{html.escape(cell.text, quote=False)}</td>"
