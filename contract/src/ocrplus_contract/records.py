"""What the ledger's hashes hold: page records, job facts, worker records.

Page records are JSON, compressed above 1 KiB. They are the truth that results are built from;
events only carry copies.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from ocrplus_contract.errors import PageErrorCode
from ocrplus_contract.names import TaskId
from ocrplus_contract.states import JobState, PageState, TextSource, WorkerState
from ocrplus_contract.trace import TraceContext

_COMPRESS_ABOVE_BYTES: Final = 1024
INLINE_TEXT_BYTES: Final = 4096
"""Text above this stays out of the event stream and is filled in on delivery."""


def _text_of(fields: Mapping[Any, Any]) -> dict[str, Any]:
    # Any: redis-py types a hash as bytes or text; our clients return bytes
    return {k.decode(): v.decode() for k, v in fields.items()}


class FigureRecord(BaseModel):
    """A figure as stored; `box` is x0, y0, x1, y1 in PDF points, origin top left.

    `blob` is the name of its picture within the job. It holds the permit under which it was stored,
    so that a worker whose permit was released overwrites nothing.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: str
    box: tuple[float, float, float, float]
    caption: str | None = None
    blob: str = ""


class HeadingRecord(BaseModel):
    """A heading of a page's Markdown, in its order, and what tells its depth.

    `level` is what the page alone gives; `size` in points is a guess and `bold` false where it is
    `scanned`.
    `bookmark` is its depth in the PDF's outline, 0 where it has none.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    level: int
    size: float = 0.0
    bold: bool = False
    bookmark: int = 0
    scanned: bool = False


class OpenRecord(BaseModel):
    """A paragraph that runs over its page's end, or into the page from the one before.

    `text` is how it ends, or begins, in the page's Markdown: a footnote or a figure may stand
    between it and the page's end. `keeps_hyphen`: a hyphen that ends it is the word's own, as the
    page's other words tell. `size` is its font's in points there, 0 in a scan.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    keeps_hyphen: bool = False
    size: float = 0.0


class EdgeRecord(BaseModel):
    """A line at the top or foot of a page, that may be its own or run over many pages.

    `at` is where its middle stands, as a share of the page's height; `markdown` the paragraph
    that says it, empty where the page has left it out; `open` whether the paragraph next to it
    runs over the page's end, `paragraph` which one that is. `page_number`: it is a number, set as
    a page's is.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    top: bool
    at: float
    markdown: str = ""
    open: bool = False
    paragraph: OpenRecord | None = None
    page_number: bool = False


LEAST_COVERAGE: Final = 0.98
"""A page whose Markdown has less of what was found on it says that it is incomplete."""


MOST_REPEATED: Final = 0.02
"""A page whose Markdown has more of it twice says so."""


class ReadingRecord(BaseModel):
    """How a page was read: why from its text layer or by OCR, with the evidence, and how it lay.

    Shares are 0..1: characters without a meaning, the page under its largest image, characters
    hidden, characters turned away from the main writing. `turn` counts quarter turns clockwise,
    `skew` degrees clockwise that were undone.
    """

    model_config = ConfigDict(frozen=True)

    reason: str
    characters: int = 0
    bad_share: float = 0.0
    image_share: float = 0.0
    hidden_share: float = 0.0
    turned_share: float = 0.0
    turn: int = 0
    skew: float = 0.0


class PageRecord(BaseModel):
    """One committed page. `coverage`: share of the characters found that its Markdown has;
    `excused`: share that it need not have, and `coverage` leaves out: headers, footers, page
    numbers, formulas, what stands in a picture; `repeated`: share that it has more often than
    the page.

    `open_start` and `open_end` say which paragraphs run over the page's ends; null where
    `starts_paragraph` and `ends_paragraph` are true, or where they are its first and last.

    `levels`: whether its headings have the page's own levels, as committed, or those that hold
    over the whole document, as in a result.
    """

    model_config = ConfigDict(frozen=True)

    page: int
    state: PageState
    markdown: str = ""
    source: TextSource | None = None
    figures: tuple[FigureRecord, ...] = ()
    starts_paragraph: bool = True
    ends_paragraph: bool = True
    open_start: OpenRecord | None = None
    open_end: OpenRecord | None = None
    headings: tuple[HeadingRecord, ...] = ()
    edges: tuple[EdgeRecord, ...] = ()
    levels: Literal["page", "document"] = "page"
    error: PageErrorCode | None = None
    coverage: float | None = None
    excused: float | None = None
    repeated: float | None = None
    reading: ReadingRecord | None = None
    seconds: float = 0.0

    @property
    def incomplete(self) -> bool:
        """Whether the Markdown lacks what was found on the page."""
        return self.coverage is not None and self.coverage < LEAST_COVERAGE

    @property
    def doubled(self) -> bool:
        """Whether the Markdown has more than a little of the page twice."""
        return self.repeated is not None and self.repeated > MOST_REPEATED

    def pack(self) -> bytes:
        """Serialise for the pages hash."""
        data = self.model_dump_json(exclude_defaults=False).encode()
        if len(data) <= _COMPRESS_ABOVE_BYTES:
            return data
        return b"z" + zlib.compress(data, 6)

    @classmethod
    def unpack(cls, data: bytes) -> "PageRecord":
        """Read what `pack` or the release script wrote."""
        return cls.model_validate_json(zlib.decompress(data[1:]) if data[:1] == b"z" else data)

    def event_body(self, task: TaskId) -> str:
        """The `page` event of this record; large text travels by reference (`markdown` and
        `headings` null). The levels are the page's own: nothing else is known of yet."""
        headings = self.own_headings()
        inline = len(self.markdown.encode()) <= INLINE_TEXT_BYTES
        return json.dumps(
            {
                "type": "page",
                "task_id": task,
                "page": self.page,
                "state": self.state,
                "markdown": self.markdown if inline else None,
                "figures": [
                    {
                        "id": figure.id,
                        "url": f"/v1/tasks/{task}/figures/{figure.id}.png",
                        "bbox": figure.box,
                        "caption": None,
                    }
                    for figure in self.figures
                ],
                "source": self.source,
                "error": self.error,
                "levels": self.levels,
                "headings": headings if inline else None,
                "coverage": self.coverage,
                "incomplete": self.incomplete,
                "excused": self.excused,
                "repeated": self.repeated,
                "doubled": self.doubled,
            },
            ensure_ascii=False,
        )

    def own_headings(self) -> list[dict[str, Any]]:
        """The headings as clients see them: text and level."""
        return [{"text": heading.text, "level": heading.level} for heading in self.headings]


class JobRecord(BaseModel):
    """A job's hash, read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: str
    state: JobState
    fingerprint: str
    name: str = ""
    blob: str = ""
    options: str = "{}"
    pages_total: int
    pages_done: int
    failed_pages: tuple[int, ...]
    error: str
    begins: str = ""  # `epoch-seq` of its first event
    traceparent: str = ""  # none in the record of a gateway of before traces
    created_at: float
    finished_at: float | None = None
    expires_at: float | None = None

    @classmethod
    def from_hash(cls, task: TaskId, fields: Mapping[Any, Any]) -> "JobRecord | None":
        """Read `HGETALL job:{user}:{task}`; None where there is no such job."""
        if b"state" not in fields:
            return None
        text = _text_of(fields)
        text["failed_pages"] = sorted(int(n) for n in text["failed_pages"].split(",") if n)
        return cls(task_id=task, **text)

    @property
    def trace(self) -> TraceContext | None:
        """The trace it was submitted in."""
        return TraceContext.parse(self.traceparent)

    @property
    def elapsed_seconds(self) -> float | None:
        """Seconds from submission to the end, once ended."""
        return None if self.finished_at is None else self.finished_at - self.created_at


WORKER_RECORD_SCHEMA: Final = 1
WORKER_RECORD_TTL_SECONDS: Final = 20
WORKER_HEARTBEAT_SECONDS: Final = 5


class WorkerRecord(BaseModel):
    """What a worker says of itself (interfaces, "Records"); times are unix seconds."""

    model_config = ConfigDict(frozen=True)

    schema_: int = WORKER_RECORD_SCHEMA
    pod: str
    pid: int
    state: WorkerState
    chunk: str = ""
    page: int = 0
    page_started_at: float = 0.0
    chunk_started_at: float = 0.0
    pages_left: int = 0
    seconds_per_page: float = 0.0
    cold_start_seconds: float = 0.0
    idle_since: float = 0.0

    def to_hash(self) -> dict[Any, Any]:
        """Fields for HSET, all text."""
        fields = self.model_dump()
        fields["schema"] = fields.pop("schema_")
        return {name: str(value) for name, value in fields.items()}

    @classmethod
    def from_hash(cls, fields: Mapping[Any, Any]) -> "WorkerRecord | None":
        """Read a worker's hash; None where it has expired."""
        if b"state" not in fields:
            return None
        text = _text_of(fields)
        text["schema_"] = text.pop("schema")
        return cls(**text)
