"""Tables from drawn lines and from how words stand, on small made pages."""

from dataclasses import replace

import pytest

from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine import Block, BlockKind, Box, TextLine
from ocrplus_ocr.markdown.aligned_grid import aligned_grid, with_currency
from ocrplus_ocr.markdown.found_tables import found_tables
from ocrplus_ocr.markdown.geometry import around, upright
from ocrplus_ocr.markdown.grid import Cell, Grid, filled, grid_html
from ocrplus_ocr.markdown.missed_borders import with_missed_borders, without_stroke
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.read_dashes import with_dashes
from ocrplus_ocr.markdown.ruled_grid import connected, ruled_grid
from ocrplus_ocr.markdown.table_grids import rebuild_tables

SIZE = (600.0, 800.0)


def flat(y: float, x0: float, x1: float) -> Box:
    return x0, y, x1, y


def steep(x: float, y0: float, y1: float) -> Box:
    return x, y0, x, y1


def line(text: str, centre: float, y: float, width: float = 30, size: float = 10) -> TextLine:
    return TextLine(text, (centre - width / 2, y - 5, centre + width / 2, y + 5), size, 400)


def page(blocks=(), lines=(), rules=()) -> Page:
    return Page(
        number=1,
        size=SIZE,
        blocks=tuple(blocks),
        lines=tuple(lines),
        rules=tuple(rules),
        source=TextSource.TEXT_LAYER,
    )


def shape(grid: Grid | None) -> list[tuple[int, int, int, int]]:
    assert grid is not None
    return [(c.row, c.column, c.rows, c.columns) for c in grid.cells]


FULL = [flat(y, 100, 400) for y in (100, 120, 140)] + [steep(x, 100, 140) for x in (100, 250, 400)]


def test_lines_that_cross_make_cells() -> None:
    assert shape(ruled_grid(FULL)) == [(0, 0, 1, 1), (0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 1, 1)]


def test_a_missing_line_makes_a_cell_span() -> None:
    rules = [r for r in FULL if r != steep(250, 100, 140)] + [steep(250, 120, 140)]

    assert shape(ruled_grid(rules)) == [(0, 0, 1, 2), (1, 0, 1, 1), (1, 1, 1, 1)]


def test_a_missing_line_below_makes_a_cell_span_rows() -> None:
    rules = [r for r in FULL if r != flat(120, 100, 400)] + [flat(120, 100, 250)]

    assert shape(ruled_grid(rules)) == [(0, 0, 1, 1), (0, 1, 2, 1), (1, 0, 1, 1)]


def test_a_table_open_at_its_sides_is_closed_where_words_stand() -> None:
    rules = [r for r in FULL if r not in (steep(100, 100, 140), steep(400, 100, 140))]
    words = [(110, 105, 150, 115), (300, 105, 350, 115)]

    grid = ruled_grid([*rules, steep(330, 100, 140)], words)

    assert grid is not None and grid.xs == (100, 250, 330)


def test_short_strokes_of_writing_part_no_columns() -> None:
    grid = ruled_grid([*FULL, steep(320, 107, 113)])

    assert grid is not None and grid.xs == (100, 250, 400)


def test_lines_apart_are_tables_apart() -> None:
    below = [(x0, y0 + 300, x1, y1 + 300) for x0, y0, x1, y1 in FULL]

    assert len(connected([*FULL, *below])) == 2


def test_empty_cells_stay_and_a_line_over_two_cells_is_parted() -> None:
    grid = ruled_grid(FULL)
    assert grid is not None

    html = grid_html(filled(grid, [TextLine("left right", (150, 105, 350, 115), 10)]))

    assert html == (
        "<table><tr><td>left</td><td>right</td></tr><tr><td></td><td></td></tr></table>"
    )


def table_lines(*rows: tuple[str, ...], columns=(100, 200, 300), top=100.0, pitch=20.0):
    return [
        line(text, centre, top + index * pitch)
        for index, row in enumerate(rows)
        for text, centre in zip(row, columns, strict=True)
        if text
    ]


def cells(grid: Grid | None) -> dict[str, tuple[int, int, int, int]]:
    assert grid is not None
    return {c.text: (c.row, c.column, c.rows, c.columns) for c in grid.cells if c.text}


def test_words_in_rows_and_columns_make_a_table() -> None:
    grid = aligned_grid(
        table_lines(("Item", "2019", "2020"), ("cost", "1", ""), ("gain", "3", "4"))
    )

    assert grid is not None and grid.size == (3, 3)
    assert Cell(1, 2, text="") in grid.cells


def test_a_heading_in_the_middle_over_two_columns_spans_them() -> None:
    lines = table_lines(("", "2019", "2020"), ("cost", "1", "2"), ("gain", "3", "4"), top=120)

    grid = aligned_grid([line("Year", 250, 100), *lines])

    assert cells(grid)["Year"] == (0, 1, 1, 2)


def test_a_heading_over_a_drawn_line_spans_what_is_under_it() -> None:
    lines = table_lines(("", "2019", "2020"), ("cost", "1", "2"), ("gain", "3", "4"), top=120)

    grid = aligned_grid([line("Year", 215, 100), *lines], [flat(107, 180, 330)])

    assert cells(grid)["Year"] == (0, 1, 1, 2)


def test_a_word_half_way_between_two_rows_spans_both() -> None:
    lines = table_lines(("Item", "a", "b"), ("one", "1", ""), ("two", "2", ""), ("three", "3", "9"))

    grid = aligned_grid([*lines, line("both", 300, 130)])

    assert cells(grid)["both"] == (1, 2, 2, 1)


def test_a_wrapped_cell_is_one_row() -> None:
    lines = table_lines(("Item", "a", "b"), ("one", "1", "x"), ("two", "2", "y"), pitch=30)

    grid = aligned_grid([*lines, line("more", 300, 141)])

    assert cells(grid)["x more"] == (1, 2, 1, 1)


def test_a_currency_sign_belongs_to_its_amount() -> None:
    joined = with_currency([line("$", 100, 100, width=5), line("178", 140, 100)])

    assert [item.text for item in joined] == ["$ 178"]


def test_text_in_one_column_is_no_table() -> None:
    assert (
        aligned_grid([line("words", 200, y, width=300) for y in (100, 115, 130, 145, 160)]) is None
    )


def statement() -> list[TextLine]:
    rows = (
        ("Cost of revenue", "178", "141"),
        ("Research", "3,423", "2,532"),
        ("Total", "4,737", "3,549"),
    )
    return [line("Year Ended", 350, 80, width=60), *table_lines(*rows, columns=(120, 300, 400))]


def test_rows_of_amounts_are_a_table_though_no_model_saw_it() -> None:
    (grid,) = found_tables(page(lines=[line("We report as follows:", 200, 50, 200), *statement()]))

    assert grid.size == (4, 3)
    assert cells(grid)["Year Ended"] == (0, 1, 1, 2)


def test_headings_over_two_rows_with_a_word_between_belong_to_the_found_table() -> None:
    rows = (
        ("", "2019", "2020"),
        ("cost", "178", "141"),
        ("gain", "3,423", "2,532"),
        ("sum", "4", "9"),
    )
    lines = table_lines(*rows, columns=(120, 300, 400), top=100)

    (grid,) = found_tables(page(lines=[line("Actual", 350, 80), line("Item", 120, 90), *lines]))

    assert cells(grid)["Actual"] == (0, 1, 1, 2)
    assert cells(grid)["Item"] == (0, 0, 2, 1)


def test_prose_with_numbers_is_no_table() -> None:
    lines = [
        line(f"In {year} the company earned more than before", 250, y, 300)
        for year, y in ((2019, 100), (2020, 115), (2021, 130), (2022, 145))
    ]

    assert found_tables(page(lines=lines)) == []


def test_a_table_of_the_layout_is_made_from_its_words_and_its_caption_parted() -> None:
    lines = [
        line("Table 1. Sales", 200, 80, width=120),
        *table_lines(("Item", "2019", "2020"), ("cost", "1", "2"), ("gain", "3", "4")),
    ]
    block = Block(BlockKind.TABLE, "<table></table>", (60, 70, 340, 150), tuple(lines))

    caption, table = rebuild_tables(page([block], lines)).blocks

    assert (caption.kind, caption.text) == (BlockKind.CAPTION, "Table 1. Sales")
    assert table.text.startswith("<table><tr><td>Item</td><td>2019</td>")


def test_one_line_is_no_table_and_is_kept_as_text() -> None:
    only = line("a title", 200, 100, width=100)
    block = Block(BlockKind.TABLE, "<table></table>", (100, 90, 300, 110), (only,))

    (kept,) = rebuild_tables(page([block], [only])).blocks

    assert (kept.kind, kept.text) == (BlockKind.TEXT, "a title")


@pytest.mark.parametrize("kind", [BlockKind.TEXT, BlockKind.FIGURE])
def test_a_ruled_table_takes_the_place_of_what_the_model_took_it_for(kind: BlockKind) -> None:
    lines = [line(t, x, y) for t, x, y in (("a", 175, 110), ("b", 325, 110), ("c", 175, 130))]
    rules = [*FULL, flat(160, 100, 400), *(steep(x, 140, 160) for x in (100, 250, 400))]
    lines.append(line("d", 175, 150))
    block = Block(kind, "a b c d", (95, 95, 405, 165), tuple(lines))

    (table,) = rebuild_tables(page([block], lines, rules)).blocks

    assert table.kind is BlockKind.TABLE
    assert table.text == (
        "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td></td></tr>"
        "<tr><td>d</td><td></td></tr></table>"
    )


def test_the_gridlines_of_a_chart_make_no_table_of_it() -> None:
    lines = [line(t, x, 130) for t, x in (("2010", 175), ("2020", 325))]
    block = Block(BlockKind.FIGURE, "", (95, 95, 405, 145), ())

    (kept,) = rebuild_tables(page([block], lines, FULL)).blocks

    assert kept.kind is BlockKind.FIGURE


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_table_that_lies_sideways_is_read_upright(turn: int) -> None:
    upright_lines = table_lines(
        ("Item", "2019", "2020"), ("cost", "1", "2"), ("gain", "3", "4"), ("sum", "4", "6")
    )
    size = (800.0, 600.0) if turn % 2 else SIZE
    lines = [
        replace(item, box=upright(item.box, 4 - turn, size), turn=turn) for item in upright_lines
    ]
    words = line("Upright text", 300, 700, width=100)
    box = around(item.box for item in lines)
    blocks = [
        Block(BlockKind.TABLE, "<table></table>", box, tuple(lines)),
        Block(BlockKind.TEXT, words.text, words.box, (words,)),
    ]

    table, text = rebuild_tables(page(blocks, [*lines, words])).blocks

    assert text.text == "Upright text"
    assert table.box == box
    assert table.text.startswith(
        "<table><tr><td>Item</td><td>2019</td><td>2020</td></tr><tr><td>cost</td>"
    )


def loose(kind: BlockKind, *others: TextLine) -> Page:
    """A ruled table in the middle of a block that is much larger than it."""
    lines = [line(t, x, y) for t, x, y in (("a", 175, 110), ("b", 325, 110), ("c", 175, 130))]
    rules = [*FULL, flat(160, 100, 400), *(steep(x, 140, 160) for x in (100, 250, 400))]
    lines += [line("d", 175, 150), *others]
    text = " ".join(item.text for item in lines)
    if kind is BlockKind.TABLE:
        text = "<table>" + "".join(f"<tr><td>{x.text}</td></tr>" for x in lines) + "</table>"
    return page([Block(kind, text, (50, 50, 450, 500), tuple(lines))], lines, rules)


@pytest.mark.parametrize("kind", [BlockKind.TEXT, BlockKind.ASIDE, BlockKind.TABLE])
def test_a_loose_block_whose_words_are_all_in_a_table_goes(kind: BlockKind) -> None:
    (table,) = rebuild_tables(loose(kind)).blocks

    assert "<td>b</td>" in table.text


@pytest.mark.parametrize("kind", [BlockKind.TEXT, BlockKind.ASIDE, BlockKind.TABLE])
def test_a_loose_block_keeps_only_the_words_outside_of_the_table(kind: BlockKind) -> None:
    rest = [line(f"prose {n} goes on", 175, 300 + 12 * n, 120) for n in range(4)]

    blocks = rebuild_tables(loose(kind, *rest)).blocks

    (kept,) = (block for block in blocks if "<td>b</td>" not in block.text)
    assert len(blocks) == 2
    assert kept.text == " ".join(item.text for item in rest)
    assert kept.lines == tuple(rest)


def test_a_picture_around_a_table_stays() -> None:
    found = rebuild_tables(loose(BlockKind.FIGURE)).blocks

    assert {block.kind for block in found} == {BlockKind.TABLE, BlockKind.FIGURE}


UNREAD = "<html><body><table></table></body></html>"


def unread(*lines: TextLine) -> Page:
    box = around(item.box for item in lines)
    return page([Block(BlockKind.TABLE, UNREAD, box, tuple(lines))], lines)


def test_a_table_that_the_model_cannot_read_is_made_of_its_words() -> None:
    cells = [line(f"word{r}{c}", 120 + 120 * c, 100 + 20 * r) for r in range(4) for c in range(3)]

    (table,) = rebuild_tables(unread(*cells)).blocks

    assert table.kind is BlockKind.TABLE
    assert all(item.text in table.text for item in cells)


def test_a_table_that_nobody_can_read_keeps_its_text_as_lines() -> None:
    lines = [line(f"a line of prose, number {n}", 200, 100 + 12 * n, 250) for n in range(4)]
    above = Block(BlockKind.TEXT, "above", (75, 20, 325, 40))
    found = unread(*lines)

    result = rebuild_tables(replace(found, blocks=(above, *found.blocks)))

    assert [b.kind for b in result.blocks] == [BlockKind.TEXT, BlockKind.TEXT]
    assert all(item.text in result.blocks[1].text for item in lines)


def accounts(*outside: TextLine, top: float = 80, foot: float = 160) -> list[Block]:
    """A ruled table of two columns and two rows, in a region of the model that is higher."""
    cells = [line(f"word{r}{c}", 175 + 150 * c, 110 + 20 * r) for r in (0, 1) for c in (0, 1)]
    region = Block(BlockKind.TABLE, "<table></table>", (100, top, 400, foot), tuple(cells))
    return list(rebuild_tables(page([region], [*cells, *outside], FULL)).blocks)


def test_headings_above_a_table_s_lines_and_sums_below_are_its_rows() -> None:
    heads = [line("Place", 175, 90), line("Spring", 325, 90)]
    sums = [line("Sum", 175, 150), line("4711", 325, 150)]

    (table,) = accounts(*heads, *sums)

    assert table.text.count("<tr>") == 4
    assert table.text.startswith("<table><tr><td>Place</td><td>Spring</td></tr>")
    assert table.text.endswith("<tr><td>Sum</td><td>4711</td></tr></table>")


def test_captions_remarks_and_words_outside_of_the_region_are_no_rows() -> None:
    caption = line("Table 1. Accounts of the market", 250, 90, width=200)
    remark = line("in thousands", 380, 150, width=80)
    far = [line("Other", 175, 60), line("words", 325, 60)]

    table = next(b for b in accounts(caption, remark, *far) if b.kind is BlockKind.TABLE)

    assert table.text.count("<tr>") == 2


def test_a_faint_border_in_one_row_parts_cells_that_have_words_on_both_sides() -> None:
    rules = [r for r in FULL if r != steep(250, 100, 140)] + [steep(250, 120, 140)]
    grid = ruled_grid(rules)
    assert grid is not None

    each = with_missed_borders(grid, [line("A", 175, 110), line("B", 325, 110)])
    one = with_missed_borders(grid, [line("A", 175, 110)])
    across = with_missed_borders(grid, [line("A", 175, 110), line("of both", 250, 110)])

    assert shape(each)[:2] == [(0, 0, 1, 1), (0, 1, 1, 1)]
    assert shape(one) == shape(across) == shape(grid)


@pytest.mark.parametrize(
    ("heading", "below", "columns"),
    [("—", "", 2), ("", "—", 2), ("—", "—", 3), ("2019", "—", 3), ("", "", 3), ("", "1", 3)],
)
def test_an_outer_column_with_nothing_but_one_stroke_is_none(
    heading: str, below: str, columns: int
) -> None:
    texts = [["Place", "Year", heading], ["Ely", "4", below]]
    cells = tuple(Cell(r, c, text=texts[r][c]) for r in range(2) for c in range(3))

    assert without_stroke(Grid((0, 10, 20, 30), (0, 10, 20), cells)).size == (2, columns)


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        (["2019", "7,084", "一", "30.81"], ["2019", "7,084", "—", "30.81"]),
        (["2019", "7,084", "—", "-"], ["2019", "7,084", "—", "—"]),
        (["2019", "7,084", "-", "5"], ["2019", "7,084", "-", "5"]),
        (["级别", "一", "二", "三"], ["级别", "一", "二", "三"]),
        (["一", "4", "5", "6"], ["—", "4", "5", "6"]),
    ],
)
def test_a_dash_that_was_read_as_the_numeral_one_is_a_dash(
    column: list[str], shown: list[str]
) -> None:
    cells = tuple(Cell(row, 0, text=text) for row, text in enumerate(column))

    found = with_dashes(Grid((0, 10), (0, 10, 20, 30, 40), cells))

    assert [cell.text for cell in found.cells] == shown


def test_a_line_under_two_headings_is_no_one_s_own() -> None:
    rows_ = [
        line(text, x, y)
        for y in (120, 140, 160)
        for text, x in (("name", 120), ("12.5", 180), ("7.25", 240), ("3.5", 300), ("8", 360))
    ]
    labels = [line("Actual", 210, 100), line("Forecast", 330, 100)]

    grid = aligned_grid([*labels, *rows_], [flat(107, 160, 380)])

    assert grid is not None
    heads = {c.text: (c.column, c.columns) for c in grid.cells if c.row == 0 and c.text}
    assert heads == {"Actual": (1, 2), "Forecast": (3, 2)}
