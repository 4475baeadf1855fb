"""Tables that no model saw: rows of figures that stand in columns, without lines around. Pure.

Financial statements are set so. Three rows with an amount in the same columns are no accident;
rows of headings above them belong to the table.
"""

import re
from collections.abc import Sequence
from typing import Final

from ocrplus_ocr.engine import BlockKind, Box, TextLine
from ocrplus_ocr.engine.labels import FURNITURE
from ocrplus_ocr.markdown.aligned_grid import aligned_grid, with_currency
from ocrplus_ocr.markdown.geometry import around, holds
from ocrplus_ocr.markdown.grid import Grid
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.rows import Row, rows

_NOT_ROWS: Final = FURNITURE | {BlockKind.TABLE, BlockKind.CAPTION, BlockKind.CODE}
_AMOUNT: Final = re.compile(r"^[$€£¥₹(+\-–—−]{0,3}\s?\d[\d,.\s]*\s?[%)]{0,2}$|^[-–—]$|^n/?a$", re.I)
_MOST_LINES: Final = 3000
_LEAST_ROWS: Final = 3
_MOST_BETWEEN: Final = 1  # rows without amounts inside a table: a heading within
_MOST_HEADINGS: Final = 4
_LONGEST_HEADING: Final = 40
_PITCHES: Final = 2.2  # between the rows of one table
_ALIGNED: Final = 4.0


def found_tables(page: Page) -> list[Grid]:
    """Grids of the tables in what is text by the layout model."""
    closed = [block.box for block in page.blocks if block.kind in _NOT_ROWS]
    lines = [line for line in page.lines if not any(holds(box, line.box) for box in closed)]
    if len(lines) > _MOST_LINES:
        return []
    grids = []
    for group in _groups(rows(with_currency(lines))):
        grid = aligned_grid([line for row in group for line in row.lines], page.rules)
        if grid is not None and grid.size[1] >= 2 and grid.size[0] >= _LEAST_ROWS:
            grids.append(grid)
    return grids


def _groups(found: Sequence[Row]) -> list[list[Row]]:
    """Neighbouring rows that make a table, with the headings above them."""
    groups: list[list[Row]] = []
    index = 0
    while index < len(found):
        end = _end(found, index)
        figures = sum(bool(_amounts(row)) for row in found[index:end])
        if figures >= _LEAST_ROWS and _in_columns(found[index:end]):
            start = _with_headings(found, index, end)
            groups.append(list(found[start:end]))
        index = max(end, index + 1)
    return groups


def _end(found: Sequence[Row], start: int) -> int:
    """The row after the last one of a table that begins here."""
    if not _is_entry(found[start]):
        return start + 1
    end, between = start + 1, 0
    for index in range(start + 1, len(found)):
        row, above = found[index], found[index - 1]
        if row.box[1] - above.box[1] > _PITCHES * max(row.height, above.height):
            break
        if _is_entry(row):
            end, between = index + 1, 0
        elif len(row.lines) > 1 or between >= _MOST_BETWEEN or len(row.text) > _LONGEST_HEADING:
            break
        else:
            between += 1
    return end


def _is_entry(row: Row) -> bool:
    """A name and amounts, or amounts alone in two columns."""
    amounts = len(_amounts(row))
    names = len(row.lines) - amounts
    return (
        amounts >= 1 and names <= 1 and len(row.lines) >= 2 and _amounts(row)[-1] is row.lines[-1]
    )


def _amounts(row: Row) -> list[TextLine]:
    return [line for line in row.lines if _AMOUNT.match(line.text.strip())]


def _in_columns(found: Sequence[Row]) -> bool:
    """Whether the amounts end, begin or stand in the same places in most rows."""
    entries = [row for row in found if _is_entry(row)]
    last = [_amounts(row)[-1].box for row in entries]
    for place in (lambda b: b[2], lambda b: b[0], lambda b: (b[0] + b[2]) / 2):
        values = sorted(map(place, last))
        middle = values[len(values) // 2]
        if sum(abs(value - middle) <= _ALIGNED for value in values) >= 0.7 * len(values):
            return True
    return False


def _with_headings(found: Sequence[Row], start: int, end: int) -> int:
    """The first row of the table: what stands closely above, over its columns, is its heading."""
    columns = around(row.box for row in found[start:end])
    amounts = around(line.box for row in found[start:end] for line in _amounts(row))
    first = start
    for index in range(start - 1, max(-1, start - 1 - _MOST_HEADINGS), -1):
        row, below = found[index], found[index + 1]
        near = below.box[1] - row.box[3] < 1.2 * row.height
        short = all(len(line.text) <= _LONGEST_HEADING for line in row.lines)
        inside = columns[0] - _ALIGNED <= row.box[0] and row.box[2] <= columns[2] + _ALIGNED
        if not (near and short and inside):
            break
        if _over(row.box, columns, amounts):  # what stands in the first column alone may be text
            first = index
    return first


def _over(box: Box, columns: Box, amounts: Box) -> bool:
    return box[2] > amounts[0] and box[0] >= columns[0] + _ALIGNED
