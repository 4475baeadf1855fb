"""Tables without lines between their columns: from how their words stand to each other. Pure.

Columns are where the full rows leave a gap. A line half way between two rows spans both; a line
over several columns, or in the middle over empty ones, spans those.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median
from typing import Final

from ocrplus_ocr.engine import Box, TextLine
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.grid import Cell, Grid, in_order
from ocrplus_ocr.markdown.grid_columns import FULL_ROW, Span, columns_of
from ocrplus_ocr.markdown.joined_cells import at_columns

_CURRENCY: Final = frozenset("$€£¥￥₹")
_OCR_MARGIN: Final = 0.2
_SAME_ROW: Final = 0.35
_NEAR: Final = 0.65  # of the distance between rows
_MOST_HEADINGS: Final = 12
_SKIP_COST: Final = 3.0  # points off the centre that leaving a column out counts as
_OFF_CENTRE: Final = 6.0  # points
_MOST_LINES: Final = 3000

_Place = tuple[int, int, int, int]
"""First and last row, first and last column."""


@dataclass(slots=True)
class _Row:
    """Lines of one height. `lines` by column once the columns are known."""

    lines: list[TextLine]
    cells: dict[tuple[int, int], list[TextLine]] = field(default_factory=dict)

    @property
    def centre(self) -> float:
        return median((line.box[1] + line.box[3]) / 2 for line in self.lines)

    @property
    def box(self) -> Box:
        return around(line.box for line in self.lines)

    @property
    def columns(self) -> set[int]:
        return {c for first, last in self.cells for c in range(first, last + 1)}


def aligned_grid(lines: Sequence[TextLine], rules: Sequence[Box] = ()) -> Grid | None:
    """The table that lines of a region make by standing in rows and columns; None where not."""
    tight = [_tight(line) for line in lines if line.text.strip()]
    words = with_currency(tight)
    if not 4 <= len(words) <= _MOST_LINES:
        return None
    height = median(line.box[3] - line.box[1] for line in words)
    rows = _rows(words, height)
    columns = columns_of([row.lines for row in rows], height)
    first = _first_full(rows, columns)
    for row in rows[first:]:
        row.lines = [part for line in row.lines for part in at_columns(line, columns)]
    columns = _grown(columns, rows[first:])
    if len(rows) < 2 or len(columns) < 2:
        return None
    for row in rows:
        for line in row.lines:
            row.cells.setdefault(_span(line, columns), []).append(line)
    anchors = _anchors(rows)
    if len(anchors) < 2:
        return None
    return _grid(anchors, rows, columns, rules)


def _tight(line: TextLine) -> TextLine:
    """A line without the margin that text detection leaves at its ends; a text layer has a size."""
    x0, y0, x1, y1 = line.box
    margin = min(_OCR_MARGIN * (y1 - y0), 0.2 * (x1 - x0))
    return line if line.size else replace(line, box=(x0 + margin, y0, x1 - margin, y1))


def with_currency(lines: Sequence[TextLine]) -> list[TextLine]:
    """Lines with a lone currency sign joined to the amount that it stands before."""
    signs = [line for line in lines if line.text.strip() in _CURRENCY]
    rest = [line for line in lines if line.text.strip() not in _CURRENCY]
    for sign in signs:
        y = (sign.box[1] + sign.box[3]) / 2
        right = [
            index
            for index, line in enumerate(rest)
            if line.box[1] <= y <= line.box[3] and line.box[0] >= sign.box[2] - 1
        ]
        if not right:
            rest.append(sign)
            continue
        nearest = min(right, key=lambda index: rest[index].box[0])
        line = rest[nearest]
        text, box = f"{sign.text.strip()} {line.text}", around((sign.box, line.box))
        rest[nearest] = replace(line, text=text, box=box)
    return rest


def _rows(lines: Sequence[TextLine], height: float) -> list[_Row]:
    rows: list[_Row] = []
    for line in sorted(lines, key=lambda line: line.box[1] + line.box[3]):
        centre = (line.box[1] + line.box[3]) / 2
        if rows and centre - rows[-1].centre <= _SAME_ROW * height:
            rows[-1].lines.append(line)
        else:
            rows.append(_Row([line]))
    return rows


def _first_full(rows: Sequence[_Row], columns: Sequence[Span]) -> int:
    """The first row that is no heading."""
    least = FULL_ROW * len(columns)
    return next((i for i, row in enumerate(rows) if len(row.lines) >= least), 0)


def _grown(columns: Sequence[Span], rows: Sequence[_Row]) -> list[Span]:
    """Columns as wide as what stands in them alone, in rows below the headings."""
    grown = list(columns)
    for line in (line for row in rows for line in row.lines):
        start, end = _span(line, columns)
        if start == end:
            a, b = grown[start]
            grown[start] = min(a, line.box[0]), max(b, line.box[2])
    return grown


def _span(line: TextLine, columns: Sequence[Span]) -> tuple[int, int]:
    """First and last column that a line stands in."""
    overlaps = [min(line.box[2], b) - max(line.box[0], a) for a, b in columns]
    least = 0.2 * min(line.box[2] - line.box[0], line.box[3] - line.box[1])
    under = [index for index, overlap in enumerate(overlaps) if overlap > least]
    if not under:
        under = [max(range(len(columns)), key=overlaps.__getitem__)]
    return under[0], under[-1]


def _anchors(rows: Sequence[_Row]) -> list[_Row]:
    """Rows that are rows of the table; the others hold lines that stand between two of them, or
    further lines of a cell."""
    near = _NEAR * _pitch(rows)
    anchors = []
    for index, row in enumerate(rows):
        beside = [
            other
            for other in rows[max(0, index - 1) : index + 2]
            if other is not row and abs(other.centre - row.centre) < near
        ]
        if not any(
            len(other.columns) > len(row.columns) and not (other.columns & row.columns)
            for other in beside
        ):
            anchors.append(row)
    return _without_wrapped(anchors)


def _pitch(rows: Sequence[_Row]) -> float:
    """The usual distance between full rows."""
    fullest = max(len(row.columns) for row in rows)
    full = [row.centre for row in rows if len(row.columns) >= FULL_ROW * fullest]
    steps = [b - a for a, b in pairwise(full)]
    return median(steps) if steps else 0.0


def _without_wrapped(rows: Sequence[_Row]) -> list[_Row]:
    """Rows without those that only go on with cells of the row above."""
    gaps = [b.box[1] - a.box[3] for a, b in pairwise(rows)]
    if len(gaps) < 2:
        return list(rows)
    usual = median(gaps)
    kept = [rows[0]]
    for gap, row in zip(gaps, rows[1:], strict=True):
        above = kept[-1]
        close = gap < 0.5 * usual or gap < usual - 0.35 * (row.box[3] - row.box[1])
        if close and row.columns < above.columns and 0 not in row.columns:
            continue
        kept.append(row)
    return kept


def _grid(
    anchors: Sequence[_Row], rows: Sequence[_Row], columns: Sequence[Span], rules: Sequence[Box]
) -> Grid:
    centres = [row.centre for row in anchors]
    held: dict[_Place, list[TextLine]] = {}
    for number, row in enumerate(anchors):
        for (first, last), lines in row.cells.items():
            held.setdefault((number, number, first, last), []).extend(lines)
    for row in rows:
        if not any(row is anchor for anchor in anchors):
            for (first, last), lines in row.cells.items():
                _place_between(held, centres, row.centre, (first, last), lines)
    spans = _widened(held, columns, rules, anchors)
    return Grid(_borders(columns), _row_borders(anchors), tuple(_cells(spans, anchors, columns)))


def _place_between(
    held: dict[_Place, list[TextLine]],
    centres: Sequence[float],
    centre: float,
    span: Span | tuple[int, int],
    lines: list[TextLine],
) -> None:
    """A line off the rows: over two of them where both are empty there, else more of one cell."""
    first, last = int(span[0]), int(span[1])
    below = sum(c < centre for c in centres)
    busy = {key for key in held if key[2] <= last and key[3] >= first}
    rows_busy = {row for key in busy for row in range(key[0], key[1] + 1)}
    if 0 < below < len(centres) and not rows_busy & {below - 1, below}:
        held[(below - 1, below, first, last)] = list(lines)
        return
    nearest = min(range(len(centres)), key=lambda i: abs(centres[i] - centre))
    target = next((key for key in busy if key[0] <= nearest <= key[1]), None)
    held.setdefault(target or (nearest, nearest, first, last), []).extend(lines)


def _widened(
    held: Mapping[_Place, list[TextLine]],
    columns: Sequence[Span],
    rules: Sequence[Box],
    anchors: Sequence[_Row],
) -> dict[_Place, list[TextLine]]:
    """Cells with headings of columns widened to all the columns that they are a heading of."""
    first_full = next((i for i, row in enumerate(anchors) if _is_full(row, columns)), 0)
    wide: dict[_Place, list[TextLine]] = {}
    for row in range(first_full):
        labels = [place for place in held if place[0] == place[1] == row]
        others = (p for p in held if p[0] <= row <= p[1] and p not in labels)
        taken = {column for p in others for column in range(p[2], p[3] + 1)}
        boxes = {place: around(line.box for line in held[place]) for place in labels}
        spans = heading_spans(boxes, columns, taken, rules)
        wide |= {(row, row, *spans[place]): held[place] for place in labels}
    rest = {p: lines for p, lines in held.items() if not (p[0] == p[1] < first_full)}
    return wide | rest


def _is_full(row: _Row, columns: Sequence[Span]) -> bool:
    return len(row.cells) >= FULL_ROW * len(columns)


def heading_spans(
    labels: Mapping[_Place, Box], columns: Sequence[Span], taken: set[int], rules: Sequence[Box]
) -> dict[_Place, tuple[int, int]]:
    """First and last column of each heading of one row.

    By a line drawn under it, else so that every heading stands in the middle of its columns.
    """
    ruled = {place: _under_rule(box, columns, rules) for place, box in labels.items()}
    shared = Counter(ruled.values())  # a line under several headings is no one's own
    spans = {
        place: span if span and shared[span] == 1 else (place[2], place[3])
        for place, span in ruled.items()
    }
    if any(span != place[2:] for place, span in spans.items()) or len(labels) > _MOST_HEADINGS:
        return spans
    free = [column for column in range(len(columns)) if column not in taken]
    in_order = sorted(labels, key=lambda place: labels[place][0])
    found = _shared_out([labels[place] for place in in_order], free, columns)
    return dict(zip(in_order, found, strict=True)) if found else spans


def _shared_out(
    labels: Sequence[Box], free: Sequence[int], columns: Sequence[Span]
) -> list[tuple[int, int]]:
    """Neighbouring columns for each label so that all stand nearest to the middle; [] where
    one does not."""
    best: dict[tuple[int, int], tuple[float, list[tuple[int, int]]]] = {}

    def cheapest(label: int, start: int) -> tuple[float, list[tuple[int, int]]]:
        if label == len(labels):
            return _SKIP_COST * (len(free) - start), []
        if (label, start) in best:
            return best[label, start]
        answer: tuple[float, list[tuple[int, int]]] = (float("inf"), [])
        for i in range(start, len(free)):
            for j in range(i, len(free)):
                if free[j] - free[i] != j - i:
                    break
                off = _off_centre(labels[label], (free[i], free[j]), columns)
                if off is None:
                    continue
                cost, rest = cheapest(label + 1, j + 1)
                cost += off + _SKIP_COST * (i - start)
                if cost < answer[0]:
                    answer = cost, [(free[i], free[j]), *rest]
        best[label, start] = answer
        return answer

    return cheapest(0, 0)[1]


def _off_centre(label: Box, span: tuple[int, int], columns: Sequence[Span]) -> float | None:
    """How far a label stands from the middle of columns; None where it is not over them."""
    left, right = columns[span[0]][0], columns[span[1]][1]
    off = abs((label[0] + label[2] - left - right) / 2)
    if span[0] == span[1]:  # a single column may be set to its left or right
        off = min(off, abs(label[0] - left), abs(label[2] - right))
    return off if off <= max(_OFF_CENTRE, 0.08 * (right - left)) else None


def _under_rule(box: Box, columns: Sequence[Span], rules: Sequence[Box]) -> tuple[int, int] | None:
    """The columns over a line that is drawn right under a heading, wider than it and not whole."""
    height = box[3] - box[1]
    for x0, y0, x1, _ in rules:
        near = -0.3 * height <= y0 - box[3] <= 0.8 * height
        if not near or x0 > box[0] + 1 or x1 < box[2] - 1:
            continue
        under = [i for i, (a, b) in enumerate(columns) if x0 - 2 <= (a + b) / 2 <= x1 + 2]
        if 1 < len(under) < len(columns):
            return under[0], under[-1]
    return None


def _cells(
    held: dict[_Place, list[TextLine]],
    anchors: Sequence[_Row],
    columns: Sequence[Span],
) -> list[Cell]:
    taken: set[tuple[int, int]] = set()
    cells: list[Cell] = []
    for (top, bottom, first, last), lines in sorted(held.items(), key=lambda item: item[0]):
        places = {(r, c) for r in range(top, bottom + 1) for c in range(first, last + 1)}
        if places & taken:  # what is crowded stands in its first free place
            free = sorted(places - taken)
            places = {free[0]} if free else set()
            if not places:
                _append(cells, (top, first), in_order(lines))
                continue
            (top, first), bottom, last = free[0], free[0][0], free[0][1]
        taken |= places
        cells.append(Cell(top, first, bottom - top + 1, last - first + 1, in_order(lines)))
    empty = (
        Cell(row, column)
        for row in range(len(anchors))
        for column in range(len(columns))
        if (row, column) not in taken
    )
    return [*cells, *empty]


def _append(cells: list[Cell], place: tuple[int, int], text: str) -> None:
    """More text for the cell that covers a place."""
    for index, cell in enumerate(cells):
        rows = range(cell.row, cell.row + cell.rows)
        if place[0] in rows and place[1] in range(cell.column, cell.column + cell.columns):
            cells[index] = replace(cell, text=f"{cell.text} {text}".strip())
            return


def _borders(columns: Sequence[Span]) -> tuple[float, ...]:
    between = [(a[1] + b[0]) / 2 for a, b in pairwise(columns)]
    return (columns[0][0], *between, columns[-1][1])


def _row_borders(rows: Sequence[_Row]) -> tuple[float, ...]:
    between = [(a.centre + b.centre) / 2 for a, b in pairwise(rows)]
    return (rows[0].box[1], *between, rows[-1].box[3])
