"""Figures of a page: its picture blocks cropped from its image."""

import io
from collections.abc import Sequence
from typing import Any, Final  # Any: images are arrays of the pipeline's

from PIL import Image

from ocrplus_ocr.engine import Block, Box, Figure
from ocrplus_ocr.engine.labels import PICTURES
from ocrplus_ocr.markdown.render import caption_of

_LEAST_FIGURE_PX: Final = 24


def cropped_figures(
    page: int, blocks: Sequence[Block], image: Any, scale: float
) -> tuple[Figure, ...]:
    """A figure for each picture block; `scale` is the image's pixels per point."""
    figures: list[Figure] = []
    for index, block in enumerate(blocks):
        if block.kind not in PICTURES:
            continue
        png = _crop(image, block.box, scale)
        if png is None:
            continue
        figures.append(
            Figure(
                id=f"p{page}-f{len(figures) + 1}",
                kind=block.kind,
                box=block.box,
                png=png,
                caption=caption_of(blocks, index),
            )
        )
    return tuple(figures)


def _crop(image: Any, box: Box, scale: float) -> bytes | None:
    """PNG of a box in points; None where it is too small to show anything."""
    height, width = image.shape[:2]
    x0, y0 = max(0, round(box[0] * scale)), max(0, round(box[1] * scale))
    x1, y1 = min(width, round(box[2] * scale)), min(height, round(box[3] * scale))
    if x1 - x0 < _LEAST_FIGURE_PX or y1 - y0 < _LEAST_FIGURE_PX:
        return None
    out = io.BytesIO()
    Image.fromarray(image[y0:y1, x0:x1, ::-1].copy()).save(out, "PNG", compress_level=3)
    return out.getvalue()
