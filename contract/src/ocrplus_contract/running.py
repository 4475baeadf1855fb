"""Running headers, footers and page numbers, told by their run over the pages of a document. Pure.

A page alone cannot tell a running header from a first line that is set like all others, nor a
page's number from a number that ends a text. What stands on neighbouring pages in the same place
with the same words, or with a number that counts with the pages, is no page's own. Words for which
nothing but their return speaks are said once: a form has the same line on each page, too. On a
document of one page its place alone has to tell a page's number.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ocrplus_contract.records import EdgeRecord, PageRecord

_SAME_PLACE: Final = 0.015  # of the page's height
_NEIGHBOURS: Final = 2  # left and right pages have headers of their own
_LEAST_RUN: Final = 3
_LEAST_NUMBERS: Final = 2
_LEAST_LETTERS: Final = 2
_MOST_NUMBERS: Final = 4
_DIGITS: Final = re.compile(r"\d{1,4}")
_SENTENCE: Final = re.compile(r"[,:;?!，：；？！。]$|^\S+(?:\s+\S+){4,}(?<=[^\W\d_])\.$")
_ABBREVIATED: Final = re.compile(r"(?:^|\s)[A-Z]\w*\.$")
_ROMAN: Final = re.compile(r"[ivxlc]{1,7}")
_VALUES: Final = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


@dataclass(frozen=True, slots=True)
class _Found:
    """An edge of a page: its words without numbers, and the numbers."""

    index: int
    page: int
    edge: EdgeRecord
    words: str
    numbers: tuple[int, ...]


def drop_running(pages: Sequence[PageRecord]) -> list[PageRecord]:
    """The pages without the running lines that stand in their Markdown."""
    found = [
        _parsed(index, page.page, edge) for index, page in enumerate(pages) for edge in page.edges
    ]
    groups: dict[tuple[bool, str, int], list[_Found]] = {}
    for item in found:
        if len(item.numbers) > _MOST_NUMBERS:
            continue
        groups.setdefault((item.edge.top, item.words, len(item.numbers)), []).append(item)
    running: dict[int, list[EdgeRecord]] = {}
    dropped = [item for group in groups.values() for item in _running(group, len(pages))]
    dropped += [item for item in found if _is_lone_number(item, len(pages))]
    for item in dropped:
        if item.edge.markdown and not _is_sentence(item.edge.text):
            running.setdefault(item.index, []).append(item.edge)
    return [
        _without(page, running[index]) if index in running else page
        for index, page in enumerate(pages)
    ]


def _parsed(index: int, page: int, edge: EdgeRecord) -> _Found:
    text = unicodedata.normalize("NFKC", edge.text).casefold()
    numbers = [int(number) for number in _DIGITS.findall(text)]
    words = "".join(c for c in _DIGITS.sub("", text) if c.isalnum())
    if not numbers and _ROMAN.fullmatch(words):
        return _Found(index, page, edge, "", (_roman(words),))
    return _Found(index, page, edge, words, tuple(numbers))


def _is_sentence(text: str) -> bool:
    """Whether a line is a salutation, a question or a sentence: forms and series of letters say
    it on each page, and a header lost is less than a sentence lost. "Harbour Ltd." is none."""
    shown = text.strip()
    return _SENTENCE.search(shown) is not None and _ABBREVIATED.search(shown) is None


def _roman(text: str) -> int:
    values = [_VALUES[letter] for letter in text]
    following = [*values[1:], 0]
    return sum(-a if a < b else a for a, b in zip(values, following, strict=True))


def _running(group: Sequence[_Found], pages: int) -> list[_Found]:
    """Those of a group that stand in one place on neighbouring pages, and whose numbers are the
    same on each or count with the pages: sums carried forward do neither. The first of those that
    nothing else speaks for stays; on two pages both."""
    alike = [list(group)]
    for position in range(len(group[0].numbers)):
        alike = [part for whole in alike for part in _counting(whole, position)]
    if not group[0].numbers and len(group[0].words) < _LEAST_LETTERS:
        return []
    running: list[_Found] = []
    for run in (run for part in alike for run in _runs(part)):
        seen = len({item.page for item in run})
        enough = seen >= _LEAST_RUN or (seen > 1 and 2 * seen >= pages)
        if not (enough or (not group[0].words and seen >= _LEAST_NUMBERS)):
            continue
        if _is_told(run):
            running += run
        elif pages >= _LEAST_RUN:
            running += [item for item in run if item.page != run[0].page]
    return running


def _is_told(run: Sequence[_Found]) -> bool:
    """Whether more than its return speaks for a run: some page has left it out by how it is set
    there, or its number counts with the pages."""
    if not run[0].words or any(not item.edge.markdown for item in run):
        return True
    return any(len({item.numbers[n] for item in run}) > 1 for n in range(len(run[0].numbers)))


def _is_lone_number(item: _Found, pages: int) -> bool:
    """Whether what is set as a page's number is one although no other page has its like: on the
    only page, or where it is the page's own count."""
    own = item.edge.page_number and not item.words and len(item.numbers) == 1
    return own and (pages == 1 or item.numbers[0] == item.page)


def _counting(group: Sequence[_Found], position: int) -> list[list[_Found]]:
    """Parts of a group with one number there, or one that counts with the pages."""
    same = Counter(item.numbers[position] for item in group)
    counted = Counter(item.numbers[position] - item.page for item in group)
    parts: dict[tuple[bool, int], list[_Found]] = {}
    for item in group:
        number = item.numbers[position]
        counts = counted[number - item.page] >= same[number] or not item.words
        parts.setdefault((counts, number - item.page if counts else number), []).append(item)
    return list(parts.values())


def _runs(group: Iterable[_Found]) -> list[list[_Found]]:
    """Parts of a group on neighbouring pages, in one place."""
    runs: list[list[_Found]] = []
    near: list[list[_Found]] = []  # those that may go on: a page has few edges
    for item in sorted(group, key=lambda item: item.page):
        near = [run for run in near if item.page - run[-1].page <= _NEIGHBOURS]
        run = next((r for r in reversed(near) if _goes_on(r[-1], item)), None)
        if run is None:
            run = []
            runs.append(run)
            near.append(run)
        run.append(item)
    return runs


def _goes_on(before: _Found, item: _Found) -> bool:
    return abs(item.edge.at - before.edge.at) <= _SAME_PLACE


def _without(page: PageRecord, edges: Sequence[EdgeRecord]) -> PageRecord:
    """The page without some of its edges, where its Markdown has each as a paragraph."""
    parts = page.markdown.split("\n\n")
    start, end = page.open_start, page.open_end
    starts, ends = page.starts_paragraph, page.ends_paragraph
    for edge in edges:
        if edge.markdown not in parts or len(parts) == 1:
            continue  # a page with no other words says its running line
        at = parts.index(edge.markdown)
        if not edge.top:
            at = len(parts) - 1 - parts[::-1].index(edge.markdown)
        if edge.top and edge.open and at == 0:
            starts, start = False, edge.paragraph
        if not edge.top and edge.open and at == len(parts) - 1:
            ends, end = False, edge.paragraph
        del parts[at]
    return page.model_copy(
        update={
            "markdown": "\n\n".join(parts),
            "starts_paragraph": starts,
            "ends_paragraph": ends,
            "open_start": start,
            "open_end": end,
        }
    )
