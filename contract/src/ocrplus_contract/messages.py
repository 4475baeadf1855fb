"""Messages on the wire: what original clients send and receive, and the durable events.

Events are written by the scripts, which put `epoch` and `seq` in front of the body; the models
here describe the whole. Only what stands here is ever sent to an original client.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ocrplus_contract.captions import CaptionReason
from ocrplus_contract.errors import MESSAGES, RETRYABLE, ErrorCode, PageErrorCode
from ocrplus_contract.names import ID_PATTERN
from ocrplus_contract.states import JobState, PageState, TextSource


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class ErrorObject(_Message):
    """An error as every client sees it, on every way."""

    code: ErrorCode
    message: str
    retryable: bool

    @classmethod
    def of(cls, code: ErrorCode, message: str | None = None) -> "ErrorObject":
        """The error of a code, in its own words or the given ones."""
        return cls(code=code, message=message or MESSAGES[code], retryable=code in RETRYABLE)


# The original protocol


class OriginalSubmit(_Message):
    """A document as base64; the same id with the same bytes is the same task."""

    task_id: Annotated[str, Field(pattern=ID_PATTERN)]
    pdf_file: str


class Submitted(_Message):
    """The document is accepted."""

    task_id: str
    status: Literal["submitted"] = "submitted"


class PageMarkdown(_Message):
    """One page of a result."""

    page: int
    markdown: str


class Result(_Message):
    """A finished document; `elapsed_time` in seconds with two decimals: 3.21s."""

    filename: str
    elapsed_time: str
    markdown: tuple[PageMarkdown, ...]


class Finished(_Message):
    """The document is done."""

    task_id: str
    result: Result


class Failed(_Message):
    """The document, or a message (`task_id` null where it names none), is refused or failed."""

    task_id: str | None
    status: Literal["failed"] = "failed"
    error: ErrorObject


# Durable events


class _Event(_Message):
    task_id: str
    epoch: str
    seq: int


class SubmittedEvent(_Event):
    """A document was admitted."""

    type: Literal["submitted"]
    pages_total: int
    queue_pages_ahead: int
    estimated_seconds: float
    duplicate: bool


class FigureLink(_Message):
    """A figure of a page; `bbox` is x0, y0, x1, y1 in PDF points, origin top left."""

    id: str
    url: str
    bbox: tuple[float, float, float, float]
    caption: str | None


class PageHeading(_Message):
    """A heading of a page's Markdown and its level, 1 the highest."""

    text: str
    level: int


class PageEvent(_Event):
    """A page was committed; `markdown` and `headings` are null where they travel by reference.

    `levels`: these are the page's own, a result has the document's. `coverage` is the share of
    the characters found that the Markdown has, less the share `excused` (headers, footers, page
    numbers, formulas, what stands in a picture); `repeated` the share that it has too often;
    `incomplete` and `doubled` say where that is more than a little. Null for a failed page.
    """

    type: Literal["page"]
    page: int
    state: PageState
    markdown: str | None
    figures: tuple[FigureLink, ...]
    source: TextSource | None
    error: PageErrorCode | None
    levels: Literal["page"] = "page"
    headings: tuple[PageHeading, ...] | None = ()
    coverage: float | None = None
    incomplete: bool = False
    excused: float | None = None
    repeated: float | None = None
    doubled: bool = False


class ProgressEvent(_Event):
    """How far a job is; `estimated_seconds` is what remains, null while unknown."""

    type: Literal["progress"]
    stage: Literal["queued", "starting", "ocr", "caption"]
    pages_done: int
    pages_total: int
    estimated_seconds: float | None


class CaptionEvent(_Event):
    """A figure has its description, or never will: `reason` says why.

    `captioner` names the model and the version of the prompt. In Redis, not as delivered, `caption`
    is null where a large table travels by reference.
    """

    type: Literal["caption"]
    page: int
    figure: str
    state: Literal["ok", "skipped", "failed"]
    caption: str | None
    reason: CaptionReason | None
    captioner: str | None


class ResultEvent(_Event):
    """A job has ended; `expires_at` in unix seconds. `levels`: its headings and running lines are
    those that hold over the whole document."""

    type: Literal["result"]
    status: JobState
    captions: Literal["complete", "partial", "off"]
    captioner: str | None
    pages: int
    failed_pages: tuple[int, ...]
    error: ErrorCode | None
    elapsed_seconds: float
    url: str
    levels: Literal["document"] = "document"
    expires_at: float


Event = Annotated[
    SubmittedEvent | ProgressEvent | PageEvent | CaptionEvent | ResultEvent,
    Field(discriminator="type"),
]

EVENT: TypeAdapter[SubmittedEvent | ProgressEvent | PageEvent | CaptionEvent | ResultEvent] = (
    TypeAdapter(Event)
)
"""Reads any event as it is stored."""
