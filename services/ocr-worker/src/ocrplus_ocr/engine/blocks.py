"""From what PP-StructureV3 found on a page to blocks of the one vocabulary. Pure.

The pipeline drops what it finds inconvenient: a picture that touches its caption, lines that no
block claims, all the text of a page that the layout model takes for one image. Nothing that was
found may vanish, so pictures and lines come back at their place here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind, Box
from ocrplus_ocr.engine.labels import PICTURES, block_kind
from ocrplus_ocr.engine.tables import has_rows

_PAGE_SIZED: Final = 0.5
_LEAST_LINES: Final = 4
_PARAGRAPH_GAP: Final = 0.8  # of the line height
_LEAST_PICTURE_SCORE: Final = 0.5
_SAME_PLACE: Final = 0.5  # share of the smaller box under the other


@dataclass(frozen=True, slots=True)
class FoundBlock:
    """A block as the pipeline gives it: its model's label, content, box in image pixels."""

    label: str
    content: str
    box: Box


@dataclass(frozen=True, slots=True)
class FoundLine:
    """A line of text and its box in image pixels."""

    text: str
    box: Box


@dataclass(frozen=True, slots=True)
class FoundPage:
    """All that was found on a page; `layout` is the layout model's own answer, with scores."""

    blocks: Sequence[FoundBlock]
    lines: Sequence[FoundLine]
    layout: Sequence[tuple[FoundBlock, float]]
    size: tuple[int, int]


def page_blocks(found: FoundPage) -> list[Block]:
    """Blocks in reading order, boxes in pixels."""
    blocks = [Block(block_kind(b.label), _sound(b.content), b.box) for b in found.blocks]
    for picture in _dropped_pictures(blocks, found):
        blocks.insert(_place(picture, blocks), picture)
    blocks = [b for b in blocks if b.kind is not BlockKind.TABLE or has_rows(b.text)]
    claimed = [b.box for b in blocks if not _is_page_of_text(b.kind, b.box, found)]
    lines = [
        line
        for line in found.lines
        if line.text.strip() and not any(_holds(box, line.box) for box in claimed)
    ]
    for paragraph in _paragraphs(lines):
        blocks.insert(_place(paragraph, blocks), paragraph)
    return blocks


def _is_page_of_text(kind: BlockKind, box: Box, found: FoundPage) -> bool:
    """Whether a "picture" is as large as the page and has lines to read: it claims none."""
    if kind not in PICTURES or _area(box) < _PAGE_SIZED * found.size[0] * found.size[1]:
        return False
    return sum(_holds(box, line.box) for line in found.lines) >= _LEAST_LINES


def _dropped_pictures(blocks: Sequence[Block], found: FoundPage) -> list[Block]:
    return [
        Block(block_kind(item.label), "", item.box)
        for item, score in found.layout
        if block_kind(item.label) in PICTURES
        and score >= _LEAST_PICTURE_SCORE
        and not _is_page_of_text(block_kind(item.label), item.box, found)
        and not any(
            _shared(item.box, block.box) > _SAME_PLACE and _area(block.box) > 0.2 * _area(item.box)
            for block in blocks
        )
    ]


def _place(new: Block, blocks: Sequence[Block]) -> int:
    """Index before the first block that lies below in the same column; else the end."""
    for index, block in enumerate(blocks):
        overlap = min(new.box[2], block.box[2]) - max(new.box[0], block.box[0])
        narrower = min(new.box[2] - new.box[0], block.box[2] - block.box[0])
        if block.box[1] >= new.box[1] and overlap > 0.2 * narrower:
            return index
    return len(blocks)


def _shared(a: Box, b: Box) -> float:
    """Share of the smaller box that lies under the other."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min(_area(a), _area(b))
    return max(0.0, width) * max(0.0, height) / smaller if smaller else 0.0


def scaled(blocks: Sequence[Block], pixels_per_point: float) -> list[Block]:
    """The blocks with boxes in points."""
    return [
        Block(
            block.kind,
            block.text,
            (
                round(block.box[0] / pixels_per_point, 2),
                round(block.box[1] / pixels_per_point, 2),
                round(block.box[2] / pixels_per_point, 2),
                round(block.box[3] / pixels_per_point, 2),
            ),
        )
        for block in blocks
    ]


def _sound(text: str) -> str:
    """Valid Unicode without control characters, whatever a model or a PDF gave."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c for c in whole if c >= " " or c in "\n\t")


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _holds(outer: Box, inner: Box) -> bool:
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]


def _paragraphs(lines: Sequence[FoundLine]) -> list[Block]:
    """Lines from top to bottom, column by column, joined where they follow closely."""
    groups: list[list[FoundLine]] = []
    for line in sorted(lines, key=lambda line: (line.box[1], line.box[0])):
        for group in groups:
            if _follows(group[-1], line):
                group.append(line)
                break
        else:
            groups.append([line])
    return [_paragraph(group) for group in groups]


def _follows(above: FoundLine, below: FoundLine) -> bool:
    height = above.box[3] - above.box[1]
    gap = below.box[1] - above.box[3]
    overlap = min(above.box[2], below.box[2]) - max(above.box[0], below.box[0])
    narrower = min(above.box[2] - above.box[0], below.box[2] - below.box[0])
    return -0.5 * height <= gap <= _PARAGRAPH_GAP * height and overlap > 0.5 * narrower


def _paragraph(group: Sequence[FoundLine]) -> Block:
    text = ""
    for line in group:
        joint = "" if not text or _is_cjk(text[-1]) or _is_cjk(line.text[:1]) else " "
        text += joint + line.text
    boxes = [line.box for line in group]
    box = (
        min(b[0] for b in boxes),
        min(b[1] for b in boxes),
        max(b[2] for b in boxes),
        max(b[3] for b in boxes),
    )
    return Block(BlockKind.TEXT, _sound(text), box)


def _is_cjk(character: str) -> bool:
    return bool(character) and "\u2e80" <= character <= "\uffef"
