"""Paragraphs that go on in the next column or over the page's end."""

import pytest

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.continued import join_columns, joints
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


def test_a_page_says_which_paragraphs_run_over_its_ends() -> None:
    whole = page(block(BlockKind.TEXT, "One sentence."))
    cut = page(block(BlockKind.TEXT, "goes on and"), block(BlockKind.TEXT, FULL, FULL, y=300))

    start, end = joints(cut)

    assert joints(whole) == (None, None)
    assert start is not None
    assert end is not None
    assert start.text == "goes on and"
    assert FULL in end.text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (BlockKind.FOOTNOTE, "1 A note."),
        (BlockKind.CAPTION, "Figure 1. A chart"),
        (BlockKind.TABLE, "<table><tr><td>1</td></tr></table>"),
        (BlockKind.FOOTER, "Harbour Press"),
    ],
)
def test_a_paragraph_runs_over_the_page_s_end_past_what_is_no_text(
    kind: BlockKind, text: str
) -> None:
    between = block(kind, text, y=500)
    above = page(block(BlockKind.TEXT, FULL, FULL, y=300), between)
    below = page(block(kind, text, y=20), block(BlockKind.TEXT, "goes on and", y=80))

    end, start = joints(above)[1], joints(below)[0]

    assert end is not None
    assert end.text.endswith(FULL)
    assert start is not None
    assert start.text == "goes on and"


def test_a_heading_at_the_page_s_end_ends_the_paragraph() -> None:
    headed = page(block(BlockKind.TEXT, FULL, FULL), block(BlockKind.HEADING, "Causes", y=500))

    assert joints(headed)[1] is None


@pytest.mark.parametrize(
    ("end", "elsewhere", "keeps"),
    [
        ("that fills the whole connec-", "the parted lines of some exam-", False),
        ("that fills the whole text-", "a text-layer that it writes so", True),
        ("that fills the whole self-", "the parted lines of some exam-", True),
        ("that fills the whole IRA-", "the parted lines of some exam-", True),
        ("that fills the whole connec-", "nothing else has been parted", True),
    ],
)
def test_a_page_says_whether_a_hyphen_at_its_end_stays(
    end: str, elsewhere: str, keeps: bool
) -> None:
    parted = ["a word that is par-", "ted and one that is par-", "ted, too"]
    rest = parted if elsewhere.endswith("-") or "text-layer" in elsewhere else []
    lines = [*rest, elsewhere, f"a line of text {end}"]

    found = joints(page(block(BlockKind.TEXT, *lines)))[1]

    assert found is not None
    assert found.keeps_hyphen is keeps


def test_a_list_s_last_item_is_whole_though_it_is_the_list_s_widest() -> None:
    items = block(BlockKind.TEXT, "- one", "- another item", y=400)

    assert joints(page(block(BlockKind.TEXT, FULL, FULL), items))[1] is None
    assert joints(page(items))[1] is not None, "nothing else tells how wide the column is"


@pytest.mark.parametrize(("start", "blocks"), [("b) the", 2), ("iv. the", 2), ("i. e. the", 1)])
def test_an_item_of_a_list_is_no_rest_of_a_sentence(start: str, blocks: int) -> None:
    left = block(BlockKind.TEXT, FULL, FULL, y=400)

    assert len(join_columns(page(left, block(BlockKind.TEXT, start, x=350))).blocks) == blocks


@pytest.mark.parametrize(("widths", "blocks"), [((52, 58, 55, 57), 1), ((20, 58, 30, 41), 2)])
def test_prose_that_is_not_justified_goes_on_and_a_list_does_not(
    widths: tuple[int, ...], blocks: int
) -> None:
    left = block(BlockKind.TEXT, *(FULL[:width] for width in widths), FULL[:53], y=400)

    assert len(join_columns(page(left, block(BlockKind.TEXT, "and so on", x=350))).blocks) == blocks
