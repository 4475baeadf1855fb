"""Lines of one block: their order, and their text. Pure."""

import unicodedata
from collections.abc import Sequence
from typing import Final

from ocrplus_ocr.engine import TextLine
from ocrplus_ocr.markdown.joining import is_cjk, joined

_SAME_ROW: Final = 0.5  # share of the lower line's height
_STANDING: Final = 1.8  # times as high as wide
_GUTTER: Final = 1.2  # line heights between two columns
_LEAST_ROWS: Final = 3


def rows_of(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """Lines by rows from top to bottom, each row from left to right."""
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda line: (line.box[1] + line.box[3], line.box[0])):
        if rows and _in_row(line, rows[-1]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [as_read(row) for row in rows]


def as_read(row: Sequence[TextLine]) -> list[TextLine]:
    """The lines of one row from left to right, or from right to left in Hebrew and Arabic."""
    backwards = 2 * sum(is_right_to_left(line.text) for line in row) > len(row)
    return sorted(row, key=lambda line: line.box[0], reverse=backwards)


def is_right_to_left(text: str) -> bool:
    """Whether the first letter of a text is written from right to left."""
    first = next((c for c in text if unicodedata.bidirectional(c) in ("L", "R", "AL")), "")
    return bool(first) and unicodedata.bidirectional(first) != "L"


def _in_row(line: TextLine, row: Sequence[TextLine]) -> bool:
    other = row[-1].box
    overlap = min(line.box[3], other[3]) - max(line.box[1], other[1])
    lower = min(line.box[3] - line.box[1], other[3] - other[1])
    return overlap > _SAME_ROW * lower


def in_reading_order(lines: Sequence[TextLine]) -> list[TextLine]:
    """Lines as one reads them: columns apart, vertical writing from right to left."""
    if not lines:
        return []
    if is_vertical(lines):
        return sorted(lines, key=lambda line: (-line.box[2], line.box[1]))
    left, right = _columns(lines)
    if right:
        return in_reading_order(left) + in_reading_order(right)
    return [line for row in rows_of(lines) for line in row]


def is_vertical(lines: Sequence[TextLine]) -> bool:
    """Whether lines of Chinese or Japanese run from top to bottom."""
    standing = [
        line
        for line in lines
        if line.box[3] - line.box[1] > _STANDING * (line.box[2] - line.box[0])
        and len(line.text) > 1
        and is_cjk(line.text[0])
    ]
    return 2 * len(standing) > len(lines)


def _columns(lines: Sequence[TextLine]) -> tuple[list[TextLine], list[TextLine]]:
    """Lines left and right of a gap that no line crosses; the second is empty where none is."""
    height = sum(line.box[3] - line.box[1] for line in lines) / len(lines)
    by_left = sorted(lines, key=lambda line: line.box[0])
    reach = by_left[0].box[2]
    for index, line in enumerate(by_left[1:], start=1):
        if line.box[0] - reach > _GUTTER * height:
            left, right = list(by_left[:index]), list(by_left[index:])
            if min(len(rows_of(left)), len(rows_of(right))) >= _LEAST_ROWS:
                return left, right
        reach = max(reach, line.box[2])
    return list(lines), []


def text_of(lines: Sequence[TextLine]) -> str:
    """The text of lines that are in reading order."""
    return joined(line.text.strip() for line in lines)
