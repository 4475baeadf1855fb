"""Code: rows in a font of fixed pitch, with their indentation and without line numbers. Pure.

A typewriter's font is of fixed pitch, too: a page that has no other and reads like a letter is
none, and the numbers of a list stay where nothing tells that they count lines of code.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from ocrplus_ocr.engine import Block, BlockKind, TextLine
from ocrplus_ocr.markdown.geometry import around
from ocrplus_ocr.markdown.page import Page
from ocrplus_ocr.markdown.rows import Row, rows

_MAY_HOLD: Final = frozenset(
    {BlockKind.TEXT, BlockKind.LIST, BlockKind.HEADING, BlockKind.CODE, BlockKind.REFERENCE}
)
_NUMBER: Final = re.compile(r"^(\d{1,4})(?:\s+|$)")
_LEAST_CHARACTERS: Final = 3
_CODE: Final = re.compile(
    r"[{}<>=;|\\_$^~]|\(\)|\[\w*\]|::|\w\(|//|^\s*(?:#|\*|%)|\w\.\w+\(|^\s*(?:def|return|import|end)\b"
)
_CODE_SHARE: Final = 0.2  # of the rows
_GAP: Final = re.compile(r"(?<=\S) {3,}(?=\S)")
_GAPS: Final = 2  # in a row of columns; a letter's rows have one, before a date
_COLUMNS_SHARE: Final = 0.3  # of the rows
_TYPED: Final = 0.8  # of a page's characters
_USUAL_PITCH: Final = 0.6  # of the font size
_ALIKE: Final = 0.05
_SET_IN: Final = 1.6  # characters: "10" is one wider than "9"
_LEAST_FIELDS: Final = 3
_LEAST_STEPS: Final = 3  # that tell how far apart lines are
_LINE: Final = 1.4  # line heights, where they are too few
_MOST_BLANK: Final = 2  # lines between two of one listing
_LINE_GAP: Final = 0.5  # of the line height


def set_listings(page: Page) -> Page:
    """The page with its code in blocks of its own."""
    if _is_typewritten(page) or _is_filled_in(page):
        return page
    blocks: list[Block] = []
    for block in page.blocks:
        pieces = _parted(block) if block.kind in _MAY_HOLD and block.lines else [block]
        for piece in pieces:
            if _goes_on(blocks, piece):
                lines = (*blocks[-1].lines, *piece.lines)
                blocks[-1] = _listing(lines)
            else:
                blocks.append(piece)
    return replace(page, blocks=tuple(blocks))


def _is_typewritten(page: Page) -> bool:
    """Whether a page is set in a fixed pitch throughout and says nothing that looks like code, nor
    is a printout whose rows stand in columns: joined to paragraphs these would be lost."""
    if any(block.kind is BlockKind.CODE for block in page.blocks):
        return False
    found = [row for block in page.blocks if block.kind in _MAY_HOLD for row in rows(block.lines)]
    typed = [row for row in found if row.mono]
    share = sum(len(row.text) for row in typed) / max(1, sum(len(row.text) for row in found))
    in_columns = sum(
        len(row.lines) > _GAPS or len(_GAP.findall(row.text)) >= _GAPS for row in typed
    )
    if share < _TYPED or in_columns >= _COLUMNS_SHARE * len(typed):
        return False
    return not _is_mostly_code([row.text for row in typed])


def _is_filled_in(page: Page) -> bool:
    """Whether fixed pitch is only what stands in the fields of a form: single rows, each by itself,
    that say nothing that looks like code."""
    blocks = [block for block in page.blocks if block.kind in _MAY_HOLD and block.lines]
    if any(block.kind is BlockKind.CODE for block in blocks):
        return False
    typed = [[row for row in rows(block.lines) if _is_code(row)] for block in blocks]
    texts = [found[0].text for found in typed if found]
    alone = all(len(found) <= 1 for found in typed)
    return alone and len(texts) >= _LEAST_FIELDS and not _is_mostly_code(texts)


def _is_mostly_code(texts: Sequence[str]) -> bool:
    """Whether enough rows have signs that sentences have not."""
    return sum(_CODE.search(text) is not None for text in texts) >= _CODE_SHARE * len(texts)


def _parted(block: Block) -> list[Block]:
    """A block as code and the text around it."""
    found = rows(block.lines)
    if not any(_is_code(row) for row in found):
        return [block]
    pieces: list[tuple[list[Row], bool]] = []
    for row in found:
        code = _is_code(row) and not (pieces and _ends_a_sentence(pieces[-1], row))
        if pieces and pieces[-1][1] == code:
            pieces[-1][0].append(row)
        else:
            pieces.append(([row], code))
    parted = []
    for piece, code in pieces:
        lines = tuple(line for row in piece for line in row.lines)
        if code:
            parted.append(_listing(lines))
        else:
            box = around(line.box for line in lines)
            text = "\n".join(row.text for row in piece)
            kind = BlockKind.TEXT if block.kind is BlockKind.CODE else block.kind
            parted.append(Block(kind, text, box, lines, block.level))
    return parted


def _is_code(row: Row) -> bool:
    if not row.mono or _is_labelled(row):
        return False
    return len(row.text) >= _LEAST_CHARACTERS or len(row.lines) == 1


def _is_labelled(row: Row) -> bool:
    """Whether words in another font stand before what is of fixed pitch: a form's field."""
    first = row.lines[0]
    return not first.mono and any(character.isalpha() for character in first.text)


def _ends_a_sentence(piece: tuple[list[Row], bool], row: Row) -> bool:
    """Whether a row with a name in fixed pitch only goes on with the text above it."""
    lines, code = piece
    above = lines[-1]
    if code:
        return False
    close = row.box[1] - above.box[3] < _LINE_GAP * row.height
    return close and abs(row.box[0] - above.box[0]) < _LINE_GAP * row.height


def _goes_on(blocks: Sequence[Block], piece: Block) -> bool:
    """Whether a piece of code follows under another one, a blank line or two between."""
    if not blocks or piece.kind is not BlockKind.CODE or blocks[-1].kind is not BlockKind.CODE:
        return False
    if not piece.lines or not blocks[-1].lines:
        return False
    height = piece.lines[0].box[3] - piece.lines[0].box[1]
    gap = piece.box[1] - blocks[-1].box[3]
    return -height < gap < (_MOST_BLANK + 1) * height


def _listing(lines: Sequence[TextLine]) -> Block:
    return Block(
        BlockKind.CODE, listing_text(rows(lines)), around(line.box for line in lines), tuple(lines)
    )


def listing_text(found: Sequence[Row]) -> str:
    """The code of rows: set in as on the page, line numbers left out, wrapped lines joined."""
    numbers = [_NUMBER.match(row.text) for row in found]
    counted = [int(n.group(1)) for n in numbers if n is not None]
    numbered = bool(counted) and numbers[0] is not None
    numbered = numbered and counted == list(range(counted[0], counted[0] + len(counted)))
    width = _pitch(found)
    if not numbered or not _counts_code(found, width):
        left = min(row.box[0] for row in found)
        shown = [_set_in(row.text, row.box[0] - left, width) for row in found]
        return "".join(map(str.__add__, shown, [*_ends(found), ""]))
    out: list[tuple[str, float]] = []
    for row, number in zip(found, numbers, strict=True):
        if number is not None:
            out.append((row.text[number.end() :], _start(row, row.text[number.end() :], width)))
        else:  # a line too long for the page goes on without a number
            out[-1] = f"{out[-1][0]} {row.text}", out[-1][1]
    left = min(start for _, start in out)
    return "\n".join(_set_in(code, start - left, width) for code, start in out)


def _counts_code(found: Sequence[Row], width: float) -> bool:
    """Whether numbers before rows count lines of code, and no items of a list: blank lines are
    counted, code is set in or looks like some, or the numbers are in another font."""
    rests = []
    for row in found:
        number = _NUMBER.match(row.text)
        if number is not None:
            rests.append((row, row.text[number.end() :]))
    starts = [_start(row, rest, width) for row, rest in rests if rest]
    set_in = bool(starts) and max(starts) - min(starts) >= _SET_IN * width
    fonts = {(line.mono, round(line.size)) for row, _ in rests for line in row.lines}
    blank = any(not rest for _, rest in rests)
    return blank or set_in or len(fonts) > 1 or _is_mostly_code([rest for _, rest in rests])


def _ends(found: Sequence[Row]) -> list[str]:
    """What stands between the rows: line ends, more where a blank line is left."""
    steps = [below.box[1] - above.box[1] for above, below in pairwise(found)]
    height = min((row.height for row in found), default=0.0)
    usual = max(height, min((step for step in steps if step > 0), default=0.0))
    if len(steps) < _LEAST_STEPS:
        usual = min(usual, _LINE * height)
    blanks = [round(step / usual) - 1 if usual else 0 for step in steps]
    return ["\n" * (1 + min(_MOST_BLANK, max(0, blank))) for blank in blanks]


def _set_in(code: str, by: float, width: float) -> str:
    return " " * (round(by / width) if width and code else 0) + code


def _pitch(found: Sequence[Row]) -> float:
    """How wide a character is, by the longest line; a number before it may stand apart, but nearly
    all fonts of fixed pitch have one width."""
    longest = max((line for row in found for line in row.lines), key=lambda line: len(line.text))
    width = (longest.box[2] - longest.box[0]) / max(1, len(longest.text))
    usual = _USUAL_PITCH * longest.size
    return usual if abs(usual - width) <= _ALIKE * width else width


def _start(row: Row, code: str, width: float) -> float:
    """Where a numbered row's code begins. Of a number in the same line only the end is sure."""
    if len(row.lines) > 1 and row.lines[0].text.strip().isdecimal():
        return row.lines[1].box[0]
    return row.box[2] - width * len(code)
