"""What the OpenAPI document says of each route: shapes from the contract, with examples."""

from typing import Any, Final  # OpenAPI is JSON

from ocrplus_contract import wire
from ocrplus_contract.errors import MESSAGES, RETRYABLE, ErrorCode
from ocrplus_contract.messages import ErrorObject, Result
from ocrplus_contract.names import ID_PATTERN
from ocrplus_contract.options import JobOptions

Route = dict[str, Any]

DESCRIPTION: Final[Route] = {
    "summary": "PDF to Markdown",
    "description": "Submit a PDF, follow its pages, fetch Markdown and figures. The same jobs and "
    "events as on the WebSocket `/ws/{user_id}` (see the AsyncAPI document).",
    "license_info": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}

_RESULT_EXAMPLE: Final = {
    "filename": "report.pdf",
    "elapsed_time": "3.21s",
    "markdown": [{"page": 1, "markdown": "## Quarterly report\n\nSales rose by 4 %."}],
}
_STATUS_EXAMPLE: Final = {
    "task_id": "report",
    "status": "running",
    "pages_done": 3,
    "pages_total": 12,
    "failed_pages": [],
    "error": None,
    "expires_at": None,
}


def _schema(model: type[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = model.model_json_schema(mode="serialization")
    whole: dict[str, Any] = _inlined(schema, schema.pop("$defs", {}))
    return whole


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:
    """Nested models written out where they are used: the framework names no components for us."""
    if isinstance(node, dict):
        if "$ref" in node:
            return _inlined(definitions[node["$ref"].rpartition("/")[2]], definitions)
        return {key: _inlined(value, definitions) for key, value in node.items()}
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    return node


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _json(description: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": schema, "example": example}},
    }


def _error(description: str, code: ErrorCode) -> dict[str, Any]:
    schema = _object({"error": _schema(ErrorObject), "task_id": {"type": ["string", "null"]}})
    error = {"code": code, "message": MESSAGES[code], "retryable": code in RETRYABLE}
    return _json(description, schema, {"error": error, "task_id": "report"})


_TASK_STATUS: Final = _schema(wire.TaskStatus)
_STATUS: Final = _json("Where the task stands.", _TASK_STATUS, _STATUS_EXAMPLE)
_NOT_YET: Final = _json("The task has not ended: its status.", _TASK_STATUS, _STATUS_EXAMPLE)
_ENDED_BADLY: Final[dict[int | str, Any]] = {
    409: _error("The task was cancelled.", ErrorCode.CANCELLED),
    500: _error("The task failed.", ErrorCode.ENGINE_FAILED),
}

COMMON: Final[dict[int | str, Any]] = {
    400: _error("The request is wrong.", ErrorCode.BAD_MESSAGE),
    401: _error("A token is needed.", ErrorCode.UNAUTHORIZED),
    403: _error("The token is another user's, or the page another host's.", ErrorCode.FORBIDDEN),
    404: _error("No such task.", ErrorCode.NOT_FOUND),
    410: _error("The task has expired.", ErrorCode.GONE),
    422: _error("The PDF cannot be read.", ErrorCode.PDF_INVALID),
}


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": schema,
        "description": description,
    }


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    """An option as a query parameter: present or not, never null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind.get("type") != "null"]
    kind = kinds[0] if kinds else {k: v for k, v in schema.items() if k in ("type", "enum")}
    return {k: v for k, v in kind.items() if k not in ("writeOnly", "format")}


_OPTIONS: Final = _inlined(JobOptions.model_json_schema(), {})["properties"]
_OPTION_PARAMETERS: Final = [
    _query(name, _optional(option), option.get("description", ""))
    for name, option in _OPTIONS.items()
]
_ID_SCHEMA: Final = {"type": "string", "pattern": ID_PATTERN}

SUBMIT: Final[Route] = {
    "status_code": 202,
    "responses": {
        202: _json(
            "Accepted.",
            _object(
                {
                    "task_id": {"type": "string"},
                    "status": {"const": "submitted"},
                    "pages_total": {"type": "integer"},
                    "queue_pages_ahead": {"type": "integer"},
                    "estimated_seconds": {"type": "number"},
                    "duplicate": {"type": "boolean"},
                }
            ),
            {
                "task_id": "report",
                "status": "submitted",
                "pages_total": 12,
                "queue_pages_ahead": 35,
                "estimated_seconds": 48.0,
                "duplicate": False,
            },
        ),
        200: _json(
            "Ended within `wait` seconds.",
            _object(
                {
                    "task_id": {"type": "string"},
                    "status": {"enum": ["ok", "partial"]},
                    "result": _schema(Result),
                    "failed_pages": {"type": "array", "items": {"type": "integer"}},
                }
            ),
            {
                "task_id": "report",
                "status": "ok",
                "result": _RESULT_EXAMPLE,
                "failed_pages": [],
            },
        ),
        409: _error("The task_id is taken by other content.", ErrorCode.CONFLICT),
        413: _error("Too large.", ErrorCode.TOO_LARGE),
        429: _error("Too much waits; see Retry-After.", ErrorCode.BUSY),
        500: _error("The task failed.", ErrorCode.ENGINE_FAILED),
    },
    "openapi_extra": {
        "parameters": [
            _query("user", _ID_SCHEMA, "Whose task it is; default: the token's user, or `local`."),
            _query("task_id", _ID_SCHEMA, "Default: a random one. Idempotency key."),
            _query("name", {"type": "string"}, "The document's name."),
            _query("wait", {"type": "number"}, "Seconds to wait for the result."),
            *_OPTION_PARAMETERS,
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/pdf": {"schema": {"type": "string", "format": "binary"}},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "file": {"type": "string", "format": "binary"},
                            **{name: _optional(option) for name, option in _OPTIONS.items()},
                        },
                        "required": ["file"],
                    }
                },
            },
        },
    },
}
LIST: Final[Route] = {
    "responses": {
        200: _json(
            "The user's tasks.",
            _object({"tasks": {"type": "array", "items": _TASK_STATUS}}),
            {"tasks": [_STATUS_EXAMPLE]},
        )
    }
}
TASK: Final[Route] = {"responses": {200: _STATUS}}
FORGET: Final[Route] = {"status_code": 204, "responses": {204: {"description": "Forgotten."}}}
EVENTS: Final[Route] = {
    "responses": {
        200: {
            "description": "Events of the task: `id: epoch-seq`, `event: type`, `data: JSON` as on "
            "the WebSocket; it ends after `result`.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'id: 64f1-44\nevent: page\ndata: {"type":"page","page":3}\n\n',
                }
            },
        },
        204: {"description": "Every event was taken."},
        429: _error("Too many streams of this user.", ErrorCode.RATE_LIMITED),
    }
}
RESULT: Final[Route] = {
    "responses": {
        200: _json(
            "The result.",
            _object({"task_id": {"type": "string"}, "result": _schema(Result)}),
            {"task_id": "report", "result": _RESULT_EXAMPLE},
        ),
        202: _NOT_YET,
        **_ENDED_BADLY,
    }
}
RESULT_MD: Final[Route] = {
    "responses": {
        200: {
            "description": "The whole document.",
            "content": {
                "text/markdown": {
                    "schema": {"type": "string"},
                    "example": "<!-- page 1 -->\n\n## Quarterly report\n",
                }
            },
        },
        202: _NOT_YET,
        **_ENDED_BADLY,
    }
}
RESULT_ZIP: Final[Route] = {
    "responses": {
        200: {
            "description": "Markdown and figures.",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        },
        202: _NOT_YET,
        **_ENDED_BADLY,
    }
}
PAGE: Final[Route] = {
    "responses": {
        200: _json(
            "The page.",
            _object(
                {
                    "task_id": {"type": "string"},
                    "page": {"type": "integer"},
                    "state": {"enum": ["ok", "empty", "failed"]},
                    "markdown": {"type": "string"},
                    "source": {"enum": ["ocr", "text_layer", None]},
                    "error": {"type": ["string", "null"]},
                }
            ),
            {
                "task_id": "report",
                "page": 1,
                "state": "ok",
                "markdown": "## Quarterly report",
                "source": "text_layer",
                "error": None,
            },
        )
    }
}
FIGURE: Final[Route] = {
    "responses": {
        200: {
            "description": "The picture.",
            "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        }
    }
}
TICKET: Final[Route] = {
    "responses": {
        200: _json(
            "A ticket for one WebSocket.",
            _object({"ticket": {"type": "string"}, "expires_in": {"type": "integer"}}),
            {"ticket": "k3Fz…", "expires_in": 30},
        )
    }
}
