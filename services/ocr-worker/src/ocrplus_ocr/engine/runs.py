"""Characters of a text layer as runs, and runs as lines. Pure.

A line is split where the gap between two characters is wide for their height; in a table half
that gap already parts two cells.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Final

from ocrplus_ocr.engine import Box
from ocrplus_ocr.engine.glyphs import UNKNOWN_FONT, Font, Glyph
from ocrplus_ocr.engine.spaces import with_tight_spaces
from ocrplus_ocr.engine.textlayer import Line
from ocrplus_ocr.markdown.geometry import upright

CELL_GAP: Final = 0.5
"""In line heights. Measured: 0.5 parts table cells, 0.75 leaves justified prose whole."""
PROSE_GAP: Final = 0.75

_WORD_GAP: Final = 0.15  # loose boxes of one word touch; a space is a quarter of the size
_LIGATURE_LETTERS: Final = frozenset("fijlst")
_INITIAL: Final = 1.8  # times as large as the letters after it
_SMALL_CAPITALS: Final = (0.65, 0.9)  # of the size that they are set in
_ONE_ROW: Final = 0.4  # of a character's height
_CJK: Final = "\u2e80"
_TOUCHING: Final = 0.06
_SAME_GLYPH: Final = 0.3  # of its size: drawn again there, it is a shadow or a poor man's bold
_TALL: Final = 1.6
_LEAST_STACK: Final = 3
_SIDES: Final = 4


def main_turn(glyphs: Sequence[Glyph]) -> int:
    """Quarter turns clockwise in which most of a page is written."""
    turns = Counter(glyph.turn for glyph in glyphs if glyph.box is not None)
    turn, count = turns.most_common(1)[0] if turns else (0, 0)
    return turn if 2 * count > sum(turns.values()) else 0


def distinct(glyphs: Sequence[Glyph]) -> list[Glyph]:
    """The characters without those drawn a second time in the same place."""
    seen: dict[tuple[str, int, int], list[tuple[float, float]]] = {}
    kept = []
    for glyph in glyphs:
        if glyph.box is None:
            kept.append(glyph)
            continue
        x0, y0, x1, y1 = glyph.box
        near_x, near_y = _SAME_GLYPH * (x1 - x0), _SAME_GLYPH * (y1 - y0)
        cell = max(near_x, near_y, 0.5)
        column, row = int(x0 // cell), int(y0 // cell)
        around = [
            place
            for across in (column - 1, column, column + 1)
            for down in (row - 1, row, row + 1)
            for place in seen.get((glyph.text, across, down), ())
        ]
        again = any(abs(x - x0) < near_x and abs(y - y0) < near_y for x, y in around)
        if again and not _is_ligature(kept[-1], glyph):
            continue
        seen.setdefault((glyph.text, column, row), []).append((x0, y0))
        kept.append(glyph)
    return kept


def _is_ligature(before: Glyph, glyph: Glyph) -> bool:
    """Whether two letters are one drawn sign, as in "effect": PDFium gives both the same box."""
    return glyph.text in _LIGATURE_LETTERS and (before.text, before.box) == (glyph.text, glyph.box)


def runs_of(glyphs: Sequence[Glyph], turn: int, size: tuple[float, float]) -> list[Line]:
    """Runs of a page whose main writing stands at `turn`; boxes on the page turned upright.

    Characters that stand another way are read in their own direction and keep their place.
    """
    runs: list[Line] = []
    for relative in range(_SIDES):
        here = (turn + relative) % _SIDES
        chosen = [g for g in glyphs if g.box is None or g.turn == here]
        if not any(g.box is not None for g in chosen):
            continue
        standing = [
            g if g.box is None else Glyph(g.text, upright(g.box, here, size), here, g.font)
            for g in chosen
        ]
        standing = _levelled(standing)
        standing = _by_place(standing) if here else with_tight_spaces(standing)
        found = _stacked(_with_initials(_joined(standing)))
        if relative == 0:
            runs += found
            continue
        own_size = size if here % 2 == 0 else (size[1], size[0])
        runs += [_turned_back(run, relative, here, own_size) for run in found]
    return runs


def _levelled(glyphs: Sequence[Glyph]) -> list[Glyph]:
    """The characters, with punctuation no taller than the rest of its size: fonts made for signs
    alone have boxes of two rows, which then touch the line below."""
    ratios = [(g.box[3] - g.box[1]) / g.font.size for g in glyphs if g.box and g.font.size > 0]
    if not ratios:
        return list(glyphs)
    usual = median(ratios)
    return [_level(glyph, usual * glyph.font.size) for glyph in glyphs]


def _level(glyph: Glyph, height: float) -> Glyph:
    if glyph.box is None or height <= 0 or not unicodedata.category(glyph.text[0]).startswith("P"):
        return glyph
    x0, y0, x1, y1 = glyph.box
    if y1 - y0 <= _TALL * height:
        return glyph
    middle = (y0 + y1) / 2
    box = (x0, middle - height / 2, x1, middle + height / 2)
    return Glyph(glyph.text, box, glyph.turn, glyph.font)


def _by_place(glyphs: Sequence[Glyph]) -> list[Glyph]:
    """Characters in the order of their places, with spaces and line ends between them.

    PDFium gives those of a turned page in an order of its own, its spaces in wrong places.
    """
    placed = [(glyph, glyph.box) for glyph in glyphs if glyph.box is not None]
    placed.sort(key=lambda item: item[1][1] + item[1][3])
    rows: list[list[tuple[Glyph, Box]]] = []
    for glyph, box in placed:
        middle = (box[1] + box[3]) / 2
        if rows:
            first = rows[-1][0][1]
            if middle - (first[1] + first[3]) / 2 < _ONE_ROW * (first[3] - first[1]):
                rows[-1].append((glyph, box))
                continue
        rows.append([(glyph, box)])
    ordered: list[Glyph] = []
    for row in rows:
        row.sort(key=lambda item: item[1][0])
        reach = row[0][1][2]
        for glyph, box in row:
            if box[0] - reach > _WORD_GAP * (box[3] - box[1]) and glyph.text < _CJK:
                ordered.append(Glyph(" ", None))
            ordered.append(glyph)
            reach = box[2]
        ordered.append(Glyph("\n", None))
    return ordered


def _turned_back(run: Line, relative: int, here: int, own_size: tuple[float, float]) -> Line:
    """A run from its own direction's page to the page of the main writing."""
    box = upright((run.x0, run.y0, run.x1, run.y1), (_SIDES - relative) % _SIDES, own_size)
    return replace(run, x0=box[0], y0=box[1], x1=box[2], y1=box[3], turn=relative)


def _joined(glyphs: Sequence[Glyph]) -> list[Line]:
    """Join characters to runs, parted at line ends, at cell gaps and at steps back."""
    runs: list[Line] = []
    box: Box = (0.0, 0.0, 0.0, 0.0)
    text: list[str] = []
    fonts: Counter[Font] = Counter()
    space = ended = False

    def flush() -> None:
        joined = _line_text(text)
        if joined:
            font = fonts.most_common(1)[0][0] if fonts else UNKNOWN_FONT
            size = _set_size(font, fonts, joined)
            runs.append(Line(*box, joined, size, font.weight, italic=font.italic, mono=font.mono))
        text.clear()
        fonts.clear()

    for glyph in glyphs:
        if glyph.box is None:
            space = True
            ended |= glyph.text == "\n"
            continue
        if text and ended and _touches(box, glyph.box):
            space = False  # PDFium ends a line between two objects of one word
        elif text and (
            ended or parted(box, glyph.box, CELL_GAP) or _is_initial(text, fonts, glyph)
        ):
            flush()
        if not text:
            box = glyph.box
        else:
            if space or _word_gap(text[-1], box, glyph):
                text.append(" ")
            box = _union(box, glyph.box)
        text.append(glyph.text)
        fonts[glyph.font] += 1
        space = ended = False
    flush()
    return runs


def _set_size(font: Font, fonts: Counter[Font], text: str) -> float:
    """The size that a run is set in: of small capitals that of the large ones among them."""
    largest = max((f.size for f in fonts), default=font.size)
    least, most = _SMALL_CAPITALS
    small = text.isupper() and least * largest <= font.size <= most * largest
    return largest if small else font.size


def _is_initial(text: Sequence[str], fonts: Counter[Font], glyph: Glyph) -> bool:
    """Whether a run is one large letter before the smaller ones of its word."""
    if len(text) != 1 or not text[0].isalpha():
        return False
    (font,) = fonts
    return font.size > _INITIAL * glyph.font.size > 0


def _with_initials(runs: Sequence[Line]) -> list[Line]:
    """The runs with a large initial put before the line at its top, in that line's height."""
    kept: list[Line] = []
    for run in runs:
        initial = kept[-1] if kept else None
        if (
            initial is not None
            and len(initial.text) == 1
            and initial.text.isalpha()
            and initial.size > _INITIAL * run.size > 0
            and abs(run.x0 - initial.x1) < run.size
            and initial.y0 <= (run.y0 + run.y1) / 2 < (initial.y0 + initial.y1) / 2
        ):
            kept[-1] = replace(run, x0=initial.x0, text=initial.text + run.text)
        else:
            kept.append(run)
    return kept


def _touches(box: Box, following: Box) -> bool:
    """Whether a character goes on right where a run of the same height has ended."""
    height = following[3] - following[1]
    level = abs(box[3] - following[3]) < 0.2 * height and abs(box[1] - following[1]) < 0.2 * height
    return level and abs(following[0] - box[2]) < _TOUCHING * height


def _line_text(text: Sequence[str]) -> str:
    """A soft hyphen is one at the line's end, and nothing within it."""
    joined = "".join(text).strip()
    end = "-" if joined.endswith("\u00ad") else ""
    return joined.replace("\u00ad", "") + end


def _word_gap(before: str, box: Sequence[float], glyph: Glyph) -> bool:
    """Whether two letters of one line stand apart although the layer has no space there."""
    assert glyph.box is not None
    if not (before[-1].isalnum() or before[-1] in ".,;:!?)") or not glyph.text[0].isalnum():
        return False
    if before[-1] > "\u2e7f" or glyph.text[0] > "\u2e7f" or before[-1].isdigit():
        return False
    return glyph.box[0] - box[2] > _WORD_GAP * (glyph.box[3] - glyph.box[1])


def _stacked(runs: Sequence[Line]) -> list[Line]:
    """Runs of one Chinese character each, right below one another, as a vertical run."""
    stacked: list[Line] = []
    pile: list[Line] = []

    def flush() -> None:
        if len(pile) < _LEAST_STACK:
            stacked.extend(pile)
        else:
            box = pile[0].x0, pile[0].y0, pile[0].x1, pile[0].y1
            for run in pile[1:]:
                box = _union(box, (run.x0, run.y0, run.x1, run.y1))
            joined = "".join(run.text for run in pile)
            x0, y0, x1, y1 = box
            stacked.append(replace(pile[0], x0=x0, y0=y0, x1=x1, y1=y1, text=joined))
        pile.clear()

    for run in runs:
        if not (len(run.text) == 1 and run.text > "\u2e7f"):
            flush()
            stacked.append(run)
            continue
        if pile and not _right_below(pile[-1], run):
            flush()
        pile.append(run)
    flush()
    return stacked


def _right_below(above: Line, below: Line) -> bool:
    width, height = above.x1 - above.x0, above.y1 - above.y0
    return abs(above.x0 - below.x0) < 0.3 * width and abs(below.y0 - above.y1) < 0.5 * height


def parted(box: Sequence[float], following: Sequence[float], gap_limit: float) -> bool:
    """Whether what follows a run belongs to another one."""
    height = max(box[3] - box[1], following[3] - following[1])
    least = min(box[3] - box[1], following[3] - following[1])
    overlap = min(box[3], following[3]) - max(box[1], following[1])
    gap = max(following[0] - box[2], box[0] - following[2])  # also to the left: Hebrew, Arabic
    inside = following[0] - box[2] < -1.5 * height and following[2] > box[0]
    return overlap < 0.3 * least or gap > gap_limit * height or inside


def join_prose(runs: Sequence[Line], tables: Sequence[Box]) -> list[Line]:
    """Join neighbouring runs up to PROSE_GAP, except inside the tables' boxes (same unit)."""
    joined: list[Line] = []
    for run in runs:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.turn == run.turn == 0
            and not _inside_any(run, tables)
            and not _inside_any(last, tables)
            and not parted(_box(last), _box(run), PROSE_GAP)
        ):
            x0, y0, x1, y1 = _union(_box(last), _box(run))
            first, second = (run, last) if _right_to_left(last, run) else (last, run)
            text = f"{first.text} {second.text}" if first is last else f"{last.text} {run.text}"
            # a line number before code is in the text's font
            mono = (run if last.text.isdecimal() else last).mono
            joined[-1] = replace(last, x0=x0, y0=y0, x1=x1, y1=y1, text=text, mono=mono)
        else:
            joined.append(run)
    return joined


def _right_to_left(a: Line, b: Line) -> bool:
    return all(unicodedata.bidirectional(line.text[0]) in ("R", "AL") for line in (a, b))


def _box(line: Line) -> Box:
    return line.x0, line.y0, line.x1, line.y1


def _union(a: Sequence[float], b: Sequence[float]) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _inside_any(line: Line, boxes: Sequence[Box]) -> bool:
    x, y = (line.x0 + line.x1) / 2, (line.y0 + line.y1) / 2
    return any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in boxes)
