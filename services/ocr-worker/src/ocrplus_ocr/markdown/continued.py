"""Paragraphs that go on in the next column, whole again; and whether one goes on over the page's
end. Pure.

What does not end as a sentence does, at the end of a full line, goes on in the next block of text
that does not begin as a sentence does, even if a figure, a table or a footnote stands between.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_contract.records import OpenRecord
from ocrplus_ocr.engine import Block, BlockKind
from ocrplus_ocr.engine.labels import FURNITURE, PICTURES
from ocrplus_ocr.markdown.geometry import across, around
from ocrplus_ocr.markdown.hyphens import Hyphens, hyphens_of, joined_lines, keeps_hyphen
from ocrplus_ocr.markdown.joining import is_cjk
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.render import paragraphs_markdown
from ocrplus_ocr.markdown.rows import Row, rows

_BETWEEN: Final = (
    PICTURES | FURNITURE | {BlockKind.TABLE, BlockKind.CAPTION, BlockKind.FOOTNOTE, BlockKind.ASIDE}
)
_FINISHED: Final = re.compile(r"[.!?。！？:：;；…][\"'”’」』)）\]]*$")
_ITEM: Final = re.compile(r"(?:[a-z]|[ivx]{2,5})[.)]\s+(?![a-z]\.)")  # "i. e." goes on
_FULL: Final = 1.5  # font sizes that a full line may end before its column does
_LEAST_ROWS: Final = 4
_MOST_RAGGED: Final = 4.0  # font sizes: a long word
_INDENT: Final = 0.8
_SAME_SIZE: Final = 0.08
_SAME_COLUMN: Final = 0.5  # of the narrower block's width
_SHOWN: Final = 80  # characters that a paragraph of a page is known by


def join_columns(page: Page) -> Page:
    """The page with the parts of a paragraph that stand in two columns in one block."""
    hyphens = hyphens_of([line.text for line in page.lines])
    blocks: list[Block] = []
    open_at: int | None = None  # the block of text that may go on
    for block in page.blocks:
        if block.kind in _BETWEEN:
            blocks.append(block)
            continue
        if open_at is not None and _goes_on(blocks[open_at], block):
            blocks[open_at] = _joined(blocks[open_at], block, hyphens)
            continue
        blocks.append(block)
        open_at = len(blocks) - 1 if block.kind is BlockKind.TEXT else None
    return replace(page, blocks=tuple(blocks))


def _goes_on(block: Block, following: Block) -> bool:
    if following.kind is not BlockKind.TEXT or not ends_open(block) or not starts_open(following):
        return False
    above, below = rows(block.lines)[-1], rows(following.lines)[0]
    apart = following.box[1] < block.box[3] or following.box[0] > block.box[2]
    return apart and abs(above.size - below.size) <= _SAME_SIZE * above.size


def ends_open(block: Block) -> bool:
    """Whether a block's last line is full and ends no sentence."""
    if block.kind is not BlockKind.TEXT or not block.lines or _FINISHED.search(block.text.strip()):
        return False
    found = rows(block.lines)
    right = max(row.box[2] for row in found)
    return len(found) > 1 and right - found[-1].box[2] <= _spare(found)


def _spare(found: Sequence[Row]) -> float:
    """How far from its column's end a full last line may end: in prose that is not justified as
    far as the lines above do; those of a list end anywhere."""
    size = found[-1].size
    right = max(row.box[2] for row in found)
    usual = max((right - row.box[2] for row in found[:-1]), default=0.0)
    is_prose = len(found) > _LEAST_ROWS and usual <= _MOST_RAGGED * size
    return max(_FULL * size, usual if is_prose else 0.0)


def starts_open(block: Block) -> bool:
    """Whether a block begins in the middle of a sentence."""
    if block.kind is not BlockKind.TEXT or not block.lines or not block.text.strip():
        return False
    found = rows(block.lines)
    first = block.text.strip()[0]
    if is_cjk(first):
        return first.isalpha() and not _is_indented(found)
    return first.islower() and _ITEM.match(block.text.strip()) is None


def _is_indented(found: Sequence[Row]) -> bool:
    left = min(row.box[0] for row in found)
    return len(found) > 1 and found[0].box[0] > left + _INDENT * found[0].size


def _joined(block: Block, following: Block, hyphens: Hyphens) -> Block:
    *before, last = block.text.split("\n\n")
    first, *after = following.text.split("\n\n")
    text = "\n\n".join([*before, joined_lines([last, first], hyphens), *after])
    lines = (*block.lines, *following.lines)
    return replace(block, text=text, lines=lines, box=around((block.box, following.box)))


def joints(page: Page) -> tuple[OpenRecord | None, OpenRecord | None]:
    """The paragraph that the page begins in the middle of, and the one that it ends within; None
    where it begins, or ends, with a whole one."""
    return open_start(page.blocks), open_end(page.blocks, page)


def open_start(blocks: Sequence[Block]) -> OpenRecord | None:
    """The paragraph of another page that blocks begin with, be it beneath a figure."""
    block = next((b for b in blocks if b.kind not in _BETWEEN), None)
    if block is None or not starts_open(block):
        return None
    first = paragraphs_markdown(block.text).split("\n\n")[0]
    return OpenRecord(text=first[:_SHOWN], size=_print_size(rows(block.lines)[0]))


def open_end(blocks: Sequence[Block], page: Page) -> OpenRecord | None:
    """The paragraph that goes on after blocks of a page, be it above a footnote."""
    block = next((b for b in reversed(blocks) if b.kind not in _BETWEEN), None)
    if block is None or not ends_open(block) or not _fills_column(block, blocks):
        return None
    last = paragraphs_markdown(block.text).split("\n\n")[-1]
    return OpenRecord(
        text=last[-_SHOWN:],
        keeps_hyphen=keeps_hyphen(last, hyphens_of([line.text for line in page.lines])),
        size=_print_size(rows(block.lines)[-1]),
    )


def _fills_column(block: Block, blocks: Sequence[Block]) -> bool:
    """Whether a block's last line is as wide as the text around it: a list's last item may be the
    widest of the list."""
    found = rows(block.lines)
    beside = (
        b.box[2]
        for b in blocks
        if b.kind is BlockKind.TEXT and b.lines and across(b.box, block.box) > _SAME_COLUMN
    )
    return max(beside, default=0.0) - found[-1].box[2] <= _spare(found)


def _print_size(row: Row) -> float:
    return 0.0 if row.is_scanned else row.size
