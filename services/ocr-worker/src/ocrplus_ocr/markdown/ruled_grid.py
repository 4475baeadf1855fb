"""Tables from drawn lines: where they cross are the cells, where one is missing a cell spans. Pure.

A grid of lines says more than any model: measured on made documents its spans are exact, and
empty cells stay.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ocrplus_ocr.engine import Box
from ocrplus_ocr.markdown.grid import Cell, Grid

_SAME: Final = 3.0  # points between lines that are one border
_COVERED: Final = 0.55  # share of a cell's side that a line must cover to part
_LEAST_SIDE: Final = 6.5  # no row of text is lower
_LEAST_REACH: Final = 0.08
_MOST_CELLS: Final = 6000
_MOST_RULES: Final = 1200
_SURELY_DRAWN: Final = 0.4
_MEETS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Border:
    """A straight border: where it lies, and the stretches that are drawn."""

    at: float
    spans: tuple[tuple[float, float], ...]

    @property
    def length(self) -> float:
        """How much of it is drawn."""
        return sum(b - a for a, b in self.spans)

    def covers(self, start: float, end: float) -> bool:
        """Whether most of a stretch is drawn."""
        drawn = sum(max(0.0, min(end, b) - max(start, a)) for a, b in self.spans)
        return drawn >= _COVERED * (end - start)


def ruled_grid(rules: Iterable[Box], words: Sequence[Box] = ()) -> Grid | None:
    """The grid that lines make; None where they part nothing.

    `words` are the boxes of the page's lines of text: a side without a border is closed where
    words stand beyond the last one.
    """
    across, down = borders(rules)
    if len(across) < 2 or len(down) < 2:
        return None
    across, down = _long_ones(across, _anchored(down, across))
    if len(across) < 2 or len(down) < 2:
        return None
    across, down = _closed(across, down, words)
    xs, ys = [b.at for b in down], [b.at for b in across]
    if (len(xs) - 1) * (len(ys) - 1) > _MOST_CELLS:
        return None
    return Grid(tuple(xs), tuple(ys), tuple(_cells(across, down)))


def _anchored(down: Sequence[Border], across: Sequence[Border]) -> list[Border]:
    """Vertical borders without short strokes that end at no horizontal one: those are writing."""
    top, bottom = _reach(down)
    ends = [border.at for border in across]

    def sound(span: tuple[float, float]) -> bool:
        if span[1] - span[0] >= _SURELY_DRAWN * (bottom - top):
            return True
        return all(any(abs(y - end) <= _MEETS for y in ends) for end in span)

    kept = (Border(b.at, tuple(filter(sound, b.spans))) for b in down)
    return [border for border in kept if border.spans]


def _long_ones(
    across: Sequence[Border], down: Sequence[Border]
) -> tuple[list[Border], list[Border]]:
    """Borders that reach over a fair part of the table; nearer ones than a line of text are one."""
    left, right = _reach(across)
    top, bottom = _reach(down)
    rows = [b for b in across if b.length >= _LEAST_REACH * (right - left)]
    columns = [b for b in down if b.length >= _LEAST_REACH * (bottom - top)]
    return _apart(rows), _apart(columns)


def _apart(lines: Sequence[Border]) -> list[Border]:
    kept: list[Border] = []
    for line in lines:
        if kept and line.at - kept[-1].at < _LEAST_SIDE:
            kept[-1] = max(kept[-1], line, key=lambda b: b.length)
        else:
            kept.append(line)
    return kept


def borders(rules: Iterable[Box]) -> tuple[list[Border], list[Border]]:
    """Horizontal and vertical borders in order, lines in one place taken together."""
    flat: list[tuple[float, float, float]] = []
    steep: list[tuple[float, float, float]] = []
    for x0, y0, x1, y1 in rules:
        if x1 - x0 >= y1 - y0:
            flat.append(((y0 + y1) / 2, x0, x1))
        else:
            steep.append(((x0 + x1) / 2, y0, y1))
    return _together(flat), _together(steep)


def _together(lines: Sequence[tuple[float, float, float]]) -> list[Border]:
    found: list[Border] = []
    group: list[tuple[float, float, float]] = []
    for line in sorted(lines):
        if group and line[0] - group[-1][0] > _SAME:
            found.append(_border(group))
            group = []
        group.append(line)
    if group:
        found.append(_border(group))
    return found


def _border(group: Sequence[tuple[float, float, float]]) -> Border:
    lengths = sum(b - a for _, a, b in group) or 1.0
    at = sum(place * (b - a) for place, a, b in group) / lengths if lengths else group[0][0]
    merged: list[tuple[float, float]] = []
    for _, start, end in sorted(group, key=lambda line: line[1]):
        if merged and start <= merged[-1][1] + _SAME:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return Border(at, tuple(merged))


def _closed(
    across: Sequence[Border], down: Sequence[Border], words: Sequence[Box]
) -> tuple[list[Border], list[Border]]:
    """Borders with the outer ones that are not drawn: many tables are open at the sides."""
    left, right = _usual_reach(across)
    top, bottom = _usual_reach(down)
    middles = [((a + c) / 2, (b + d) / 2) for a, b, c, d in words]
    beside = [x for x, y in middles if top < y < bottom and left < x < right]
    above = [y for x, y in middles if top < y < bottom and left < x < right]
    columns, rows = list(down), list(across)
    if any(x < columns[0].at for x in beside):
        columns.insert(0, Border(left, ((top, bottom),)))
    if any(x > columns[-1].at for x in beside):
        columns.append(Border(right, ((top, bottom),)))
    if any(y < rows[0].at for y in above):
        rows.insert(0, Border(top, ((left, right),)))
    if any(y > rows[-1].at for y in above):
        rows.append(Border(bottom, ((left, right),)))
    return rows, columns


def _usual_reach(lines: Sequence[Border]) -> tuple[float, float]:
    """How far most of the lines reach."""
    starts = sorted(border.spans[0][0] for border in lines)
    ends = sorted(border.spans[-1][1] for border in lines)
    return starts[len(starts) // 3], ends[-1 - len(ends) // 3]


def _reach(lines: Sequence[Border]) -> tuple[float, float]:
    starts = [span[0] for line in lines for span in line.spans]
    ends = [span[1] for line in lines for span in line.spans]
    return min(starts), max(ends)


def _cells(across: Sequence[Border], down: Sequence[Border]) -> list[Cell]:
    """Cells: neighbours without a line between them are one, as long as that is a rectangle."""
    rows, columns = len(across) - 1, len(down) - 1
    taken = [[False] * columns for _ in range(rows)]
    cells = []
    for row in range(rows):
        for column in range(columns):
            if taken[row][column]:
                continue
            width = _width(across, down, row, column, taken)
            height = _height(across, down, row, column, width)
            for y in range(row, row + height):
                for x in range(column, column + width):
                    taken[y][x] = True
            cells.append(Cell(row, column, height, width))
    return cells


def _width(
    across: Sequence[Border],
    down: Sequence[Border],
    row: int,
    column: int,
    taken: Sequence[Sequence[bool]],
) -> int:
    width = 1
    top, bottom = across[row].at, across[row + 1].at
    while (
        column + width < len(down) - 1
        and not taken[row][column + width]
        and not down[column + width].covers(top, bottom)
    ):
        width += 1
    return width


def _height(
    across: Sequence[Border], down: Sequence[Border], row: int, column: int, width: int
) -> int:
    height = 1
    while row + height < len(across) - 1:
        border = across[row + height]
        sides = range(column, column + width)
        if any(border.covers(down[x].at, down[x + 1].at) for x in sides):
            break
        top, bottom = across[row + height].at, across[row + height + 1].at
        if any(down[x].covers(top, bottom) for x in list(sides)[1:]):
            break
        height += 1
    return height


def connected(drawn: Sequence[Box]) -> list[list[Box]]:
    """Groups of lines that touch or cross each other: each may be a table."""
    rules = _whole(drawn)
    if len(rules) > _MOST_RULES:
        return []
    parents = list(range(len(rules)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    order = sorted(range(len(rules)), key=lambda i: rules[i][1])
    for place, i in enumerate(order):
        for j in order[place + 1 :]:
            if rules[j][1] > rules[i][3] + _SAME:
                break
            if _touch(rules[i], rules[j]):
                parents[root(i)] = root(j)
    groups: dict[int, list[Box]] = {}
    for index, rule in enumerate(rules):
        groups.setdefault(root(index), []).append(rule)
    return list(groups.values())


def _whole(rules: Sequence[Box]) -> list[Box]:
    """Lines that were drawn piece by piece, one per cell's side, as one each."""
    flat = [rule for rule in rules if rule[2] - rule[0] >= rule[3] - rule[1]]
    steep = [rule for rule in rules if rule[2] - rule[0] < rule[3] - rule[1]]
    whole: list[Box] = []
    for x0, y0, x1, y1 in sorted(flat, key=lambda r: (round(r[1]), r[0])):
        last = whole[-1] if whole else None
        if last is not None and abs(last[1] - y0) <= 1 and x0 <= last[2] + 1:
            whole[-1] = (last[0], min(last[1], y0), max(last[2], x1), max(last[3], y1))
        else:
            whole.append((x0, y0, x1, y1))
    columns: list[Box] = []
    for x0, y0, x1, y1 in sorted(steep, key=lambda r: (round(r[0]), r[1])):
        last = columns[-1] if columns else None
        if last is not None and abs(last[0] - x0) <= 1 and y0 <= last[3] + 1:
            columns[-1] = (min(last[0], x0), last[1], max(last[2], x1), max(last[3], y1))
        else:
            columns.append((x0, y0, x1, y1))
    return whole + columns


def _touch(a: Box, b: Box) -> bool:
    return (
        min(a[2], b[2]) - max(a[0], b[0]) >= -_SAME and min(a[3], b[3]) - max(a[1], b[1]) >= -_SAME
    )
