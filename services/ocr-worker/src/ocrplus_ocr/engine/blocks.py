"""From what PP-StructureV3 found on a page to blocks of the one vocabulary. Pure.

Lines that lie in a picture as large as the page are given back as text: the layout model takes
such pages for one image, and their text must not vanish.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind, Box
from ocrplus_ocr.engine.labels import PICTURES, block_kind

_PAGE_SIZED: Final = 0.5
_LEAST_LINES: Final = 4
_PARAGRAPH_GAP: Final = 0.8  # of the line height


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


def page_blocks(
    found: Sequence[FoundBlock], lines: Sequence[FoundLine], size: tuple[int, int]
) -> list[Block]:
    """Blocks in reading order, boxes in pixels; `size` is the image's width and height."""
    blocks: list[Block] = []
    for item in found:
        kind = block_kind(item.label)
        blocks.append(Block(kind, _sound(item.content), item.box))
        if kind in PICTURES and _area(item.box) >= _PAGE_SIZED * size[0] * size[1]:
            inside = [line for line in lines if _holds(item.box, line.box)]
            if len(inside) >= _LEAST_LINES:
                blocks += _paragraphs(inside)
    return blocks


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
