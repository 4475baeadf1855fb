"""Lines that no block claims come back as paragraphs at their place. Pure.

The pipeline drops lines outside of its layout's regions, and all the text of a page that the
layout model takes for one image.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.geometry import across, around, holds
from ocrplus_ocr.markdown.joining import joined
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.placing import placed
from ocrplus_ocr.markdown.text_pictures import is_page_of_text

_PARAGRAPH_GAP: Final = 0.8  # of the line height


def bring_back_lines(page: Page) -> Page:
    """The page with a block for every line that had none."""
    claimed = [b.box for b in page.blocks if not is_page_of_text(b.kind, b.box, page)]
    lines = [
        line
        for line in page.lines
        if line.text.strip() and not any(holds(box, line.box) for box in claimed)
    ]
    blocks = page.blocks
    for paragraph in paragraphs(lines):
        blocks = placed(paragraph, blocks)
    return replace(page, blocks=blocks)


def paragraphs(lines: Sequence[TextLine]) -> list[Block]:
    """Lines from top to bottom, column by column, joined where they follow closely."""
    groups: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda line: (line.box[1], line.box[0])):
        for group in groups:
            if _follows(group[-1], line):
                group.append(line)
                break
        else:
            groups.append([line])
    return [_paragraph(group) for group in groups]


def _follows(above: TextLine, below: TextLine) -> bool:
    height = above.box[3] - above.box[1]
    gap = below.box[1] - above.box[3]
    return -0.5 * height <= gap <= _PARAGRAPH_GAP * height and across(above.box, below.box) > 0.5


def _paragraph(group: Sequence[TextLine]) -> Block:
    box = around(line.box for line in group)
    return Block(BlockKind.TEXT, joined(line.text for line in group), box, tuple(group))
