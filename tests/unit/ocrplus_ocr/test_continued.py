"""Paragraphs that go on in the next column or over the page's end."""

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.continued import join_columns, page_edges
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.page import Page

FULL = "a line of text that fills the whole column from end to end"


def block(kind: BlockKind, *texts: str, x: float = 50, y: float = 0) -> Block:
    lines = tuple(
        TextLine(text, (x, y + 12 * i, x + 4 * len(text), y + 12 * i + 10), 10, 400)
        for i, text in enumerate(texts)
    )
    return Block(kind, " ".join(texts), around(line.box for line in lines), lines)


def page(*blocks: Block) -> Page:
    return Page(1, (600, 800), blocks, tuple(line for b in blocks for line in b.lines))


def texts(result: Page) -> list[str]:
    return [b.text for b in result.blocks]


def test_a_sentence_goes_on_in_the_next_column_past_a_figure() -> None:
    left = block(BlockKind.TEXT, FULL, FULL, y=400)
    caption = block(BlockKind.CAPTION, "Figure 1. A chart", x=350)
    right = block(BlockKind.TEXT, "and it ends here.", x=350, y=100)

    result = join_columns(page(left, caption, right))

    assert texts(result) == [f"{FULL} {FULL} and it ends here.", "Figure 1. A chart"]


def test_a_finished_paragraph_stays_apart() -> None:
    left = block(BlockKind.TEXT, FULL, f"{FULL[:-1]}.", y=400)
    right = block(BlockKind.TEXT, "and so on", x=350)

    assert len(join_columns(page(left, right)).blocks) == 2


def test_a_line_that_ends_early_stays_apart() -> None:
    left = block(BlockKind.TEXT, FULL, "no verb here", y=400)

    assert len(join_columns(page(left, block(BlockKind.TEXT, "and so on", x=350))).blocks) == 2


def test_a_new_sentence_stays_apart() -> None:
    left = block(BlockKind.TEXT, FULL, FULL, y=400)

    assert len(join_columns(page(left, block(BlockKind.TEXT, "Another one", x=350))).blocks) == 2


def test_a_heading_between_keeps_them_apart() -> None:
    left = block(BlockKind.TEXT, FULL, FULL, y=400)
    heading = block(BlockKind.HEADING, "Causes", x=350)

    assert len(join_columns(page(left, heading, block(BlockKind.TEXT, "and", x=350))).blocks) == 3


def test_a_page_says_whether_its_edges_cut_a_paragraph() -> None:
    whole = page(block(BlockKind.TEXT, "One sentence."))
    cut = page(block(BlockKind.TEXT, "goes on and"), block(BlockKind.TEXT, FULL, FULL, y=300))
    noted = page(*cut.blocks, block(BlockKind.FOOTNOTE, "1 A note.", y=500))

    assert page_edges(whole) == (True, True)
    assert page_edges(cut) == (False, False)
    assert page_edges(noted) == (False, True), "the rest would be glued to the note"
