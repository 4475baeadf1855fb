"""Running text: paragraphs parted and joined, lists with their marks and depth. Pure.

A line that ends although the next word would still have fitted ends a paragraph or an item; so
does a line before an indented one or a list's mark.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind
from ocrplus_ocr.markdown.hyphens import Hyphens, hyphens_of, joined_lines
from ocrplus_ocr.markdown.joining import is_cjk
from ocrplus_ocr.markdown.lines import is_right_to_left, is_vertical
from ocrplus_ocr.markdown.measure import Measure, measure_of
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.rows import Row, rows

_FLOWING: Final = frozenset(
    {BlockKind.TEXT, BlockKind.LIST, BlockKind.REFERENCE, BlockKind.FOOTNOTE, BlockKind.ASIDE}
)
_ONE_PARAGRAPH: Final = frozenset({BlockKind.CAPTION, BlockKind.TITLE, BlockKind.HEADING})
_BULLET: Final = re.compile(r"^[•●▪◦‣∙·■❖➢►]\s*|^[-–—*]\s+")
_STAR: Final = re.compile(r"^\*(?=\s)")  # a note's mark, which Markdown would take for a bullet
_NOTE: Final = r"\*"
_SURE: Final = ("-", _NOTE)
_NUMBER: Final = re.compile(
    r"^(?:\[\d{1,3}\]|[（(]?\d{1,2}[)）]|\d{1,2}[.．、](?!\d)|[a-z][.)]\s|[①-⑳]|[（(][a-z一二三四五六七八九十]{1,2}[)）])"
)
_LEADER: Final = re.compile(r"(?:[.…·] ?){4,}\s*\w{0,5}$")  # an entry of a table of contents
_LONGEST_LEADER: Final = 200  # characters that are looked at
_CLAUSE: Final = re.compile(r"^\d{1,2}(?:\.\d{1,2}){1,3}\s?\D")
_SENTENCE_END: Final = re.compile(r"[.。;；:：!！?？]$")
_OPENING: Final = re.compile(r"‘‘|(?<!`)``(?=[^\s`][^`]*''(?!'))")
_CLOSING: Final = re.compile(r"(?<=[^\s'])''(?!')")
_DASHES: Final = re.compile(r"[—–]{2,}\s*\w")
_CLAUSE_END: Final = re.compile(r"[.。;；:：,，、]$")
_TWO_CHARACTERS: Final = (1.6, 2.6)  # how far Chinese paragraphs are set in, in font sizes
_SPARE: Final = 1.2  # font sizes left over beside the next word: a forced break
_SPARE_SCANNED: Final = 2.5
_INDENT: Final = 0.8  # font sizes
_DEEPER: Final = 1.0
_LEAST_FLUSH: Final = 3  # rows
_FIRST: Final = 20  # rows: no more stand in such a block
_NO_MEASURE: Final = Measure()
_WIDE_GAP: Final = 0.9  # of the line height, more than the block's usual gap


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of one paragraph or item; `mark` is "" for a paragraph."""

    rows: tuple[Row, ...]
    mark: str = ""


def set_paragraphs(page: Page) -> Page:
    """The page with the text of its blocks made from their lines."""
    hyphens = hyphens_of([line.text for line in page.lines])
    return replace(page, blocks=tuple(_set(block, page, hyphens) for block in page.blocks))


def _set(block: Block, page: Page, hyphens: Hyphens) -> Block:
    if not block.lines or is_vertical(block.lines):
        return block
    if block.kind in _ONE_PARAGRAPH:
        if block.kind is BlockKind.CAPTION:
            texts = [row.text for row in rows(block.lines)]
            return replace(block, text=joined_lines(texts, hyphens))
        return block
    if block.kind not in _FLOWING:
        return block
    found = rows(block.lines)
    if block.kind is BlockKind.FOOTNOTE:
        found = rows([replace(x, text=_STAR.sub(r"\\*", x.text)) for x in block.lines])
    return replace(block, text=flowing_text(found, hyphens, measure_of(block, page, found)))


def flowing_text(
    found: Sequence[Row], hyphens: Hyphens | None = None, measure: Measure = _NO_MEASURE
) -> str:
    """Markdown of rows of running text."""
    parts = _parts(found, measure)
    depths = _depths(parts)
    out: list[str] = []
    for index, (part, depth) in enumerate(zip(parts, depths, strict=True)):
        text = typeset(joined_lines((row.text for row in part.rows), hyphens))
        if part.mark == "-":
            text = f"{'  ' * depth}- {_BULLET.sub('', text, count=1)}"
        elif part.mark:
            text = f"{'   ' * depth}{text}"
        if index:
            tight = bool(part.mark) and bool(parts[index - 1].mark)
            out.append("\n" if tight else "\n\n")
        out.append(text)
    return "".join(out)


def typeset(text: str) -> str:
    """Quotation marks as one reads them: two single ones are a double one. Of typewriter's signs
    only those that open and close; alone they are a fence, inches or an empty string."""
    text = _OPENING.sub("“", text)
    text = text.replace("’’", "”")
    return _CLOSING.sub("”", text) if "“" in text else text


def _parts(found: Sequence[Row], measure: Measure) -> list[_Part]:
    left = min((row.box[0] for row in found), default=0.0)
    right = max((row.box[2] for row in found), default=0.0)
    usual = _usual_gap(found)
    at_right = _is_flush_right(found)
    parts: list[_Part] = []
    last = ""
    marks = ["-" if measure.has_bullet(row) else _mark(row) for row in found]
    for index, row in enumerate(found):
        mark = marks[index]
        breaks = not parts or _breaks(parts[-1], row, (left, right), usual)
        breaks = breaks or at_right
        if not breaks and not parts[-1].mark:
            breaks = measure.ends_early(found, parts[-1].rows[-1], row)
        if mark and mark not in _SURE and not breaks and not _counts_on(last, mark):
            following = next(filter(None, marks[index + 1 :]), "")
            if not _counts_on(mark, following):
                mark = ""  # a number that a line happens to begin with
        if parts and _BULLET.fullmatch(parts[-1].rows[-1].text) and not mark:
            breaks = False  # a bullet whose text stands lower
        if breaks or mark:
            parts.append(_Part((row,), mark))
        else:
            parts[-1] = replace(parts[-1], rows=(*parts[-1].rows, row))
        last = mark or last
    return parts


def _is_flush_right(found: Sequence[Row]) -> bool:
    """Whether rows end at one side and begin where they may, as a sender's address at the right."""
    if len(found) < _LEAST_FLUSH or any(is_right_to_left(row.text) for row in found):
        return False
    near = (0.5 if found[0].is_scanned else 0.2) * max(found[0].size, 1.0)
    ends = [row.box[2] for row in found]
    starts = [row.box[0] for row in found]
    alike = max(sum(abs(start - other) <= near for other in starts) for start in starts[:_FIRST])
    return max(ends) - min(ends) <= near and 2 * alike < len(found) <= _FIRST


def _counts_on(last: str, mark: str) -> bool:
    """Whether a mark is the next one after the last: 3. after 2., b) after a)."""
    before, after = _bare(last), _bare(mark)
    if before.isdecimal() and after.isdecimal():
        return int(after) == int(before) + 1
    return len(before) == len(after) == 1 and ord(after) == ord(before) + 1


def _bare(mark: str) -> str:
    return re.sub(r"[^\w]", "", mark)


def _mark(row: Row) -> str:
    if _BULLET.match(row.text):
        return "-"
    if row.text.startswith(_NOTE):
        return _NOTE
    number = _NUMBER.match(row.text)
    return number.group().strip() if number else ""


def _usual_gap(found: Sequence[Row]) -> float:
    gaps = [below.box[1] - above.box[3] for above, below in pairwise(found)]
    return median(gaps) if gaps else 0.0


def _breaks(part: _Part, row: Row, sides: tuple[float, float], usual_gap: float) -> bool:
    """Whether a row begins a new paragraph after the rows of another."""
    above = part.rows[-1]
    if _LEADER.search(above.text[-_LONGEST_LEADER:]):
        return True
    if _CLAUSE.match(row.text) and _SENTENCE_END.search(above.text):
        return True
    if _DASHES.match(row.text) and _CLAUSE_END.search(above.text):
        return True
    size = max(row.size, 1.0)
    if row.box[1] - above.box[3] > usual_gap + _WIDE_GAP * row.height:
        return True
    spare = sides[1] - above.box[2]
    allowed = (_SPARE_SCANNED if row.is_scanned else _SPARE) * size
    if spare > _first_word(row) + allowed:
        return True
    least, most = _TWO_CHARACTERS
    if not part.mark and is_cjk(row.text[:1]) and least < (row.box[0] - sides[0]) / size < most:
        return True  # a paragraph of one line may stand above it
    if part.mark:
        return row.box[0] < part.rows[0].box[0] - _INDENT * size
    indented = row.box[0] > sides[0] + _INDENT * size and row.box[0] > above.box[0] + 0.5 * size
    return indented and above.box[0] < sides[0] + _INDENT * size and len(part.rows) > 1


def _first_word(row: Row) -> float:
    """About how wide the first word of a row is."""
    text = row.text
    if is_cjk(text[:1]):
        return row.size
    word = re.split(r"\s|(?<=-)", text, maxsplit=1)[0]
    per_character = (row.box[2] - row.box[0]) / max(1, len(text))
    return len(word) * per_character


def _depths(parts: Sequence[_Part]) -> list[int]:
    """How deep each item lies, by how far it is set in."""
    steps: list[float] = []
    for start in sorted(part.rows[0].box[0] for part in parts if part.mark):
        if not steps or start - steps[-1] > _DEEPER * parts[0].rows[0].size:
            steps.append(start)
    depths = []
    for part in parts:
        start = part.rows[0].box[0]
        reached = [i for i, step in enumerate(steps) if step <= start + 1]
        depths.append(reached[-1] if part.mark and reached else 0)
    return depths
