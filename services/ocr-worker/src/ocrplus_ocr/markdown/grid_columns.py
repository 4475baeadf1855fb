"""The columns of a table without borders, from its rows of lines. Pure.

Columns are where the full rows leave a gap. In a scan a line may be read over two cells, and its
box may reach into the next: what few rows have says nothing of the columns.
"""

from collections.abc import Sequence
from typing import Final

from ocrplus_ocr.engine import TextLine

FULL_ROW: Final = 0.6
"""Share of the fullest row's cells that a full one has."""

_COLUMN_GAP: Final = 0.25  # of the line height
_ONE_IN: Final = 5  # full rows may have a line that reaches over two columns

Span = tuple[float, float]


def columns_of(rows: Sequence[Sequence[TextLine]], height: float) -> list[Span]:
    """Stretches that the full rows cover; then what stands beside all of them."""
    fullest = max(len(row) for row in rows)
    full = [row for row in rows if len(row) >= max(2, FULL_ROW * fullest)]
    common = _covered([line for row in full for line in row], len(full) // _ONE_IN)
    columns = _merged(common, _COLUMN_GAP * height)
    first = rows.index(full[0]) if full else 0  # above it stand headings, between columns too
    aside = [
        line
        for row in rows[first:]
        for line in row
        if not any(min(line.box[2], b) > max(line.box[0], a) for a, b in columns)
    ]
    beside = [(line.box[0], line.box[2]) for line in aside]
    return sorted(columns + _merged(beside, _COLUMN_GAP * height))


def _covered(lines: Sequence[TextLine], few: int) -> list[Span]:
    """Stretches that more than a few lines cover: in a scan one may reach over two columns."""
    if not few or any(line.size for line in lines):
        return [(line.box[0], line.box[2]) for line in lines]
    ends = sorted(
        [(x, step) for line in lines for x, step in ((line.box[0], 1), (line.box[2], -1))]
    )
    spans: list[Span] = []
    depth, start = 0, 0.0
    for x, step in ends:
        if depth == few and step > 0:
            start = x
        elif depth == few + 1 and step < 0:
            spans.append((start, x))
        depth += step
    return spans


def _merged(stretches: Sequence[Span], least_gap: float) -> list[Span]:
    spans: list[Span] = []
    for start, end in sorted(stretches):
        if spans and start - spans[-1][1] < least_gap:
            spans[-1] = spans[-1][0], max(spans[-1][1], end)
        else:
            spans.append((start, end))
    return spans
