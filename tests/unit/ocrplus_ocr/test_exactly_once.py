"""Every line found is written, and written once; a page that fails at it says so."""

from collections import Counter
from dataclasses import replace

import pytest
import random_pages

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.coverage import coverage, excused, expected, repeated
from ocrplus_ocr.markdown.grid import Cell, Grid, filled
from ocrplus_ocr.markdown.leftovers import bring_back_leftovers
from ocrplus_ocr.markdown.one_place import give_lines_one_place
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.render import page_markdown
from ocrplus_ocr.markdown.steps import finished

SIZE = (600.0, 800.0)


def line(text: str, x: float, y: float, width: float = 200) -> TextLine:
    return TextLine(text, (x, y, x + width, y + 10))


def page(*blocks: Block, lines: list[TextLine]) -> Page:
    return Page(1, SIZE, blocks, tuple(lines))


def said(result: Page) -> str:
    return page_markdown(result.blocks, [])


def table(box: tuple[float, float, float, float], *cells: str) -> Block:
    rows = "".join(f"<tr><td>{cell}</td><td>x</td></tr>" for cell in cells)
    return Block(BlockKind.TABLE, f"<table>{rows}</table>", box)


def test_of_several_equal_lines_the_one_that_was_dropped_comes_back() -> None:
    equal = [line("Thank you for your order.", 50, 100 + 60 * n) for n in range(3)]
    blocks = [Block(BlockKind.TEXT, equal[n].text, equal[n].box, (equal[n],)) for n in (0, 2)]

    result = bring_back_leftovers(page(*blocks, lines=equal))

    assert [b.lines for b in result.blocks] == [(equal[0],), (equal[1],), (equal[2],)]
    assert bring_back_leftovers(result) == result


def test_a_lost_line_comes_back_though_its_words_stand_elsewhere() -> None:
    kept = line("the harbour and the bridge of the town", 50, 100, 300)
    lost = line("the keeper of the archive", 50, 300)

    result = bring_back_leftovers(
        page(Block(BlockKind.TEXT, kept.text, kept.box, (kept,)), lines=[kept, lost])
    )

    assert [b.text for b in result.blocks] == [kept.text, lost.text]


def test_a_header_does_not_speak_for_a_line_like_it() -> None:
    header, title = line("A History", 50, 20), line("A History", 50, 100)

    result = bring_back_leftovers(
        page(Block(BlockKind.HEADER, header.text, header.box, (header,)), lines=[header, title])
    )

    assert [b.lines for b in result.blocks] == [(header,), (title,)]


def test_a_chinese_phrase_that_stands_twice_is_not_found_in_other_lines() -> None:
    first = ["甲乙丙丁戊己", "庚辛壬癸子丑"]
    again = ["丁戊己庚辛壬", "寅卯辰巳午未"]
    lines = [line(text, 50, 100 + 12 * n) for n, text in enumerate([*first, *again])]
    text = "".join([*first, *again])
    whole = page(Block(BlockKind.TEXT, text, (50, 100, 250, 150), tuple(lines)), lines=lines)

    assert bring_back_leftovers(whole) == whole
    assert coverage(whole, text) == 1.0


@pytest.mark.parametrize("kind", [BlockKind.TEXT, BlockKind.LIST, BlockKind.REFERENCE])
def test_running_text_that_reaches_into_a_table_does_not_say_its_rows_again(
    kind: BlockKind,
) -> None:
    above = line("a sentence above", 210, 300)
    rows = [line(f"row {n}", 210, 350 + 20 * n, 60) for n in range(4)]
    text = Block(kind, "a sentence above row 0 row 1", (200, 290, 420, 382))
    found = page(text, table((190, 340, 600, 440), *(r.text for r in rows)), lines=[above, *rows])

    markdown = said(finished(found))

    assert [markdown.count(row.text) for row in rows] == [1, 1, 1, 1]
    assert markdown.count(above.text) == 1


def test_a_caption_that_the_model_also_took_for_a_row_is_said_once() -> None:
    caption = line("Table 1. Copper by year", 60, 105)
    rows = [line(f"row {n}", 60, 130 + 20 * n) for n in range(3)]
    named = Block(BlockKind.CAPTION, caption.text, (55, 103, 265, 117), (caption,))
    cells = table((50, 100, 400, 200), caption.text, *(r.text for r in rows))
    cells = replace(cells, text=cells.text.replace(f"{caption.text}</td><td>x", caption.text))

    result = give_lines_one_place(page(named, cells, lines=[caption, *rows]))

    assert said(result).count(caption.text) == 1


def test_a_table_within_a_table_is_one() -> None:
    rows = [line(f"row {n}", 60, 110 + 20 * n) for n in range(3)]
    outer = table((50, 100, 400, 200), *(r.text for r in rows))
    inner = table((55, 105, 300, 180), *(r.text for r in rows))

    assert give_lines_one_place(page(outer, inner, lines=rows)).blocks[0].text == outer.text
    assert len(give_lines_one_place(page(outer, inner, lines=rows)).blocks) == 1


def test_a_table_of_nothing_but_others_lines_goes() -> None:
    words = line("a line of the text", 50, 100, 400)
    text = Block(BlockKind.TEXT, words.text, (45, 95, 460, 115), (words,))
    beside = table((430, 90, 600, 300), words.text.split()[0])

    result = give_lines_one_place(
        page(text, replace(beside, text="<table><tr><td>a line</td></tr></table>"), lines=[words])
    )

    assert [b.kind for b in result.blocks] == [BlockKind.TEXT]


def test_what_is_written_twice_is_told() -> None:
    lines = [line(f"word{n} stands here", 50, 100 + 20 * n) for n in range(4)]
    once = page(lines=lines)
    text = "\n\n".join(item.text for item in lines)

    assert repeated(once, text) == 0.0
    assert coverage(once, f"{text}\n\n{lines[0].text}") == 1.0
    assert repeated(once, f"{text}\n\n{lines[0].text}") == 0.25


def test_what_is_called_furniture_or_a_picture_is_excused_and_told() -> None:
    first, other = line("the first half", 50, 100), line("the other half", 50, 700)
    words = Block(BlockKind.TEXT, first.text, first.box, (first,))
    footer = Block(BlockKind.FOOTER, other.text, other.box, (other,))
    picture = Block(BlockKind.FIGURE, "", (0, 690, 600, 800))

    for left_out in (footer, picture):
        whole = page(words, left_out, lines=[first, other])
        assert (coverage(whole, first.text), excused(whole)) == (1.0, 0.5)
    assert excused(page(words, lines=[first])) == 0.0


def test_a_chinese_line_that_is_written_twice_is_told() -> None:
    lines = [line("钛及钛合金产品", 50, 100), line("化学成分允许偏差", 50, 120)]
    once = page(lines=lines)

    assert repeated(once, "钛及钛合金产品化学成分允许偏差") == 0.0
    assert repeated(once, "钛及钛合金产品化学成分允许偏差\n\n钛及钛合金产品") == round(7 / 15, 4)


def test_alternative_texts_and_parted_words_are_no_repetition() -> None:
    lines = [line("Figure 1. An exam-", 50, 100), line("ple of an example", 50, 120)]
    caption = "Figure 1. An example of an example"
    text = f"![{caption}](figures/p1-f1.png)\n\n{caption}"

    assert repeated(page(lines=lines), text) == 0.0


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("revenue total", ["revenue", "total"]),
        ("unbreakable", ["unbreakable", ""]),
        ("营业收入净利润", ["营业收入", "净利润"]),
        ("1,2343,456", ["1,234", "3,456"]),
        ("1234567", ["1234567", ""]),
    ],
)
def test_a_line_over_two_cells_is_parted_between_its_words(text: str, cells: list[str]) -> None:
    grid = Grid((0, 100, 200), (0, 20), (Cell(0, 0), Cell(0, 1)))

    result = filled(grid, [line(text, 2, 5, 190)])

    assert [cell.text for cell in result.cells] == cells


def test_a_line_that_sticks_out_of_a_table_stays_whole_in_it() -> None:
    grid = Grid((0, 100, 200), (0, 20), (Cell(0, 0), Cell(0, 1)))

    result = filled(grid, [line("one two three four", 60, 5, 300)])

    assert " ".join(cell.text for cell in result.cells).split() == [
        "one",
        "two",
        "three",
        "four",
    ]


@pytest.mark.parametrize("code", ["```js\nx\n```", "a\n````\nb", "plain"])
def test_code_about_code_keeps_its_fences(code: str) -> None:
    markdown = page_markdown([Block(BlockKind.CODE, code, (0, 0, 10, 10))], [])
    fence = markdown.split("\n", 1)[0]

    assert markdown == f"{fence}\n{code}\n{fence}"
    assert fence not in code


def test_the_first_line_of_a_column_goes_before_its_block() -> None:
    lost = line("renamed to what was their original", 50, 88, 300)
    rest = [line("paths. Another sentence that is full", 50, 100, 300), line("ends.", 50, 112, 60)]
    block = Block(BlockKind.TEXT, " ".join(x.text for x in rest), (50, 99, 350, 122), tuple(rest))

    result = finished(page(block, lines=[lost, *rest]))

    assert said(result) == " ".join(x.text for x in [lost, *rest])


@pytest.mark.parametrize("box", [(60, 60, 60, 70), (90, 66, 60, 62), (60, 65, 200, 65)])
def test_a_line_whose_box_has_no_size_is_said_once(box: tuple[float, ...]) -> None:
    odd = TextLine("odd", box)
    heading = Block(BlockKind.HEADING, "odd", (50, 50, 250, 80))

    assert said(finished(page(heading, lines=[odd]))).count("odd") == 1


def test_a_lost_line_in_the_middle_of_a_sentence_goes_on_with_its_block() -> None:
    full = [line(f"a full line of the text {n}", 50, 100 + 12 * n, 300) for n in range(2)]
    lost, apart = line("and its end.", 50, 124, 80), line("and not its end.", 50, 190, 80)
    block = Block(BlockKind.TEXT, " ".join(x.text for x in full), (50, 98, 350, 122), tuple(full))

    result = finished(page(block, lines=[*full, lost, apart]))

    assert said(result).split("\n\n") == [
        "a full line of the text 0 a full line of the text 1 and its end.",
        "and not its end.",
    ]


def test_under_regions_at_random_every_line_is_written_exactly_once() -> None:
    for number, found in enumerate(random_pages.random_pages(150)):
        page = finished(found)
        written = Counter(random_pages.WORD.findall(said(page)))
        wanted = Counter(w for x in expected(page) for w in random_pages.WORD.findall(x.text))

        lost = wanted - written
        twice = {word: times for word, times in written.items() if times > 1}
        assert not lost and not twice, f"page {number}"
