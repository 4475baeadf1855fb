"""Text of a layer that nobody can see: white on white, clipped away, covered, off the page. Pure.

The page's image is the judge: where a run is said to be, something must be drawn.
"""

from dataclasses import replace
from typing import Any, Final  # Any: the image's type parameter

import numpy as np

from ocrplus_ocr.engine.textlayer import Line, TextLayer

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_EVERY: Final = 2  # pixels: a stroke is as wide, and four times the work shows no more
_LEAST_CONTRAST: Final = 16  # of 255, in the strongest channel
_MOST_UNSEEN: Final = 0.5  # more, and it is the rendering that has failed


def visible_layer(layer: TextLayer, image: Pixels, scale: float) -> TextLayer:
    """The layer without the runs that cannot be seen."""
    kept = tuple(run for run in layer.runs if _is_seen(run, image, scale))
    characters = sum(len(run.text) for run in layer.runs)
    seen = sum(len(run.text) for run in kept)
    return replace(layer, runs=kept) if seen >= _MOST_UNSEEN * characters else layer


def _is_seen(run: Line, image: Pixels, scale: float) -> bool:
    height, width = image.shape[:2]
    x0, y0 = max(0, int(run.x0 * scale)), max(0, int(run.y0 * scale))
    x1, y1 = min(width, round(run.x1 * scale) + 1), min(height, round(run.y1 * scale) + 1)
    if x1 <= x0 or y1 <= y0:
        return False
    part = image[y0:y1:_EVERY, x0:x1:_EVERY]
    contrast = part.max(axis=(0, 1)).astype(int) - part.min(axis=(0, 1))
    return bool(contrast.max() >= _LEAST_CONTRAST)
