"""The lines at a page's top and foot, left out or not: what only the whole document can tell to
be running headers, footers and page numbers. Pure."""

from collections.abc import Sequence
from typing import Final

from ocrplus_contract.records import EdgeRecord
from ocrplus_ocr.engine import Block, BlockKind
from ocrplus_ocr.engine.labels import FURNITURE, PICTURES
from ocrplus_ocr.markdown.continued import open_end, open_start
from ocrplus_ocr.markdown.lines import rows_of
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.page_numbers import is_set_as_number
from ocrplus_ocr.markdown.render import paragraphs_markdown

_DEEP: Final = 0.15  # of the page's height
_LONGEST: Final = 160  # characters
_MOST: Final = 8
_MOST_ROWS: Final = 2
_MAY_RUN: Final = frozenset(
    {BlockKind.TEXT, BlockKind.REFERENCE, BlockKind.ASIDE, BlockKind.FOOTNOTE, BlockKind.LIST}
)


def edges(page: Page) -> tuple[EdgeRecord, ...]:
    """What stands first and last on the page, within reach of its edges."""
    text = [b for b in page.blocks if b.kind not in FURNITURE and b.kind not in PICTURES]
    middles = [_middle(b) for b in page.blocks if b.kind not in FURNITURE]
    first, last = min(middles, default=0.0), max(middles, default=0.0)
    records: list[EdgeRecord] = []
    for block in filter(_may_run, page.blocks):
        out = block.kind in FURNITURE
        top = 2 * _middle(block) < page.size[1]
        outermost = _middle(block) <= first if top else _middle(block) >= last
        if _is_near(block, page.size[1], top=top) and (out or outermost):
            records.append(_record(block, text, page, top=top))
    return tuple(records[:_MOST])


def _may_run(block: Block) -> bool:
    return (
        (block.kind in FURNITURE or block.kind in _MAY_RUN)
        and 0 < len(block.text.strip()) <= _LONGEST
        and len(rows_of(block.lines)) <= _MOST_ROWS
    )


def _is_near(block: Block, height: float, *, top: bool) -> bool:
    return block.box[3] <= _DEEP * height if top else block.box[1] >= (1 - _DEEP) * height


def _middle(block: Block) -> float:
    return (block.box[1] + block.box[3]) / 2


def _record(block: Block, text: Sequence[Block], page: Page, *, top: bool) -> EdgeRecord:
    out = block.kind in FURNITURE
    at = -1 if out else next(i for i, other in enumerate(text) if other is block)
    paragraph = None
    if not out:
        paragraph = open_start(text[at + 1 :]) if top else open_end(text[:at], page)
    return EdgeRecord(
        text=" ".join(block.text.split()),
        top=top,
        at=round(_middle(block) / page.size[1], 4),
        markdown="" if out else paragraphs_markdown(block.text),
        open=paragraph is not None,
        paragraph=paragraph,
        page_number=not out and is_set_as_number(block, page),
    )
