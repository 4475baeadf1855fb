"""Headings that run into their paragraph: "Abstract— We address …". Pure.

Journals set the titles of the abstract and of the key words so; a dash parts them from the text.
"""

import re
from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.heading_case import HEADINGS
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.rows import rows

_RUN_IN: Final = re.compile(r"(abstract|index terms|key ?words)\s*—\s*(?=\S)", re.I)
_DEEPEST: Final = 6


def part_run_in_headings(page: Page) -> Page:
    """The page with such titles as headings, one deeper than its others."""
    deepest = max((block.level for block in page.blocks if block.kind in HEADINGS), default=1)
    level = min(_DEEPEST, deepest + 1)
    parted = [piece for block in page.blocks for piece in _parted(block, level)]
    return replace(page, blocks=tuple(parted))


def _parted(block: Block, level: int) -> list[Block]:
    found = rows(block.lines) if block.kind is BlockKind.TEXT else []
    title = _RUN_IN.match(found[0].text) if found else None
    said = _RUN_IN.match(block.text)
    if title is None or said is None or len(found[0].lines) != 1 or len(found) < 2:
        return [block]
    (first,) = found[0].lines
    head, rest = _cut(first, title)
    lines = tuple(rest if line is first else line for line in block.lines)
    text = block.text[said.end() :]
    heading = Block(BlockKind.HEADING, head.text, head.box, (head,), level)
    return [heading, replace(block, text=text, lines=lines)]


def _cut(line: TextLine, title: re.Match[str]) -> tuple[TextLine, TextLine]:
    """The title's part of its line, and the rest, each in about its place."""
    x0, y0, x1, y1 = line.box
    at = x0 + title.end() / len(line.text) * (x1 - x0)
    head = replace(line, text=title.group(1), box=(x0, y0, at, y1))
    return head, replace(line, text=line.text[title.end() :], box=(at, y0, x1, y1))
