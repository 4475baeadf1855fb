"""Pages of Markdown as one: paragraphs and tables that run over a page's end are whole. Pure.

Each page keeps its anchor, a comment: within a paragraph where it goes on over it, after a table
that does. Footnotes at the foot of the page above and figures on top of the page below follow the
paragraph that runs past them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_PIPES: Final = re.compile(r"(?:^\|.*\|$\n?)+", re.M)
_RULE: Final = re.compile(r"^\|(?: :?-+:? \|)+$")
_HTML: Final = re.compile(r"<table>(.*?)</table>", re.S)
_TABLE_END: Final = "</table>"
_ROW: Final = re.compile(r"<tr>.*?</tr>", re.S)
_FIGURE: Final = re.compile(r"(?!(?:19|20)\d\d$)[$€£¥+-]?\s?\d[\d.,\s%]*$|[-–—]$")
_HYPHENATED: Final = re.compile(r"[^\W_][-\u00ad\u2010\u2011]$")


@dataclass(frozen=True, slots=True)
class PageText:
    """A page's Markdown with its anchor.

    `goes_on`: a paragraph of it is the rest of the one that the page before leaves open;
    `open_start` says how that paragraph begins, `open_end` how the one ends that the page leaves
    open. Where they are empty these are its first and its last. `keeps_hyphen`: a hyphen at that
    end is the word's own.
    """

    anchor: str
    text: str
    goes_on: bool = False
    open_start: str = ""
    open_end: str = ""
    keeps_hyphen: bool = False


def merged(pages: Sequence[PageText]) -> str:
    """The whole document."""
    document = _Document()
    for page in pages:
        document.add(page)
    return document.text


class _Document:
    """Parts that stand under each other, each in pieces: a page is read when it comes, and the
    pages before it never again, so that a book costs no more for each page than a letter."""

    def __init__(self) -> None:
        self._parts: list[list[str]] = []
        self._end: list[str] | None = None  # the last part but anchors: a table may go on in it
        self._open: list[str] | None = None  # the paragraph that may go on in the next page
        self._keeps_hyphen = False

    @property
    def text(self) -> str:
        return "\n\n".join("".join(part) for part in self._parts).rstrip()

    def add(self, page: PageText) -> None:
        text = page.text.rstrip()
        goes_on = self._open is not None and page.goes_on and text != ""
        if not goes_on or not text.startswith(page.open_start):
            text = self._with_table(text)
        parts = text.split("\n\n") if text else []
        starts = (n for n, part in enumerate(parts) if part.startswith(page.open_start))
        start = next(starts, None) if goes_on else None
        ends = (n for n, part in enumerate(parts) if part.endswith(page.open_end))
        end = max(ends, default=len(parts) - 1)
        if start is None or self._open is None:
            self._parts.append([page.anchor])
        else:
            _glue(self._open, page.anchor, parts[start], keeps_hyphen=self._keeps_hyphen)
            self._end = None
        self._take(parts, start, end)
        self._keeps_hyphen = page.keeps_hyphen

    def _take(self, parts: Sequence[str], start: int | None, end: int) -> None:
        """All of a page but the paragraph that went to the page above; the one that it leaves
        open, and its last, are parts of their own."""
        apart = {end, len(parts) - 1}
        passed: list[str] = []
        for index, text in enumerate(parts):
            if index == start:
                continue
            if index not in apart:
                passed.append(text)
                continue
            part = [text]
            if text.endswith(_TABLE_END):
                part = [text.removesuffix(_TABLE_END), _TABLE_END]
            self._parts += [["\n\n".join(passed)], part] if passed else [part]
            passed = []
            self._end = part
            if index == end:
                self._open = part
        if passed:  # the last part is the one that went above
            self._parts.append(["\n\n".join(passed)])

    def _with_table(self, text: str) -> str:
        """What is left of a page whose first rows have gone to the table above."""
        if self._end is None:
            return text
        for continued in (_pipes, _html):
            rest = continued(self._end, text)
            if rest is not None:
                return rest
        return text


def _glue(part: list[str], anchor: str, text: str, *, keeps_hyphen: bool) -> None:
    """A paragraph with the rest of it, and the anchor of the page that has the rest."""
    above = part[-1]
    if _HYPHENATED.search(above[-2:]) and text[:1].isalnum():
        printed = above[-2:-1].isalpha() and text[:1].islower() and not keeps_hyphen
        part[-1] = above[:-1] if printed else above
        part += [anchor, text]
        return
    wide = "\u2e80" <= above[-1:] <= "\uffef" or "\u2e80" <= text[:1] <= "\uffef"
    part += [anchor, text] if wide else [f" {anchor} ", text]


def _pipes(table: list[str], text: str) -> str | None:
    """The rest of a page after the rows that a table of pipes has taken."""
    below = _PIPES.match(text)
    above = _last(_PIPES, table[0]) if below is not None else None
    if above is None or below is None:
        return None
    head, rule, *_ = above.group().split("\n")
    lines = below.group().rstrip("\n").split("\n")
    if len(lines) < 2 or not _RULE.match(lines[1]) or rule != lines[1]:
        return None
    if lines[0] != head and not _is_data(lines[0].split("|"), head.split("|")):
        return None
    first = [] if lines[0] == head else [lines[0]]
    table += [f"\n{row}" for row in (*first, *lines[2:])]
    return text[below.end() :].lstrip("\n")


def _html(table: list[str], text: str) -> str | None:
    """The rest of a page after the rows that a table of HTML has taken."""
    below = _HTML.match(text)
    ended = below is not None and table[-1] == _TABLE_END
    above = _last(_HTML, table[0] + _TABLE_END) if ended else None
    if above is None or below is None:
        return None
    head, rows = _ROW.findall(above.group(1)), _ROW.findall(below.group(1))
    if not head or not rows or _width(head[-1]) != _width(rows[-1]):
        return None
    if rows[0] != head[0] and not _is_data(_cells(rows[0]), _cells(head[0])):
        return None
    while rows and head and rows[0] == head[0]:
        rows, head = rows[1:], head[1:]
    table[-1:] = [*rows, _TABLE_END]
    return text[below.end() :].lstrip("\n")


def _is_data(cells: Sequence[str], head: Sequence[str]) -> bool:
    """Whether a first row is no heading: it has more figures than the table's own heading."""
    return _figures(cells) > _figures(head)


def _figures(cells: Sequence[str]) -> int:
    return sum(bool(_FIGURE.match(cell.strip())) for cell in cells)


def _cells(row: str) -> list[str]:
    return re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S)


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """A match that ends the text."""
    found = None
    for match in pattern.finditer(text):
        found = match
    return found if found is not None and not text[found.end() :].strip() else None


def _width(row: str) -> int:
    return sum(int(n) for n in re.findall(r'colspan="(\d+)"', row)) + len(
        re.findall(r"<t[dh](?![^>]*colspan)", row)
    )
