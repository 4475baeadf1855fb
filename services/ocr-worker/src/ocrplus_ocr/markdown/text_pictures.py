"""Whether what the layout model takes for a picture is in truth text to be read. Pure."""

from collections.abc import Sequence
from typing import Final

from ocrplus_ocr.engine import Block, Box, TextLine
from ocrplus_ocr.engine.labels import PICTURES
from ocrplus_ocr.markdown.geometry import area, holds
from ocrplus_ocr.markdown.page import Page

_PAGE_SIZED: Final = 0.5
_LEAST_LINES: Final = 4
_PROSE_LINES: Final = 5
_LONG: Final = 0.6  # of the picture's width
_MOSTLY: Final = 0.6


def is_text(block: Block, page: Page) -> bool:
    """Whether a picture claims text that it should not: its lines are the page's own."""
    return block.kind in PICTURES and holds_text(block.box, page)


def holds_text(box: Box, page: Page) -> bool:
    """Whether a region is as large as the page and has lines to read, or is full of prose."""
    lines = [line for line in page.lines if holds(box, line.box)]
    if len(lines) < _LEAST_LINES:
        return False
    if area(box) >= _PAGE_SIZED * page.size[0] * page.size[1]:
        return True
    return _is_prose(lines, box)


def _is_prose(lines: Sequence[TextLine], box: Box) -> bool:
    """Whether most lines are long and fill the region: labels of a chart are short and few."""
    long = [line for line in lines if line.box[2] - line.box[0] > _LONG * (box[2] - box[0])]
    return len(long) >= _PROSE_LINES and len(long) >= _MOSTLY * len(lines)
