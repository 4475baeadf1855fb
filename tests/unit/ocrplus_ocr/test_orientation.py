"""How a page lies, from the corners of its lines and readers that know the answer."""

import numpy as np
import pytest

from ocrplus_ocr.engine.orientation import (
    Lie,
    Reader,
    lie_of,
    skew_of,
    straightened,
    turned_quads,
)

HEIGHT, WIDTH = 800, 600


def level_lines(count: int = 8) -> np.ndarray:
    """Corners of lines on an upright page."""
    return np.array(
        [[[50, y], [500, y], [500, y + 14], [50, y + 14]] for y in range(60, 60 + 40 * count, 40)],
        dtype=float,
    )


def page() -> np.ndarray:
    """A page with a mark that tells its top left."""
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    for quad in level_lines().astype(int):
        image[quad[0][1] : quad[2][1], quad[0][0] : quad[1][0]] = 0
    image[10:30, 10:30] = (0, 0, 200)
    return image


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_corners_turn_with_the_page(turn: int) -> None:
    there = turned_quads(level_lines(), (4 - turn) % 4, (HEIGHT, WIDTH))
    shape = (HEIGHT, WIDTH) if turn % 2 == 0 else (WIDTH, HEIGHT)

    back = turned_quads(there, turn, shape)

    assert np.allclose(back, level_lines())


@pytest.mark.parametrize("degrees", [-4.0, -1.0, 0.6, 3.0])
def test_the_lean_of_the_lines_is_measured(degrees: float) -> None:
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    assert skew_of(level_lines() @ matrix.T) == pytest.approx(degrees, abs=0.05)


def test_a_straight_page_and_one_without_long_lines_do_not_lean() -> None:
    short = np.array([[[0, y], [20, y + 2], [20, y + 12], [0, y + 10]] for y in (0, 40, 80, 120)])

    assert skew_of(level_lines()) == 0.0
    assert skew_of(short.astype(float)) == 0.0


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_what_reads_best_is_upright(turn: int) -> None:
    turned = np.ascontiguousarray(np.rot90(page(), -turn))

    def lines(image: np.ndarray) -> np.ndarray:
        quads = turned_quads(level_lines(), (4 - turn) % 4, (HEIGHT, WIDTH))
        ordered = [sorted(q.tolist(), key=lambda p: p[0] + p[1]) for q in quads]
        return np.array([[q[0], *_clockwise(q)] for q in ordered])

    def score(crops) -> list[float]:
        seen.append(len(crops))
        return [0.9 if len(seen) == right else 0.4] * len(crops)

    seen: list[int] = []
    guess = turn  # the model is right; the readings confirm it
    order = (guess, (guess + 2) % 4) if turn % 2 else (0, 2)
    right = order.index(turn) + 1

    lie = lie_of(turned, Reader(lines, score, lambda image: guess))

    assert lie == Lie(turn, 0.0)
    mark = straightened(turned, lie)[10:30, 10:30]
    assert (mark == (0, 0, 200)).all()


def _clockwise(ordered):
    """The other three corners after the top left one."""
    _, second, third, last = ordered
    right, below = sorted((second, third), key=lambda p: -p[0])
    return [right, last, below]


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_the_lean_of_a_turned_page_is_measured_too(turn: int) -> None:
    angle = np.radians(1.5)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    leaning = level_lines() @ matrix.T
    in_picture = turned_quads(leaning, (4 - turn) % 4, (HEIGHT, WIDTH))
    by_place = np.array([[q[0], *_clockwise(q)] for q in map(_from_top_left, in_picture)])
    shape = (HEIGHT, WIDTH) if turn == 2 else (WIDTH, HEIGHT)

    assert skew_of(turned_quads(by_place, turn, shape)) == pytest.approx(1.5, abs=0.05)


def _from_top_left(quad: np.ndarray) -> list[list[float]]:
    return sorted(quad.tolist(), key=lambda p: p[0] + p[1])


def test_a_model_that_is_wrong_about_an_upright_page_is_not_believed() -> None:
    lie = lie_of(
        page(),
        Reader(lambda image: level_lines(), lambda crops: [0.9] * len(crops), lambda image: 2),
    )

    assert lie == Lie()


@pytest.mark.parametrize(
    ("found_once_turned", "score", "turn"),
    [(0, 0.0, 0), (2, 0.4, 0), (2, 0.95, 3)],
    ids=["a picture", "noise", "text"],
)
def test_a_page_without_lines_is_turned_for_lines_that_read_well_then(
    found_once_turned: int, score: float, turn: int
) -> None:
    def lines(image: np.ndarray) -> np.ndarray:
        lying = image.shape[1] > image.shape[0]
        return level_lines()[:found_once_turned] if lying else np.zeros((0, 4, 2))

    reader = Reader(lines, lambda crops: [score] * len(crops), lambda image: 3)

    assert lie_of(page(), reader) == Lie(turn)


def test_a_leaning_page_is_laid_straight_and_keeps_its_size() -> None:
    import cv2

    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), -2.0, 1.0)
    leaning = cv2.warpAffine(page(), matrix, (WIDTH, HEIGHT), borderValue=(255, 255, 255))

    straight = straightened(leaning, Lie(0, 2.0))

    assert straight.shape == leaning.shape
    rows = (straight[:, 100:450] < 100).all(axis=(1, 2))
    assert rows.sum() > 60, "the lines are level again"


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("guess", "turn"), [(0, 0), (2, 2)])
def test_a_page_of_a_line_or_two_is_turned_where_model_and_reading_agree(
    count: int, guess: int, turn: int
) -> None:
    scores = iter((0.3, 0.9))  # as it is, upside down
    reader = Reader(
        lambda image: level_lines()[:count],
        lambda crops: [next(scores)] * len(crops),
        lambda image: guess,
    )

    assert lie_of(page(), reader) == Lie(turn)


def test_the_label_of_an_axis_turns_no_page() -> None:
    standing = turned_quads(level_lines()[:1], 1, (HEIGHT, WIDTH))
    reader = Reader(lambda i: standing, lambda crops: [0.9] * len(crops), lambda i: 0)

    assert lie_of(page(), reader) == Lie()
