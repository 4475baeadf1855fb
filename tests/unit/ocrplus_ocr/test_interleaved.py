"""Two regions whose rows take turns down the page."""

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.interleaved import part_interleaved
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.reading import order_blocks


def block(x: float, *placed: tuple[str, float]) -> Block:
    lines = tuple(TextLine(t, (x, y, x + 5 * len(t), y + 10)) for t, y in placed)
    return Block(
        BlockKind.TEXT, " ".join(t for t, _ in placed), around(i.box for i in lines), lines
    )


def texts(*blocks: Block) -> list[str]:
    lines = tuple(line for b in blocks for line in b.lines)
    page = order_blocks(part_interleaved(Page(1, (600, 800), blocks, lines)))
    return [b.text for b in page.blocks]


def test_questions_and_the_formulas_between_them_take_turns() -> None:
    questions = block(50, *((f"{n}. Prove the following.", 60 * n) for n in (1, 2, 3)))
    formulas = block(250, *((f"a = {n}", 60 * n + 30) for n in (1, 2, 3)))

    assert texts(questions, formulas) == [
        "1. Prove the following.",
        "a = 1",
        "2. Prove the following.",
        "a = 2",
        "3. Prove the following.",
        "a = 3",
    ]


def test_a_formula_of_two_rows_is_one_piece() -> None:
    questions = block(50, ("1. Prove this.", 60), ("2. Prove that.", 140), ("3. And that.", 220))
    formulas = block(250, ("a", 90), ("b", 105), ("c", 180), ("d", 260))

    assert "a b" in texts(questions, formulas)


def test_columns_stay_columns() -> None:
    left = block(50, *((f"left {n}", 14 * n) for n in range(8)))
    right = block(250, *((f"right {n}", 14 * n + 5) for n in range(8)))

    assert len(texts(left, right)) == 2
    assert len(texts(left, block(250, ("a note", 160), ("below", 174)))) == 2


def test_columns_of_prose_that_stand_half_a_line_apart_stay_whole() -> None:
    left = block(50, *(("and so the left column goes on", 26 * n) for n in range(6)))
    right = block(250, *(("while the right one does alike", 26 * n + 13) for n in range(6)))

    assert len(texts(left, right)) == 2
