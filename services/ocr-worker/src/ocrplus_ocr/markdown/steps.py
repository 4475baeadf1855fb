"""The steps between what was found on a page and its Markdown, in their order.

Each is a pure function in a file of its own; with all of them off, the blocks are exactly those
that PP-StructureV3 gives.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from ocrplus_ocr.markdown.captions import place_captions
from ocrplus_ocr.markdown.continued import join_columns
from ocrplus_ocr.markdown.dropped_pictures import bring_back_pictures
from ocrplus_ocr.markdown.figures import find_figures, fit_figures
from ocrplus_ocr.markdown.footnotes import mark_footnotes
from ocrplus_ocr.markdown.forms import set_forms
from ocrplus_ocr.markdown.formulas import set_formulas
from ocrplus_ocr.markdown.furniture import mark_furniture
from ocrplus_ocr.markdown.hanging_marks import join_hanging_marks
from ocrplus_ocr.markdown.headings import mend_headings
from ocrplus_ocr.markdown.interleaved import part_interleaved
from ocrplus_ocr.markdown.leftovers import bring_back_leftovers
from ocrplus_ocr.markdown.listings import set_listings
from ocrplus_ocr.markdown.lost_lines import bring_back_lines
from ocrplus_ocr.markdown.one_place import give_lines_one_place
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.paragraphs import set_paragraphs
from ocrplus_ocr.markdown.reading import order_blocks
from ocrplus_ocr.markdown.run_in_headings import part_run_in_headings
from ocrplus_ocr.markdown.subfigures import part_subfigures
from ocrplus_ocr.markdown.table_grids import rebuild_tables


@dataclass(frozen=True, slots=True)
class Step:
    """A named change of a page; `name` is what switches it off."""

    name: str
    apply: Callable[[Page], Page]


STEPS: Final[tuple[Step, ...]] = (
    Step("dropped_pictures", bring_back_pictures),
    Step("one_place", give_lines_one_place),
    Step("found_figures", find_figures),
    Step("forms", set_forms),
    Step("subfigures", part_subfigures),
    Step("lost_lines", bring_back_lines),
    Step("interleaved", part_interleaved),
    Step("hanging_marks", join_hanging_marks),
    Step("furniture", mark_furniture),
    Step("footnotes", mark_footnotes),
    Step("figure_boxes", fit_figures),
    Step("reading_order", order_blocks),
    Step("captions", place_captions),
    Step("table_grids", rebuild_tables),
    Step("formulas", set_formulas),
    Step("headings", mend_headings),
    Step("run_in_headings", part_run_in_headings),
    Step("listings", set_listings),
    Step("paragraphs", set_paragraphs),
    Step("leftovers", bring_back_leftovers),
    Step("continued", join_columns),
)


ALL: Final = "all"
"""The name that switches every step off."""


def is_on(name: str, off: Collection[str]) -> bool:
    """Whether a step is taken. A page of a document's step that is not has no evidence for it."""
    return name not in off and ALL not in off


def finished(page: Page, off: Collection[str] = (), steps: Sequence[Step] = STEPS) -> Page:
    """The page after every step that is not switched off."""
    for step in steps:
        if is_on(step.name, off):
            page = step.apply(page)
    return page
