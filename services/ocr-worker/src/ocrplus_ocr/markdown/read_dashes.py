"""Dashes in a scanned table's cells, where they were read as something else. Pure.

A dash that stands for no amount is read as the Chinese numeral one, which looks the same; in a
column of amounts it is a dash.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_ocr.markdown.grid import Cell, Grid

_DASH: Final = "—"
_LIKE_ONE: Final = frozenset("一ー─–—")
_HYPHEN: Final = "-"
_AMOUNT: Final = re.compile(r"[-–—−(+$€£¥]{0,2}\d[\d.,\s]{0,20}[%)]{0,2}")
_MOSTLY: Final = 0.5


def with_dashes(grid: Grid) -> Grid:
    """The filled grid with such cells as dashes; a hyphen alone too, where others are dashes."""
    alike = [cell for cell in grid.cells if cell.text in _LIKE_ONE]
    if not alike:
        return grid
    columns: dict[int, list[Cell]] = {}
    for cell in grid.cells:
        if cell.row and cell.columns == 1 and cell.text:
            columns.setdefault(cell.column, []).append(cell)
    of_amounts = {column for column, cells in columns.items() if _has_amounts(cells)}
    cells = (
        replace(cell, text=_DASH)
        if cell.column in of_amounts and (cell.text in _LIKE_ONE or cell.text == _HYPHEN)
        else cell
        for cell in grid.cells
    )
    return replace(grid, cells=tuple(cells))


def _has_amounts(cells: Sequence[Cell]) -> bool:
    said = [c.text for c in cells if c.text not in _LIKE_ONE and c.text != _HYPHEN]
    amounts = sum(_AMOUNT.fullmatch(text) is not None for text in said)
    return amounts > 0 and amounts >= _MOSTLY * len(said)
