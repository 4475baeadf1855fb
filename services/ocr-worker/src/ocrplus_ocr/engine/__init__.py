"""The seam behind which PP-StructureV3, PDFium and ONNX Runtime live.

An engine turns pages of a PDF into `PageResult`s, one at a time and in order; everything after
the seam speaks one vocabulary of block kinds, whatever labels the layout model uses.
An engine belongs to one process and is never shared between threads.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from ocrplus_contract.errors import PageErrorCode
from ocrplus_contract.records import EdgeRecord, HeadingRecord, OpenRecord
from ocrplus_contract.states import PageState, TextSource

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in PDF points of the upright page, origin top left."""


class BlockKind(StrEnum):
    """The one vocabulary of page blocks; `labels` maps each layout model's words to it."""

    TITLE = "title"
    HEADING = "heading"
    TEXT = "text"
    LIST = "list"
    TABLE = "table"
    FIGURE = "figure"
    CHART = "chart"
    SEAL = "seal"
    CAPTION = "caption"
    FORMULA = "formula"
    FORMULA_PICTURE = "formula_picture"
    FORMULA_NUMBER = "formula_number"
    CODE = "code"
    REFERENCE = "reference"
    FOOTNOTE = "footnote"
    HEADER = "header"
    FOOTER = "footer"
    PAGE_NUMBER = "page_number"
    ASIDE = "aside"


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text as the text layer or the OCR model gave it.

    `size` is the font size in points, `weight` the font's (400 regular, 700 bold); 0 where
    unknown, which both are in a scan. `score` is the recognition model's, 1 for a text layer.
    `turn` counts quarter turns clockwise by which a text layer's line stands away from the page's.
    """

    text: str
    box: Box
    size: float = 0.0
    weight: int = 0
    italic: bool = False
    mono: bool = False
    score: float = 1.0
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page, in reading order: its kind, its text (HTML for a table), its place.

    `lines` are the page's lines that stand in it; `level` is a heading's depth, 1 the highest,
    0 where nothing has settled it.
    """

    kind: BlockKind
    text: str
    box: Box
    lines: tuple[TextLine, ...] = ()
    level: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture cropped from a page. `id` is unique in its document: p3-f1."""

    id: str
    kind: BlockKind
    box: Box
    png: bytes = field(repr=False)
    caption: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a page before anything is read. Shares are 0..1.

    `bad_share`: characters without a meaning; `image_share`: page under its largest image;
    `hidden_share`: characters that are not drawn, or drawn under a full-page image;
    `turned_share`: characters that are not along the page's main writing; `odd_share`: how unlike
    any language the letters are; `turn`: quarter turns clockwise of the main writing.
    """

    characters: int
    bad_share: float
    image_share: float
    hidden_share: float
    turned_share: float
    odd_share: float = 0.0
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """How a page came to be read as it was: why its source, and how it lay before it was turned
    upright, in quarter turns and degrees clockwise."""

    reason: str
    evidence: Evidence
    turn: int = 0
    skew: float = 0.0


@dataclass(frozen=True, slots=True)
class PageResult:
    """What became of one page.

    `markdown` links its figures as `figures/{id}.png`; `starts_paragraph` and `ends_paragraph`
    are false where a paragraph runs over from or into the neighbouring page, `open_start` and
    `open_end` say which; `coverage` is the share of the characters found that the Markdown has,
    `excused` the share that it need not have, `repeated` the share that it has more often than
    the page; `timings` are wall seconds by stage (render, text, engine).
    """

    page: int
    state: PageState
    markdown: str
    source: TextSource
    figures: tuple[Figure, ...] = ()
    blocks: tuple[Block, ...] = ()
    starts_paragraph: bool = True
    ends_paragraph: bool = True
    open_start: OpenRecord | None = None
    open_end: OpenRecord | None = None
    headings: tuple[HeadingRecord, ...] = ()
    edges: tuple[EdgeRecord, ...] = ()
    reading: Reading | None = None
    coverage: float | None = None
    excused: float | None = None
    repeated: float | None = None
    error: PageErrorCode | None = None
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What an engine needs to know of a job's options."""

    text_source: Literal["auto", "ocr", "text_layer"] = "auto"
    tables: Literal["auto", "html", "markdown"] = "auto"
    figures: Literal["link", "inline", "none"] = "link"


class Engine(Protocol):
    """Reads pages. The real one is `ppstructure.PPStructureEngine`."""

    @property
    def version(self) -> str:
        """Engine, profile and models in one short string: part of every content-cache key."""
        ...

    def read(
        self, pdf: Path, pages: Sequence[int], options: ReadOptions
    ) -> Generator[PageResult, None, None]:
        """Yield one result for each of `pages` (1-based, ascending), in that order.

        Trouble with a page is a result with `state=failed` and its code, never an exception;
        closing the iterator early stops the rendering that runs ahead.

        Raises:
            JobRefused: the document itself cannot be opened.
        """
        ...

    def close(self) -> None:
        """Free the models; the engine is not used again."""
        ...
