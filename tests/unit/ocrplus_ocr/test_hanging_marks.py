"""Numbers of questions and marks of lists that stand apart from their text."""

import pytest

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.hanging_marks import join_hanging_marks
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.paragraphs import set_paragraphs

FULL = "a line of text that fills the whole column"


def block(*placed: tuple[str, float], x: float = 80, size: float = 10) -> Block:
    lines = tuple(TextLine(t, (x, y, x + 5 * len(t), y + 10), size, 400) for t, y in placed)
    return Block(
        BlockKind.TEXT, " ".join(t for t, _ in placed), around(i.box for i in lines), lines
    )


def joined(*blocks: Block) -> list[str]:
    lines = tuple(line for b in blocks for line in b.lines)
    page = set_paragraphs(join_hanging_marks(Page(1, (600, 800), blocks, lines)))
    return [b.text for b in page.blocks]


@pytest.mark.parametrize(
    ("first", "second"), [("1.", "2."), ("(1)", "(2)"), ("a)", "b)"), ("①", "②"), ("1", "2")]
)
def test_numbers_of_questions_stand_before_their_text(first: str, second: str) -> None:
    numbers = block((first, 100), (second, 140), x=60)
    one, two = block((FULL, 100), ("ends.", 112)), block((FULL, 140), ("ends, too.", 152))

    assert joined(numbers, one, two) == [f"{first} {FULL} ends.", f"{second} {FULL} ends, too."]


def test_marks_of_one_block_s_items_part_it() -> None:
    marks = block(("•", 100), ("•", 124), x=66)
    items = block((FULL, 100), ("ends.", 112), (FULL, 124))

    assert joined(marks, items) == [f"- {FULL} ends.\n- {FULL}"]


def test_numbers_of_lines_stay_apart() -> None:
    numbers = block(*((str(n), 100 + 12 * n) for n in range(1, 7)), x=40)
    text = block(*((FULL, 100 + 12 * n) for n in range(1, 7)))

    assert len(joined(numbers, text)) == 2


def test_numbers_with_nothing_beside_them_stay() -> None:
    numbers = block(("1", 100), ("2", 140), ("3", 180), x=60)

    assert len(joined(numbers, block((FULL, 100)))) == 2
    assert len(joined(block(("1", 100), x=60, size=6), block((FULL, 100)))) == 2, "a note's"
