"""Words that were parted at a line's end, whole again. Pure.

A hyphen at a line's end is either the printer's or the word's own. It is the word's own after a
prefix that is written with one, between capitals or digits, and where the page writes the word
with a hyphen elsewhere, or parts no words; else it goes. Chinese and Japanese have none.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ocrplus_ocr.markdown.joining import is_cjk

_HYPHENS: Final = "-\u2010\u2011\u00ad"
_END: Final = re.compile(rf"([^\W\d_]+)[{_HYPHENS}]$")
_START: Final = re.compile(r"([^\W\d_]+)")
_WORD: Final = re.compile(rf"(?<![^\W\d_])[^\W\d_]+(?:[{_HYPHENS}][^\W\d_]+)+")
_LONGEST_WORD: Final = 80  # characters that are looked at before a hyphen
_LEAST_PARTED: Final = 2
_PARTED_SHARE: Final = 0.02  # of the lines; justified text in columns has 0.05 and more
_KEEP_AFTER: Final = frozenset(
    re.findall(
        "[a-z]+",
        "all anti built class co cross end ex fine full half high inter ill large long low mid "
        "multi near non off on one open over post pre quasi real self semi short single small "
        "state sub super three time two ultra user vice well world zero",
    )
)


@dataclass(frozen=True, slots=True)
class Hyphens:
    """How a page writes hyphens: words it has with one within a line, and whether its printer
    parts words at all. Most programs do not; then each hyphen is the word's own."""

    written: frozenset[str] = frozenset()
    parts: bool = True


def hyphens_of(texts: Sequence[str]) -> Hyphens:
    """What the lines of a page tell."""
    written = frozenset(
        re.sub(rf"[{_HYPHENS}]", "-", word).casefold()
        for text in texts
        for word in _WORD.findall(text)
    )
    ends = sum(
        _parted_end(text.strip()) is not None and following.strip()[:1].islower()
        for text, following in pairwise(texts)
    )
    return Hyphens(written, ends >= _LEAST_PARTED and ends >= _PARTED_SHARE * len(texts))


def joined_lines(lines: Iterable[str], hyphens: Hyphens | None = None) -> str:
    """Lines of one paragraph as one text."""
    hyphens = hyphens or Hyphens()
    text = ""
    for line in lines:
        following = line.strip()
        if not following:
            continue
        text = _joint(text, following, hyphens) if text else following
    return text


def keeps_hyphen(text: str, hyphens: Hyphens) -> bool:
    """Whether a hyphen that ends a page is the word's own, as far as the page tells: how the word
    goes on stands on the next one."""
    end = _parted_end(text)
    if end is None:
        return False
    start = f"{end}-".casefold()
    return _is_own(end, hyphens) or any(word.startswith(start) for word in hyphens.written)


def _parted_end(text: str) -> str | None:
    """The letters before a hyphen that ends a text."""
    if text[-1:] not in tuple(_HYPHENS):
        return None
    end = _END.search(text[-_LONGEST_WORD:])
    return end.group(1) if end is not None else None


def _joint(text: str, following: str, hyphens: Hyphens) -> str:
    end, start = _parted_end(text), _START.match(following)
    if end is not None and start is not None:
        if _is_parted(end, start.group(1), hyphens):
            return text[:-1] + following
        return text + following
    if text[-1] in _HYPHENS and following[0].isalnum() and len(text) > 1 and text[-2].isalnum():
        return text + following
    return text + ("" if is_cjk(text[-1]) or is_cjk(following[0]) else " ") + following


def _is_parted(before: str, after: str, hyphens: Hyphens) -> bool:
    """Whether a printer parted the word."""
    if _is_own(before, hyphens) or f"{before}-{after}".casefold() in hyphens.written:
        return False
    return after[0].islower()


def _is_own(before: str, hyphens: Hyphens) -> bool:
    """Whether a hyphen after these letters is the word's own, however it goes on."""
    capitals = len(before) > 1 and before.isupper()
    return capitals or not hyphens.parts or before.casefold() in _KEEP_AFTER
