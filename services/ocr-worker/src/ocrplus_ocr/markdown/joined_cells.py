"""Lines that text detection drew over two cells of a table without borders, parted again. Pure.

A name and the amount after it may stand so close in one row that they are read as one line, and
boxes of lines in a scan reach into their neighbours. The columns are those of the other rows.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import TextLine
from ocrplus_ocr.markdown.grid import parts_words
from ocrplus_ocr.markdown.grid_columns import Span

_LONGEST: Final = 120
_FAR: Final = 0.3  # of the text
_AMOUNT: Final = re.compile(r"[-–—−(+$€£¥]{0,2}\d[\d.,]{0,20}[%)年]{0,2}|[-–—]")


def at_columns(line: TextLine, columns: Sequence[Span]) -> list[TextLine]:
    """A scan's line in its columns: one that reaches into several is parted before an amount; a
    word that cannot be parted stands in the column that holds most of it."""
    if line.size:
        return [line]
    x0, y0, x1, y1 = line.box
    under = [(a, b) for a, b in columns if min(x1, b) - max(x0, a) > 0.2 * min(x1 - x0, y1 - y0)]
    if len(under) < 2:
        return [line]
    (_, left), (right, _) = under[0], under[1]
    border = (left + right) / 2
    text = line.text.strip()
    if _AMOUNT.fullmatch(text):
        a, b = max(under, key=lambda span: min(x1, span[1]) - max(x0, span[0]))
        return [replace(line, box=(max(x0, a), y0, min(x1, b), y1))]
    at = _before_amount(text, (border - x0) / (x1 - x0) * len(text))
    if at is None:
        return [line]
    first = replace(line, text=text[:at].strip(), box=(x0, y0, min(border, x1), y1))
    rest = replace(line, text=text[at:].strip(), box=(max(border, x0), y0, x1, y1))
    return [first, *at_columns(rest, columns)]


def _before_amount(text: str, near: float) -> int | None:
    """The place before an amount that is about as far in a text."""
    places = (
        at
        for at in range(1, min(len(text), _LONGEST))
        if parts_words(text, at) and _AMOUNT.match(text[at:].lstrip())
    )
    best = min(places, key=lambda at: abs(at - near), default=None)
    return best if best is not None and abs(best - near) <= _FAR * len(text) else None
