"""Pages of lines under regions that overlap at random: the worst that a layout model can say.

Every line has a word of its own, so that it can be counted wherever it is written.
"""

import random
import re
from collections.abc import Iterator
from typing import Final

from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine import Block, BlockKind, Box, TextLine
from ocrplus_ocr.markdown.geometry import holds
from ocrplus_ocr.markdown.page import LayoutBox, Page

WORD: Final = re.compile("q[a-z]{3}z")
_WIDTH: Final = 600.0
_HEIGHT: Final = 800.0
_KINDS: Final = [kind for kind in BlockKind if kind is not BlockKind.FORMULA_PICTURE]
_MARKS: Final = ("", "", "", "1. ", "- ", "• ", "Figure 1: ", "Table 2. ", "(a) ")
_ENDS: Final = ("", " word", "-", ".", ":", ",", " = 5")


def random_pages(count: int, seed: int = 1) -> Iterator[Page]:
    """So many pages, each of its own seed."""
    for number in range(count):
        yield _page(random.Random(f"{seed}/{number}"))


def _page(rng: random.Random) -> Page:
    lines = tuple(_lines(rng))
    blocks = tuple(_region(rng, lines) for _ in range(rng.randint(0, 8)))
    return Page(
        number=1,
        size=(_WIDTH, _HEIGHT),
        blocks=blocks,
        lines=lines,
        layout=tuple(LayoutBox(block.kind, block.box, rng.random()) for block in blocks),
        pictures=tuple(_box(rng) for _ in range(rng.choice((0, 0, 2)))),
        rules=tuple(_grid(rng)) if rng.random() < 0.4 else (),
        drawings=tuple(_box(rng) for _ in range(rng.choice((0, 0, 30)))),
        source=rng.choice((TextSource.TEXT_LAYER, TextSource.OCR)),
    )


def _word(number: int) -> str:
    letters = "".join(chr(ord("a") + number // 26**place % 26) for place in range(3))
    return f"q{letters}z"


def _lines(rng: random.Random) -> Iterator[TextLine]:
    """One to three columns of lines, some of them rows of short ones."""
    columns, number = rng.choice((1, 1, 2, 3)), 0
    for column in range(columns):
        left, width, y = column * _WIDTH / columns + 20, _WIDTH / columns - 40, rng.uniform(20, 120)
        while y < _HEIGHT - 40:
            height = rng.choice((10, 10, 10, 12, 16, 20))
            cells = rng.randint(2, 4) if rng.random() < 0.2 else 1
            for cell in range(cells):
                text = _word(number)
                x, w = left + 40 * cell, 30.0
                if cells == 1:
                    text = f"{rng.choice(_MARKS)}{text}{rng.choice(_ENDS)}"
                    w = width * rng.uniform(0.2, 1)
                size = 0.8 * height if rng.random() < 0.9 else 0.0
                weight = rng.choice((400, 400, 700))
                yield TextLine(text, (x, y, x + w, y + height), size, weight)
                number += 1
            y += height * rng.choice((1.2, 1.2, 1.2, 2, 3))


def _box(rng: random.Random) -> Box:
    x, y = rng.uniform(0, _WIDTH), rng.uniform(0, _HEIGHT)
    return x, y, min(_WIDTH, x + rng.uniform(0, 600)), min(_HEIGHT, y + rng.uniform(0, 400))


def _region(rng: random.Random, lines: tuple[TextLine, ...]) -> Block:
    """A region anywhere, with the text that the pipeline would have read in it."""
    box = _box(rng)
    kind = rng.choice((BlockKind.TEXT, rng.choice(_KINDS)))
    inside = [line.text for line in lines if holds(box, line.box)]
    text = " ".join(inside)
    if kind is BlockKind.TABLE:
        text = "".join(f"<tr><td>{words}</td><td></td></tr>" for words in inside)
        text = f"<table>{text}</table>"
    return Block(kind, text, box)


def _grid(rng: random.Random) -> Iterator[Box]:
    """Lines that cross."""
    x0, y0 = rng.uniform(20, 200), rng.uniform(20, 400)
    columns, rows = rng.randint(1, 5), rng.randint(1, 6)
    dx, dy = rng.uniform(20, 90), rng.uniform(14, 40)
    for row in range(rows + 1):
        yield x0, y0 + row * dy, x0 + columns * dx, y0 + row * dy + 0.5
    for column in range(columns + 1):
        yield x0 + column * dx, y0, x0 + column * dx + 0.5, y0 + rows * dy
