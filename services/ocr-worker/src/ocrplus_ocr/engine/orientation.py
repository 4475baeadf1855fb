"""How a scanned page lies, and the page laid straight.

A small text detection shows whether lines stand or lie and how far they lean; which way up they
are, only reading a few of them both ways tells surely. The orientation model alone is not trusted:
it errs on wide tables and on pages with little text, and of a picture without any it knows nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Quads = np.ndarray[Any, np.dtype[np.float64]]
"""[n, 4, 2]: corners of lines, clockwise from the top left as read."""

LOOK_SIDE_PX: Final = 736
"""Longest side of the picture in which lines are looked for: a third of a reading's cost."""

_STANDING: Final = 1.5  # times as high as wide
_MOSTLY: Final = 0.6
_READ: Final = 4
_LEAST_LINES: Final = 3
_LEAST_LENGTH: Final = 5  # times the height: shorter lines say little about the lean
_LEAST_SKEW: Final = 0.25  # degrees; less moves no line of a page into its neighbour
_MOST_SKEW: Final = 20.0
_READS_WELL: Final = 0.8  # mean score of lines; printed ones have .9 and more
_MARGIN: Final = 0.1  # by which turned lines must read better than the ones as they are


@dataclass(frozen=True, slots=True)
class Lie:
    """How a page lies: quarter turns clockwise, then degrees clockwise of lean."""

    turn: int = 0
    skew: float = 0.0


@dataclass(frozen=True, slots=True)
class Reader:
    """The models: corners of lines in a picture, a line's score, quarter turns of a page."""

    lines: Callable[[Pixels], Quads]
    score: Callable[[Sequence[Pixels]], Sequence[float]]
    turn: Callable[[Pixels], int]


def lie_of(image: Pixels, reader: Reader) -> Lie:
    """How a page lies."""
    quads = reader.lines(image)
    if len(quads) == 0:
        return Lie(_turn_without_lines(image, reader))
    turn = _turn(image, quads, reader)
    if len(quads) < _LEAST_LINES:  # perhaps the label of an axis: both have to say so
        return Lie(turn if turn == reader.turn(image) else 0)
    return Lie(turn, round(skew_of(turned_quads(quads, turn, image.shape[:2])), 2))


def _turn_without_lines(image: Pixels, reader: Reader) -> int:
    """The model's turn of a page on which no line was found, if it brings lines that read well to
    light; else the page stays as it is."""
    guess = reader.turn(image)
    if guess == 0:
        return 0
    upright = np.ascontiguousarray(np.rot90(image, guess))
    quads = reader.lines(upright)
    if len(quads) == 0 or stand(quads):
        return 0
    longest = np.argsort(-_sides(quads).max(axis=1))[:_READ]
    crops = [_crop(upright, quad) for quad in quads[longest]]
    return guess if float(np.mean(reader.score(crops))) >= _READS_WELL else 0


def _turn(image: Pixels, quads: Quads, reader: Reader) -> int:
    guess = reader.turn(image)
    candidates = (1, 3) if stand(quads) else (0, 2)
    if guess == 0 and candidates == (0, 2):
        return 0
    if guess in candidates:  # the likelier one first: it wins where both read alike
        candidates = (guess, (guess + 2) % 4)
    longest = np.argsort(-_sides(quads).max(axis=1))[:_READ]
    means = []
    for turn in candidates if candidates[0] % 2 else (0, 2):
        upright = turned_quads(quads[longest], turn, image.shape[:2])
        crops = [_crop(np.rot90(image, turn), quad) for quad in upright]
        means.append((float(np.mean(reader.score(crops))), turn))
    best, turn = max(means)
    if turn == 0 or dict((t, s) for s, t in means).get(0, best - 1) > best - _MARGIN:
        return 0 if 0 in candidates else turn
    return turn


def _sides(quads: Quads) -> Any:
    """Width and height of each line."""
    return np.stack(
        [
            np.linalg.norm(quads[:, 1] - quads[:, 0], axis=1),
            np.linalg.norm(quads[:, 3] - quads[:, 0], axis=1),
        ],
        axis=1,
    )


def stand(quads: Quads) -> bool:
    """Whether most of the text stands upright in the picture, as a sideways page's lines do."""
    sides = _sides(quads)
    length = sides.max(axis=1)
    standing = sides[:, 1] > _STANDING * sides[:, 0]
    return bool(length[standing].sum() > _MOSTLY * length.sum())


def skew_of(quads: Quads) -> float:
    """Degrees clockwise by which lines lean, by the length-weighted median; 0 where unsure."""
    sides = _sides(quads)
    long = sides[:, 0] > _LEAST_LENGTH * sides[:, 1]
    if long.sum() < _LEAST_LINES:
        return 0.0
    edge = (quads[:, 1] - quads[:, 0])[long]
    angles = np.degrees(np.arctan2(edge[:, 1], edge[:, 0]))
    order = np.argsort(angles)
    weight = np.cumsum(sides[long, 0][order])
    median = float(angles[order][np.searchsorted(weight, weight[-1] / 2)])
    return median if _LEAST_SKEW <= abs(median) <= _MOST_SKEW else 0.0


def turned_quads(quads: Quads, turn: int, shape: Sequence[int]) -> Quads:
    """Corners in the picture turned back by `turn` quarters, first corner at the top left."""
    height, width = shape[:2]
    x, y = quads[..., 0], quads[..., 1]
    if turn == 1:
        turned = np.stack([y, width - x], axis=-1)
    elif turn == 2:
        turned = np.stack([width - x, height - y], axis=-1)
    elif turn == 3:
        turned = np.stack([height - y, x], axis=-1)
    else:
        turned = quads
    return np.roll(turned, -turn, axis=-2)


def _crop(image: Pixels, quad: Quads) -> Pixels:
    x0, y0 = np.floor(quad.min(axis=0)).astype(int).clip(0)
    x1, y1 = np.ceil(quad.max(axis=0)).astype(int)
    return np.ascontiguousarray(image[y0 : max(y1, y0 + 2), x0 : max(x1, x0 + 2)])


def straightened(image: Pixels, lie: Lie) -> Pixels:
    """The page laid straight; what comes in from outside is as light as its edge."""
    turned = np.ascontiguousarray(np.rot90(image, lie.turn))
    if not lie.skew:
        return turned
    import cv2

    height, width = turned.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), lie.skew, 1.0)
    edge = np.concatenate([turned[0], turned[-1], turned[:, 0], turned[:, -1]])
    paper = tuple(float(v) for v in np.median(edge, axis=0))
    size = (width, height)
    straight: Pixels = cv2.warpAffine(
        turned, matrix, size, flags=cv2.INTER_CUBIC, borderValue=paper
    ).astype(np.uint8)
    return straight
