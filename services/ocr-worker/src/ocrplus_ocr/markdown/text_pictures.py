"""Whether what the layout model takes for a picture is in truth text to be read. Pure."""

from typing import Final

from ocrplus_ocr.engine import BlockKind, Box
from ocrplus_ocr.engine.labels import PICTURES
from ocrplus_ocr.markdown.geometry import area, holds
from ocrplus_ocr.markdown.page import Page

_PAGE_SIZED: Final = 0.5
_LEAST_LINES: Final = 4


def is_page_of_text(kind: BlockKind, box: Box, page: Page) -> bool:
    """Whether a "picture" is as large as the page and has lines to read: it claims none."""
    if kind not in PICTURES or area(box) < _PAGE_SIZED * page.size[0] * page.size[1]:
        return False
    return sum(holds(box, line.box) for line in page.lines) >= _LEAST_LINES
