"""What stands beside a block's rows: bullets that are drawn, and how wide its column is. Pure.

Browsers and slide programs draw a list's bullets as shapes, which no text layer has; and a block
of short lines does not tell by itself that each of them ends early.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind, Box
from ocrplus_ocr.engine.labels import FURNITURE
from ocrplus_ocr.markdown.joining import is_cjk
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.rows import Row

_LEAST_BULLET: Final = 0.12  # of the font size
_MOST_BULLET: Final = 0.8
_ROUND: Final = 1.6  # times as wide as high, or the reverse
_BEFORE: Final = 2.0  # font sizes between a bullet and its text
_LEVEL: Final = 0.35
_SAME_SIZE: Final = 0.12
_EARLY: Final = 0.3  # of the column that is left over
_LEAST_ROWS: Final = 2
_MOST_BESIDE: Final = 500  # blocks; the work grows by the square
_TEXT: Final = frozenset({BlockKind.TEXT, BlockKind.LIST, BlockKind.REFERENCE})


@dataclass(frozen=True, slots=True)
class Measure:
    """What the rows of a block are held against: the right side of its column where it is known
    to be free, and the shapes that may be bullets."""

    right: float | None = None
    shapes: tuple[Box, ...] = ()

    def has_bullet(self, row: Row) -> bool:
        """Whether a small shape stands where a bullet does."""
        size, middle = row.size, (row.box[1] + row.box[3]) / 2
        return any(
            0 <= row.box[0] - x1 <= _BEFORE * size
            and abs((y0 + y1) / 2 - middle) <= _LEVEL * size
            and _LEAST_BULLET * size <= x1 - x0 <= _MOST_BULLET * size
            and 1 / _ROUND <= (x1 - x0) / max(y1 - y0, 1e-6) <= _ROUND
            for x0, y0, x1, y1 in self.shapes
        )

    def ends_early(self, found: Sequence[Row], above: Row, row: Row) -> bool:
        """Whether a row ends long before its column, and not only because the block is narrow,
        and the next begins as a sentence, a name or an item does."""
        if self.right is None:
            return False
        left, own = min(r.box[0] for r in found), max(r.box[2] for r in found)
        spare = self.right - above.box[2]
        if spare <= max(_EARLY * (self.right - left), 2 * row.size):
            return False
        first = row.text[:1]
        if above.box[2] < own - above.size and (is_cjk(first) or _begins(first)):
            return True
        named = sum(_begins(r.text[:1]) for r in found)
        return _begins(first) and len(found) >= _LEAST_ROWS and named == len(found)


def _begins(character: str) -> bool:
    return character.isupper() or character.isdigit()


def measure_of(block: Block, page: Page, found: Sequence[Row]) -> Measure:
    """The measure of a block with these rows."""
    if not found:
        return Measure()
    size = found[0].size
    _, y0, _, y1 = block.box
    shapes = tuple(
        shape
        for shape in page.drawings
        if shape[2] - shape[0] <= size and y0 - size <= shape[1] and shape[3] <= y1 + size
    )
    return Measure(_free_right(block, page, size), shapes)


def _free_right(block: Block, page: Page, size: float) -> float | None:
    """Where the lines of the column around a block end; None where something stands between."""
    if len(page.blocks) > _MOST_BESIDE:
        return None
    x0, y0, x1, y1 = block.box
    holding = [
        other.box[2]
        for other in page.blocks
        if other is not block
        and other.kind in _TEXT
        and other.lines
        and other.box[0] <= x0 + size
        and other.box[2] > x1
        and abs(_size(other) - size) <= _SAME_SIZE * size
    ]
    if not holding:
        return None
    right = max(holding)
    beside = any(
        other is not block
        and other.kind not in FURNITURE
        and other.box[2] > x1 + size
        and other.box[0] > x1 - size
        and min(other.box[3], y1) > max(other.box[1], y0)
        for other in page.blocks
    )
    return None if beside else right


def _size(block: Block) -> float:
    line = max(block.lines, key=lambda line: len(line.text))
    return Row((line,)).size
