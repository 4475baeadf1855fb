"""Where a block belongs among others that are in reading order. Pure."""

from collections.abc import Sequence

from ocrplus_ocr.engine import Block
from ocrplus_ocr.markdown.geometry import across


def placed(new: Block, blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The blocks with one more, before the first that lies below it in the same column."""
    index = next(
        (
            number
            for number, block in enumerate(blocks)
            if block.box[1] >= new.box[1] and across(block.box, new.box) > 0.2
        ),
        len(blocks),
    )
    return (*blocks[:index], new, *blocks[index:])
