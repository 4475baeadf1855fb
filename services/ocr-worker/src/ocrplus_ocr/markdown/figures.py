"""Figures cut as the PDF draws them; pictures and drawings that no model saw. Pure.

The layout model's box of a picture is a guess to some points, and it overlooks drawings made of
lines. A PDF tells where its images and shapes are; a scan tells nothing, and keeps the guess.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind, Box
from ocrplus_ocr.engine.labels import FURNITURE, PICTURES
from ocrplus_ocr.markdown.geometry import area, around, common, holds, shared
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.placing import placed

_WITHIN: Final = 0.8  # share of an image that lies in the model's box
_FILLS: Final = 0.6  # share of the model's box that its images fill
_BACKGROUND: Final = 0.7  # of the page: an image under everything else
_LEAST: Final = 0.02  # of the page
_TINY: Final = 0.003  # of the page: a bullet, an icon, a rule
_THIN: Final = 12.0  # points
_NEAR: Final = 8.0  # points between shapes of one drawing
_LEAST_SHAPES: Final = 10
_MOST_TEXT: Final = 0.25  # share of a drawing under its lines
_TAKEN: Final = 0.2
_MOST_SHAPES: Final = 600


def fit_figures(page: Page) -> Page:
    """The page with its pictures cut as they are drawn, and without tiny decorations."""
    blocks = []
    for block in page.blocks:
        if block.kind in PICTURES:
            block = replace(block, box=_drawn_box(block, page))
            if _is_decoration(block.box, page):
                continue
        blocks.append(block)
    return replace(page, blocks=tuple(blocks))


def _drawn_box(block: Block, page: Page) -> Box:
    """The box of the images that fill a region; the region where they do not, or where words of
    the picture stand beside them: cut away, these would be nowhere."""
    box = block.box
    images = [p for p in page.pictures if common(p, box) > _WITHIN * max(area(p), 1e-6)]
    if not images or any(area(p) > _BACKGROUND * _area(page) for p in images):
        return box
    drawn = around(images)
    loose = [d for d in page.drawings if common(d, box) > _WITHIN * area(d) > 0]
    cut = any(not holds(drawn, item) for item in (*loose, *(line.box for line in block.lines)))
    return drawn if area(drawn) > _FILLS * area(box) and not cut else box


def _is_decoration(box: Box, page: Page) -> bool:
    return area(box) < _TINY * _area(page) or min(box[2] - box[0], box[3] - box[1]) < _THIN


def find_figures(page: Page) -> Page:
    """The page with a picture block for each image and drawing that none has."""
    blocks = page.blocks
    for box in [*_overlooked_images(page), *_overlooked_drawings(page)]:
        if not any(_takes(block, box) for block in blocks):
            blocks = placed(Block(BlockKind.FIGURE, "", box), blocks)
    return replace(page, blocks=blocks)


def _overlooked_images(page: Page) -> list[Box]:
    return [
        box
        for box in page.pictures
        if _LEAST * _area(page) < area(box) < _BACKGROUND * _area(page)
        and not _is_decoration(box, page)
        and _text_share(box, page) < _MOST_TEXT / 2
    ]


def _overlooked_drawings(page: Page) -> list[Box]:
    """Shapes that lie close together, many of them, with little text among them."""
    groups = _clusters(page.drawings[:_MOST_SHAPES])
    return [
        box
        for box, count in groups
        if count >= _LEAST_SHAPES
        and _LEAST * _area(page) < area(box) < _BACKGROUND * _area(page)
        and _text_share(box, page) < _MOST_TEXT
    ]


def _clusters(boxes: Sequence[Box]) -> list[tuple[Box, int]]:
    """Boxes that lie within reach of each other, as one box and their number."""
    clusters: list[tuple[Box, int]] = []
    for box in boxes:
        count = 1
        while near := [c for c in clusters if _reach(c[0], box)]:
            box = around([box, *(c[0] for c in near)])
            count += sum(c[1] for c in near)
            clusters = [c for c in clusters if c not in near]
        clusters.append((box, count))
    return clusters


def _reach(a: Box, b: Box) -> bool:
    return max(a[0], b[0]) - min(a[2], b[2]) <= _NEAR and max(a[1], b[1]) - min(a[3], b[3]) <= _NEAR


def _text_share(box: Box, page: Page) -> float:
    text = sum(common(line.box, box) for line in page.lines)
    return text / max(area(box), 1e-6)


def _takes(block: Block, box: Box) -> bool:
    """Whether a block has the place already: a picture, a table, or text of several lines."""
    if block.kind in FURNITURE:
        return common(block.box, box) > 0.5 * area(box)
    if block.kind in PICTURES or block.kind is BlockKind.TABLE:
        return shared(block.box, box) > _TAKEN
    return len(block.lines) > 1 and common(block.box, box) > 0.5 * area(block.box)


def _area(page: Page) -> float:
    return page.size[0] * page.size[1]
