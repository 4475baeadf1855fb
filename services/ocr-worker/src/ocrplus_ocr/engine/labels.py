"""From each layout model's labels to the one vocabulary of block kinds.

The pack's PicoDet speaks ten labels, PP-DocLayout_plus-L twenty, PP-DocLayoutV2/V3 twenty-five;
an unknown one is text, so that nothing is lost to a new model's word.
"""

from typing import Final

from ocrplus_ocr.engine import BlockKind

_KINDS: Final[dict[str, BlockKind]] = {
    "doc_title": BlockKind.TITLE,
    "paragraph_title": BlockKind.HEADING,
    "abstract_title": BlockKind.HEADING,
    "reference_title": BlockKind.HEADING,
    "content_title": BlockKind.HEADING,
    "text": BlockKind.TEXT,
    "abstract": BlockKind.TEXT,
    "content": BlockKind.TEXT,
    "vertical_text": BlockKind.TEXT,
    "reference": BlockKind.REFERENCE,
    "reference_content": BlockKind.REFERENCE,
    "aside_text": BlockKind.ASIDE,
    "number": BlockKind.PAGE_NUMBER,
    "header": BlockKind.HEADER,
    "header_image": BlockKind.HEADER,
    "footer": BlockKind.FOOTER,
    "footer_image": BlockKind.FOOTER,
    "footnote": BlockKind.FOOTNOTE,
    "vision_footnote": BlockKind.FOOTNOTE,
    "table": BlockKind.TABLE,
    "image": BlockKind.FIGURE,
    "figure": BlockKind.FIGURE,
    "chart": BlockKind.CHART,
    "flowchart": BlockKind.CHART,
    "seal": BlockKind.SEAL,
    "figure_title": BlockKind.CAPTION,
    "table_title": BlockKind.CAPTION,
    "chart_title": BlockKind.CAPTION,
    "figure_table_chart_title": BlockKind.CAPTION,
    "formula": BlockKind.FORMULA,
    "display_formula": BlockKind.FORMULA,
    "inline_formula": BlockKind.TEXT,
    "formula_number": BlockKind.FORMULA_NUMBER,
    "algorithm": BlockKind.CODE,
    "code": BlockKind.CODE,
    "list": BlockKind.LIST,
}

PICTURES: Final = frozenset(
    {BlockKind.FIGURE, BlockKind.CHART, BlockKind.SEAL, BlockKind.FORMULA_PICTURE}
)
"""Kinds that become a picture in the Markdown."""

FURNITURE: Final = frozenset({BlockKind.HEADER, BlockKind.FOOTER, BlockKind.PAGE_NUMBER})
"""Kinds that repeat from page to page and are left out of the Markdown."""


def known_labels() -> frozenset[str]:
    """Every label that has a kind of its own."""
    return frozenset(_KINDS)


def block_kind(label: str) -> BlockKind:
    """The kind of a layout model's label."""
    return _KINDS.get(label, BlockKind.TEXT)
