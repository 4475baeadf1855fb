"""Each line stands in exactly one block, and a block's text is its lines'. Pure.

The layout model gives regions that overlap: the pipeline then says a line twice, cuts it where two
regions meet and reads the halves anew, or leaves it out. Here a region inside another of its like
goes, each line goes to one region, and the text is put together again from the lines.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind, Box, TextLine
from ocrplus_ocr.engine.labels import FURNITURE, PICTURES
from ocrplus_ocr.markdown.coverage import squeezed
from ocrplus_ocr.markdown.geometry import area, common, holds, solid
from ocrplus_ocr.markdown.lines import in_reading_order, text_of
from ocrplus_ocr.markdown.page import LayoutBox, Page
from ocrplus_ocr.markdown.tables import has_rows, text_of_html
from ocrplus_ocr.markdown.text_pictures import is_text

_INSIDE: Final = 0.5  # share of a line that lies in a block
_WITHIN: Final = 0.75  # share of a region that lies in another
_SURER: Final = 0.1
_MOST_BLOCKS: Final = 500  # the work grows by the square; the layout model finds at most 300
_BANDS: Final = 200
_SEVERAL: Final = 2
_NOT_FROM_LINES: Final = PICTURES | {BlockKind.TABLE}
_DISTINCT: Final = FURNITURE | {BlockKind.TITLE, BlockKind.HEADING, BlockKind.CAPTION}
_LATEX: Final = re.compile(r"\$.+\$", re.S)
_ROW: Final = re.compile(r"<tr\b[^<>]*>.*?</tr>", re.I | re.S)


def give_lines_one_place(page: Page) -> Page:
    """The page with every line in at most one block, and text blocks made of their lines."""
    blocks = [block for block in page.blocks if not is_text(block, page)]
    if len(blocks) <= _MOST_BLOCKS:
        blocks = _without_doubles(_without_covers(blocks, page))
    taken, touched = _taken(page, blocks)
    named = {
        squeezed(line.text)
        for index, lines in taken.items()
        if blocks[index].kind in _DISTINCT
        for line in lines
    }
    filled = []
    for index, block in enumerate(blocks):
        own = taken.get(index, [])
        if _is_table(block) and not own and _is_said(block, page):
            continue
        if block.kind in _NOT_FROM_LINES or is_latex(block):
            filled.append(replace(block, text=_without_rows(block, named), lines=tuple(own)))
        elif own:
            ordered = in_reading_order(own)
            filled.append(replace(block, text=text_of(ordered), lines=tuple(ordered)))
        elif index not in touched:
            filled.append(block)  # the pipeline has read it although no line was detected there
    return replace(page, blocks=tuple(filled))


def _taken(page: Page, blocks: Sequence[Block]) -> tuple[dict[int, list[TextLine]], set[int]]:
    """The lines of each block, by its index, and which blocks any line touches."""
    height = page.size[1] or 1.0
    bands: list[list[int]] = [[] for _ in range(_BANDS)]
    for index, block in enumerate(blocks):
        for band in _bands(block.box, height):
            bands[band].append(index)
    taken: dict[int, list[TextLine]] = {}
    touched: set[int] = set()
    said = {i: squeezed(text_of_html(b.text)) for i, b in enumerate(blocks) if _is_table(b)}
    for line in page.lines:
        place = solid(line.box)
        near = {index for band in _bands(place, height) for index in bands[band]}
        meeting = [i for i in sorted(near) if common(blocks[i].box, place) > 0]
        touched.update(meeting)
        home = _home(line, meeting, blocks, said)
        if home is not None:
            taken.setdefault(home, []).append(line)
    return taken, touched


def _bands(box: Box, height: float) -> range:
    """The strips of a page's height that a box lies in."""
    first, last = (int(min(_BANDS - 1.0, max(0.0, y / height * _BANDS))) for y in (box[1], box[3]))
    return range(first, last + 1)


def _without_covers(blocks: Sequence[Block], page: Page) -> list[Block]:
    """The blocks, but for unsure regions that lie over several surer ones: those instead."""
    kept: list[Block] = []
    for block in blocks:
        surer = [] if block.kind in _NOT_FROM_LINES else _surer_within(block, page)
        if len(surer) < _SEVERAL:
            kept.append(block)
            continue
        formulas = [
            item
            for item in page.layout
            if item.kind is BlockKind.FORMULA
            and item not in surer
            and not _same(item.box, block.box)
            and common(item.box, block.box) > _WITHIN * max(area(item.box), 1e-6)
        ]
        own = [Block(item.kind, "", item.box) for item in (*surer, *formulas)]
        kept += [new for new in own if not any(_same(new.box, b.box) for b in blocks)]
    return kept


def _surer_within(block: Block, page: Page) -> list[LayoutBox]:
    """Regions of text in a block that the layout model is surer of, also ones since dropped."""
    score = _score(block, page)
    return [
        item
        for item in page.layout
        if item.kind not in _NOT_FROM_LINES | FURNITURE
        and item.score > score + _SURER
        and not _same(item.box, block.box)
        and common(item.box, block.box) > _WITHIN * max(area(item.box), 1e-6)
    ]


def _score(block: Block, page: Page) -> float:
    """How sure the layout model is of a block; 1 for one that is not its own."""
    own = [item.score for item in page.layout if _same(item.box, block.box)]
    return max(own, default=1.0)


def _same(a: Box, b: Box) -> bool:
    both = common(a, b)
    return both > _WITHIN * max(area(a), area(b), 1e-6)


def _without_doubles(blocks: Sequence[Block]) -> list[Block]:
    """The blocks without text regions that lie in a larger one."""
    kept: list[Block] = []
    for block in sorted(blocks, key=lambda b: -area(b.box)):
        if not any(_repeats(block, larger) for larger in kept):
            kept.append(block)
    return [block for block in blocks if block in kept]


def _repeats(block: Block, larger: Block) -> bool:
    if block.kind in PICTURES or larger.kind in PICTURES:
        return False
    within = common(block.box, larger.box) > _WITHIN * max(area(block.box), 1e-6)
    if _is_table(block):
        return within and _is_table(larger) and has_rows(larger.text)
    if not within or block.kind is larger.kind:
        return within
    if larger.kind is BlockKind.TABLE:
        return True
    return block.kind not in _DISTINCT


def _home(
    line: TextLine, meeting: Sequence[int], blocks: Sequence[Block], said: Mapping[int, str]
) -> int | None:
    """Index of the block that a line belongs to: the smallest of those that hold it, but a table
    that says it before running text that reaches into the table."""
    holding = [i for i in meeting if _claims(blocks[i], solid(line.box))]
    words = [i for i in holding if blocks[i].kind not in PICTURES]
    home = min(words or holding, key=lambda i: area(blocks[i].box), default=None)
    if home is not None and (blocks[home].kind in _DISTINCT or home in said):
        return home
    text = squeezed(line.text)
    tables = (i for i in meeting if i in said and holds(blocks[i].box, line.box))
    return next((i for i in tables if text and text in said[i]), home)


def is_latex(block: Block) -> bool:
    """Whether a formula model has read the block: its lines would say less."""
    return block.kind is BlockKind.FORMULA and _LATEX.fullmatch(block.text.strip()) is not None


def _is_table(block: Block) -> bool:
    return block.kind is BlockKind.TABLE


def _is_said(table: Block, page: Page) -> bool:
    """Whether a table without a line of its own says only what others do in its place."""
    meeting = [line.text for line in page.lines if common(solid(line.box), table.box) > 0]
    said = squeezed(" ".join(meeting))
    words = text_of_html(table.text).split()
    return bool(said and words) and all(squeezed(word) in said for word in words)


def _without_rows(block: Block, named: Collection[str]) -> str:
    """A table's HTML without rows that are a heading, a caption or furniture of their own."""
    if not _is_table(block) or "rowspan" in block.text:
        return block.text

    def kept(row: re.Match[str]) -> str:
        return "" if squeezed(text_of_html(row.group())) in named else row.group()

    return _ROW.sub(kept, block.text)


def _claims(block: Block, line: Box) -> bool:
    """Whether half of the line lies in the block; or nearly all of the block in the line, for
    the layout model's box of a single line is often too tight."""
    both = common(block.box, line)
    return both > _INSIDE * area(line) or (
        block.kind not in _NOT_FROM_LINES and both > _WITHIN * max(area(block.box), 1e-6)
    )
