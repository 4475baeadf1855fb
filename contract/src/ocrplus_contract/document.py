"""What only the whole document can settle: depths of headings, lines that run over its pages.

Pages are read in chunks by workers that do not see each other, and each is told to the client at
once with what it knows of itself. When a document is delivered as a whole, these steps go over its
committed pages. They are pure and cheap: they look at records, never at a PDF.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ocrplus_contract.headings import levels
from ocrplus_contract.lines import outside_code
from ocrplus_contract.merging import PageText
from ocrplus_contract.records import PageRecord
from ocrplus_contract.running import drop_running
from ocrplus_contract.states import TextSource

_HEADING: Final = re.compile(r"#{1,6}(?= )")
_SAME_SIZE: Final = 0.08  # of the font's


@dataclass(frozen=True, slots=True)
class DocumentStep:
    """A named change over all pages of a document, in their order."""

    name: str
    apply: Callable[[Sequence[PageRecord]], Sequence[PageRecord]]


def settle_headings(pages: Sequence[PageRecord]) -> list[PageRecord]:
    """The pages with the headings' levels that hold over the whole document."""
    headings = [heading for page in pages for heading in page.headings]
    scans = sum(len(p.headings) for p in pages if p.source is not TextSource.TEXT_LAYER)
    found = iter(levels(headings, scanned=scans / max(1, len(headings))))
    settled_pages = []
    for page in pages:
        own = [next(found) for _ in page.headings]
        settled_pages.append(_with_levels(page, own))
    return settled_pages


def _with_levels(page: PageRecord, found: Sequence[int]) -> PageRecord:
    """The page with these levels in its record and its Markdown; unchanged if they do not fit."""
    lines = page.markdown.split("\n")
    places = [at for at in outside_code(lines) if _HEADING.match(lines[at])]
    if len(places) != len(page.headings):
        return page
    for place, level in zip(places, found, strict=True):
        lines[place] = _HEADING.sub("#" * level, lines[place], count=1)
    headings = tuple(
        heading.model_copy(update={"level": level})
        for heading, level in zip(page.headings, found, strict=True)
    )
    markdown = "\n".join(lines)
    return page.model_copy(
        update={"markdown": markdown, "headings": headings, "levels": "document"}
    )


def page_texts(pages: Sequence[PageRecord], text_of: Callable[[PageRecord], str]) -> list[PageText]:
    """The pages as `merging` takes them, each with its anchor."""
    texts = []
    for before, page in zip([None, *pages], pages, strict=False):
        start, end = page.open_start, page.open_end
        texts.append(
            PageText(
                f"<!-- page {page.page} -->",
                text_of(page),
                _goes_on(before, page),
                open_start=start.text if start else "",
                open_end=end.text if end else "",
                keeps_hyphen=end is not None and end.keeps_hyphen,
            )
        )
    return texts


def _goes_on(before: PageRecord | None, page: PageRecord) -> bool:
    """Whether a page begins with the rest of the paragraph that the one before it leaves open:
    both say so, and both are set alike."""
    if before is None or before.ends_paragraph or page.starts_paragraph:
        return False
    if before.open_end is None or page.open_start is None:
        return True
    above, below = before.open_end.size, page.open_start.size
    return not (above and below) or abs(above - below) <= _SAME_SIZE * above


DOCUMENT_STEPS: Final[tuple[DocumentStep, ...]] = (
    DocumentStep("running_lines", drop_running),
    DocumentStep("heading_levels", settle_headings),
)


def settled(pages: Sequence[PageRecord], off: frozenset[str] = frozenset()) -> list[PageRecord]:
    """The pages after every document step that is not switched off."""
    for step in DOCUMENT_STEPS:
        if step.name not in off and "all" not in off:
            pages = step.apply(pages)
    return list(pages)
