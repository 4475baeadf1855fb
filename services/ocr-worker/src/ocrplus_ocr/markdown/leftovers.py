"""The last step: what the steps before have lost comes back. Pure.

A table made anew from its borders may be smaller than the region that the model gave; words outside
of it, and words that no cell took, are said beside it.
"""

import html
from dataclasses import replace

from ocrplus_ocr.engine import Block, BlockKind
from ocrplus_ocr.markdown.coverage import expected, squeezed
from ocrplus_ocr.markdown.lost_lines import LEADER, paragraphs
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.placing import placed


def bring_back_leftovers(page: Page) -> Page:
    """The page with a block for every line that no block says."""
    said = squeezed(" ".join(map(_words, page.blocks)))
    left = [
        line
        for line in expected(page)
        if squeezed(line.text) not in said
        and not any(squeezed(word) in said for word in line.text.split())
        and not LEADER.fullmatch(line.text)
    ]
    blocks = page.blocks
    for paragraph in paragraphs(left, page.size[0]):
        blocks = placed(paragraph, blocks)
    return replace(page, blocks=blocks)


def _words(block: Block) -> str:
    """What a block says: only a table's text is HTML."""
    return html.unescape(block.text) if block.kind is BlockKind.TABLE else block.text
