"""How a document is cut into chunks. Pure.

A chunk is about `chunk_seconds` of expected work: long enough that taking it costs nothing, short
enough that a lost worker loses little and another user's first page waits little.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ocrplus_gateway.inspection import PageHint

_TEXT_CHARACTERS: Final = 40
_FULL_PAGE_IMAGE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Cutting:
    """Expected seconds of a chunk and of a page by kind, and the most pages of a chunk."""

    chunk_seconds: float
    chunk_pages: int
    text_page_seconds: float
    ocr_page_seconds: float


def selected_pages(pages: int, ranges: Sequence[tuple[int, int]] | None) -> list[int]:
    """The pages asked for that the document has, ascending."""
    if ranges is None:
        return list(range(1, pages + 1))
    return [page for first, last in ranges for page in range(first, min(last, pages) + 1)]


def expected_seconds(
    hints: Sequence[PageHint], pages: Sequence[int], cutting: Cutting, by_ocr: bool
) -> list[float]:
    """Expected work of each page; a page nobody looked at costs what the looked-at ones cost."""
    if by_ocr or not hints:
        return [cutting.ocr_page_seconds] * len(pages)
    seen = [_hinted_seconds(hint, cutting) for hint in hints]
    mean = sum(seen) / len(seen)
    return [seen[page - 1] if page <= len(seen) else mean for page in pages]


def _hinted_seconds(hint: PageHint, cutting: Cutting) -> float:
    has_text = hint.characters >= _TEXT_CHARACTERS and hint.image_share < _FULL_PAGE_IMAGE
    return cutting.text_page_seconds if has_text else cutting.ocr_page_seconds


@dataclass(frozen=True, slots=True)
class Work:
    """What a document will cost: its pages in chunks, expected milliseconds a page, its kind."""

    pages: int
    chunks: list[tuple[int, int]]
    page_ms: int
    kind: str  # text or ocr: the two are estimated apart

    @property
    def seconds(self) -> float:
        """Expected seconds of one worker."""
        return self.pages * self.page_ms / 1000


def work_of(
    hints: Sequence[PageHint], pages: Sequence[int], cutting: Cutting, by_ocr: bool
) -> Work:
    """The work of the chosen pages."""
    seconds = expected_seconds(hints, pages, cutting, by_ocr)
    mean = sum(seconds) / len(seconds)
    middle = (cutting.text_page_seconds + cutting.ocr_page_seconds) / 2
    return Work(
        pages=len(pages),
        chunks=chunks(pages, seconds, cutting),
        page_ms=round(mean * 1000),
        kind="text" if mean < middle else "ocr",
    )


def chunks(
    pages: Sequence[int], seconds: Sequence[float], cutting: Cutting
) -> list[tuple[int, int]]:
    """Runs of consecutive pages, each within the limits (one page always fits)."""
    cut: list[tuple[int, int]] = []
    spent = 0.0
    for page, expected in zip(pages, seconds, strict=True):
        if cut:
            first, last = cut[-1]
            full = spent + expected > cutting.chunk_seconds or page - first >= cutting.chunk_pages
            if page == last + 1 and not full:
                cut[-1] = (first, page)
                spent += expected
                continue
        cut.append((page, page))
        spent = expected
    return cut
