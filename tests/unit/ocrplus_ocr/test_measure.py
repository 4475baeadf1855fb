"""Lists whose bullets are drawn, and short lines in a wide column."""

from dataclasses import replace

from ocrplus_ocr.engine import Block, BlockKind, Box, TextLine
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.headings import mend_headings
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.paragraphs import set_paragraphs

SIZE = (600.0, 800.0)


def row(text: str, y: float, x: float = 80, width: float = 200, **more: object) -> TextLine:
    return replace(TextLine(text, (x, y, x + width, y + 10), 10, 400), **more)


def block(*lines: TextLine) -> Block:
    text = " ".join(line.text for line in lines)
    return Block(BlockKind.TEXT, text, around(line.box for line in lines), lines)


WIDE = block(
    *(row(f"A full line of the column, number {n}", 300 + 12 * n, 50, 480) for n in (0, 1))
)


def texts(*blocks: Block, drawings: tuple[Box, ...] = ()) -> list[str]:
    lines = tuple(line for b in blocks for line in b.lines)
    page = Page(1, SIZE, blocks, lines, drawings=drawings)
    return [b.text for b in set_paragraphs(page).blocks]


ITEMS = ("Tunnel ventilation was flat", "Bridge load fluctuated", "Drug storage is uncertain")


def test_rows_with_a_drawn_bullet_are_a_list() -> None:
    items = block(*(row(text, 100 + 14 * n) for n, text in enumerate(ITEMS)))
    discs = tuple((68.0, 103.0 + 14 * n, 72.0, 107.0 + 14 * n) for n in range(3))

    assert texts(items, drawings=discs) == [
        "- Tunnel ventilation was flat\n- Bridge load fluctuated\n- Drug storage is uncertain"
    ]


def test_the_second_line_of_an_item_belongs_to_it() -> None:
    items = block(
        row("An item that is so long that it", 100),
        row("goes on", 114, width=40),
        row("Another item of the same list", 128),
    )
    discs = tuple((68.0, y, 72.0, y + 4) for y in (103.0, 131.0))

    assert texts(items, drawings=discs) == [
        "- An item that is so long that it goes on\n- Another item of the same list"
    ]


def test_other_shapes_are_no_bullets() -> None:
    prose = block(
        row("a paragraph that goes on and", 100), row("on over two lines of its own", 114)
    )
    shapes = (
        (60.0, 100.0, 61.0, 130.0),
        (20.0, 103.0, 24.0, 107.0),
        (66.0, 90.0, 78.0, 120.0),
    )

    assert texts(prose, drawings=shapes) == [
        "a paragraph that goes on and on over two lines of its own"
    ]


def test_lines_that_end_long_before_their_column_are_paragraphs() -> None:
    parties = block(
        row("Party A: Riverside", 100, 50, 90), row("Party B: Longford Depot", 114, 50, 110)
    )
    chinese = block(row("甲方：华东地区", 200, 50, 70), row("乙方：北辰实验室", 214, 50, 90))

    assert texts(parties, chinese, WIDE)[:2] == [
        "Party A: Riverside\n\nParty B: Longford Depot",
        "甲方：华东地区\n\n乙方：北辰实验室",
    ]


def test_a_narrow_paragraph_stays_whole() -> None:
    quoted = block(
        row("A quotation that is set narrower than", 100, 80, 200),
        row("The text around it and begins one of", 114, 80, 198),
        row("its lines with a capital", 128, 80, 120),
    )
    beside = block(row("Words beside a picture that", 200, 50, 200), row("Goes on", 214, 50, 190))
    picture = Block(BlockKind.FIGURE, "", (300, 190, 530, 290))

    assert "\n" not in texts(quoted, WIDE)[0]
    assert "\n" not in texts(beside, picture, WIDE)[0]


def scan(*rows_of: tuple[str, float]) -> Page:
    lines = [
        row(text, 100 + 16 * n, 50, width, size=0.0, weight=0)
        for n, (text, width) in enumerate(rows_of)
    ]
    return Page(1, SIZE, (block(*lines),), tuple(lines))


def headings(page: Page) -> list[str]:
    return [b.text for b in mend_headings(page).blocks if b.kind is BlockKind.HEADING]


def test_the_articles_of_a_scanned_contract_are_headings() -> None:
    page = scan(
        ("第一条 课程设置要求", 110),
        ("1.1试运行阶段，地铁客流大幅提升，且统计口径有所调整。", 480),
        ("第二条 药品储存与对策", 120),
        ("2.1专家组认为，粮食收购大幅提升并不意味着同步上升。", 480),
    )

    assert headings(page) == ["第一条 课程设置要求", "第二条 药品储存与对策"]


def test_articles_that_are_sentences_or_mentioned_are_none() -> None:
    law = scan(
        ("第一条 本办法适用于本市行政区域内的单位。", 220),
        ("第二条 市主管部门负责本办法的组织实施。", 220),
        ("本条所称主管部门，是指市人民政府有关部门，依照", 480),
        ("第三条 第一款", 90),
    )

    assert headings(law) == []
