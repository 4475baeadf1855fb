"""What is known of a page when its blocks have been found: the input and output of every step."""

from dataclasses import dataclass

from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine import Block, BlockKind, Box, TextLine
from ocrplus_ocr.engine.mathglyphs import MathGlyph


@dataclass(frozen=True, slots=True)
class LayoutBox:
    """A region as the layout model gave it."""

    kind: BlockKind
    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class Bookmark:
    """An entry of the PDF's outline: depth from 1, page from 1 (0 where it names none)."""

    title: str
    level: int
    page: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page on its way to Markdown. Steps change `blocks`; the rest is evidence.

    `lines` is everything that was found to read, `layout` the layout model's own answer, before
    the pipeline drops any of it. `pictures`, `rules` and `drawings` are the PDF's own images,
    straight lines and other drawn shapes; of a page read by OCR only `rules`, found in its image.
    `bookmarks` are the document's, on every page; `maths` the characters of formulas.
    """

    number: int
    size: tuple[float, float]
    blocks: tuple[Block, ...]
    lines: tuple[TextLine, ...] = ()
    layout: tuple[LayoutBox, ...] = ()
    pictures: tuple[Box, ...] = ()
    rules: tuple[Box, ...] = ()
    drawings: tuple[Box, ...] = ()
    bookmarks: tuple[Bookmark, ...] = ()
    maths: tuple[MathGlyph, ...] = ()
    source: TextSource = TextSource.OCR
