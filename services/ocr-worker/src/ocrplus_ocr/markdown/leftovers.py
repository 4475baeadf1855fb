"""The last step: what the steps before have lost comes back. Pure.

A table made anew from its borders may be smaller than the region that the model gave; words outside
of it, and words that no cell took, are said beside it. Words are counted: of several equal lines
each has to be said.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.coverage import EXCUSED, expected, lacking, words_in_order, words_of
from ocrplus_ocr.markdown.lost_lines import LEADER, paragraphs
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.placing import placed
from ocrplus_ocr.markdown.tables import text_of_html

_MOSTLY: Final = 0.5  # of a line's characters


def bring_back_leftovers(page: Page) -> Page:
    """The page with a block for every line that no block says."""
    lines = [line for line in expected(page) if not LEADER.fullmatch(line.text)]
    said = [_words(block) for block in page.blocks if block.kind not in EXCUSED]
    lost = lacking(words_in_order(page, lines), said)
    blocks = page.blocks
    for paragraph in paragraphs(_left(lines, lost, page), page.size[0]):
        blocks = placed(paragraph, blocks)
    return replace(page, blocks=blocks)


def _left(lines: Sequence[TextLine], lost: Counter[str], page: Page) -> list[TextLine]:
    """The lines whose words are lost; of equal ones those that stand in no block."""
    claimed = {id(line) for block in page.blocks for line in block.lines}
    left: set[int] = set()
    for line in sorted(lines, key=lambda line: id(line) in claimed):
        words = words_of([line])
        gone = sum(len(word) * min(times, lost[word]) for word, times in words.items())
        size = sum(len(word) * times for word, times in words.items())
        if gone > _MOSTLY * size:
            left.add(id(line))
            lost -= words
    return [line for line in lines if id(line) in left]


def _words(block: Block) -> str:
    """What a block says: only a table's text is HTML."""
    return text_of_html(block.text) if block.kind is BlockKind.TABLE else block.text
