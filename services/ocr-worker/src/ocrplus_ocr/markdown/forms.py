"""Forms that the layout model takes for a picture, or for columns: their lines are text. Pure.

The typed values of a form would stand only in a picture of its boxes. A PDF tells that nothing
else is drawn there; a scan does not tell a form from a diagram, and keeps the picture. A label
stands before its value.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine import Block, BlockKind, Box, TextLine
from ocrplus_ocr.engine.labels import PICTURES
from ocrplus_ocr.markdown.form_fields import Field, fields_of, share_row
from ocrplus_ocr.markdown.geometry import around, holds
from ocrplus_ocr.markdown.lines import in_reading_order, rows_of, text_of
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.placing import placed

_GIVES: Final = frozenset(
    {BlockKind.TEXT, BlockKind.LIST, BlockKind.REFERENCE, BlockKind.CAPTION, BlockKind.ASIDE}
)
"""Kinds that may have taken a form's labels."""
_MOST_PICTURES: Final = 8  # of a page that may have a form
_WIDE: Final = 2.0  # times as wide as high: no box to tick, no bullet
_LEAST_WIDE: Final = 3  # of a page that no picture tells to be a form


def set_forms(page: Page) -> Page:
    """The page with the lines of its forms as text, and without pictures of their boxes."""
    if page.source is not TextSource.TEXT_LAYER or not page.drawings:
        return page
    found = False
    for picture in [block for block in page.blocks if block.kind in PICTURES][:_MOST_PICTURES]:
        if fields := _fields(picture, page):
            blocks = tuple(block for block in page.blocks if block is not picture)
            page = _with_form(picture.box, fields, replace(page, blocks=blocks))
            found = True
    if not found and (fields := _read_fields(page)):
        page = _with_form(around(field.box for field in fields), fields, page)
    return page


def _read_fields(page: Page) -> tuple[Field, ...]:
    """The fields of a page that draws nothing else, where its labels and values are text in
    regions of their own: columns of labels and of values that belong together by rows."""
    fields = fields_of(around(page.drawings), page)
    wide = [f for f in fields if f.label and f.box[2] - f.box[0] > _WIDE * (f.box[3] - f.box[1])]
    lines = {id(line) for field in fields for line in field.lines}
    others = (block for block in page.blocks if block.kind not in _GIVES)
    apart = not any(id(line) in lines for block in others for line in block.lines)
    return fields if len(wide) >= _LEAST_WIDE and apart else ()


def _fields(picture: Block, page: Page) -> tuple[Field, ...]:
    """The fields of a picture that is a form, with those around it that the layout model left
    out, where the whole is a form."""
    own = fields_of(picture.box, page)
    return (fields_of(around([picture.box, *page.drawings]), page) or own) if own else ()


def _with_form(region: Box, fields: Sequence[Field], page: Page) -> Page:
    """The page with a form's rows as blocks; labels that others have are taken from them. Lines
    of the region above and below its rows stay for `lost_lines`."""
    given = {id(line) for block in page.blocks if block.kind in _GIVES for line in block.lines}
    taken = {id(line) for block in page.blocks for line in block.lines} - given
    wanted = {id(line) for field in fields for line in field.lines}
    inside = {
        id(line)
        for line in page.lines
        if holds(region, line.box) and any(share_row(f.box, line.box) for f in fields)
    }
    own = [w for w in page.lines if id(w) in wanted | inside and id(w) not in taken]
    blocks: tuple[Block, ...] = tuple(p for b in page.blocks for p in _without(b, own))
    for group in _groups(own, fields):
        blocks = placed(_text(group), blocks)
    return replace(page, blocks=blocks)


def _without(block: Block, own: Sequence[TextLine]) -> list[Block]:
    """A block without a form's lines, parted where they stood between its rows."""
    ids = {id(line) for line in own}
    if block.kind not in _GIVES or not any(id(line) in ids for line in block.lines):
        return [block]
    pieces: list[list[TextLine]] = [[]]
    for row in rows_of(block.lines):
        if any(id(line) in ids for line in row):
            pieces.append([])
        pieces[-1] += [line for line in row if id(line) not in ids]
    return [
        replace(block, text=text_of(p), box=around(w.box for w in p), lines=tuple(p))
        for p in pieces
        if p
    ]


def _groups(own: Sequence[TextLine], fields: Sequence[Field]) -> list[list[TextLine]]:
    """The lines that belong together: each row of the form, each field that is more than a row."""
    rest = {id(line): line for line in own}
    groups: list[list[TextLine]] = []
    for field in fields:
        lines = [line for line in field.lines if id(line) in rest]
        if len(rows_of(lines)) > 1:
            values = [line for line in field.values if id(line) in rest]
            label = [line for line in lines if line is field.label]
            groups.append([*label, *in_reading_order(values)])
            for line in lines:
                del rest[id(line)]
    groups += rows_of(list(rest.values()))
    return sorted(groups, key=lambda group: (min(w.box[1] for w in group), group[0].box[0]))


def _text(lines: Sequence[TextLine]) -> Block:
    return Block(BlockKind.TEXT, text_of(lines), around(w.box for w in lines), tuple(lines))
