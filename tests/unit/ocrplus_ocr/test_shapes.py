"""Few shapes on a GPU: what is padded, what is cut, and which session sees it."""

from typing import Any

import numpy as np
import pytest

from ocrplus_ocr.engine.shapes import (
    Array,
    ByShape,
    Shape,
    cut_lines,
    lines_shape,
    of_pages,
    padded_lines,
    padded_page,
    page_shape,
)


class Session:
    """Answers with its input; remembers the shapes it saw."""

    def __init__(self) -> None:
        self.seen: set[Shape] = set()

    def run(self, names: Any, feeds: dict[str, Array]) -> list[Array]:
        (given,) = feeds.values()
        self.seen.add(given.shape)
        return [given]


class Model:
    """Makes sessions, each of which is kept to look at."""

    def __init__(self) -> None:
        self.made: list[Session] = []

    def create(self) -> Session:
        self.made.append(Session())
        return self.made[-1]


def pages(model: Model) -> ByShape:
    return ByShape(model.create, of_pages())


@pytest.mark.parametrize(
    ("page", "padded"),
    [
        ((1, 3, 736, 512), (1, 3, 768, 512)),
        ((1, 3, 1696, 1152), (1, 3, 2048, 1536)),
        ((1, 3, 2048, 1024), (1, 3, 2048, 1024)),
    ],
)
def test_pages_of_nearly_one_size_become_one_size(page: Shape, padded: Shape) -> None:
    assert page_shape(page) == padded


@pytest.mark.parametrize(
    ("lines", "padded"),
    [
        ((4, 3, 48, 320), (8, 3, 48, 320)),
        ((8, 3, 48, 321), (8, 3, 48, 480)),
        ((1, 3, 48, 2036), (8, 3, 48, 2560)),
        ((9, 3, 48, 2561), (9, 3, 48, 5120)),
    ],
)
def test_lines_are_padded_to_a_full_batch_of_few_widths(lines: Shape, padded: Shape) -> None:
    assert lines_shape(lines, 8) == padded


def test_a_page_comes_back_as_it_was() -> None:
    page = np.random.default_rng(1).random((1, 3, 700, 500), np.float32)

    (answer,) = pages(Model()).run([], {"x": page})

    assert np.array_equal(answer, page)


def test_the_margin_of_a_page_goes_on_in_its_padding() -> None:
    page = np.full((1, 3, 700, 500), 0.5, np.float32)

    assert np.all(padded_page(page, (1, 3, 768, 512)) == 0.5)


def test_lines_are_followed_by_nothing_and_their_steps_are_kept() -> None:
    lines = np.ones((3, 3, 48, 400), np.float32)
    padded = padded_lines(lines, (8, 3, 48, 640))
    steps = np.zeros((8, 80, 10), np.float32)

    assert padded.sum() == lines.sum()
    assert cut_lines(steps, lines.shape, padded.shape).shape == (3, 50, 10)


def test_each_session_sees_one_shape() -> None:
    model = Model()
    session = pages(model)

    for height, width in ((700, 500), (1700, 1200), (710, 490), (1690, 1190)):
        session.run([], {"x": np.zeros((1, 3, height, width), np.float32)})

    assert [made.seen for made in model.made] == [{(1, 3, 768, 512)}, {(1, 3, 2048, 1536)}]


def test_the_session_used_least_lately_goes() -> None:
    model = Model()
    session = pages(model)

    for width in (256, 512, 768, 1024, 1536, 2048, 256, 2560, 256, 512):
        session.run([], {"x": np.zeros((1, 1, 256, width), np.float32)})

    shapes = [next(iter(made.seen))[3] for made in model.made]
    assert shapes == [256, 512, 768, 1024, 1536, 2048, 2560, 512]
