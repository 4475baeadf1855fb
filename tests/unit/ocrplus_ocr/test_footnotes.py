"""Footnotes that the layout model has no word for."""

from dataclasses import replace

import pytest

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.continued import join_columns, joints
from ocrplus_ocr.markdown.footnotes import mark_footnotes
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.paragraphs import set_paragraphs

FULL = "a line of text that fills the whole column from end to end"


def block(*texts: str, x: float = 50, y: float = 0, size: float = 10, **more) -> Block:
    lines = tuple(
        TextLine(t, (x, y + 12 * i, x + 0.4 * size * len(t), y + 12 * i + size), size, 400)
        for i, t in enumerate(texts)
    )
    kind = more.get("kind", BlockKind.TEXT)
    return Block(kind, " ".join(texts), around(line.box for line in lines), lines)


def page(*blocks: Block, **more) -> Page:
    return Page(1, (600, 800), blocks, tuple(line for b in blocks for line in b.lines), **more)


RULE = (50.0, 690.0, 150.0, 690.5)


@pytest.mark.parametrize(
    ("note", "rules", "is_note"),
    [
        (block("1 The record is not complete.", y=700, size=8), (), True),
        (block("* The record is not complete.", y=700, size=8), (), True),
        (block("1 A record.", y=700, size=8, kind=BlockKind.REFERENCE), (), True),
        (block("The record is not complete.", y=700, size=8), (RULE,), True),
        (block("The record is not complete.", y=700, size=8), (), False),
        (block("1 The record is not complete.", y=700), (), False),
        (block("1 The record is not complete.", y=200, size=8), (), False),
        (block("1.5 metres of copper", y=700, size=8), (), False),
    ],
)
def test_a_note_is_small_last_and_marked(note: Block, rules: tuple, is_note: bool) -> None:
    found = mark_footnotes(page(block(FULL, FULL, FULL), note, rules=rules)).blocks

    assert (found[-1].kind is BlockKind.FOOTNOTE) is is_note


def test_what_has_text_below_it_is_no_note_but_notes_stand_under_each_other() -> None:
    first = block("1 The record.", y=650, size=8)
    second = block("2 Another.", y=680, size=8)

    over_text = mark_footnotes(page(block(FULL, FULL), first, block(FULL, FULL, y=700))).blocks
    both = mark_footnotes(page(block(FULL, FULL), first, second)).blocks

    assert over_text[1].kind is BlockKind.TEXT
    assert [b.kind for b in both[1:]] == [BlockKind.FOOTNOTE] * 2


def test_numbered_code_is_no_note() -> None:
    code = block("1 $ ./mongod", y=700, size=8)
    code = replace(code, lines=tuple(replace(line, mono=True) for line in code.lines))

    assert mark_footnotes(page(block(FULL, FULL), code)).blocks[1].kind is BlockKind.TEXT


def test_a_paragraph_finds_its_rest_past_a_note() -> None:
    note = block("1 The record.", y=700, size=8)
    left = block(FULL, FULL, y=600)
    right = block("and it ends here.", x=350, y=50)

    columns = join_columns(mark_footnotes(page(left, note, right)))
    over_pages = joints(mark_footnotes(page(left, note)))

    assert columns.blocks[0].text == f"{FULL} {FULL} and it ends here."
    assert over_pages[1] is not None


def test_the_star_of_a_note_is_no_bullet() -> None:
    note = block("* Prices without tax", "* A guess", y=700, size=8, kind=BlockKind.FOOTNOTE)

    (found,) = set_paragraphs(page(note)).blocks

    assert found.text == r"\* Prices without tax" + "\n" + r"\* A guess"
