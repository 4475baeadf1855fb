"""A table that the model could make nothing of is no table: its lines come back as text. Pure."""

from dataclasses import replace

from ocrplus_ocr.engine import BlockKind
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.tables import has_rows


def drop_unread_tables(page: Page) -> Page:
    """The page without tables that have no cell with text; `lost_lines` finds their lines."""
    kept = (b for b in page.blocks if b.kind is not BlockKind.TABLE or has_rows(b.text))
    return replace(page, blocks=tuple(kept))
