"""The shapes of HTTP answers in the OpenAPI document, by name; the contract's where it has them."""

from typing import Any, Final  # Any: OpenAPI is JSON

from ocrplus_contract import wire
from ocrplus_contract.captions import CaptionReason, CaptionState
from ocrplus_contract.errors import MESSAGES, RETRYABLE, ErrorCode
from ocrplus_contract.messages import ErrorObject, PageHeading, Result
from ocrplus_contract.records import LEAST_COVERAGE, MOST_REPEATED, ReadingRecord
from ocrplus_contract.schemas import definitions
from ocrplus_contract.states import PageState, PartCode, TextSource

_REFS: Final = "#/components/schemas/"

_RESULT: Final = {
    "filename": "report.pdf",
    "elapsed_time": "3.21s",
    "markdown": [{"page": 1, "markdown": "## Quarterly report\n\nSales rose by 4 %."}],
}
_STATUS: Final = {
    "task_id": "report",
    "status": "running",
    "pages_done": 3,
    "pages_total": 12,
    "failed_pages": [],
    "error": None,
    "expires_at": None,
}

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "TaskStatus": _STATUS,
    "TaskList": {"tasks": [_STATUS]},
    "TaskResult": {"task_id": "report", "result": _RESULT},
    "Ended": {"task_id": "report", "status": "ok", "result": _RESULT, "failed_pages": []},
    "Accepted": {
        "task_id": "report",
        "status": "submitted",
        "pages_total": 12,
        "queue_pages_ahead": 35,
        "estimated_seconds": 48.0,
        "duplicate": False,
    },
    "Page": {
        "task_id": "report",
        "page": 1,
        "state": "ok",
        "markdown": "## Quarterly report",
        "levels": "page",
        "headings": [{"text": "Quarterly report", "level": 2}],
        "source": "text_layer",
        "coverage": 1.0,
        "incomplete": False,
        "excused": 0.03,
        "repeated": 0.0,
        "doubled": False,
        "reading": ReadingRecord(reason="sound", characters=1840).model_dump(),
        "error": None,
        "figures": [
            {
                "id": "p1-f1",
                "url": "/v1/tasks/report/figures/p1-f1.png",
                "bbox": [72.0, 96.5, 523.0, 310.0],
                "kind": "chart",
                "state": "ok",
                "caption": "A bar chart of sales by quarter.",
                "reason": None,
                "captioner": "qwen-vl-max describe-1",
            }
        ],
    },
    "ServerSentEvent": {
        "id": "64f1c2a9-44",
        "event": "page",
        "data": '{"type": "page", "task_id": "report", "page": 3}',
    },
    "Ticket": {"ticket": "k3Fz8Q2mX0aB", "expires_in": 30},
    "Alive": {"status": "ok"},
    "Ready": {
        "ready": True,
        "workers": {"idle": 2},
        "parts": {"redis": {"ready": True, "code": "ok", "reason": ""}},
    },
    "NotReady": {
        "ready": False,
        "problems": {"redis": "no answer"},
        "parts": {"redis": {"ready": False, "code": "no_answer", "reason": "no answer"}},
    },
}
"""An answer of each schema."""


def _object(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REFS + name}


_STRING: Final = {"type": "string"}
_INTEGER: Final = {"type": "integer"}
_PAGES: Final = {"type": "array", "items": _INTEGER}

_MODELS: Final = (wire.TaskStatus, Result, ReadingRecord, PageHeading)

SCHEMAS: Final = {
    **definitions([(model, "serialization") for model in _MODELS], _REFS),
    "Problem": _object(
        "How every request that is not fulfilled is answered.",
        {
            "error": _ref(ErrorObject.__name__),
            "task_id": {"type": ["string", "null"]},
            "trace": {
                "type": "string",
                "description": "Trace id, of the task whose end is told, else of the request: "
                "finds the lines that the service logged.",
            },
        },
    ),
    "Accepted": _object(
        "A submitted document. `duplicate`: the same bytes and options were there already; while "
        "that task is open its estimate is null, its status and events tell how far it is.",
        {
            "task_id": _STRING,
            "status": {"const": "submitted"},
            "pages_total": _INTEGER,
            "queue_pages_ahead": {"type": ["integer", "null"]},
            "estimated_seconds": {"type": ["number", "null"]},
            "duplicate": {"type": "boolean"},
        },
    ),
    "Ended": _object(
        "A document that was read while the client waited.",
        {
            "task_id": _STRING,
            "status": {"enum": ["ok", "partial"]},
            "result": _ref(Result.__name__),
            "failed_pages": _PAGES,
        },
    ),
    "TaskList": _object(
        "Tasks, newest first.",
        {"tasks": {"type": "array", "items": _ref(wire.TaskStatus.__name__)}},
    ),
    "TaskResult": _object(
        "A result in the shape of the original protocol.",
        {"task_id": _STRING, "result": _ref(Result.__name__)},
    ),
    "Page": _object(
        "One page. A failed one keeps its place: its Markdown is a comment with the error.",
        {
            "task_id": _STRING,
            "page": _INTEGER,
            "state": {"enum": [str(state) for state in PageState]},
            "markdown": _STRING,
            "levels": {
                "enum": ["page", "document"],
                "description": "Whether headings have the page's own levels, or the document's.",
            },
            "headings": {"type": "array", "items": _ref(PageHeading.__name__)},
            "source": {"enum": [*(str(source) for source in TextSource), None]},
            "coverage": {
                "type": ["number", "null"],
                "description": "Share of the characters found on the page that its Markdown has.",
            },
            "incomplete": {
                "type": "boolean",
                "description": f"Whether `coverage` is below {LEAST_COVERAGE}.",
            },
            "excused": {
                "type": ["number", "null"],
                "description": "Share of all characters found that `coverage` leaves out: headers, "
                "footers, page numbers, formulas, what stands in a picture.",
            },
            "repeated": {
                "type": ["number", "null"],
                "description": "Share of them that the Markdown has more often than the page.",
            },
            "doubled": {
                "type": "boolean",
                "description": f"Whether `repeated` is above {MOST_REPEATED}.",
            },
            "reading": {"anyOf": [_ref(ReadingRecord.__name__), {"type": "null"}]},
            "error": {"type": ["string", "null"]},
            "figures": {"type": "array", "items": _ref("Figure")},
        },
    ),
    "Figure": _object(
        "A figure of a page. `state`, `caption`, `reason` and `captioner` (model and version of "
        "the prompt) are null where the task has no captions; `reason` says why there is none.",
        {
            "id": _STRING,
            "url": _STRING,
            "bbox": {"type": "array", "items": {"type": "number"}},
            "kind": _STRING,
            "state": {"enum": [*(str(state) for state in CaptionState), None]},
            "caption": {"type": ["string", "null"]},
            "reason": {"enum": [*(str(reason) for reason in CaptionReason), None]},
            "captioner": {"type": ["string", "null"]},
        },
    ),
    "ServerSentEvent": {
        "type": "object",
        "description": "One event of the stream. `data` is a message in JSON: a durable event "
        "(docs/schemas.json: SubmittedEvent, ProgressEvent, DeliveredPage, CaptionEvent, "
        "DeliveredResult), "
        "HistoryLost, or after that the task's TaskStatus.",
        "properties": {
            "id": _STRING,
            "event": {
                "enum": [
                    "submitted",
                    "progress",
                    "page",
                    "caption",
                    "result",
                    "history_lost",
                    "status",
                ]
            },
            "data": _STRING,
            "retry": _INTEGER,
        },
    },
    "Ticket": _object(
        "Lets its bearer into one WebSocket; `expires_in` in seconds.",
        {"ticket": _STRING, "expires_in": _INTEGER},
    ),
    "Alive": _object("The process answers.", {"status": {"const": "ok"}}),
    "Ready": _object(
        "All is well; OCR workers by state.",
        {
            "ready": {"const": True},
            "workers": {"type": "object", "additionalProperties": _INTEGER},
            "parts": _ref("Parts"),
        },
    ),
    "Parts": {
        "type": "object",
        "description": "Every part: gateway, redis, hub, queues, blobs, inspection.",
        "additionalProperties": _object(
            "Whether a part can do its work; `reason` says why not, and what to look at.",
            {
                "ready": {"type": "boolean"},
                "code": {"enum": [str(code) for code in PartCode]},
                "reason": _STRING,
            },
        ),
    },
    "NotReady": _object(
        "What is not well, and why, by part.",
        {
            "ready": {"const": False},
            "problems": {"type": "object", "additionalProperties": _STRING},
            "parts": _ref("Parts"),
        },
    ),
}


def in_json(description: str, schema: str, media_type: str = "application/json") -> dict[str, Any]:
    """An answer of the schema of this name."""
    return {"description": description, "content": {media_type: {"schema": _ref(schema)}}}


def in_bytes(description: str, media_type: str) -> dict[str, Any]:
    """An answer that is a file."""
    return {
        "description": description,
        "content": {media_type: {"schema": {"type": "string", "format": "binary"}}},
    }


def _header(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "required": True, "schema": schema}


_HEADERS: Final = {
    ErrorCode.UNAUTHORIZED: {"WWW-Authenticate": _header("`Bearer`.", {"const": "Bearer"})},
    ErrorCode.BUSY: {"Retry-After": _header("Seconds to wait.", _STRING)},
    ErrorCode.RATE_LIMITED: {"Retry-After": _header("Seconds to wait.", _STRING)},
}


def problem(description: str, code: ErrorCode) -> dict[str, Any]:
    """An answer that is an error."""
    error = {"code": str(code), "message": MESSAGES[code], "retryable": code in RETRYABLE}
    answer = in_json(description, "Problem")
    answer["content"]["application/json"]["example"] = {
        "error": error,
        "task_id": "report",
        "trace": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    return {**answer, "headers": _HEADERS[code]} if code in _HEADERS else answer
