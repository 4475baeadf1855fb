"""Headings by how they are set: parted from the paragraph they were glued to, false ones undone.

The layout model knows titles by their look on a picture of the page; the fonts of a text layer,
the bookmarks and the numbering know better. In a scan only heights and words are left. Pure.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from ocrplus_contract.headings import levels, numbering
from ocrplus_contract.records import HeadingRecord
from ocrplus_contract.states import TextSource
from ocrplus_ocr.engine import Block, BlockKind
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.heading_case import HEADINGS, as_capitals, in_their_case, plain
from ocrplus_ocr.markdown.joining import is_cjk, joined
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.rows import Row, rows

_MAY_HOLD: Final = frozenset(
    {BlockKind.TITLE, BlockKind.HEADING, BlockKind.TEXT, BlockKind.LIST, BlockKind.REFERENCE}
)
_MAY_BE: Final = frozenset({BlockKind.HEADER, BlockKind.CAPTION})
_RUNNING: Final = frozenset({BlockKind.TEXT, BlockKind.LIST, BlockKind.ASIDE, BlockKind.FOOTNOTE})
_LARGER: Final = 1.08  # than the body's size
_HARDLY_LARGER: Final = 1.03  # enough where the layout model says heading, too
_SURE_NUMBERINGS: Final = frozenset(
    {"chapter", "section", "article", "annex", "chinese", "roman", "decimal2", "decimal3"}
)
_NAMED_NUMBERINGS: Final = frozenset({"chapter", "section", "article", "annex"})
_SHORT_TITLE: Final = 0.6  # of the block's width
_LEAST_TITLED: Final = 2
_CLEARLY_LARGER: Final = 1.2
_LARGER_SCANNED: Final = 1.18  # widths vary with the letters
_SAME_SIZE: Final = 0.06
_SHORT_FIRST: Final = 0.5
_MUCH_HIGHER: Final = 1.2
_HIGHER: Final = 1.08  # than a scan's usual line
_MUCH_LARGER: Final = 1.3  # what the model takes for a header or a caption
_LEAST_LETTERS: Final = 2
_LONGEST: Final = 130
_LONGEST_OF_ROWS: Final = 200
_LONGEST_UNSTYLED: Final = 80
_MOST_ROWS: Final = 3
_LEAST_TO_MEASURE: Final = 12  # characters
_SENTENCE: Final = re.compile(r"[.。；;]$")
_ENDS: Final = re.compile(r"[.,;。，；、]$|[:：]$")
_LEADER: Final = re.compile(r"(?:[.…·] ?){4,}")  # an entry of a table of contents
_LIST: Final = re.compile(r"[^\W\d_], ?[^\W\d_]|[、，]")
_BULLET: Final = re.compile(r"^[•●▪◦‣\-–—*·☑☐□■]\s*")
_CAPTION: Final = re.compile(r"^(?:fig(?:ure)?|table|图|表)\s*\.?\s*\d", re.I)
_AUTHORS: Final = re.compile(  # three names, or two with initials: a title may have two words
    r"(?:[\u4e00-\u9fff]{2,4}[\s,，]+){2,}[\u4e00-\u9fff]{2,4}$"
    r"|(?:[A-Z]\.\s?)+[A-Z][a-z]+(?:\s?,|\s+and\b).*\b[A-Z]\.\s?[A-Z]"
)
_MATHS: Final = re.compile(r"[=∑∫∇√∂≤≥±∞]")  # in a scan a formula is as large as a heading
_LETTERS: Final = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Body:
    """How a page's running text is set."""

    size: float
    bold: bool
    height: float = 0.0
    """Of a scan's lines."""


def mend_headings(page: Page) -> Page:
    """The page with its headings parted, promoted and demoted, each with the page's own level."""
    styles = Styles(
        body_of(page.blocks),
        frozenset(plain(m.title) for m in page.bookmarks if m.page == page.number) - {""},
        in_layer=2 * sum(line.size > 0 for line in page.lines) > len(page.lines),
    )
    said = (b for b in page.blocks if b.kind in _MAY_HOLD)
    styles = replace(
        styles,
        said=frozenset(plain(row.text) for b in said for row in rows(b.lines)),
        headings=frozenset(
            _style(row) for b in page.blocks if b.kind in HEADINGS for row in rows(b.lines)[:1]
        ),
    )
    blocks: list[Block] = []
    for block in page.blocks:
        if block.kind in _MAY_HOLD and block.lines:
            blocks.extend(_sorted_out(block, styles))
        elif block.kind in _MAY_BE and _is_misnamed(block, styles):
            blocks.append(replace(block, kind=BlockKind.HEADING))
        else:
            blocks.append(block)
    blocks = as_capitals(_as_numbered(_in_one_row(blocks), page))
    return replace(page, blocks=_with_levels(in_their_case(blocks, page), page))


def _in_one_row(blocks: Sequence[Block]) -> list[Block]:
    """Headings side by side as one, for a number may stand far before its title; and one that
    goes on in the row below."""
    joined_blocks: list[Block] = []
    for block in blocks:
        before = joined_blocks[-1] if joined_blocks else None
        if (
            before is not None
            and before.kind in HEADINGS
            and block.kind in HEADINGS
            and before.lines
            and block.lines
            and (_is_one_row(before, block) or _goes_on_below(before, block))
        ):
            joined_blocks[-1] = _piece(before, rows((*before.lines, *block.lines)), is_heading=True)
        else:
            joined_blocks.append(block)
    return joined_blocks


def _is_one_row(before: Block, block: Block) -> bool:
    return len(rows((*before.lines, *block.lines))) == 1


def _goes_on_below(before: Block, block: Block) -> bool:
    """Whether a heading is the rest of the one right above, set as that is."""
    above, below = rows(before.lines)[-1], rows(block.lines)[0]
    alike = abs(above.size - below.size) < _SAME_SIZE * above.size and above.bold == below.bold
    close = -0.3 * above.height <= below.box[1] - above.box[3] < 0.6 * above.height
    return alike and close and below.text[:1].islower()


def _as_numbered(blocks: Sequence[Block], page: Page) -> list[Block]:
    """In a scan, what is numbered as the page's headings are is one of them."""
    if page.source is TextSource.TEXT_LAYER:
        return list(blocks)
    schemes = {numbering(b.text) for b in blocks if b.kind in HEADINGS} & _SURE_NUMBERINGS
    return [
        replace(block, kind=BlockKind.HEADING)
        if block.kind is BlockKind.TEXT
        and numbering(block.text) in schemes
        and len(block.text) <= _LONGEST_UNSTYLED
        and not _ENDS.search(block.text)
        and len(rows(block.lines)) == 1
        else block
        for block in blocks
    ]


@dataclass(frozen=True, slots=True)
class Styles:
    """What a page's headings are told by: its body, and the bookmarks that point to it."""

    body: Body
    titles: frozenset[str]
    in_layer: bool = False
    """Whether the page has a text layer: what was read from a picture in it is no heading."""
    said: frozenset[str] = frozenset()
    """Rows of the page's text: a header may repeat a heading."""
    headings: frozenset[tuple[float, bool]] = frozenset()
    """How the model's headings are set."""

    def stand_out(self, row: Row) -> bool:
        """Whether a row is set as a heading is, or is one of the bookmarks."""
        text = row.text
        if (
            len(_LETTERS.findall(text)) < _LEAST_LETTERS
            or len(text) > _LONGEST
            or _BULLET.match(text)
        ):
            return False
        if _LEADER.search(text):
            return False
        if row.is_scanned and self.in_layer:
            return False
        if plain(text) in self.titles:
            return True
        if _CAPTION.match(text) or row.mono or row.turned:
            return False
        if row.is_scanned:
            large = row.size >= _LARGER_SCANNED * self.body.size and len(text) > 1
            if is_cjk(text[0]) and len(text) >= _LEAST_TO_MEASURE:
                # Boxes to tick and blanks between the words make characters seem wide.
                large = large and row.height >= _HIGHER * self.body.height
            return large and not (_MATHS.search(text) or _names_authors(text))
        if not row.bold and row.size < _CLEARLY_LARGER * self.body.size and _LIST.search(text):
            return False  # the authors under a title
        return row.size >= _LARGER * self.body.size or (
            row.bold and not self.body.bold and row.size >= 0.95 * self.body.size
        )


def body_of(blocks: Sequence[Block]) -> Body:
    """Size and weight that most characters of the running text have; of all text without any."""
    kinds = (
        _RUNNING if any(b.kind in _RUNNING and b.lines for b in blocks) else frozenset(BlockKind)
    )
    found = [row for b in blocks if b.kind in kinds for row in rows(b.lines)]
    counts: Counter[tuple[float, bool]] = Counter()
    for row in found:
        if not row.is_scanned:
            counts[round(row.size * 2) / 2, row.bold] += len(row.text)
    if counts:
        return Body(*counts.most_common(1)[0][0])
    long = [row.size for row in found if len(row.text) >= _LEAST_TO_MEASURE]
    size = median(long or [row.size for row in found] or [0.0])
    return Body(size, bold=False, height=median([row.height for row in found] or [0.0]))


def _is_misnamed(block: Block, styles: Styles) -> bool:
    """Whether a "header" or "caption" is a heading: far too large for one."""
    found = rows(block.lines)
    if not 0 < len(found) <= 2 or not all(styles.stand_out(row) for row in found):
        return False
    if _ENDS.search(found[-1].text):
        return False
    large = all(row.size >= _MUCH_LARGER * styles.body.size for row in found)
    if block.kind is BlockKind.CAPTION and not found[0].is_scanned:
        large = large or {_style(row) for row in found} <= styles.headings
    return large or plain(joined(row.text for row in found)) in styles.titles - styles.said


def _sorted_out(block: Block, styles: Styles) -> list[Block]:
    """A block as headings and the text between them."""
    found = rows(block.lines)
    marks = _without_long_runs(found, [styles.stand_out(row) for row in found])
    marks = _without_long_runs(found, _without_ends(found, marks))
    if found[0].is_scanned and block.kind not in HEADINGS and len(found) > 1:
        # Justified lines are as wide as large ones: only what begins a block is sure.
        first = marks[0] and (
            numbering(found[0].text) is not None or _is_short_and_high(found, styles)
        )
        marks = [first if n == 0 else False for n in range(len(found))]
        marks = [mark or titled for mark, titled in zip(marks, _titled(found), strict=True)]
    if not any(marks):
        return [_judged(block, found, styles)] if block.kind in HEADINGS else [block]
    pieces = [
        (piece, mark and sum(len(row.text) for row in piece) <= _LONGEST_OF_ROWS)
        for piece, mark in _pieces(found, marks)
    ]
    if not any(mark for _, mark in pieces):
        return [replace(block, kind=_text_kind(block.kind), level=0)]
    if len(pieces) == 1:
        kind = block.kind if block.kind in HEADINGS else BlockKind.HEADING
        return [replace(block, kind=kind)]
    return [_piece(block, piece, is_heading) for piece, is_heading in pieces]


def _is_short_and_high(found: Sequence[Row], styles: Styles) -> bool:
    """Whether the first row of a scan's block is half as wide as the others, and higher: no
    justified line is."""
    width = max(row.box[2] - row.box[0] for row in found[1:])
    short = found[0].box[2] - found[0].box[0] < _SHORT_FIRST * width
    return short and found[0].height >= _MUCH_HIGHER * styles.body.height


def _titled(found: Sequence[Row]) -> list[bool]:
    """Rows of a scan that are short, begin with "Article 2" or the like and end no sentence,
    after a sentence's end: two of one numbering are no accident."""
    left, right = min(row.box[0] for row in found), max(row.box[2] for row in found)
    names = [
        name
        if (name := numbering(row.text)) in _NAMED_NUMBERINGS
        and row.box[2] - row.box[0] < _SHORT_TITLE * (right - left)
        and not _ENDS.search(row.text)
        and (index == 0 or _SENTENCE.search(found[index - 1].text))
        else None
        for index, row in enumerate(found)
    ]
    counts = Counter(filter(None, names))
    return [name is not None and counts[name] >= _LEAST_TITLED for name in names]


def _without_ends(found: Sequence[Row], marks: Sequence[bool]) -> list[bool]:
    """A sentence's end is no heading's; a colon or comma is where the heading goes on below."""
    kept = list(marks)
    for index in range(len(found) - 1, -1, -1):
        text = found[index].text
        if not kept[index] or not _ENDS.search(text):
            continue
        below = found[index + 1] if index + 1 < len(found) else None
        goes_on = below is not None and kept[index + 1] and _style(below) == _style(found[index])
        kept[index] = goes_on and not _SENTENCE.search(text)
    return kept


def _without_long_runs(found: Sequence[Row], marks: Sequence[bool]) -> list[bool]:
    """No heading has many rows: a style that a block is mostly set in is text."""
    counts = Counter(_style(row) for row, mark in zip(found, marks, strict=True) if mark)
    return [
        mark and (counts[_style(row)] <= _MOST_ROWS or 2 * counts[_style(row)] < len(found))
        for row, mark in zip(found, marks, strict=True)
    ]


def _style(row: Row) -> tuple[float, bool]:
    return (0.0, False) if row.is_scanned else (round(row.size), row.bold)


def _judged(block: Block, found: Sequence[Row], styles: Styles) -> Block:
    """A heading of the model that is not set as one: kept where its words look like one."""
    text = joined(row.text for row in found)
    ends = bool(_ENDS.search(text)) and not text.endswith((":", "："))
    too_long = len(text) > _LONGEST_UNSTYLED or len(found) > 2
    wordless = len(_LETTERS.findall(text)) < _LEAST_LETTERS
    wordless = wordless or bool(_LEADER.search(text))
    wordless = wordless or bool(_BULLET.match(text) or _CAPTION.match(text))
    wordless = wordless or _names_authors(text)
    unlike = ends or too_long or wordless or (found[0].is_scanned and styles.in_layer)
    if not found[0].is_scanned:
        told = numbering(text) is not None or text.isupper()
        unlike = unlike or any(row.turned for row in found) or bool(_LIST.search(text))
        told = told or found[0].size >= _HARDLY_LARGER * styles.body.size
        unlike = unlike or not told or any(row.mono for row in found) or bool(_ENDS.search(text))
    return replace(block, kind=BlockKind.TEXT, level=0) if unlike else block


def _names_authors(text: str) -> bool:
    """Whether a row names people; "第一章 总则 说明" has as many words."""
    return _AUTHORS.match(text) is not None and numbering(text) in (None, "letter")


def _pieces(found: Sequence[Row], marks: Sequence[bool]) -> list[tuple[list[Row], bool]]:
    """Runs of rows that are one heading, or text."""
    pieces: list[tuple[list[Row], bool]] = []
    for row, mark in zip(found, marks, strict=True):
        goes_on = bool(pieces) and pieces[-1][1] == mark
        if goes_on and mark:
            above = pieces[-1][0]
            goes_on = (
                len(above) < _MOST_ROWS
                and abs(above[-1].size - row.size) < _SAME_SIZE * row.size
                and above[-1].bold == row.bold
                and row.box[1] - above[-1].box[3] < 0.6 * row.height
                and numbering(row.text) is None
            )
        if goes_on:
            pieces[-1][0].append(row)
        else:
            pieces.append(([row], mark))
    return pieces


def _piece(block: Block, piece: Sequence[Row], is_heading: bool) -> Block:
    lines = tuple(line for row in piece for line in row.lines)
    kind = BlockKind.HEADING if is_heading else _text_kind(block.kind)
    text = joined(row.text for row in piece)
    return Block(kind, text, around(line.box for line in lines), lines)


def _text_kind(kind: BlockKind) -> BlockKind:
    return BlockKind.TEXT if kind in HEADINGS else kind


def heading_record(block: Block, page: Page) -> HeadingRecord:
    """What tells a heading's depth."""
    found = rows(block.lines)
    text = " ".join(block.text.split())
    own = plain(text)
    here = (m.level for m in page.bookmarks if m.page == page.number and plain(m.title) == own)
    return HeadingRecord(
        text=text,
        level=block.level,
        size=round(median(row.size_by_width for row in found), 1) if found else 0.0,
        bold=bool(found) and all(row.bold for row in found),
        bookmark=next(here, 0),
        scanned=bool(found) and found[0].is_scanned,
    )


def _with_levels(blocks: Sequence[Block], page: Page) -> tuple[Block, ...]:
    records = [heading_record(block, page) for block in blocks if block.kind in HEADINGS]
    found = iter(levels(records, scanned=float(page.source is not TextSource.TEXT_LAYER)))
    return tuple(
        replace(block, level=next(found)) if block.kind in HEADINGS else block for block in blocks
    )
