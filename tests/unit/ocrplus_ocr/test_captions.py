"""Captions whose parts the models tell apart."""

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.captions import place_captions
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.render import caption_of


def block(kind: BlockKind, text: str, x: float, y: float, width: float) -> Block:
    line = TextLine(text, (x, y, x + width, y + 10))
    return Block(kind, text, line.box, (line,))


def shown(*blocks: Block) -> list[tuple[BlockKind, str]]:
    page = Page(1, (600.0, 800.0), blocks, tuple(i for b in blocks for i in b.lines))
    return [(b.kind, b.text) for b in place_captions(page).blocks]


TABLE = Block(BlockKind.TABLE, "<table></table>", (100, 150, 400, 300))


def test_a_number_that_stands_apart_goes_before_its_caption() -> None:
    number = block(BlockKind.TEXT, "表2", 200, 130, 20)
    words = block(BlockKind.CAPTION, "粮食收购统计", 225, 130, 80)

    for order in ((number, words), (words, number)):
        assert shown(*order, TABLE) == [
            (BlockKind.CAPTION, "表2粮食收购统计"),
            (BlockKind.TABLE, TABLE.text),
        ]


def test_a_caption_is_not_put_past_the_unit_of_the_figures() -> None:
    caption = block(BlockKind.CAPTION, "Table 1. Copper by year", 180, 118, 120)
    unit = block(BlockKind.CAPTION, "in thousands of kilograms", 300, 134, 100)

    assert [text for _, text in shown(caption, unit, TABLE)] == [
        caption.text,
        unit.text,
        TABLE.text,
    ]


def test_of_an_axis_and_a_caption_the_caption_names_the_picture() -> None:
    figure = Block(BlockKind.FIGURE, "", (100, 150, 400, 300))
    axis = block(BlockKind.CAPTION, "2010 2011 2012", 150, 302, 200)
    caption = block(BlockKind.CAPTION, "图2 航班准点率", 200, 320, 80)

    assert caption_of([figure, axis, caption], 0) == caption.text
    assert caption_of([figure, axis], 0) == axis.text


def test_a_part_of_a_figure_is_named_by_its_own_caption() -> None:
    figure = Block(BlockKind.FIGURE, "", (100, 150, 400, 300))
    part = block(BlockKind.CAPTION, "(b) after", 150, 302, 200)
    whole = block(BlockKind.CAPTION, "Figure 3 Growth", 200, 320, 80)

    assert caption_of([figure, part, whole], 0) == part.text
