"""Lines of a page's Markdown: which are no code, and which show a figure. Pure.

A figure's picture is alone on its line and outside of code. Text that imitates one is told by that:
in prose its brackets are escaped, in a table or a sentence it is not alone.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_PICTURE: Final = re.compile(r"!\[[^\]\n]*\]\(figures/([A-Za-z0-9][A-Za-z0-9._@-]*)\.png\)")


def outside_code(lines: Sequence[str]) -> Iterator[int]:
    """Indices of lines outside of fences. A fence is closed by one of its own sign, as long or
    longer, alone on its line: any other within it is code."""
    fence = ""
    for index, line in enumerate(lines):
        found = _FENCE.match(line)
        if fence:
            if found and found.group(1).startswith(fence) and not found.group(2).strip():
                fence = ""
        elif found and not (found.group(1)[0] == "`" and "`" in found.group(2)):
            fence = found.group(1)
        else:
            yield index


def with_pictures(markdown: str, show: Callable[[str, str], str]) -> str:
    """The Markdown with each figure's line as `show` has it, which is given the line and the id."""
    if "](figures/" not in markdown:
        return markdown
    lines = markdown.split("\n")
    for index in outside_code(lines):
        found = _PICTURE.fullmatch(lines[index])
        if found is not None:
            lines[index] = show(lines[index], found[1])
    return "\n".join(lines)
