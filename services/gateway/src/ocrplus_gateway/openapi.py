"""What the OpenAPI document says of each route: shapes from the contract, with examples.

The framework would describe its own validation errors and JSON everywhere: `document` says what is
really answered. docs/openapi.json is made from it.
"""

from typing import Any, Final  # Any: OpenAPI is JSON

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from ocrplus_contract.errors import ErrorCode
from ocrplus_contract.names import ID_PATTERN
from ocrplus_contract.options import JobOptions
from ocrplus_gateway.answers import (
    EXAMPLES,
    SCHEMAS,
    in_bytes,
    in_json,
    problem,
)

Route = dict[str, Any]
Responses = dict[int | str, Any]

DESCRIPTION: Final[Route] = {
    "title": "OcrPlus",
    "version": "1",
    "summary": "PDF to Markdown",
    "description": "Submit a PDF, follow its pages, fetch Markdown and figures. The same jobs and "
    "events as on the WebSocket `/ws/{user_id}` (docs/asyncapi.json). Every error has one shape: "
    "`error.code` is from a closed set, `error.retryable` says whether the same request may "
    "succeed later, `trace` finds what the service logged. A request may carry a W3C "
    "`traceparent`; every answer says in `traceresponse` which trace it was part of. The user is "
    "the token's subject; where nobody has to authenticate, and for a token of every user, it is "
    "the parameter `user`.",
    "license_info": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "openapi_tags": [
        {"name": "tasks", "description": "Documents, their pages and results."},
        {"name": "tickets", "description": "Letting a browser into the WebSocket."},
        {"name": "health", "description": "For probes: no token is needed."},
    ],
}
_SECURITY: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key or a JWT, as the service is configured (`auth.mode`); `none` needs "
        "no token.",
    }
}

_TRACE: Final = {
    "description": "The trace that the request was part of, in the form of a `traceparent`.",
    "schema": {"type": "string"},
    "example": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
}
_TRACE_REF: Final = {"$ref": "#/components/headers/traceresponse"}

COMMON: Final[Responses] = {
    400: problem("The request is wrong.", ErrorCode.BAD_MESSAGE),
    401: problem("A token is needed.", ErrorCode.UNAUTHORIZED),
    403: problem("The token is another user's, or the page another host's.", ErrorCode.FORBIDDEN),
    500: problem("Something went wrong in the service.", ErrorCode.INTERNAL),
}
_NOT_FOUND: Final[Responses] = {
    404: problem("There is no such task, or it is another user's.", ErrorCode.NOT_FOUND)
}
_OF_A_TASK: Final[Responses] = {
    **_NOT_FOUND,
    410: problem("The task has expired.", ErrorCode.GONE),
}
_STATUS: Final = in_json("Where the task stands.", "TaskStatus")
_OF_A_RESULT: Final[Responses] = {
    **_OF_A_TASK,
    202: in_json("The task has not ended: its status.", "TaskStatus"),
    409: problem("The task was cancelled.", ErrorCode.CANCELLED),
    422: problem("The PDF turned out to be unreadable.", ErrorCode.PDF_TIMEOUT),
    500: problem("The task failed, or something else did.", ErrorCode.ENGINE_FAILED),
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


_OPTIONS: Final = JobOptions.model_json_schema()["properties"]
_OPTION_PARAMETERS: Final = [
    _query(name, _optional(option), option.get("description", ""))
    for name, option in _OPTIONS.items()
]
_ID_SCHEMA: Final = {"type": "string", "pattern": ID_PATTERN}
_FIELDS: Final = [
    _query("user", _ID_SCHEMA, "Whose task it is; default: the token's user, or `local`."),
    _query("task_id", _ID_SCHEMA, "Default: a random one. Idempotency key."),
    _query("name", {"type": "string"}, "The document's name; default: the upload's."),
    _query("wait", {"type": "number"}, "Seconds to wait for the result, at most 600; default: 0."),
    *_OPTION_PARAMETERS,
]

SUBMIT: Final[Route] = {
    "summary": "Submit a PDF",
    "status_code": 202,
    "responses": {
        202: in_json("Accepted; or `wait` ran out.", "Accepted"),
        200: in_json("Ended within `wait` seconds.", "Ended"),
        404: problem("The task was deleted while the client waited.", ErrorCode.NOT_FOUND),
        409: problem("The task_id is taken by other content, or cancelled.", ErrorCode.CONFLICT),
        413: problem("Too large.", ErrorCode.TOO_LARGE),
        422: problem("The PDF cannot be read.", ErrorCode.PDF_INVALID),
        429: problem("Too much waits.", ErrorCode.BUSY),
        500: problem("The task failed, or something else did.", ErrorCode.ENGINE_FAILED),
    },
    "openapi_extra": {
        "parameters": _FIELDS,
        "requestBody": {
            "required": True,
            "description": "The PDF itself (any other type of content is taken for one), or a form "
            "with the PDF in `file`; its other fields win over query parameters.",
            "content": {
                "application/pdf": {"schema": {"type": "string", "format": "binary"}},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "file": {"type": "string", "format": "binary"},
                            **{
                                field["name"]: {
                                    **field["schema"],
                                    "description": field["description"],
                                }
                                for field in _FIELDS
                            },
                        },
                        "required": ["file"],
                        "additionalProperties": False,
                    }
                },
            },
        },
    },
}
LIST: Final[Route] = {
    "summary": "List tasks",
    "responses": {200: in_json("The user's tasks.", "TaskList")},
}
TASK: Final[Route] = {"summary": "Where a task stands", "responses": {200: _STATUS, **_OF_A_TASK}}
FORGET: Final[Route] = {
    "summary": "Cancel and forget a task",
    "status_code": 204,
    "response_class": Response,
    "responses": {204: {"description": "Forgotten."}, **_NOT_FOUND},
}
EVENTS: Final[Route] = {
    "summary": "Follow a task",
    "response_class": Response,
    "responses": {
        200: in_json(
            "Events of the task, with the data of the WebSocket; it ends after `result`.",
            "ServerSentEvent",
            "text/event-stream",
        ),
        204: {"description": "Every event was taken: do not come back."},
        429: problem("Too many streams of this user.", ErrorCode.RATE_LIMITED),
        **_OF_A_TASK,
    },
}
RESULT: Final[Route] = {
    "summary": "The result as JSON",
    "responses": {
        200: in_json("The result.", "TaskResult"),
        **_OF_A_RESULT,
    },
}
RESULT_MD: Final[Route] = {
    "summary": "The result as Markdown",
    "response_class": Response,
    "responses": {
        200: {
            "description": "The whole document, each page after a comment with its number.",
            "content": {
                "text/markdown": {
                    "schema": {"type": "string"},
                    "example": "<!-- page 1 -->\n\n## Quarterly report\n",
                }
            },
        },
        **_OF_A_RESULT,
    },
}
RESULT_ZIP: Final[Route] = {
    "summary": "The result as a zip",
    "response_class": Response,
    "responses": {200: in_bytes("Markdown and figures.", "application/zip"), **_OF_A_RESULT},
}
PAGE: Final[Route] = {
    "summary": "One page",
    "responses": {200: in_json("The page.", "Page"), **_OF_A_TASK},
}
FIGURE: Final[Route] = {
    "summary": "One figure",
    "response_class": Response,
    "responses": {200: in_bytes("The picture.", "image/png"), **_OF_A_TASK},
}
TICKET: Final[Route] = {
    "summary": "A ticket for a browser",
    "responses": {200: in_json("A ticket for one WebSocket.", "Ticket")},
}
HEALTHZ: Final[Route] = {
    "summary": "Is the process alive?",
    "tags": ["health"],
    "responses": {200: in_json("It is.", "Alive"), 403: COMMON[403]},
}
READYZ: Final[Route] = {
    "summary": "Can the gateway do its work?",
    "tags": ["health"],
    "responses": {
        200: in_json("It can.", "Ready"),
        403: COMMON[403],
        500: COMMON[500],
        503: in_json("It cannot.", "NotReady"),
    },
}


def operation_id(route: APIRoute) -> str:
    """The operation's name: the function's."""
    return route.name


def document(app: FastAPI) -> dict[str, Any]:
    """The application's OpenAPI document."""
    whole = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        license_info=app.license_info,
        tags=app.openapi_tags,
        routes=app.routes,
    )
    for path, operations in whole["paths"].items():
        for operation in operations.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]  # such a request is answered with 400
            if path.startswith("/v1/"):
                operation["security"] = [{"bearer": []}]
            operation["responses"] = dict(sorted(operation["responses"].items()))
            for response in operation["responses"].values():
                response["headers"] = {**response.get("headers", {}), "traceresponse": _TRACE_REF}
            _add_examples(operation["responses"])
    whole["components"] = {
        "headers": {"traceresponse": _TRACE},
        "schemas": dict(sorted(SCHEMAS.items())),
        "securitySchemes": _SECURITY,
    }
    return whole


def _add_examples(responses: dict[str, Any]) -> None:
    """At the end only: the framework drops what is null in them."""
    for response in responses.values():
        for content in response.get("content", {}).values():
            schema = content["schema"].get("$ref", "").rpartition("/")[2]
            if schema in EXAMPLES:
                content["example"] = EXAMPLES[schema]
