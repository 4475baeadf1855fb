"""What hostile pages cost: the steps stay within bounds whatever a page says."""

import time
from collections.abc import Callable
from functools import partial

import pytest

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.footnotes import mark_footnotes
from ocrplus_ocr.markdown.furniture import mark_furniture
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.hanging_marks import join_hanging_marks
from ocrplus_ocr.markdown.hyphens import hyphens_of, joined_lines
from ocrplus_ocr.markdown.interleaved import part_interleaved
from ocrplus_ocr.markdown.lost_lines import bring_back_lines
from ocrplus_ocr.markdown.one_place import give_lines_one_place
from ocrplus_ocr.markdown.page import LayoutBox, Page
from ocrplus_ocr.markdown.paragraphs import flowing_text
from ocrplus_ocr.markdown.rows import rows
from ocrplus_ocr.markdown.run_in_headings import part_run_in_headings
from ocrplus_ocr.markdown.table_grids import rebuild_tables

SIZE = (3000.0, 4000.0)
MANY = 20_000


def row(text: str, index: int, count: int = MANY) -> TextLine:
    """A line in one of four columns."""
    column, down = divmod(index, count // 4)
    height = SIZE[1] / (count // 4)
    x, y = column * SIZE[0] / 4, down * height
    return TextLine(text, (x + 5, y, x + 700, y + 0.8 * height), 10, 400)


def cost(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


@pytest.mark.parametrize("text", ["a" * 200, "a" * 200 + "-", "a-" * 100])
def test_long_paragraphs_are_joined_in_no_time(text: str) -> None:
    assert cost(lambda: joined_lines([text] * 1000)) < 2


@pytest.mark.parametrize("text", ["a" * 20_000, "a" * 20_000 + "-1", "a-" * 10_000])
def test_the_hyphens_of_long_words_are_found_in_no_time(text: str) -> None:
    assert cost(lambda: hyphens_of([text, text])) < 2


@pytest.mark.parametrize("text", ["." * 20_000 + "xxxxxx", ". " * 10_000 + "xxxxxx"])
def test_long_leaders_are_read_in_no_time(text: str) -> None:
    lines = [row(text, index) for index in range(2)]

    assert cost(lambda: flowing_text(rows(lines))) < 2


@pytest.mark.parametrize("text", ["1" + " " * 20_000 + "x", "- " * 10_000 + "x"])
def test_long_lines_are_no_page_numbers_at_once(text: str) -> None:
    line = TextLine(text, (50, 3900, 500, 3910), 10, 400)
    body = tuple(row("A sentence of the page.", index, 40) for index in range(8))
    blocks = tuple(
        Block(BlockKind.TEXT, " ".join(x.text for x in own), around(x.box for x in own), own)
        for own in (body, (line,))
    )

    assert cost(lambda: mark_furniture(Page(1, SIZE, blocks, (*body, line)))) < 2


def test_a_row_of_many_lines_is_read_in_no_time() -> None:
    lines = [TextLine("w", (i / 10, 100, i / 10 + 0.05, 112), 12, 400) for i in range(MANY)]

    assert cost(lambda: rows(lines)) < 5


def test_a_column_of_many_lines_is_read_in_no_time() -> None:
    assert cost(lambda: rows([row("some words", index) for index in range(MANY)])) < 5


def test_lines_without_a_block_come_back_in_no_time() -> None:
    lines = tuple(row("some words", index) for index in range(MANY))
    found: list[Page] = []

    assert cost(lambda: found.append(bring_back_lines(Page(1, SIZE, (), lines)))) < 10
    assert sum(len(block.lines) for block in found[0].blocks) == MANY
    assert len(found[0].blocks) < 1000, "the steps after it compare each block with each other"


def test_many_regions_take_their_lines_in_no_time() -> None:
    lines = tuple(row("some words", index, 4000) for index in range(4000))
    blocks = tuple(Block(BlockKind.TEXT, line.text, line.box) for line in lines)
    layout = tuple(LayoutBox(block.kind, block.box, 0.8) for block in blocks)
    page = Page(1, SIZE, blocks, lines, layout)
    found: list[Page] = []

    assert cost(lambda: found.append(give_lines_one_place(page))) < 10
    assert sum(len(block.lines) for block in found[0].blocks) == 4000


@pytest.mark.parametrize("text", ["12.", "some words"])
@pytest.mark.parametrize("blocks", [1, 90, 290])
def test_steps_over_pairs_of_regions_take_no_time(text: str, blocks: int) -> None:
    lines = tuple(row(text if index % 2 else "words", index, 8000) for index in range(8000))
    each = len(lines) // blocks
    parts = [lines[each * n : each * (n + 1)] for n in range(blocks)]
    page = Page(
        1,
        SIZE,
        tuple(Block(BlockKind.TEXT, "x", around(i.box for i in own), own) for own in parts),
        lines,
    )

    for step in (part_interleaved, join_hanging_marks, mark_footnotes, part_run_in_headings):
        assert cost(partial(step, page)) < 2, step.__name__


def test_a_large_ruled_table_is_made_in_no_time() -> None:
    rows_, columns = 100, 50
    width, height = SIZE[0] / columns, SIZE[1] / rows_
    lines = tuple(
        TextLine(
            f"w{r}x{c}", (c * width + 2, r * height + 1, (c + 0.8) * width, (r + 0.8) * height)
        )
        for r in range(rows_)
        for c in range(columns)
    )
    rules = [(0.0, r * height, SIZE[0], r * height + 0.5) for r in range(rows_ + 1)]
    rules += [(c * width, 0.0, c * width + 0.5, SIZE[1]) for c in range(columns + 1)]
    page = Page(1, SIZE, (), lines, rules=tuple(rules))
    found: list[Page] = []

    assert cost(lambda: found.append(rebuild_tables(page))) < 3
    assert [len(block.lines) for block in found[0].blocks] == [rows_ * columns]
