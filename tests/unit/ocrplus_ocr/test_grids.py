"""Which pictures are tables, and where the photographs of a scanned page are."""

import numpy as np

from ocrplus_ocr.engine import TextLine
from ocrplus_ocr.engine.grids import is_grid, is_ruled, is_table
from ocrplus_ocr.engine.photos import photos

BOX = (50.0, 50.0, 450.0, 350.0)


def ruled(columns: int = 4, rows: int = 5) -> np.ndarray:
    """White paper with a full grid of thin lines in BOX."""
    image = np.full((400, 500, 3), 255, np.uint8)
    for x in np.linspace(60, 440, columns + 1).astype(int):
        image[60:340, x : x + 2] = 0
    for y in np.linspace(60, 340, rows + 1).astype(int):
        image[y : y + 2, 60:442] = 0
    return image


def cells(columns: int = 4, rows: int = 5) -> list[TextLine]:
    return [
        TextLine("cell", (70 + 95 * c, 75 + 56 * r, 120 + 95 * c, 90 + 56 * r))
        for r in range(rows)
        for c in range(columns)
    ]


def test_words_between_rules_are_a_table() -> None:
    assert is_ruled(ruled(), cells(), BOX)
    assert is_table(ruled(), cells(), BOX)


def test_a_chart_with_grid_lines_is_none() -> None:
    ticks = [TextLine(str(n), (52, 60 + 56 * n, 58, 70 + 56 * n)) for n in range(5)]

    assert not is_table(ruled(), ticks, BOX)


def test_an_empty_form_with_words_beside_it_is_a_table() -> None:
    words = [TextLine(f"question {n}", (5, 70 + 56 * n, 55, 90 + 56 * n)) for n in range(5)]
    region = (0.0, 50.0, 450.0, 350.0)
    bars = ruled()
    bars[80:330, 90:140] = (200, 80, 20)

    assert is_ruled(ruled(), words, region)
    assert not is_ruled(bars, words, region), "a chart with names at its side"


def test_a_photograph_is_no_table() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (400, 500, 3)).astype(np.uint8)

    assert not is_table(noise, [TextLine("sign", (100, 100, 150, 120))], BOX)


def test_cells_in_rows_and_columns_are_a_table_without_rules() -> None:
    assert is_grid(cells())


def test_prose_is_no_grid() -> None:
    prose = [
        TextLine("a long line of prose " * 3, (60, y, 440, y + 12)) for y in range(60, 340, 20)
    ]

    assert not is_grid(prose)


def test_a_photograph_beside_text_is_found_and_the_text_is_not() -> None:
    image = np.full((800, 600, 3), 30, np.uint8)
    rng = np.random.default_rng(2)
    image[400:640, 48:288] = rng.integers(0, 255, (240, 240, 3))
    image[96:640:32, 320:560] = 255
    lines = [TextLine("text", (320, y - 8, 560, y + 24), score=0.99) for y in range(96, 640, 32)]

    found = photos(image, lines, (0, 0, 600, 800))

    assert found == [(48.0, 400.0, 288.0, 640.0)]
