"""How deep headings lie: by the PDF's bookmarks, their size and weight, and their numbering.

One rule for a page alone and for a whole document, so that they differ only in what they see.
Pure.
"""

import re
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Final

from ocrplus_contract.records import HeadingRecord

DEEPEST: Final = 6

_SAME_SIZE: Final = 0.95  # of the next larger size
_SAME_SIZE_SCANNED: Final = 0.9  # heights of scanned lines vary with their letters
_MOSTLY: Final = 0.5
_BY_BOOKMARKS: Final = 0.5  # share of the headings that the outline must know

_CHINESE: Final = "一二三四五六七八九十百零〇两"
_NUMBERINGS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("chapter", re.compile(rf"第[{_CHINESE}\d]+[章编篇部]|(?:chapter|part)\s+[\divxlc]+\b", re.I)),
    ("section", re.compile(rf"第[{_CHINESE}\d]+节|section\s+\d+\b", re.I)),
    ("article", re.compile(rf"第[{_CHINESE}\d]+条|(?:article|clause)\s+\d+\b", re.I)),
    ("annex", re.compile(r"附\s*录\s*[A-Z\d]|(?:appendix|annex)\s+[A-Z\d]\b", re.I)),
    ("chinese", re.compile(rf"[{_CHINESE}]{{1,3}}[、.．]")),
    ("bracketed", re.compile(rf"[（(][{_CHINESE}]{{1,3}}[）)]")),
    ("item", re.compile(r"[（(]\d{1,2}[）)]|\d{1,2}[）)]")),
    ("roman", re.compile(r"[IVXL]{1,5}[.、]\s")),
    ("letter", re.compile(r"[A-Z]\.\s")),
)
_DECIMAL: Final = re.compile(r"(\d{1,2}(?:[.．]\d{1,2}){0,4})(?:[.．、](?!\d)|\s|(?=[^\d\s.．,%]))")
# Within one size, a numbering that is written under another one lies deeper.
_RANK: Final = {
    name: rank
    for rank, names in enumerate(
        (
            ("chapter", "annex"),
            ("section",),
            ("article", "chinese", "roman", "decimal1"),
            ("bracketed", "letter", "decimal2"),
            ("decimal3",),
            ("item", "decimal4"),
            ("decimal5",),
        )
    )
    for name in names
}


def numbering(text: str) -> str | None:
    """The name of the numbering that a heading begins with; `decimal2` for "3.1"."""
    start = text.strip()
    for name, pattern in _NUMBERINGS:
        if pattern.match(start):
            return name
    decimal = _DECIMAL.match(start)
    if decimal is None:
        return None
    return f"decimal{1 + len(re.findall('[.．]', decimal.group(1)))}"


def levels(headings: Sequence[HeadingRecord], *, scanned: float = 0.0) -> list[int]:
    """The level of each heading, 1 the highest; `scanned` is the share read by OCR, where sizes
    are rough and no weight is known."""
    if not headings:
        return []
    if scanned:
        headings = [heading.model_copy(update={"bold": False}) for heading in headings]
    styled = _by_style(headings, _SAME_SIZE_SCANNED if scanned > _MOSTLY else _SAME_SIZE)
    marked = sum(heading.bookmark > 0 for heading in headings)
    if marked >= 2 and marked >= _BY_BOOKMARKS * len(headings):
        return _by_bookmarks(headings, styled)
    return styled


def _by_style(headings: Sequence[HeadingRecord], same: float) -> list[int]:
    ranks = _size_ranks(headings, same)
    names = [numbering(heading.text) for heading in headings]
    keys = [
        (rank, not heading.bold, _RANK[name] if name else None)
        for rank, heading, name in zip(ranks, headings, names, strict=True)
    ]
    # What has no number stands as high as the highest number in its style.
    first: dict[tuple[int, bool], int] = {}
    for size, light, depth in keys:
        if depth is not None:
            first[size, light] = min(depth, first.get((size, light), depth))
    whole = [
        (size, light, first.get((size, light), 0) if depth is None else depth)
        for size, light, depth in keys
    ]
    order = {key: index + 1 for index, key in enumerate(sorted(set(whole)))}
    return _consistent([order[key] for key in whole], names)


def _size_ranks(headings: Sequence[HeadingRecord], same: float) -> list[int]:
    """0 for the largest size; sizes that differ little are one."""
    known = sorted({heading.size for heading in headings if heading.size and not heading.scanned})
    sizes = [_printed(h.size, known) if h.scanned else h.size for h in headings]
    rank_of: dict[float, int] = {}
    rank, least = 0, None
    for size in sorted(set(sizes), reverse=True):
        if least is not None and size < same * least:
            rank += 1
        rank_of[size] = rank
        least = size
    return [rank_of[size] for size in sizes]


def _printed(guess: float, known: Sequence[float]) -> float:
    """A scanned heading's size as the document's printed ones are, where one is about as large."""
    nearest = min(known, key=lambda size: abs(size - guess), default=guess)
    return nearest if abs(nearest - guess) <= (1 - _SAME_SIZE_SCANNED) * guess else guess


def _consistent(found: Sequence[int], names: Sequence[str | None]) -> list[int]:
    """One level for each numbering, the commonest; deeper decimals lie under shallower ones."""
    votes: dict[str, Counter[int]] = {}
    for level, name in zip(found, names, strict=True):
        if name is not None:
            votes.setdefault(name, Counter())[level] += 1
    chosen = {
        name: max(counts, key=lambda level: (counts[level], -level))
        for name, counts in votes.items()
    }
    depth = 0
    for name in sorted(n for n in chosen if n.startswith("decimal")):
        chosen[name] = depth = max(chosen[name], depth + 1)
    whole = [
        level if name is None else chosen[name] for level, name in zip(found, names, strict=True)
    ]
    # What was given up for the commonest leaves no gap.
    place = {level: index + 1 for index, level in enumerate(sorted(set(whole)))}
    return [min(DEEPEST, place[level]) for level in whole]


def _by_bookmarks(headings: Sequence[HeadingRecord], styled: Sequence[int]) -> list[int]:
    """The outline's depths; what it leaves out goes by its style beside what it has."""
    marked = [(h, level) for h, level in zip(headings, styled, strict=True) if h.bookmark]
    highest = min(level for _, level in marked)
    # Papers have no bookmark for their title: what is larger than all the outline is above it.
    above = any(
        not heading.bookmark and level < highest
        for heading, level in zip(headings, styled, strict=True)
    )
    shift = int(above) + 1 - min(heading.bookmark for heading, _ in marked)
    by_style: dict[int, list[int]] = {}
    for heading, level in marked:
        by_style.setdefault(level, []).append(heading.bookmark + shift)
    usual = {level: round(median(depths)) for level, depths in by_style.items()}
    deepest = max(heading.bookmark + shift for heading, _ in marked)

    def unmarked(level: int) -> int:
        return usual.get(level, 1 if level < highest else deepest + 1)

    return [
        min(DEEPEST, heading.bookmark + shift if heading.bookmark else unmarked(level))
        for heading, level in zip(headings, styled, strict=True)
    ]
