"""How much of what was found on a page its Markdown has, and whether it has some twice. Pure.

What stands in a picture, and headers, footers and page numbers, need not be there; a formula is
written in other signs than it is printed. Letters and digits are compared, so that neither
Markdown's signs nor joined lines count as a loss.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ocrplus_ocr.engine import BlockKind, TextLine
from ocrplus_ocr.engine.labels import FURNITURE, PICTURES
from ocrplus_ocr.markdown.geometry import holds
from ocrplus_ocr.markdown.joining import is_cjk
from ocrplus_ocr.markdown.page import Page

EXCUSED: Final = FURNITURE | PICTURES | {BlockKind.FORMULA}

_CODE: Final = re.compile(r"^((?P<fence>`{3,})\n.*?\n(?P=fence))$", re.M | re.S)
_TAG: Final = re.compile(r"</?(?:table|tr|td)\b[^<>]*>")
_PICTURE: Final = re.compile(r"!\[[^\]]*\]\([^)]*\)|^\$\$.*?\$\$$", re.M | re.S)
_GAP: Final = " "
_LONG: Final = 8  # shorter words are looked for last: they stand within others
_LEAST_UNSPACED: Final = 4
_MOST_UNSPACED: Final = 1000
_ESCAPED: Final = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}


def coverage(page: Page, markdown: str) -> float:
    """Share of the characters of the page's lines that the Markdown has, 0..1.

    Words count as often as they are found: what is written twice stands for nothing that is lost.
    """
    needed = words_in_order(page, expected(page))
    total = sum(map(len, needed))
    return round(1 - _size(lacking(needed, [_plain(markdown)])) / total, 4) if total else 1.0


def excused(page: Page) -> float:
    """Share of the characters of the page's lines that `coverage` leaves out, 0..1: what the steps
    before call furniture, a picture or a formula. Where they err, here is what was lost."""
    total, needed = (_size(words_of(lines)) for lines in (page.lines, expected(page)))
    return round(1 - needed / total, 4) if total else 0.0


def repeated(page: Page, markdown: str) -> float:
    """Share of the characters of the page's lines that the Markdown has more often than the page.

    A word that was parted at a line's end is written whole: what that lacks and gains is one.
    """
    found, written = words_of(page.lines), words_of_text(_plain(_PICTURE.sub(" ", markdown)))
    latin = {word for word in found if not is_cjk(word[0])}
    more = sum(len(word) * max(0, written[word] - found[word]) for word in latin)
    fewer = sum(len(word) * max(0, found[word] - written[word]) for word in latin)
    surplus = max(0, more - fewer) + _surplus_unspaced(page, markdown)
    total = _size(found)
    return round(min(1.0, surplus / total), 4) if total else 0.0


def _surplus_unspaced(page: Page, markdown: str) -> int:
    """Characters of lines without spaces between words that are written too often."""
    lines = dict.fromkeys(squeezed(line.text) for line in page.lines)
    chosen = [text for text in lines if len(text) >= _LEAST_UNSPACED and is_cjk(text[0])]
    if not chosen:
        return 0
    there = "".join(words_in_order(page, page.lines))
    said = squeezed(_plain(_PICTURE.sub(" ", markdown)))
    pairs = ((text, said.count(text) - there.count(text)) for text in chosen[:_MOST_UNSPACED])
    return sum(len(text) * times for text, times in pairs if times > 0)


def words_in_order(page: Page, lines: Sequence[TextLine]) -> list[str]:
    """The words of lines of a page, in the order of its blocks."""
    place = {
        id(line): n for n, line in enumerate(line for block in page.blocks for line in block.lines)
    }
    ordered = sorted(lines, key=lambda line: place.get(id(line), len(place)))
    return list(_tokens(line.text for line in ordered))


def words_of(lines: Iterable[TextLine]) -> Counter[str]:
    """How often each word stands in lines."""
    return Counter(_tokens(line.text for line in lines))


def words_of_text(text: str) -> Counter[str]:
    """How often each word stands in a text."""
    return Counter(_tokens([text]))


def _tokens(texts: Iterable[str]) -> Iterator[str]:
    return (token for text in texts for word in text.split() if (token := squeezed(word)))


def lacking(needed: Sequence[str], texts: Iterable[str]) -> Counter[str]:
    """The words, given in reading order, that are not in the texts, be it joined to others or
    parted by spaces. A line without spaces is one word: it is looked for after the one before it,
    or a phrase that stands on the page twice would be found where other lines are."""
    rest = Counter(needed)
    spare = []  # in their order; a gap where a word is found
    for token in _tokens(texts):
        spare.append(_GAP if rest[token] > 0 else token)
        rest[token] -= 1
    todo = []
    for word in needed:
        if rest[word] > 0:
            rest[word] -= 1
            todo.append(word)
    left, cursor = "".join(spare), 0
    lost: Counter[str] = Counter()
    for word in sorted(todo, key=lambda word: max(0, _LONG - len(word))):
        at = left.find(word, cursor)
        at = left.find(word) if at < 0 else at
        if at < 0:
            lost[word] += 1
            continue
        cursor = at + len(word)
        left = f"{left[:at]}{_GAP * len(word)}{left[cursor:]}"
    return lost


def _size(words: Counter[str]) -> int:
    return sum(len(word) * times for word, times in words.items())


def _plain(markdown: str) -> str:
    """What the Markdown says, without its signs for tables and for characters."""
    return _unescaped(_TAG.sub(" ", markdown))


def _unescaped(markdown: str) -> str:
    """The Markdown with the signs that its writer escaped; code has none escaped."""
    parts, at = [], 0
    for code in _CODE.finditer(markdown):
        parts += [_with_signs(markdown[at : code.start()]), code.group()]
        at = code.end()
    return "\n".join([*parts, _with_signs(markdown[at:])])


def _with_signs(text: str) -> str:
    return re.sub("&(?:lt|gt|amp);", lambda entity: _ESCAPED[entity[0]], text)


def expected(page: Page) -> list[TextLine]:
    """The lines that the Markdown must have."""
    left_out = [b for b in page.blocks if b.kind in EXCUSED]
    no_words = {id(line) for block in left_out for line in block.lines}
    code = (line for b in page.blocks if b.kind is BlockKind.CODE for line in b.lines)
    no_words |= {id(line) for line in code if squeezed(line.text).isdecimal()}  # its lines' numbers
    pictures = [block.box for block in left_out if block.kind in PICTURES]
    return [
        line
        for line in page.lines
        if id(line) not in no_words and not any(holds(box, line.box) for box in pictures)
    ]


def squeezed(text: str) -> str:
    """Letters and digits only, each in its plain form."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in plain if character.isalnum())
