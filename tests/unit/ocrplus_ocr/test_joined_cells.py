"""Scanned tables without borders, one of whose lines reaches over two cells."""

import pytest

from ocrplus_ocr.engine import TextLine
from ocrplus_ocr.markdown.aligned_grid import aligned_grid
from ocrplus_ocr.markdown.joined_cells import at_columns

COLUMNS = [(50.0, 120.0), (150.0, 190.0), (220.0, 260.0)]


def line(text: str, x0: float, x1: float, y: float = 0, size: float = 0) -> TextLine:
    return TextLine(text, (x0, y, x1, y + 10), size)


def rows(count: int = 6) -> list[TextLine]:
    return [
        cell
        for n in range(count)
        for cell in (
            line(f"name {n}", 55, 115, 20 * n),
            line("17.5", 155, 185, 20 * n),
            line("4,300", 222, 258, 20 * n),
        )
    ]


@pytest.mark.parametrize(
    ("text", "x0", "x1", "parts"),
    [
        ("equipment downtime 30,783", 50, 190, ["equipment downtime", "30,783"]),
        ("2021年2022年", 150, 260, ["2021年", "2022年"]),
        ("20.6% —", 155, 245, ["20.6%", "—"]),
        ("63,800.67", 150, 226, ["63,800.67"]),
        ("was broadly flat", 155, 255, ["was broadly flat"]),
    ],
)
def test_a_line_over_two_columns_is_parted_before_an_amount(
    text: str, x0: float, x1: float, parts: list[str]
) -> None:
    assert [part.text for part in at_columns(line(text, x0, x1), COLUMNS)] == parts


def test_a_text_layer_s_line_is_where_it_says() -> None:
    wide = line("equipment downtime 30,783", 50, 190, size=10)

    assert at_columns(wide, COLUMNS) == [wide]


def test_a_word_that_reaches_into_the_next_column_stands_in_its_own() -> None:
    (word,) = at_columns(line("63,800.67", 150, 226), COLUMNS)

    assert word.box[2] == 190


def test_one_line_over_two_cells_does_not_make_their_columns_one() -> None:
    joined = [line("equipment downtime 12.5", 52, 186, 120), line("6,211", 222, 258, 120)]

    grid = aligned_grid([*rows(), *joined])

    assert grid is not None
    assert grid.size == (7, 3)
    assert [c.text for c in sorted(grid.cells, key=lambda c: (c.row, c.column))][-3:] == [
        "equipment downtime",
        "12.5",
        "6,211",
    ]
