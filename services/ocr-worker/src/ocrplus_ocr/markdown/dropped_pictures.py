"""Pictures that the layout model found and the pipeline dropped come back at their place.

The pipeline drops a picture that touches its caption. Pure.
"""

from dataclasses import replace
from typing import Final

from ocrplus_ocr.engine import Block
from ocrplus_ocr.engine.labels import PICTURES
from ocrplus_ocr.markdown.geometry import area, shared
from ocrplus_ocr.markdown.page import LayoutBox, Page
from ocrplus_ocr.markdown.placing import placed
from ocrplus_ocr.markdown.text_pictures import holds_text

_LEAST_SCORE: Final = 0.5
_SAME_PLACE: Final = 0.5  # share of the smaller box under the other


def bring_back_pictures(page: Page) -> Page:
    """The page with a block for every picture that was found with some confidence."""
    blocks = page.blocks
    dropped = [item for item in page.layout if _is_dropped(item, page)]
    for item in dropped:
        blocks = placed(Block(item.kind, "", item.box), blocks)
    return replace(page, blocks=blocks)


def _is_dropped(item: LayoutBox, page: Page) -> bool:
    return (
        item.kind in PICTURES
        and item.score >= _LEAST_SCORE
        and not holds_text(item.box, page)
        and not any(
            shared(item.box, block.box) > _SAME_PLACE and area(block.box) > 0.2 * area(item.box)
            for block in page.blocks
        )
    )
