"""Captions: what they belong to, and their place beside it. Pure.

A figure's caption follows it and becomes its picture's alternative text; a table's goes before it.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind
from ocrplus_ocr.engine.labels import PICTURES
from ocrplus_ocr.markdown.geometry import across, around
from ocrplus_ocr.markdown.lines import in_reading_order, rows_of, text_of
from ocrplus_ocr.markdown.page import Page

_OF_FIGURE: Final = re.compile(
    r"(?:fig(?:ure|\.)?|abb(?:ildung|\.)?|chart|photo|plate|scheme|exhibit|рис(?:\.|унок))\s*\d"
    r"|图\s*[\d一二三四五六七八九十]|図\s*\d",
    re.I,
)
_OF_TABLE: Final = re.compile(
    r"(?:table|tab\.|tabelle|таблица)\s*[\dIVX]|表\s*[\d一二三四五六七八九十]", re.I
)
_LABEL: Final = re.compile(
    r"(?:fig(?:ure|\.)?|abb(?:ildung|\.)?|table|tab\.|tabelle|图|图表|表)\s*\d{1,3}(?:[.-]\d{1,3})?[.:：]?",
    re.I,
)
_NAMED: Final = frozenset({BlockKind.CAPTION})
_NEAR: Final = 36.0  # points between a caption and what it is of
_LONGEST: Final = 400  # characters; a paragraph that begins with "Figure 1 shows" is none
_WORDS: Final = frozenset(
    {BlockKind.TEXT, BlockKind.CAPTION, BlockKind.FOOTNOTE, BlockKind.HEADING}
)


def place_captions(page: Page) -> Page:
    """The page with captions named as such, each beside the figure or table it is of."""
    blocks = _whole(page.blocks)
    for caption in [b for b in blocks if b.kind in _WORDS]:
        kinds = _is_of(caption)
        if kinds is None:
            continue
        owner = _nearest(caption, [b for b in blocks if b.kind in kinds])
        if owner is None:
            continue
        blocks.remove(caption)
        at = blocks.index(owner)
        if owner.kind is BlockKind.TABLE:
            while (
                at and blocks[at - 1].kind is BlockKind.CAPTION and _below(blocks[at - 1], caption)
            ):
                at -= 1  # the unit of its figures
        else:
            at += 1
            while at < len(blocks) and blocks[at].kind is BlockKind.CAPTION:
                at += 1  # a second line of the same, or its source
        blocks.insert(at, replace(caption, kind=BlockKind.CAPTION))
    return replace(page, blocks=tuple(blocks))


def _whole(blocks: Sequence[Block]) -> list[Block]:
    """The blocks with the parts of a caption that stand in one row put together."""
    whole: list[Block] = []
    for block in blocks:
        at = next((i for i, other in enumerate(whole) if _one_row(other, block)), None)
        if at is None:
            whole.append(block)
            continue
        lines = (*whole[at].lines, *block.lines)
        box = around([whole[at].box, block.box])
        ordered = in_reading_order(lines)
        whole[at] = Block(BlockKind.CAPTION, text_of(ordered), box, tuple(ordered))
    return whole


def _below(block: Block, other: Block) -> bool:
    return block.box[1] >= other.box[3] - 1.0


def _one_row(a: Block, b: Block) -> bool:
    """Whether two blocks are one caption: both are called so, or one is a bare number before it."""
    kinds = {a.kind, b.kind}
    labelled = any(_LABEL.fullmatch(block.text.strip()) for block in (a, b))
    if BlockKind.CAPTION not in kinds or not kinds <= (_WORDS if labelled else _NAMED):
        return False
    if len(rows_of([*a.lines, *b.lines])) != 1 or not a.lines or not b.lines:
        return False
    return not (_starts_one(a) and _starts_one(b))


def _starts_one(block: Block) -> bool:
    """Whether a block begins like a numbered caption: two such in a row are two figures'."""
    text = block.text.strip()
    return bool(_OF_TABLE.match(text) or _OF_FIGURE.match(text) or text.startswith(("(", "（")))


def names_figure(block: Block) -> bool:
    """Whether a block begins like a figure's caption: "Figure 2"."""
    return _OF_FIGURE.match(block.text.strip()) is not None


def _is_of(caption: Block) -> frozenset[BlockKind] | None:
    """What kinds a caption may be of; None for a block that is none."""
    text = caption.text.strip()
    if len(text) > _LONGEST:
        return None
    if _OF_TABLE.match(text):
        return frozenset({BlockKind.TABLE})
    if _OF_FIGURE.match(text):
        return PICTURES
    return PICTURES if caption.kind is BlockKind.CAPTION else None


def _nearest(caption: Block, owners: Sequence[Block]) -> Block | None:
    """The owner right above or below, if one is near enough; of several in a row the last."""
    near = [o for o in owners if across(o.box, caption.box) > 0 and _gap(o, caption) <= _NEAR]
    return min(reversed(near), key=lambda owner: abs(_gap(owner, caption)), default=None)


def _gap(owner: Block, caption: Block) -> float:
    """Points between the two from top to bottom; negative where they overlap."""
    return max(caption.box[1] - owner.box[3], owner.box[1] - caption.box[3])
