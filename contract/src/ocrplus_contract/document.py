"""What only the whole document can settle: depths of headings, what runs over a page's end.

Pages are read in chunks by workers that do not see each other, and each is told to the client at
once with what it knows of itself. When a document is delivered as a whole, these steps go over its
committed pages. They are pure and cheap: they look at records, never at a PDF.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ocrplus_contract.records import PageRecord


@dataclass(frozen=True, slots=True)
class DocumentStep:
    """A named change over all pages of a document, in their order."""

    name: str
    apply: Callable[[Sequence[PageRecord]], Sequence[PageRecord]]


DOCUMENT_STEPS: Final[tuple[DocumentStep, ...]] = ()


def settled(pages: Sequence[PageRecord], off: frozenset[str] = frozenset()) -> list[PageRecord]:
    """The pages after every document step that is not switched off."""
    for step in DOCUMENT_STEPS:
        if step.name not in off and "all" not in off:
            pages = step.apply(pages)
    return list(pages)
