"""Display formulas: LaTeX from a text layer, a picture with its characters from a scan. Pure.

Where a formula model has run, its LaTeX stays. Else the rows of a text layer that hold no words
but mathematics are parted from the text and written from where their characters stand; of a scan
the formula is kept as a picture that names the characters that were read. Never a hole.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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
_MOST_WORDS: Final = 2


def set_formulas(page: Page) -> Page:
    """The page with its display formulas in blocks of their own."""
    if page.source is not TextSource.TEXT_LAYER:
        return replace(page, blocks=tuple(map(_pictured, page.blocks)))
    if not page.maths:
        return page
    blocks: list[Block] = []
    for block in page.blocks:
        if block.kind in _MAY_HOLD and block.lines and not _is_latex(block.text):
            blocks.extend(_parted(block, page))
        else:
            blocks.append(block)
    return replace(page, blocks=tuple(blocks))


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


@dataclass(frozen=True, slots=True)
class _Piece:
    """Lines of a block that are one formula, or text."""

    lines: tuple[TextLine, ...]
    latex: str = ""

    @property
    def box(self) -> Box:
        return around(line.box for line in self.lines)


def _parted(block: Block, page: Page) -> list[Block]:
    """A block as formulas and the text around them."""
    if len(block.lines) > _MOST_LINES:
        return [block]
    clusters = _clusters(block.lines)
    formulas = [_Piece(tuple(c), _latex(around(line.box for line in c), page)) for c in clusters]
    formulas = [piece for piece in formulas if piece.latex]
    if not formulas:
        return [block]
    taken = {id(line) for piece in formulas for line in piece.lines}
    rest = [line for line in block.lines if id(line) not in taken]
    made = [_formula(piece) for piece in formulas]
    return _interleaved(block, rest, made)


def _formula(piece: _Piece) -> Block:
    return Block(BlockKind.FORMULA, f"$$\n{piece.latex}\n$$", piece.box, piece.lines)


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
    clusters: list[list[TextLine]] = []
    for line in sorted(free, key=lambda line: line.box[1]):
        near = [c for c in clusters if any(_near(line.box, other.box) for other in c)]
        merged = [line, *(other for c in near for other in c)]
        clusters = [c for c in clusters if c not in near] + [merged]
    return [c for c in clusters if any(_SIGN.search(line.text) for line in c) and _is_formula(c)]


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


def _latex(box: Box, page: Page) -> str:
    """LaTeX of the characters in a box; "" where the layer gave too few of them."""
    grown = (box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2)
    glyphs = [glyph for glyph in page.maths if holds(grown, _box(glyph))]
    if len(glyphs) < _LEAST_GLYPHS:
        return ""
    bars = [
        rule
        for rule in page.rules
        if rule[2] - rule[0] > rule[3] - rule[1] and common(grown, _thick(rule)) > 0
    ]
    return formula_latex(glyphs, bars) if len(bars) <= _MOST_BARS else ""


def _box(glyph: MathGlyph) -> Box:
    return glyph.x0, glyph.y0, glyph.x1, glyph.y1


def _thick(rule: Box) -> Box:
    return rule[0], rule[1] - 0.1, rule[2], rule[3] + 0.1
