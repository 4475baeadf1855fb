"""Pages of Markdown as one: paragraphs and tables that run over a page's end are whole. Pure.

Each page keeps its anchor, a comment: within a paragraph where it goes on over it, after a table
that does.
"""

import re
from collections.abc import Sequence
from typing import Final

_PIPES: Final = re.compile(r"(?:^\|.*\|$\n?)+", re.M)
_RULE: Final = re.compile(r"^\|(?: :?-+:? \|)+$")
_HTML: Final = re.compile(r"<table>(.*?)</table>", re.S)
_ROW: Final = re.compile(r"<tr>.*?</tr>", re.S)
_FIGURE: Final = re.compile(r"(?!(?:19|20)\d\d$)[$€£¥+-]?\s?\d[\d.,\s%]*$|[-–—]$")
_WORD_END: Final = re.compile(r"[^\W\d_]-$")


def merged(pages: Sequence[tuple[str, str, bool]]) -> str:
    """The document of anchor, Markdown, and whether the page goes on with the one before."""
    whole = ""
    for anchor, text, goes_on in pages:
        if not whole:
            whole = f"{anchor}\n\n{text}".rstrip()
        elif goes_on:
            whole = _within_paragraph(whole, anchor, text)
        else:
            whole, text = _with_table(whole, text)
            whole = f"{whole}\n\n{anchor}\n\n{text}".rstrip()
    return whole


def _within_paragraph(whole: str, anchor: str, text: str) -> str:
    if _WORD_END.search(whole) and text[:1].islower():
        return f"{whole[:-1]}{anchor}{text}"
    wide = "\u2e80" <= whole[-1:] <= "\uffef" or "\u2e80" <= text[:1] <= "\uffef"
    return f"{whole}{anchor}{text}" if wide else f"{whole} {anchor} {text}"


def _with_table(whole: str, text: str) -> tuple[str, str]:
    """A document with the rows of the table that the next page begins with, and the rest."""
    for continued in (_pipes, _html):
        rows = continued(whole, text)
        if rows is not None:
            return rows
    return whole, text


def _pipes(whole: str, text: str) -> tuple[str, str] | None:
    above, below = _last(_PIPES, whole), _PIPES.match(text)
    if above is None or below is None:
        return None
    head, rule, *_ = above.group().split("\n")
    lines = below.group().rstrip("\n").split("\n")
    if len(lines) < 2 or not _RULE.match(lines[1]) or rule != lines[1]:
        return None
    if lines[0] != head and not _is_data(lines[0].split("|"), head.split("|")):
        return None
    first = [] if lines[0] == head else [lines[0]]
    rest = text[below.end() :].lstrip("\n")
    return "\n".join([whole, *first, *lines[2:]]), rest


def _html(whole: str, text: str) -> tuple[str, str] | None:
    above, below = _last(_HTML, whole), _HTML.match(text)
    if above is None or below is None:
        return None
    head, rows = _ROW.findall(above.group(1)), _ROW.findall(below.group(1))
    if not head or not rows or _width(head[-1]) != _width(rows[-1]):
        return None
    if rows[0] != head[0] and not _is_data(_cells(rows[0]), _cells(head[0])):
        return None
    while rows and head and rows[0] == head[0]:
        rows, head = rows[1:], head[1:]
    rest = text[below.end() :].lstrip("\n")
    return f"{whole.removesuffix('</table>')}{''.join(rows)}</table>", rest


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
