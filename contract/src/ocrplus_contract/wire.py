"""Messages of `ocrplus.v2`: what clients may send, and what servers answer or deliver.

Durable events (`messages`) are delivered as `DELIVERED` describes them: large text filled in,
errors and times in words. The JSON Schemas and the AsyncAPI document in docs/ are made from here.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ocrplus_contract.messages import (
    CaptionEvent,
    ErrorObject,
    PageEvent,
    PageHeading,
    ProgressEvent,
    SubmittedEvent,
)
from ocrplus_contract.names import ID_PATTERN
from ocrplus_contract.options import JobOptions
from ocrplus_contract.states import JobState

SUBPROTOCOL: Final = "ocrplus.v2"
VERSION: Final = 2

Id = Annotated[str, Field(pattern=ID_PATTERN)]
Request = Annotated[str, Field(max_length=128)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # newer clients may say more


# Client to server


class Auth(_Message):
    """First frame of a client that could not send its token in the handshake."""

    type: Literal["auth"]
    token: str = Field(max_length=16384)


class Resume(_Message):
    """The last event a client has taken; without `epoch`: of the present one. 0: none yet."""

    epoch: str = Field(default="", max_length=64)
    seq: int = Field(ge=0)


class Hello(_Message):
    """Opens the conversation: where to resume (default: from now on), which tasks to hear of."""

    type: Literal["hello"]
    v: Literal[2] = 2
    device: str | None = Field(default=None, max_length=128)
    resume: Resume | None = None
    tasks: tuple[Id | Literal["*"], ...] = Field(default=("*",), max_length=1000)
    caps: tuple[str, ...] = Field(default=(), max_length=16)


class Submit(_Message):
    """A document as base64. Large ones go by HTTP: `POST /v1/tasks`."""

    type: Literal["submit"] = "submit"
    req: Request | None = None
    task_id: Id
    name: str | None = Field(default=None, max_length=255)
    pdf_file: str
    options: JobOptions = JobOptions()
    traceparent: str | None = Field(
        default=None, description="Trace to go on with (W3C Trace Context); default: a new one."
    )


class Ack(_Message):
    """The client has taken every event up to here."""

    type: Literal["ack"]
    epoch: str = Field(max_length=64)
    seq: int = Field(ge=0)


class Cancel(_Message):
    """Ends a task."""

    type: Literal["cancel"]
    req: Request | None = None
    task_id: Id


class AskStatus(_Message):
    """Asks where a task stands."""

    type: Literal["status"]
    req: Request | None = None
    task_id: Id


class Subscribe(_Message):
    """Chooses the tasks to hear of from now on."""

    type: Literal["subscribe"]
    req: Request | None = None
    tasks: tuple[Id | Literal["*"], ...] = Field(max_length=1000)


class Ping(_Message):
    """Asks for a pong."""

    type: Literal["ping"]
    t: int | float | None = None


COMMANDS: Final[dict[str, type[BaseModel]]] = {
    "auth": Auth,
    "hello": Hello,
    "submit": Submit,
    "ack": Ack,
    "cancel": Cancel,
    "status": AskStatus,
    "subscribe": Subscribe,
    "ping": Ping,
}

# Server to client, not durable


class Limits(_Message):
    """What this service accepts."""

    max_pdf_bytes: int
    max_frame_bytes: int
    max_pages: int
    max_tasks: int


class Welcome(_Message):
    """Answers `hello`: `seq` is the newest event, `replay` how many follow from before."""

    type: Literal["welcome"] = "welcome"
    v: Literal[2] = 2
    epoch: str
    seq: int
    oldest_seq: int
    replay: int
    ping_s: int
    limits: Limits


class TaskStatus(_Message):
    """Where a task stands: the object of `GET /v1/tasks/{id}`."""

    task_id: str
    status: JobState
    pages_done: int
    pages_total: int
    failed_pages: tuple[int, ...]
    error: ErrorObject | None
    expires_at: str | None


class Status(TaskStatus):
    """Answers `status` and `cancel`."""

    type: Literal["status"] = "status"
    req: str | None


class Duplicate(_Message):
    """Answers a repeated `submit`: the task is there already, in this state."""

    type: Literal["submitted"] = "submitted"
    req: str | None
    task_id: str
    pages_total: int
    duplicate: Literal[True] = True
    status: JobState


class Subscribed(_Message):
    """Answers `subscribe`."""

    type: Literal["subscribed"] = "subscribed"
    req: str | None
    tasks: tuple[str, ...]


class TaskSnapshot(_Message):
    """One task in `history_lost`."""

    task_id: str
    state: JobState
    pages_done: int
    pages_total: int


class HistoryLost(_Message):
    """Events up to `seq` cannot be had; `tasks` says how things stand.

    All open tasks and the newest others are listed; with `more` older ones are at `/v1/tasks`.
    """

    type: Literal["history_lost"] = "history_lost"
    reason: Literal["epoch", "trimmed", "future_position"]
    epoch: str
    oldest_seq: int
    seq: int
    tasks: tuple[TaskSnapshot, ...]
    more: bool = False


class Goaway(_Message):
    """The server is about to close (1012); reconnect after a random time of these milliseconds."""

    type: Literal["goaway"] = "goaway"
    reason: Literal["drain"] = "drain"
    reconnect_in_ms: tuple[int, int]


class Pong(_Message):
    """Answers `ping`."""

    type: Literal["pong"] = "pong"
    t: int | float | None


class Error(ErrorObject):
    """Answers a command that could not be followed."""

    type: Literal["error"] = "error"
    task_id: str | None
    req: str | None
    retry_after_ms: int | None
    trace: str = Field(description="Trace id: finds the lines that the service logged.")


# Durable events as they are delivered


class DeliveredPage(PageEvent):
    """A page was read."""

    markdown: str
    headings: tuple[PageHeading, ...] = ()


class DeliveredResult(_Message):
    """A job has ended; the pages are at `url`, their headings' levels those of the document."""

    type: Literal["result"]
    task_id: str
    epoch: str
    seq: int
    status: JobState
    captions: Literal["complete", "partial", "off"]
    captioner: str | None
    pages: int
    failed_pages: tuple[int, ...]
    error: ErrorObject | None
    elapsed_seconds: float
    url: str
    levels: Literal["document"] = "document"
    expires_at: str


Delivered = Annotated[
    SubmittedEvent | ProgressEvent | DeliveredPage | CaptionEvent | DeliveredResult,
    Field(discriminator="type"),
]

DELIVERED: TypeAdapter[Any] = TypeAdapter(Delivered)
"""Reads any durable event as a v2 client or an SSE client receives it."""

ANSWERS: Final[tuple[type[BaseModel], ...]] = (
    Welcome,
    Status,
    Duplicate,
    Subscribed,
    HistoryLost,
    Goaway,
    Pong,
    Error,
)
