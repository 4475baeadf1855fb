"""From the pipeline's own result to a `Page`: one vocabulary, points instead of pixels. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine import Block, Box, TextLine
from ocrplus_ocr.engine.labels import block_kind
from ocrplus_ocr.engine.mathglyphs import MathGlyph
from ocrplus_ocr.markdown.geometry import common
from ocrplus_ocr.markdown.page import Bookmark, LayoutBox, Page


@dataclass(frozen=True, slots=True)
class FoundBlock:
    """A block as the pipeline gives it: its model's label, content, box in image pixels."""

    label: str
    content: str
    box: Box
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class FoundPage:
    """All that was found on a page, in pixels of its upright image; `scale` is pixels per point.

    `blocks` are in the pipeline's reading order; `layout` is the layout model's own answer. What
    the PDF draws is in points.
    """

    number: int
    blocks: Sequence[FoundBlock]
    lines: Sequence[TextLine]
    layout: Sequence[FoundBlock]
    size: tuple[int, int]
    scale: float = 1.0
    source: TextSource = TextSource.OCR
    pictures: Sequence[Box] = ()
    rules: Sequence[Box] = ()
    drawings: Sequence[Box] = ()
    bookmarks: tuple[Bookmark, ...] = ()
    maths: Sequence[MathGlyph] = ()


def page_of(found: FoundPage) -> Page:
    """The page as the steps get it; each line stands in the block that covers most of it."""
    scale = found.scale
    lines = tuple(_line(line, scale) for line in found.lines if line.text.strip())
    blocks = [
        Block(block_kind(b.label), sound(b.content), scaled(b.box, scale)) for b in found.blocks
    ]
    return Page(
        number=found.number,
        size=(found.size[0] / scale, found.size[1] / scale),
        blocks=_with_lines(blocks, lines),
        lines=lines,
        layout=tuple(
            LayoutBox(block_kind(b.label), scaled(b.box, scale), b.score) for b in found.layout
        ),
        pictures=tuple(found.pictures),
        rules=tuple(found.rules),
        drawings=tuple(found.drawings),
        bookmarks=found.bookmarks,
        maths=tuple(found.maths),
        source=found.source,
    )


def _line(line: TextLine, scale: float) -> TextLine:
    return replace(line, text=sound(line.text), box=scaled(line.box, scale))


def _with_lines(blocks: Sequence[Block], lines: Sequence[TextLine]) -> tuple[Block, ...]:
    standing: list[list[TextLine]] = [[] for _ in blocks]
    for line in lines:
        shares = [common(block.box, line.box) for block in blocks]
        best = max(range(len(blocks)), key=shares.__getitem__, default=None)
        if best is not None and shares[best] > 0:
            standing[best].append(line)
    return tuple(
        replace(block, lines=tuple(inside)) for block, inside in zip(blocks, standing, strict=True)
    )


def scaled(box: Box, pixels_per_point: float) -> Box:
    """A box of pixels in points."""
    x0, y0, x1, y1 = (round(side / pixels_per_point, 2) for side in box)
    return x0, y0, x1, y1


def sound(text: str) -> str:
    """Valid Unicode without control characters, whatever a model or a PDF gave."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c for c in whole if c >= " " or c in "\n\t")
