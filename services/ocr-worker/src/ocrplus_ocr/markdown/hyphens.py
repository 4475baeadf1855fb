"""Words that were parted at a line's end, whole again. Pure.

A hyphen at a line's end is either the printer's or the word's own. It is the word's own after a
prefix that is written with one, between capitals or digits, and where the page writes the word
with a hyphen elsewhere; else it goes. Chinese and Japanese have none.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final

from ocrplus_ocr.markdown.joining import is_cjk

_HYPHENS: Final = "-\u2010\u2011\u00ad"
_END: Final = re.compile(rf"([^\W\d_]+)[{_HYPHENS}]$")
_START: Final = re.compile(r"([^\W\d_]+)")
_WORD: Final = re.compile(rf"[^\W\d_]+(?:[{_HYPHENS}][^\W\d_]+)+")
_KEEP_AFTER: Final = frozenset(
    re.findall(
        "[a-z]+",
        "all anti co cross end ex full half high inter ill large long low mid multi near non off "
        "on one open over post pre quasi real self semi short single small state sub super three "
        "time two ultra user vice well world zero",
    )
)


def compounds(texts: Iterable[str]) -> frozenset[str]:
    """Words that are written with a hyphen within a line."""
    return frozenset(
        re.sub(rf"[{_HYPHENS}]", "-", word).casefold()
        for text in texts
        for word in _WORD.findall(text)
    )


def joined_lines(lines: Iterable[str], written: Collection[str] = ()) -> str:
    """Lines of one paragraph as one text; `written` are compounds with a hyphen of their own."""
    text = ""
    for line in lines:
        following = line.strip()
        if not following:
            continue
        text = _joint(text, following, written) if text else following
    return text


def _joint(text: str, following: str, written: Collection[str]) -> str:
    end, start = _END.search(text), _START.match(following)
    if end is not None and start is not None:
        if _is_parted(end.group(1), start.group(1), written):
            return text[:-1] + following
        return text + following
    if text[-1] in _HYPHENS and following[0].isalnum() and len(text) > 1 and text[-2].isalnum():
        return text + following
    return text + ("" if is_cjk(text[-1]) or is_cjk(following[0]) else " ") + following


def _is_parted(before: str, after: str, written: Collection[str]) -> bool:
    """Whether a printer parted the word."""
    if f"{before}-{after}".casefold() in written or before.casefold() in _KEEP_AFTER:
        return False
    return after[0].islower() and not (len(before) > 1 and before.isupper())
