"""Which rows of a page are headings."""

from dataclasses import replace

import pytest

from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.headings import mend_headings
from ocrplus_ocr.markdown.page import Bookmark, Page
from ocrplus_ocr.markdown.paragraphs import set_paragraphs
from ocrplus_ocr.markdown.reading import order_blocks
from ocrplus_ocr.markdown.render import headings
from ocrplus_ocr.markdown.run_in_headings import part_run_in_headings

BODY = "All the words of a line of running text in a paragraph of the page"


def row(
    text: str, y: float, *, size: float = 10, weight: int = 400, mono: bool = False
) -> TextLine:
    width = len(text) * size * 0.5
    return TextLine(text, (50, y, 50 + width, y + size), size, weight, mono=mono)


def scanned(text: str, y: float, em: float = 10) -> TextLine:
    return TextLine(text, (50, y, 50 + em * (len(text) + 0.3), y + em))


def block(kind: BlockKind, *lines: TextLine) -> Block:
    text = " ".join(line.text for line in lines)
    return Block(kind, text, around(line.box for line in lines), lines)


def page(*blocks: Block, source=TextSource.TEXT_LAYER, bookmarks=()) -> Page:
    lines = tuple(line for b in blocks for line in b.lines)
    return Page(1, (600, 800), blocks, lines, source=source, bookmarks=tuple(bookmarks))


def body(y: float, rows: int = 4) -> Block:
    return block(BlockKind.TEXT, *(row(BODY, y + 12 * i) for i in range(rows)))


def kinds(result: Page) -> list[tuple[BlockKind, str]]:
    return [(b.kind, b.text) for b in result.blocks]


def test_a_bold_line_glued_to_its_paragraph_is_a_heading() -> None:
    glued = block(BlockKind.TEXT, row("Causes", 20, weight=700), row(BODY, 40), row(BODY, 52))

    result = mend_headings(page(body(100), glued))

    assert kinds(result)[1] == (BlockKind.HEADING, "Causes")
    assert result.blocks[2].kind is BlockKind.TEXT


def test_a_larger_line_is_a_heading_and_its_level_is_the_pages_own() -> None:
    title = block(BlockKind.TEXT, row("Report on rain", 20, size=18))
    section = block(BlockKind.TEXT, row("Causes of rain", 60, size=13))

    result = mend_headings(page(title, section, body(100)))

    assert [b.level for b in result.blocks] == [1, 2, 0]


def test_body_text_that_the_model_takes_for_a_heading_is_text() -> None:
    false = block(BlockKind.HEADING, row("See the manual for more", 20))

    assert mend_headings(page(false, body(100))).blocks[0].kind is BlockKind.TEXT


def test_a_heading_of_the_model_in_body_font_stays_if_it_is_numbered() -> None:
    numbered = block(BlockKind.HEADING, row("3.1 Grades", 20))

    assert mend_headings(page(numbered, body(100))).blocks[0].kind is BlockKind.HEADING


def test_a_paragraph_larger_than_a_page_of_small_print_is_no_heading() -> None:
    large = block(BlockKind.TEXT, *(row(BODY, 20 + 14 * i, size=12) for i in range(5)))

    assert mend_headings(page(large, body(100, rows=20))).blocks[0].kind is BlockKind.TEXT


def test_bullets_captions_and_code_are_no_headings() -> None:
    lines = [
        row("• Energy use rose", 20, weight=700),
        row("Table 1. Sales", 40, weight=700),
        row("make install", 60, weight=700, mono=True),
    ]

    result = mend_headings(page(*(block(BlockKind.TEXT, line) for line in lines), body(100)))

    assert {b.kind for b in result.blocks} == {BlockKind.TEXT}


def test_a_bookmark_makes_a_heading_and_gives_its_letters_back() -> None:
    small_capitals = block(BlockKind.CAPTION, row("III. INTERLEAVER DESIGN", 20))
    mark = Bookmark("Interleaver Design", 1, 1)

    result = mend_headings(page(small_capitals, body(100), bookmarks=[mark]))

    assert kinds(result)[0] == (BlockKind.HEADING, "III. Interleaver Design")
    assert headings(result)[0].bookmark == 1


def test_what_the_model_takes_for_a_header_is_a_title_if_it_is_far_too_large() -> None:
    title = block(BlockKind.HEADER, row("Review of yields", 20, size=18, weight=700))
    header = block(BlockKind.HEADER, row("Review of yields", 5, size=8))

    result = mend_headings(page(header, title, body(100)))

    assert [b.kind for b in result.blocks[:2]] == [BlockKind.HEADER, BlockKind.HEADING]


def test_a_scans_heading_is_known_by_the_width_of_its_characters() -> None:
    title = block(BlockKind.TEXT, scanned("公式与证明", 20, em=14))
    paragraph = block(BlockKind.TEXT, *(scanned("正文" * 15, 60 + 15 * i) for i in range(4)))

    result = mend_headings(page(title, paragraph, source=TextSource.OCR))

    assert [b.kind for b in result.blocks] == [BlockKind.HEADING, BlockKind.TEXT]


def test_a_stretched_line_within_a_scanned_paragraph_is_no_heading() -> None:
    lines = [scanned("正文" * 15, 60), scanned("正文" * 10, 75, em=14), scanned("正文" * 15, 90)]

    result = mend_headings(page(block(BlockKind.TEXT, *lines), source=TextSource.OCR))

    assert [b.kind for b in result.blocks] == [BlockKind.TEXT]


def test_a_number_far_before_its_title_belongs_to_it() -> None:
    number = row("第四条", 20, size=13)
    title = TextLine("课程设置", (150, 20, 202, 33), 13, 400)
    apart = [block(BlockKind.HEADING, number), block(BlockKind.HEADING, title)]

    result = mend_headings(page(*apart, body(100)))

    assert kinds(result)[0] == (BlockKind.HEADING, "第四条课程设置")


def test_in_a_scan_what_is_numbered_like_the_headings_is_one() -> None:
    first = block(BlockKind.TEXT, scanned("Article 1. Causes", 20, em=5))
    second = block(BlockKind.HEADING, scanned("Article 2. Trends", 60, em=5))
    paragraph = block(
        BlockKind.TEXT, *(scanned("some words " * 5, 80 + 15 * i, 5) for i in range(4))
    )

    result = mend_headings(page(first, second, paragraph, source=TextSource.OCR))

    assert [b.kind for b in result.blocks[:2]] == [BlockKind.HEADING, BlockKind.HEADING]


def test_a_heading_at_the_height_of_another_columns_text_is_parted_from_it() -> None:
    glued = block(
        BlockKind.TEXT,
        row("1. Trends", 20, size=12, weight=700),
        TextLine("although revenue rose", (300, 20, 400, 30), 10, 400),
    )

    result = mend_headings(page(glued, body(100)))

    assert (BlockKind.HEADING, "1. Trends") in kinds(result)


def test_words_of_a_picture_on_a_page_with_a_text_layer_are_no_heading() -> None:
    banner = block(BlockKind.HEADING, scanned("Learning", 20, em=30))

    assert mend_headings(page(banner, body(100))).blocks[0].kind is BlockKind.TEXT


def test_the_last_line_of_a_list_of_authors_in_bold_is_no_heading() -> None:
    names = [f"Ada Lovelace{n}4 , Grace Hopper{n}7 ," for n in range(6)]
    authors = block(
        BlockKind.TEXT,
        *(row(name, 20 + 14 * n, size=12) for n, name in enumerate(names)),
        row("`", 19 + 14 * 6, size=7),  # a sign raised over the last line
        row("Mary Somerville 4,12, the Consortium", 28 + 14 * 6, size=12),
    )

    result = mend_headings(page(authors, body(200, rows=9)))

    assert [b.kind for b in result.blocks] == [BlockKind.TEXT, BlockKind.TEXT]


def test_a_caption_that_is_set_as_the_headings_are_is_one() -> None:
    heading = block(BlockKind.HEADING, row("Causes of rain", 20, size=12.5))
    misnamed = block(BlockKind.CAPTION, row("What follows from it", 200, size=12.5))
    caption = block(BlockKind.CAPTION, row("Rain by the month", 230, size=11))

    found = mend_headings(page(heading, body(100), misnamed, caption)).blocks

    assert [b.kind for b in found[2:]] == [BlockKind.HEADING, BlockKind.CAPTION]


def test_a_formula_of_a_scan_is_no_heading_though_it_is_large() -> None:
    lines = [scanned(BODY, 100 + 14 * n, em=8) for n in range(4)]
    formula = block(BlockKind.TEXT, scanned("E = p w", 20, em=16))

    found = mend_headings(page(formula, block(BlockKind.TEXT, *lines), source=TextSource.OCR))

    assert found.blocks[0].kind is BlockKind.TEXT


def test_a_scanned_heading_without_letters_below_the_line_is_as_large_as_the_others() -> None:
    low = TextLine("Trends in cash flow", (50, 20, 163, 30))
    high = TextLine("Managing deep loads", (50, 60, 178, 74))
    text = [scanned(BODY, 100 + 14 * n, em=5) for n in range(4)]

    found = mend_headings(
        page(
            block(BlockKind.HEADING, low),
            block(BlockKind.HEADING, high),
            block(BlockKind.TEXT, *text),
            source=TextSource.OCR,
        )
    )

    assert [b.level for b in found.blocks] == [1, 1, 0]


def test_a_columns_heading_that_the_model_calls_a_header_stands_over_its_column() -> None:
    def column(x: float, y: float, text: str) -> Block:
        lines = [row(text, y + 12 * n) for n in range(8)]
        moved = [replace(i, box=(x, i.box[1], x + 230, i.box[3])) for i in lines]
        return block(BlockKind.TEXT, *moved)

    header = block(BlockKind.HEADER, replace(row("Results", 52, size=14), box=(400, 52, 450, 66)))
    above = block(BlockKind.HEADER, row("Harbour Press", 20, size=8))
    left, right = column(50, 50, BODY), column(310, 80, BODY)

    found = order_blocks(page(header, above, left, right)).blocks

    assert [b.kind for b in found] == [
        BlockKind.HEADER,
        BlockKind.TEXT,
        BlockKind.HEADER,
        BlockKind.TEXT,
    ]
    assert found[2] is header


def test_a_row_of_capitals_is_a_heading_among_others() -> None:
    numbered = block(BlockKind.HEADING, row("V. CONCLUSIONS", 20))
    alone = block(BlockKind.TEXT, row("ACKNOWLEDGMENT", 200))
    short = block(BlockKind.TEXT, row("NASA", 260))

    found = mend_headings(page(numbered, body(100), alone, short)).blocks
    without = mend_headings(page(body(100), alone)).blocks

    assert [b.kind for b in found[2:]] == [BlockKind.HEADING, BlockKind.TEXT]
    assert without[1].kind is BlockKind.TEXT


def test_a_title_that_runs_into_its_paragraph_is_a_heading() -> None:
    abstract = block(BlockKind.TEXT, row(f"Abstract— {BODY}", 20), row(BODY, 32))
    plain = block(BlockKind.TEXT, row("Abstract. We address it", 60), row(BODY, 72))

    found = set_paragraphs(part_run_in_headings(page(abstract, plain))).blocks

    assert [b.kind for b in found] == [BlockKind.HEADING, BlockKind.TEXT, BlockKind.TEXT]
    assert found[0].text == "Abstract"
    assert found[1].text == f"{BODY} {BODY}"


def test_a_heading_without_a_bookmark_is_written_as_the_others_that_are_printed_in_capitals() -> (
    None
):
    known = block(BlockKind.HEADING, row("V. CONCLUSIONS", 20))
    unknown = block(BlockKind.HEADING, row("ACKNOWLEDGMENT OF HELP", 200))
    marks = [Bookmark("Conclusions", 1, 1)]

    found = mend_headings(page(known, body(100), unknown, bookmarks=marks)).blocks
    alone = mend_headings(page(known, body(100), unknown)).blocks

    assert [b.text for b in found if b.level] == ["V. Conclusions", "Acknowledgment of Help"]
    assert alone[2].text == "ACKNOWLEDGMENT OF HELP"


def test_an_abbreviation_that_the_text_writes_so_stays_in_capitals() -> None:
    known = block(BlockKind.HEADING, row("V. CONCLUSIONS", 20))
    unknown = block(BlockKind.HEADING, row("VI. LIMITS OF USB HUBS", 200))
    text = block(
        BlockKind.TEXT, *(row(f"The USB standard says: {BODY}", 100 + 12 * n) for n in (0, 1))
    )

    found = mend_headings(page(known, text, unknown, bookmarks=[Bookmark("Conclusions", 1, 1)]))

    assert found.blocks[-1].text == "VI. Limits of USB Hubs"


def test_capitals_that_are_set_lighter_than_the_headings_are_text() -> None:
    heading = block(BlockKind.HEADING, row("TERMS AND CONDITIONS", 20, weight=700))
    address = block(BlockKind.TEXT, row("LONDON BRANCH OFFICE", 200))

    found = mend_headings(page(heading, body(100), address)).blocks

    assert [b.kind for b in found] == [BlockKind.HEADING, BlockKind.TEXT, BlockKind.TEXT]


def test_chinese_of_a_scan_that_is_only_wider_is_no_heading() -> None:
    text = [TextLine("正文" * 10, (50, y, 250, y + 12)) for y in (100, 116, 132, 148)]
    wide = TextLine("本人承诺所填内容真实委托他人", (50, 20, 230, 32))
    large = TextLine("审核意见", (50, 60, 106, 76))

    found = mend_headings(
        page(
            block(BlockKind.TEXT, wide),
            block(BlockKind.TEXT, large),
            block(BlockKind.TEXT, *text),
            source=TextSource.OCR,
        )
    )

    assert [b.kind for b in found.blocks] == [BlockKind.TEXT, BlockKind.HEADING, BlockKind.TEXT]


@pytest.mark.parametrize("names", ["李明远 王思涵 陈嘉禾", "M. Hartley, S. Okafor and J. Lind"])
def test_the_authors_under_a_scanned_title_are_no_heading(names: str) -> None:
    text = [scanned(BODY, 100 + 14 * n, em=5) for n in range(4)]
    authors = block(BlockKind.HEADING, TextLine(names, (50, 20, 158, 32)))

    found = mend_headings(page(authors, block(BlockKind.TEXT, *text), source=TextSource.OCR))

    assert found.blocks[0].kind is BlockKind.TEXT


@pytest.mark.parametrize(
    ("height", "width", "is_heading"), [(16, 56, True), (12, 56, False), (16, 180, False)]
)
def test_a_short_high_row_that_a_scan_s_paragraph_begins_with_is_a_heading(
    height: float, width: float, is_heading: bool
) -> None:
    first = TextLine(
        "审核意见" if width < 100 else "审核意见" * 3, (50, 20, 50 + width, 20 + height)
    )
    rest = [TextLine("正文" * 10, (50, y, 250, y + 12)) for y in (40, 56, 72, 88)]

    found = mend_headings(page(block(BlockKind.TEXT, first, *rest), source=TextSource.OCR)).blocks

    assert (found[0].kind is BlockKind.HEADING) is is_heading


def test_a_heading_of_two_rows_that_the_model_parts_is_one() -> None:
    first = block(BlockKind.HEADING, row("Measuring patient", 20, size=13))
    rest = block(BlockKind.HEADING, row("records", 36, size=13))
    another = block(BlockKind.HEADING, row("Causes", 52, size=13))

    found = mend_headings(page(first, rest, another, body(100))).blocks

    assert [b.text for b in found[:2]] == ["Measuring patient records", "Causes"]


@pytest.mark.parametrize(
    "text",
    [
        "第一章 总则",
        "第二章 权利 义务",
        "附录 术语",
        "A. Methods and Materials",
        "U.S. Policy, Trade",
    ],
)
def test_a_scanned_heading_of_few_words_names_no_authors(text: str) -> None:
    rows_of_text = [scanned(BODY, 100 + 14 * n, em=5) for n in range(4)]
    heading = block(BlockKind.HEADING, TextLine(text, (50, 20, 158, 32)))

    found = mend_headings(
        page(heading, block(BlockKind.TEXT, *rows_of_text), source=TextSource.OCR)
    )

    assert found.blocks[0].kind is BlockKind.HEADING
