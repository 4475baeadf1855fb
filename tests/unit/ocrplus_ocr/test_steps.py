"""The steps from found blocks to blocks of Markdown, each on a small page."""

import time
from dataclasses import replace

import pytest

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.captions import place_captions
from ocrplus_ocr.markdown.coverage import coverage
from ocrplus_ocr.markdown.cutting import Columns, reading_order
from ocrplus_ocr.markdown.figures import find_figures, fit_figures
from ocrplus_ocr.markdown.furniture import mark_furniture
from ocrplus_ocr.markdown.leftovers import bring_back_leftovers
from ocrplus_ocr.markdown.lines import in_reading_order, text_of
from ocrplus_ocr.markdown.lost_lines import bring_back_lines
from ocrplus_ocr.markdown.one_place import give_lines_one_place
from ocrplus_ocr.markdown.page import LayoutBox, Page
from ocrplus_ocr.markdown.reading import order_blocks
from ocrplus_ocr.markdown.render import page_markdown
from ocrplus_ocr.markdown.steps import STEPS, finished
from ocrplus_ocr.markdown.subfigures import part_subfigures

SIZE = (600.0, 800.0)


def line(text: str, x: float, y: float, width: float = 200, height: float = 10) -> TextLine:
    return TextLine(text, (x, y, x + width, y + height))


def block(kind: BlockKind, x: float, y: float, width: float, height: float, *lines) -> Block:
    text = " ".join(item.text for item in lines)
    return Block(kind, text, (x, y, x + width, y + height), tuple(lines))


def page(*blocks: Block, lines=None, **more) -> Page:
    found = [item for b in blocks for item in b.lines] if lines is None else lines
    return Page(1, SIZE, tuple(blocks), tuple(found), **more)


def texts(result: Page) -> list[str]:
    return [b.text for b in result.blocks]


def test_the_names_of_the_steps_are_their_own() -> None:
    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names)
    assert all(name.replace("_", "").islower() for name in names), "the setting takes them"


@pytest.mark.parametrize("name", [step.name for step in STEPS])
def test_each_step_can_be_switched_off(name: str) -> None:
    with_lines = page(block(BlockKind.TEXT, 50, 50, 300, 30, line("a", 50, 50)))
    order: list[str] = []

    def told(step_name):
        def apply(given: Page) -> Page:
            order.append(step_name)
            return given

        return apply

    from ocrplus_ocr.markdown import steps

    spies = tuple(steps.Step(step.name, told(step.name)) for step in STEPS)
    assert finished(with_lines, {name}, spies) == with_lines
    assert order == [step.name for step in STEPS if step.name != name]


def test_a_line_in_two_regions_is_said_once_and_in_the_smaller() -> None:
    title, body = line("Title", 60, 60), line("body", 60, 80)
    whole = block(BlockKind.TEXT, 50, 50, 300, 60, title, body)
    heading = block(BlockKind.HEADING, 55, 58, 250, 14, title)

    result = give_lines_one_place(page(whole, heading, lines=[title, body]))

    assert [(b.kind, b.text) for b in result.blocks] == [
        (BlockKind.TEXT, "body"),
        (BlockKind.HEADING, "Title"),
    ]


def test_a_region_that_repeats_another_goes() -> None:
    only = line("only once", 60, 60)
    first = block(BlockKind.TEXT, 50, 50, 300, 60, only)
    again = block(BlockKind.REFERENCE, 52, 52, 290, 40, only)

    assert texts(give_lines_one_place(page(first, again, lines=[only]))) == ["only once"]


def test_an_unsure_region_over_surer_ones_claims_nothing() -> None:
    first, second = line("first", 60, 60), line("second", 60, 160)
    sure = [
        block(BlockKind.TEXT, 50, 50, 300, 40, first),
        block(BlockKind.TEXT, 50, 150, 300, 40, second),
    ]
    unsure = block(BlockKind.FORMULA, 40, 40, 400, 300, first, second)
    layout = tuple(
        LayoutBox(b.kind, b.box, score)
        for b, score in zip([*sure, unsure], (0.9, 0.9, 0.44), strict=True)
    )

    result = give_lines_one_place(page(unsure, *sure, lines=[first, second], layout=layout))

    assert [(b.kind, b.text) for b in result.blocks] == [
        (BlockKind.TEXT, "first"),
        (BlockKind.TEXT, "second"),
    ]


def test_a_heading_s_box_that_is_too_tight_still_has_its_line() -> None:
    wide = line("A heading wider than the model's box", 50, 60, width=400)
    tight = replace(block(BlockKind.HEADING, 150, 61, 120, 8), text="cut off")

    assert texts(give_lines_one_place(page(tight, lines=[wide]))) == [wide.text]


def test_a_picture_full_of_prose_gives_its_lines_back() -> None:
    prose = [line(f"A long line of prose, number {n}", 60, 60 + 14 * n, 280) for n in range(8)]
    picture = Block(BlockKind.FIGURE, "", (50, 50, 350, 200))

    result = bring_back_lines(give_lines_one_place(page(picture, lines=prose)))

    assert [b.kind for b in result.blocks] == [BlockKind.TEXT]
    assert all(item.text in result.blocks[0].text for item in prose)


def test_lost_columns_are_read_one_after_the_other() -> None:
    left = [line(f"left {n}", 50, 100 + 14 * n) for n in range(6)]
    right = [line(f"right {n}", 320, 100 + 14 * n) for n in range(6)]
    mixed = [item for pair in zip(left, right, strict=True) for item in pair]

    result = bring_back_lines(page(lines=mixed))

    assert texts(result) == [text_of(left), text_of(right)]


def test_wide_leading_does_not_tear_a_paragraph_apart() -> None:
    loose = [line(f"line {n}", 50, 100 + 22 * n) for n in range(6)]

    assert texts(bring_back_lines(page(lines=loose))) == [text_of(loose)]


def test_columns_are_read_down_although_a_gap_crosses_both() -> None:
    boxes = [
        (50.0, 40.0, 550.0, 60.0),  # title
        (50.0, 100.0, 290.0, 200.0),
        (310.0, 100.0, 550.0, 200.0),
        (50.0, 215.0, 290.0, 300.0),
        (310.0, 215.0, 550.0, 300.0),
    ]

    assert reading_order(boxes, Columns(4, 70, 30)) == [0, 1, 3, 2, 4]


def test_bands_far_apart_are_read_one_after_the_other() -> None:
    boxes = [
        (50.0, 100.0, 290.0, 200.0),
        (310.0, 100.0, 550.0, 200.0),
        (50.0, 300.0, 290.0, 400.0),
        (310.0, 300.0, 550.0, 400.0),
    ]

    assert reading_order(boxes, Columns(4, 70, 30)) == [0, 1, 2, 3]


def test_a_title_over_one_of_two_columns_is_read_first() -> None:
    title = block(BlockKind.HEADING, 220, 60, 160, 20, line("Title", 220, 60, 160))
    left = block(BlockKind.TEXT, 50, 110, 150, 60, line("left", 50, 110, 150))
    right = block(BlockKind.TEXT, 220, 120, 300, 60, line("right", 220, 120, 300))

    assert texts(order_blocks(page(left, right, title))) == ["Title", "left", "right"]


def test_vertical_writing_is_read_from_right_to_left() -> None:
    first, second = TextLine("第一行", (300, 50, 314, 200)), TextLine("第二行", (270, 50, 284, 200))

    assert in_reading_order([second, first]) == [first, second]


def test_a_page_in_vertical_chinese_comes_out_from_right_to_left() -> None:
    words = ["右起第一行文字在这里继续写", "第二行文字接着写下去直到", "第三行文字最后结束了。"]
    upright = [
        TextLine(text, (500 - 22 * n, 60, 514 - 22 * n, 300), 12) for n, text in enumerate(words)
    ]
    region = Block(BlockKind.TEXT, "", (450, 55, 520, 305), tuple(reversed(upright)))

    assert texts(finished(page(region))) == ["".join(words)]
    assert texts(finished(page(lines=upright))) == ["".join(words)]


def test_hebrew_is_read_from_right_to_left_in_rows_and_columns() -> None:
    first, second = (
        line("\u05e9\u05dc\u05d5\u05dd", 440, 100, 100),
        line("\u05d8\u05d5\u05d1", 330, 100, 90),
    )
    left = line("\u05e1\u05d5\u05e3", 60, 100, 200)
    right = block(BlockKind.TEXT, 320, 95, 230, 20, second, first)
    other = block(BlockKind.TEXT, 50, 95, 220, 20, left)

    result = finished(page(other, right))

    assert texts(result) == [f"{first.text} {second.text}", left.text]


def body(y: float = 200) -> Block:
    lines = [line("A sentence of the page's own text.", 50, y + 14 * n, 400) for n in range(10)]
    return block(BlockKind.TEXT, 50, y, 400, 150, *lines)


@pytest.mark.parametrize(
    ("text", "y", "kind"),
    [
        ("- 12 -", 770, BlockKind.PAGE_NUMBER),
        ("12", 770, BlockKind.TEXT),
        ("– iv –", 770, BlockKind.PAGE_NUMBER),
        ("Page 3 of 12", 20, BlockKind.PAGE_NUMBER),
        ("第 7 页", 775, BlockKind.PAGE_NUMBER),
        ("Annual report | 12", 30, BlockKind.HEADER),
        ("Confidential, page 3 of 12", 780, BlockKind.FOOTER),
        ("Dear Ms Smith,", 36, BlockKind.TEXT),
        ("Annual report 2024", 30, BlockKind.TEXT),
        ("Amount due by 1 March 2024", 770, BlockKind.TEXT),
        ("as was shown on page 12", 770, BlockKind.TEXT),
        ("Yours faithfully, Ann Lee", 770, BlockKind.TEXT),
        ("1,250 units were sold", 300, BlockKind.TEXT),
    ],
)
def test_what_stands_in_the_margin_is_furniture(text: str, y: float, kind: BlockKind) -> None:
    alone = block(BlockKind.TEXT, 250, y, 100, 10, line(text, 250, y, 100))
    text_block = body(100 if y > 400 else 350)

    result = mark_furniture(page(alone, text_block))

    assert result.blocks[0].kind is kind


@pytest.mark.parametrize(("y", "kind"), [(30, BlockKind.HEADER), (780, BlockKind.FOOTER)])
@pytest.mark.parametrize("evidence", ["smaller", "italic", "rule"])
def test_a_line_in_the_margin_that_is_set_apart_is_furniture(
    y: float, kind: BlockKind, evidence: str
) -> None:
    plain = replace(line("Annual report 2024", 250, y, 100), size=10)
    style = {"smaller": {"size": 8}, "italic": {"italic": True}}.get(evidence, {})
    said = replace(plain, **style)
    own = body(100 if y > 400 else 350)
    own = replace(own, lines=tuple(replace(item, size=10) for item in own.lines))
    rule_y = 770 if y > 400 else 50
    rules = ((50, rule_y, 550, rule_y + 0.5),) if evidence == "rule" else ()

    def kind_of(item: TextLine, rules=()) -> BlockKind:
        alone = block(BlockKind.TEXT, 250, y, 100, 10, item)
        return mark_furniture(page(alone, own, rules=rules)).blocks[0].kind

    assert kind_of(said, rules) is kind
    assert kind_of(plain) is BlockKind.TEXT


def test_a_sentence_like_the_others_is_text_though_a_rule_parts_it() -> None:
    said = block(BlockKind.TEXT, 50, 770, 300, 10, line("Please pay by 1 March.", 50, 770, 300))

    result = mark_furniture(page(body(100), said, rules=((50, 760, 550, 760.5),)))

    assert result.blocks[1].kind is BlockKind.TEXT


def test_a_heading_deep_in_the_page_that_was_taken_for_a_header_is_one_again() -> None:
    deep = block(BlockKind.HEADER, 200, 180, 200, 20, line("Title", 200, 180, 200, 20))

    outer = block(BlockKind.HEADER, 50, 30, 100, 10, line("Chapter", 50, 30, 100))

    assert mark_furniture(page(deep, outer, body(300))).blocks[0].kind is BlockKind.HEADING
    assert mark_furniture(page(deep, body(300))).blocks[0].kind is BlockKind.HEADER


def test_a_large_title_in_the_margin_is_no_header() -> None:
    title = block(BlockKind.TEXT, 50, 20, 400, 24, line("Great Title", 50, 20, 400, 24))

    assert mark_furniture(page(title, body())).blocks[0].kind is BlockKind.TEXT


def test_a_stamp_along_the_side_is_furniture() -> None:
    stamp = replace(line("arXiv:0709.4466v1", 20, 200, 12, 300), turn=3)
    side = block(BlockKind.TEXT, 20, 200, 12, 300, stamp)

    assert mark_furniture(page(side, body())).blocks[0].kind is BlockKind.HEADER


def test_a_figure_is_cut_as_its_image_is_drawn() -> None:
    guess = Block(BlockKind.FIGURE, "", (95, 92, 310, 305))

    result = fit_figures(page(guess, pictures=((100.0, 100.0, 300.0, 300.0),)))

    assert result.blocks[0].box == (100, 100, 300, 300)


def test_tiny_decorations_are_left_out() -> None:
    assert fit_figures(page(Block(BlockKind.FIGURE, "", (50, 50, 70, 66)))).blocks == ()


def test_an_image_that_no_model_saw_becomes_a_figure_at_its_place() -> None:
    upper, lower = body(50), body(500)

    result = find_figures(page(upper, lower, pictures=((100.0, 250.0, 300.0, 450.0),)))

    assert [b.kind for b in result.blocks] == [BlockKind.TEXT, BlockKind.FIGURE, BlockKind.TEXT]


def test_many_shapes_close_together_are_a_drawing_and_a_few_are_none() -> None:
    shapes = tuple((100.0 + 12 * n, 300.0 - 8 * n, 110.0 + 12 * n, 300.0) for n in range(1, 15))

    assert [b.kind for b in find_figures(page(drawings=shapes)).blocks] == [BlockKind.FIGURE]
    assert find_figures(page(drawings=shapes[:3])).blocks == ()


def test_shapes_behind_text_are_no_drawing() -> None:
    text = body(100)
    shapes = tuple((45.0, 98.0 + 14 * n, 455.0, 110.0 + 14 * n) for n in range(11))

    assert find_figures(page(text, drawings=shapes)).blocks == (text,)


def test_captions_stand_after_figures_and_before_tables() -> None:
    figure = Block(BlockKind.FIGURE, "", (50, 100, 300, 200))
    of_figure = block(BlockKind.TEXT, 50, 205, 250, 10, line("Figure 1. Sales", 50, 205))
    table = Block(BlockKind.TABLE, "<table></table>", (50, 320, 300, 400))
    of_table = block(BlockKind.TEXT, 50, 405, 250, 10, line("表1 销售额", 50, 405))
    between = body(230)

    result = place_captions(page(figure, between, of_figure, table, of_table))

    assert [b.kind for b in result.blocks] == [
        BlockKind.FIGURE,
        BlockKind.CAPTION,
        BlockKind.TEXT,
        BlockKind.CAPTION,
        BlockKind.TABLE,
    ]


def test_a_sentence_about_a_figure_is_no_caption() -> None:
    figure = Block(BlockKind.FIGURE, "", (50, 100, 300, 200))
    long = "Figure 1 shows what nobody had expected. " * 12
    text = block(BlockKind.TEXT, 50, 205, 250, 90, line(long, 50, 205))

    assert place_captions(page(text, figure)).blocks == (text, figure)


def test_lettered_parts_become_figures_of_their_own() -> None:
    a, b = line("(a) before", 100, 190, 60), line("(b) after", 300, 190, 60)
    picture = Block(BlockKind.FIGURE, "", (50, 50, 450, 205), (a, b))

    result = part_subfigures(page(picture, lines=[a, b]))

    assert [(x.kind, x.text) for x in result.blocks] == [
        (BlockKind.FIGURE, ""),
        (BlockKind.CAPTION, "(a) before"),
        (BlockKind.FIGURE, ""),
        (BlockKind.CAPTION, "(b) after"),
    ]
    assert result.blocks[0].box[2] == result.blocks[2].box[0] == 230


def test_a_page_of_ten_thousand_scattered_lines_is_done_in_seconds() -> None:
    scattered = [
        line(f"word {n}", 7.3 * (n % 79), 8.1 * (n // 79 % 97), 6, 5) for n in range(10_000)
    ]
    crowded = page(
        Block(BlockKind.FIGURE, "", (10, 10, 100, 100)),
        lines=scattered,
        drawings=tuple(item.box for item in scattered[:1500]),
    )
    began = time.process_time()

    finished(crowded)

    assert time.process_time() - began < 15


def test_words_that_a_table_lost_come_back_beside_it() -> None:
    kept, lost = line("kept", 60, 120, 40), line("head", 60, 85, 40)
    table = Block(BlockKind.TABLE, "<table><tr><td>kept</td></tr></table>", (50, 100, 300, 200))

    result = bring_back_leftovers(page(table, lines=[kept, lost]))

    assert [b.text for b in result.blocks] == ["head", table.text]
    assert bring_back_leftovers(result) == result


def test_coverage_is_the_share_of_the_characters_that_are_written() -> None:
    there, lost = line("twelve there", 50, 100), line("gone forever", 50, 120)
    found = page(lines=[there, lost])

    assert coverage(found, "Twelve\\- there".lower()) == 0.5
    assert coverage(found, "twelve there\n\n| gone | forever |") == 1.0
    assert coverage(page(), "") == 1.0


def test_headers_and_words_in_pictures_need_not_be_written() -> None:
    header, label = line("Header", 50, 20), line("axis", 120, 120, 40)
    blocks = [
        block(BlockKind.HEADER, 50, 20, 200, 10, header),
        Block(BlockKind.FIGURE, "", (100, 100, 300, 300)),
    ]

    assert coverage(page(*blocks, lines=[header, label]), "") == 1.0


@pytest.mark.parametrize("text", ["&nbsp;", "see &lt;b&gt; here", "&copy 2026", "AT&amp;T"])
@pytest.mark.parametrize("kind", [BlockKind.TEXT, BlockKind.HEADING, BlockKind.CODE])
def test_words_that_look_like_entities_are_said_once_and_counted(
    text: str, kind: BlockKind
) -> None:
    found = page(block(kind, 50, 100, 200, 10, line(text, 50, 100)))

    assert bring_back_leftovers(found) == found
    assert coverage(found, page_markdown(found.blocks, [])) == 1.0


def test_the_entities_of_a_table_s_cells_are_their_signs() -> None:
    lines = [line("caf\u00e9", 60, 110), line("&eacute;", 60, 130)]
    cells = "<table><tr><td>caf&eacute;</td></tr><tr><td>&amp;eacute;</td></tr></table>"
    found = page(Block(BlockKind.TABLE, cells, (50, 100, 300, 200)), lines=lines)

    assert bring_back_leftovers(found) == found
    assert coverage(found, page_markdown(found.blocks, [])) == 1.0


def test_equal_lines_must_be_written_as_often_as_they_are_found() -> None:
    ten = page(lines=[line("one of ten", 50, 100 + 20 * n) for n in range(10)])
    two = page(lines=[line("said twice", 50, 100), line("other text", 50, 120)])

    assert coverage(ten, "one of ten") == 0.1
    assert coverage(ten, "\n\n".join(["one of ten"] * 10)) == 1.0
    assert coverage(two, "said twice\n\nsaid twice") == 0.5


def test_words_may_be_joined_and_parted_otherwise_than_in_their_lines() -> None:
    words = page(lines=[line("an exam-", 50, 100), line("ple: 12 34", 50, 120)])
    chinese = page(lines=[line("\u4e2d\u6587", 50, 100 + 20 * n) for n in range(2)])

    assert coverage(words, "an example:\n\n<table><tr><td>34</td><td>12</td></tr></table>") == 1.0
    assert coverage(chinese, "\u4e2d\u6587\u4e2d\u6587") == 1.0
    assert coverage(chinese, "\u4e2d\u6587") == 0.5
