"""Spaces that a text layer lacks in tightly set lines. Pure.

PDFium sets a space where a gap is wide for the font. In a line that was squeezed to its column the
words stand closer, and only some of the gaps become spaces; the others are as wide as those.
"""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from ocrplus_ocr.engine.glyphs import Glyph

_LEAST_SPACES: Final = 2  # that tell how wide they are in a line
_AS_WIDE: Final = 0.85
_LEAST_GAP: Final = 0.06  # of a character's height; kerning and rounding leave less
_MOST_SHARE: Final = 0.15  # of the gaps between letters: more, and the letters are spaced out
_UNSPACED: Final = "\u2e80"  # from here on writing has no spaces


def with_tight_spaces(glyphs: Sequence[Glyph]) -> list[Glyph]:
    """The characters with the spaces that their own line tells."""
    spaced: list[Glyph] = []
    for line in _lines(glyphs):
        spaced += _spaced(line)
    return spaced


def _lines(glyphs: Sequence[Glyph]) -> Iterator[list[Glyph]]:
    line: list[Glyph] = []
    for glyph in glyphs:
        line.append(glyph)
        if glyph.box is None and glyph.text == "\n":
            yield line
            line = []
    yield line


def _spaced(line: list[Glyph]) -> list[Glyph]:
    spaces: list[float] = []
    within: dict[int, float] = {}  # by the index of the letter after the gap
    before: Glyph | None = None
    for index, glyph in enumerate(line):
        if glyph.box is None:
            continue
        if before is not None and before.box is not None:
            gap = (glyph.box[0] - before.box[2]) / max(glyph.box[3] - glyph.box[1], 1e-6)
            if line[index - 1] is not before:
                spaces.append(gap)
            elif _are_words(before, glyph):
                within[index] = gap
        before = glyph
    if len(spaces) < _LEAST_SPACES:
        return line
    least = max(_LEAST_GAP, _AS_WIDE * median(spaces))
    wide = {index for index, gap in within.items() if gap >= least}
    if not wide or len(wide) > _MOST_SHARE * len(within):
        return line
    return [
        item
        for index, glyph in enumerate(line)
        for item in ((Glyph(" ", None), glyph) if index in wide else (glyph,))
    ]


def _are_words(before: Glyph, glyph: Glyph) -> bool:
    """Whether a space may stand between two characters: letters, or a sign and a letter."""
    if max(before.text[-1], glyph.text[0]) >= _UNSPACED:
        return False
    return (before.text[-1].isalpha() or before.text[-1] in ".,;:!?)") and glyph.text[0].isalpha()
