"""Lines of a block as rows of text: what stands at one height belongs together. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Final

from ocrplus_ocr.engine import Box, TextLine
from ocrplus_ocr.markdown.geometry import across, around
from ocrplus_ocr.markdown.joining import is_cjk, joined
from ocrplus_ocr.markdown.lines import as_read

_SAME_ROW: Final = 0.5  # share of the lower line's height that two lines of a row have in common
_OCR_MARGIN: Final = 0.3  # of the line height, both ends together
_LEAST_TO_MEASURE: Final = 8  # characters
_NARROW: Final = frozenset(".,:;'!|ijlI()[]")
_INITIAL: Final = 1.4  # line heights
_COLUMN_GAP: Final = 1.5  # line heights
_OTHER_SIZE: Final = 0.15
_MOST_BESIDE: Final = 50  # lines of a row that the next one is held against
_BESIDE: Final = 0.3  # how much of a line may lie over another one beside it
BOLD: Final = 600


@dataclass(frozen=True)
class Row:
    """Lines that stand beside each other, from left to right."""

    lines: tuple[TextLine, ...]

    @cached_property
    def text(self) -> str:
        return joined(line.text.strip() for line in self.lines)

    @cached_property
    def box(self) -> Box:
        return around(line.box for line in self.lines)

    @cached_property
    def height(self) -> float:
        """Of the longest line: a mark beside it may be of any size."""
        longest = max(self.lines, key=lambda line: len(line.text))
        return longest.box[3] - longest.box[1]

    @cached_property
    def size(self) -> float:
        """The font size of most of the row; in a scan what its characters' widths make of it:
        the height of a line grows with the skew of the scan and varies with the letters."""
        longest = max(self.lines, key=lambda line: len(line.text))
        return longest.size or min(longest.box[3] - longest.box[1], _size_by_width(longest))

    @cached_property
    def size_by_width(self) -> float:
        """The font size; in a scan by the width alone, where the row is long enough: a line
        without letters that reach below it is a quarter lower, and as wide."""
        longest = max(self.lines, key=lambda line: len(line.text))
        long = len(longest.text) >= _LEAST_TO_MEASURE
        return _size_by_width(longest) if long and not longest.size else self.size

    @property
    def is_scanned(self) -> bool:
        return not any(line.size for line in self.lines)

    @property
    def bold(self) -> bool:
        return all(line.weight >= BOLD for line in self.lines)

    @property
    def turned(self) -> bool:
        """Whether it stands away from the page's own writing."""
        return any(line.turn for line in self.lines)

    @property
    def mono(self) -> bool:
        """Whether most of it is in a fixed pitch: a line number before code may not be."""
        return max(self.lines, key=lambda line: len(line.text)).mono


def _size_by_width(line: TextLine) -> float:
    """About the font size of a scan's line, by how wide its characters are; its height where it
    has none."""
    ems = sum(map(_em, line.text))
    height = line.box[3] - line.box[1]
    width = line.box[2] - line.box[0] - _OCR_MARGIN * height
    return max(0.0, width) / ems if ems else height


def _em(character: str) -> float:
    """About how wide a character is, in font sizes."""
    if is_cjk(character):
        return 1.0
    if character.isspace() or character in _NARROW:
        return 0.27
    return 0.66 if character.isupper() else 0.5


def rows(lines: Iterable[TextLine]) -> list[Row]:
    """The rows of one column's lines, from top to bottom."""
    grouped: list[list[TextLine]] = []
    whole = list(lines)
    usual = median(line.box[3] - line.box[1] for line in whole) if whole else 0.0

    def middle(line: TextLine) -> float:
        """Of a line with a large initial, the middle of its first row."""
        return line.box[1] + min(line.box[3] - line.box[1], _INITIAL * usual) / 2

    for line in sorted(whole, key=middle):
        if grouped and _beside(grouped[-1][-_MOST_BESIDE:], line):
            grouped[-1].append(line)
        else:
            grouped.append([line])
    return [Row(tuple(as_read(group))) for group in grouped]


def _beside(group: Sequence[TextLine], line: TextLine) -> bool:
    """Whether a line stands at the height of others, to the left or right of them."""
    box = around(other.box for other in group)
    overlap = min(box[3], line.box[3]) - max(box[1], line.box[1])
    if overlap <= _SAME_ROW * min(box[3] - box[1], line.box[3] - line.box[1]):
        return False
    if any(across(other.box, line.box) >= _BESIDE for other in group):
        return False
    nearest = min(group, key=lambda other: _gap(other, line))
    return _gap(nearest, line) < _COLUMN_GAP * (box[3] - box[1]) or _alike(nearest, line)


def _gap(one: TextLine, other: TextLine) -> float:
    return max(one.box[0] - other.box[2], other.box[0] - one.box[2])


def _alike(one: TextLine, other: TextLine) -> bool:
    """Whether two lines are set alike: far apart, others stand in different columns."""
    same_size = abs(one.size - other.size) <= _OTHER_SIZE * max(one.size, other.size)
    return same_size and (one.weight >= BOLD) == (other.weight >= BOLD)
