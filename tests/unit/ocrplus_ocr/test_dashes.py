"""Dashes that stand alone in a scanned table."""

import numpy as np
import pytest

from ocrplus_ocr.engine import TextLine
from ocrplus_ocr.engine.dashes import lone_dashes

TABLE = (20.0, 20.0, 380.0, 180.0)
LINES = [TextLine("12.5", (60, 60, 110, 84)), TextLine("7,114", (60, 120, 120, 144))]


@pytest.fixture
def paper() -> np.ndarray:
    return np.full((200, 400, 3), 235, np.uint8)


def test_a_dash_in_a_cell_is_a_line_of_text(paper: np.ndarray) -> None:
    paper[70:72, 200:220] = 20

    (dash,) = lone_dashes(paper, [TABLE], LINES)

    assert dash.text == "—"
    assert dash.box[0] == pytest.approx(200, abs=1)
    assert (dash.box[1] + dash.box[3]) / 2 == pytest.approx(71, abs=1)


def test_the_minus_of_a_number_and_a_drawn_line_are_none(paper: np.ndarray) -> None:
    paper[70:72, 200:210] = 20
    paper[62:80, 214:222] = 20
    paper[100:102, 30:370] = 20

    assert lone_dashes(paper, [TABLE], LINES) == []


def test_the_edge_of_a_coloured_row_is_none(paper: np.ndarray) -> None:
    paper[20:71, 200:300] = 180
    paper[70:72, 200:220] = 150

    assert lone_dashes(paper, [TABLE], LINES) == []


def test_what_was_read_already_is_not_told_twice(paper: np.ndarray) -> None:
    paper[70:72, 80:100] = 20

    assert lone_dashes(paper, [TABLE], LINES) == []


def test_outside_tables_nothing_is_looked_for(paper: np.ndarray) -> None:
    paper[70:72, 200:220] = 20

    assert lone_dashes(paper, [], LINES) == []
