"""Display formulas: LaTeX from a text layer, a picture with its characters from a scan. Pure.

Where a formula model has run, its LaTeX stays. Else the rows of a text layer that hold no words
but mathematics are parted from the text and written from where their characters stand; of a scan
the formula is kept as a picture that names the characters that were read. Never a hole.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine import Block, BlockKind, Box, TextLine
from ocrplus_ocr.engine.mathglyphs import MathGlyph
from ocrplus_ocr.markdown.geometry import around, common, holds
from ocrplus_ocr.markdown.latex import formula_latex
from ocrplus_ocr.markdown.lines import text_of
from ocrplus_ocr.markdown.page import Page

_WORD: Final = re.compile(r"[A-Za-z]{3,}|[\u3040-\u9fff\uac00-\ud7af]")
_FUNCTION: Final = re.compile(
    r"(?:arc)?(?:sin|cos|tan)h?|log|exp|lim|max|min|sup|inf|det|ker|gcd|mod"
)
_SIGN: Final = re.compile("[=±×÷√∞∂∇≈≠≤≥∝\u2200-\u22ff\u2a00-\u2aff\U0001d400-\U0001d7ff]")
_RELATION: Final = re.compile("[=≈≠≤≥∝<>→⇒≡]")
_MAY_HOLD: Final = frozenset(
    {BlockKind.TEXT, BlockKind.LIST, BlockKind.FORMULA, BlockKind.HEADING, BlockKind.CAPTION}
)
_APART: Final = 0.7  # line heights between the rows of one formula
_ASIDE: Final = 2.5  # line heights between two pieces of one row
_LEAST_GLYPHS: Final = 3
_MOST_LINES: Final = 500
_MOST_BARS: Final = 60
_FULL_SIZE: Final = 0.85
_AXIS: Final = 0.3  # a sign of relation stands so high over its baseline
_NEXT_EQUATION: Final = 1.2  # font sizes between two equations' baselines
_MOST_WORDS: Final = 2


def set_formulas(page: Page) -> Page:
    """The page with its display formulas in blocks of their own."""
    if page.source is not TextSource.TEXT_LAYER:
        return replace(page, blocks=tuple(map(_pictured, page.blocks)))
    holding = [b for b in page.blocks if b.kind in _MAY_HOLD and not _is_latex(b.text)]
    lines = [line for block in holding for line in block.lines]
    if not page.maths or len(lines) > _MOST_LINES:
        return page
    formulas = [_formula(cluster, page) for cluster in _clusters(lines)]
    homes = _homes([f for f in formulas if f is not None], holding)
    taken = {id(line) for made in homes.values() for formula in made for line in formula.lines}
    blocks: list[Block] = []
    for block in page.blocks:
        rest = [line for line in block.lines if id(line) not in taken]
        if block in holding and len(rest) != len(block.lines):
            blocks.extend(_interleaved(block, rest, homes.get(id(block), ())))
        else:
            blocks.append(block)
    return replace(page, blocks=tuple(blocks))


def _homes(formulas: Sequence[Block], blocks: Sequence[Block]) -> dict[int, list[Block]]:
    """Formulas by the block that most of their lines stand in."""
    homes: dict[int, list[Block]] = {}
    for formula in formulas:
        own = {id(line) for line in formula.lines}
        home = max(blocks, key=lambda block: sum(id(line) in own for line in block.lines))
        homes.setdefault(id(home), []).append(formula)
    return homes


def _formula(cluster: Sequence[TextLine], page: Page) -> Block | None:
    """A block of LaTeX of these lines; None where the layer gave too few characters."""
    box = around(line.box for line in cluster)
    latex = _latex(box, page)
    if not latex:
        return None
    text = "\n\n".join(f"$$\n{row}\n$$" for row in latex)
    lines = sorted(cluster, key=lambda line: (line.box[1], line.box[0]))
    return Block(BlockKind.FORMULA, text, box, tuple(lines))


def _is_latex(text: str) -> bool:
    return "$" in text or "\\" in text


def _pictured(block: Block) -> Block:
    """A scan's formula as a picture, unless a model has read it or it is words after all."""
    if block.kind is not BlockKind.FORMULA or _is_latex(block.text):
        return block
    if len(_words(block.text)) > _MOST_WORDS:
        return replace(block, kind=BlockKind.TEXT)
    return replace(block, kind=BlockKind.FORMULA_PICTURE, text=" ".join(block.text.split()))


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text) if not _FUNCTION.fullmatch(word)]


def _interleaved(block: Block, rest: Sequence[TextLine], made: Sequence[Block]) -> list[Block]:
    """The text between the formulas, cut at their heights, in order."""
    blocks: list[Block] = []
    left = list(rest)
    kind = BlockKind.TEXT if block.kind is BlockKind.FORMULA else block.kind
    for formula in sorted(made, key=lambda b: b.box[1]):
        above = [line for line in left if _middle(line.box) < _middle(formula.box)]
        left = [line for line in left if _middle(line.box) >= _middle(formula.box)]
        blocks += [*_text(kind, above, block), formula]
    return [*blocks, *_text(kind, left, block)]


def _text(kind: BlockKind, lines: Sequence[TextLine], block: Block) -> list[Block]:
    if not lines:
        return []
    box = around(line.box for line in lines)
    return [Block(kind, text_of(lines), box, tuple(lines), block.level)]


def _middle(box: Box) -> float:
    return (box[1] + box[3]) / 2


def _clusters(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """Neighbouring lines without words, at least one of them with a sign of mathematics."""
    wordless = [line for line in lines if not _words(line.text)]
    prose = [line for line in lines if _words(line.text)]
    free = [line for line in wordless if not any(_in_row(line, other) for other in prose)]
    heights = sorted(_middle(line.box) for line in prose)
    clusters: list[list[TextLine]] = []
    for line in sorted(free, key=lambda line: line.box[1]):
        near = [
            cluster
            for cluster in clusters
            if any(
                _near(line.box, other.box) and not _parted(line.box, other.box, heights)
                for other in cluster
            )
        ]
        merged = [line, *(other for c in near for other in c)]
        clusters = [c for c in clusters if c not in near] + [merged]
    return [c for c in clusters if any(_SIGN.search(line.text) for line in c) and _is_formula(c)]


def _parted(a: Box, b: Box, heights: Sequence[float]) -> bool:
    """Whether a line of prose stands at a height between two boxes."""
    low, high = min(a[3], b[3]), max(a[1], b[1])
    return bisect_left(heights, low) < bisect_right(heights, high)


def _is_formula(cluster: Iterable[TextLine]) -> bool:
    text = "".join(line.text for line in cluster)
    return bool(_RELATION.search(text)) and sum(c.isalnum() for c in text) >= _LEAST_GLYPHS


def _in_row(line: TextLine, other: TextLine) -> bool:
    """Whether a line stands in the row of another: then it is a part of its sentence."""
    overlap = min(line.box[3], other.box[3]) - max(line.box[1], other.box[1])
    height = min(line.box[3] - line.box[1], other.box[3] - other.box[1])
    gap = max(line.box[0] - other.box[2], other.box[0] - line.box[2])
    return overlap > 0.5 * height and gap < _ASIDE * height


def _near(a: Box, b: Box) -> bool:
    height = max(a[3] - a[1], b[3] - b[1])
    below = max(a[1] - b[3], b[1] - a[3])
    beside = max(a[0] - b[2], b[0] - a[2])
    return below < _APART * height and beside < _ASIDE * height


def _latex(box: Box, page: Page) -> list[str]:
    """LaTeX of each row of the formula in a box; none where the layer gave too few characters."""
    grown = (box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2)
    glyphs = [glyph for glyph in page.maths if holds(grown, _box(glyph))]
    bars = [
        rule
        for rule in page.rules
        if rule[2] - rule[0] > rule[3] - rule[1] and common(grown, _thick(rule)) > 0
    ]
    if len(glyphs) < _LEAST_GLYPHS or len(bars) > _MOST_BARS:
        return []
    cuts = [grown[1], *_cuts(glyphs), grown[3]]
    rows = []
    for top, bottom in pairwise(cuts):
        own = [g for g in glyphs if top <= (g.y0 + g.y1) / 2 < bottom]
        if own:
            rows.append(formula_latex(own, [b for b in bars if top <= b[1] < bottom]))
    return rows


def _cuts(glyphs: Sequence[MathGlyph]) -> list[float]:
    """Heights between equations that stand under each other: each has its own sign of relation."""
    largest = max(glyph.size for glyph in glyphs)
    signs = (g for g in glyphs if _RELATION.match(g.text) and g.size >= _FULL_SIZE * largest)
    baselines = sorted({round(sign.baseline, 1) for sign in signs})
    return [
        _emptiest(glyphs, above - _AXIS * largest, below - _AXIS * largest)
        for above, below in pairwise(baselines)
        if below - above > _NEXT_EQUATION * largest
    ]


def _emptiest(glyphs: Sequence[MathGlyph], top: float, bottom: float) -> float:
    """The height between two that the fewest characters stand across, nearest to the middle."""
    middle = (top + bottom) / 2
    heights = [top + (bottom - top) * step / 40 for step in range(4, 37)]
    return min(heights, key=lambda y: (sum(g.y0 < y < g.y1 for g in glyphs), abs(y - middle)))


def _box(glyph: MathGlyph) -> Box:
    return glyph.x0, glyph.y0, glyph.x1, glyph.y1


def _thick(rule: Box) -> Box:
    return rule[0], rule[1] - 0.1, rule[2], rule[3] + 0.1
