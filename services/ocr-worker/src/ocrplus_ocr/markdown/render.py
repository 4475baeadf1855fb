"""Blocks of one page, in reading order, as Markdown. Pure."""

import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Final

from ocrplus_contract.records import HeadingRecord
from ocrplus_ocr.engine import Block, BlockKind, Box, Figure, ReadOptions
from ocrplus_ocr.engine.labels import FURNITURE, PICTURES
from ocrplus_ocr.markdown.captions import names_figure
from ocrplus_ocr.markdown.headings import heading_record
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.tables import escape, table_markdown

_LEVEL: Final = {BlockKind.TITLE: 1, BlockKind.HEADING: 2}
"""Depth of a heading that nothing else has settled."""
_STARTS_LIKE_SYNTAX: Final = re.compile(
    r"^([ \t]*)(?=#{1,6}\s|>|```|~~~|\||(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$)",
    re.M,
)
_DISPLAYED: Final = re.compile(r"\$\$.*\$\$", re.S)
_LIVE_IN_FORMULA: Final = re.compile(r"<(?=[A-Za-z/!?])|\](?=[(\[])|&(?=#?\w{1,32};)")
_EDGE_WORDS: Final = frozenset({BlockKind.HEADER, BlockKind.FOOTER})
_MOST_ALT: Final = 300
_MOST_CAPTIONS: Final = 4
_DEFAULTS: Final = ReadOptions()


def page_markdown(
    blocks: Sequence[Block], figures: Sequence[Figure], options: ReadOptions = _DEFAULTS
) -> str:
    """Markdown of a page; each figure stands where its block is.

    A page whose only words are at its edge says them: one line at the top is taken for a header.
    """
    pictures = {figure.box: figure for figure in figures}
    parts = [
        _block_markdown(block, pictures, options) for block in blocks if block.kind not in FURNITURE
    ]
    found = [part for part in parts if part]
    found = found or [
        paragraphs_markdown(block.text) for block in blocks if block.kind in _EDGE_WORDS
    ]
    return "\n\n".join(part for part in found if part)


def _block_markdown(block: Block, pictures: dict[Box, Figure], options: ReadOptions) -> str:
    if block.kind in PICTURES:
        figure = pictures.get(block.box)
        if figure is not None:
            return _picture(figure, options)
        return paragraphs_markdown(block.text) if block.kind is BlockKind.FORMULA_PICTURE else ""
    if block.kind is BlockKind.TABLE:
        return table_markdown(block.text, options.tables)
    if block.kind in _LEVEL:
        title = " ".join(block.text.split())
        return f"{'#' * min(6, _level(block))} {escape(title)}" if title else ""
    if block.kind is BlockKind.CODE:
        return _fenced(block.text) if block.text.strip() else ""
    return (
        _formulas(block.text)
        if block.kind is BlockKind.FORMULA
        else paragraphs_markdown(block.text)
    )


def _fenced(code: str) -> str:
    """Code in a fence that is longer than any within it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{code}\n{fence}"


def _picture(figure: Figure, options: ReadOptions) -> str:
    alt = re.sub(r"[\[\]\\\n]", " ", figure.caption or "")[:_MOST_ALT]
    target = f"figures/{figure.id}.png"
    if options.figures == "inline":
        target = f"data:image/png;base64,{base64.b64encode(figure.png).decode()}"
    return f"![{' '.join(escape(alt).split())}]({target})"


def paragraphs_markdown(text: str) -> str:
    lines = re.sub(r"\r\n?", "\n", text)
    paragraphs = (part.strip() for part in re.split(r"\n\s*\n", lines))
    return "\n\n".join(
        _STARTS_LIKE_SYNTAX.sub(r"\1\\", escape(part)) for part in paragraphs if part
    )


def _formulas(text: str) -> str:
    """Formulas, with space in them, which means nothing there, where Markdown would see syntax."""
    parts = (part.strip() for part in re.split(r"\n\s*\n", text))
    return "\n\n".join(
        _LIVE_IN_FORMULA.sub(r"\g<0> ", part)
        if _DISPLAYED.fullmatch(part)
        else paragraphs_markdown(part)
        for part in parts
        if part
    )


def headings(page: Page) -> tuple[HeadingRecord, ...]:
    """The headings of `page_markdown`, with what tells their depth."""
    return tuple(
        heading_record(replace(block, level=_level(block)), page)
        for block in page.blocks
        if block.kind in _LEVEL and block.text.strip()
    )


def _level(block: Block) -> int:
    return block.level or _LEVEL[block.kind]


def caption_of(blocks: Sequence[Block], index: int) -> str | None:
    """The printed caption of a picture: the caption block right after it, else right before; of
    several after it the one that says so, for an axis may be called a caption, too.

    A formula that is kept as a picture names its characters.
    """
    if blocks[index].kind is BlockKind.FORMULA_PICTURE:
        return blocks[index].text or None
    near = blocks[index + 1 : index + 1 + _MOST_CAPTIONS]
    after = takewhile(lambda block: block.kind is BlockKind.CAPTION, near)
    named = next(filter(names_figure, after), None)
    if named is not None and not near[0].text.lstrip().startswith(("(", "（")):  # "(b) after"
        return " ".join(named.text.split())
    for neighbour in (index + 1, index - 1):
        if 0 <= neighbour < len(blocks) and blocks[neighbour].kind is BlockKind.CAPTION:
            return " ".join(blocks[neighbour].text.split()) or None
    return None
