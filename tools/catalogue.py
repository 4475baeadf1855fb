"""Every message of the WebSocket: who sends it, in which protocol, an example.

docs/asyncapi.json and docs/schemas.json are made from here; tests hold the catalogue to
`ocrplus_contract.wire`, the examples to their schemas and the schemas to recorded transcripts.
"""

import json
from dataclasses import dataclass
from typing import Any, Final  # Any: JSON

from pydantic import BaseModel

from ocrplus_contract import wire
from ocrplus_contract.errors import MESSAGES, ErrorCode
from ocrplus_contract.messages import (
    CaptionEvent,
    Failed,
    Finished,
    OriginalSubmit,
    ProgressEvent,
    Submitted,
    SubmittedEvent,
)
from ocrplus_contract.schemas import Side, definitions

CLIENT: Final = "validation"
SERVER: Final = "serialization"

_PDF: Final = "JVBERi0xLjcK"
_EPOCH: Final = "64f1c2a9"
_AT: Final = {"task_id": "report", "epoch": _EPOCH}
_ERROR: Final = {
    "code": "pdf_invalid",
    "message": MESSAGES[ErrorCode.PDF_INVALID],
    "retryable": False,
}
_PAGE: Final = {"page": 1, "markdown": "## Quarterly report\n\nSales rose by 4 %."}


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of message."""

    model: type[BaseModel]
    side: Side
    example: dict[str, Any]
    replies: tuple[type[BaseModel], ...] = ()
    """What may answer it."""

    @property
    def name(self) -> str:
        """Its name in the documents."""
        return self.model.__name__

    @property
    def description(self) -> str:
        """What it says."""
        return (self.model.__doc__ or "").strip()


ORIGINAL: Final = (
    Message(
        OriginalSubmit,
        CLIENT,
        {"task_id": "task-001", "pdf_file": _PDF},
        (Submitted, Finished, Failed),
    ),
    Message(Submitted, SERVER, {"task_id": "task-001", "status": "submitted"}),
    Message(
        Finished,
        SERVER,
        {
            "task_id": "task-001",
            "result": {"filename": "task-001.pdf", "elapsed_time": "3.21s", "markdown": [_PAGE]},
        },
    ),
    Message(Failed, SERVER, {"task_id": "task-001", "status": "failed", "error": _ERROR}),
)

V2: Final = (
    Message(wire.Auth, CLIENT, {"type": "auth", "token": "key-of-alice"}, (wire.Error,)),
    Message(
        wire.Hello,
        CLIENT,
        {
            "type": "hello",
            "v": 2,
            "device": "b2f1",
            "resume": {"epoch": _EPOCH, "seq": 41},
            "tasks": ["*"],
            "caps": ["coalesce"],
        },
        (wire.Welcome, wire.HistoryLost, wire.Error),
    ),
    Message(
        wire.Submit,
        CLIENT,
        {
            "type": "submit",
            "req": "r1",
            "task_id": "report",
            "name": "report.pdf",
            "pdf_file": _PDF,
            "options": {"pages": "1-5"},
        },
        (SubmittedEvent, wire.Duplicate, wire.Status, wire.Error),
    ),
    Message(wire.Ack, CLIENT, {"type": "ack", "epoch": _EPOCH, "seq": 57}),
    Message(
        wire.Cancel,
        CLIENT,
        {"type": "cancel", "req": "r2", "task_id": "report"},
        (wire.Status, wire.Error),
    ),
    Message(
        wire.AskStatus,
        CLIENT,
        {"type": "status", "req": "r3", "task_id": "report"},
        (wire.Status, wire.Error),
    ),
    Message(
        wire.Subscribe,
        CLIENT,
        {"type": "subscribe", "req": "r5", "tasks": ["report"]},
        (wire.Subscribed, wire.Error),
    ),
    Message(wire.Ping, CLIENT, {"type": "ping", "t": 1732381200123}, (wire.Pong,)),
    Message(
        wire.Welcome,
        SERVER,
        {
            "type": "welcome",
            "v": 2,
            "epoch": _EPOCH,
            "seq": 57,
            "oldest_seq": 12,
            "replay": 16,
            "ping_s": 20,
            "limits": {
                "max_pdf_bytes": 104857600,
                "max_frame_bytes": 139814230,
                "max_pages": 2000,
                "max_tasks": 1000,
            },
        },
    ),
    Message(
        wire.Status,
        SERVER,
        {
            "task_id": "report",
            "status": "running",
            "pages_done": 3,
            "pages_total": 12,
            "failed_pages": [],
            "error": None,
            "expires_at": None,
            "type": "status",
            "req": "r3",
        },
    ),
    Message(
        wire.Duplicate,
        SERVER,
        {
            "type": "submitted",
            "req": "r1",
            "task_id": "report",
            "pages_total": 12,
            "duplicate": True,
            "status": "running",
        },
    ),
    Message(wire.Subscribed, SERVER, {"type": "subscribed", "req": "r5", "tasks": ["report"]}),
    Message(
        wire.HistoryLost,
        SERVER,
        {
            "type": "history_lost",
            "reason": "trimmed",
            "epoch": _EPOCH,
            "oldest_seq": 70,
            "seq": 99,
            "tasks": [
                {"task_id": "report", "state": "running", "pages_done": 8, "pages_total": 12}
            ],
            "more": False,
        },
    ),
    Message(
        wire.Goaway,
        SERVER,
        {"type": "goaway", "reason": "drain", "reconnect_in_ms": [500, 15500]},
    ),
    Message(wire.Pong, SERVER, {"type": "pong", "t": 1732381200123}),
    Message(
        wire.Error,
        SERVER,
        {
            **_ERROR,
            "type": "error",
            "task_id": "report",
            "req": "r1",
            "retry_after_ms": None,
            "trace": "4bf92f3577b34da6a3ce929d0e0e4736",
        },
    ),
    Message(
        SubmittedEvent,
        SERVER,
        {
            **_AT,
            "seq": 42,
            "type": "submitted",
            "pages_total": 12,
            "queue_pages_ahead": 35,
            "estimated_seconds": 48.0,
            "duplicate": False,
        },
    ),
    Message(
        ProgressEvent,
        SERVER,
        {
            **_AT,
            "seq": 43,
            "type": "progress",
            "stage": "ocr",
            "pages_done": 3,
            "pages_total": 12,
            "estimated_seconds": 40.0,
        },
    ),
    Message(
        wire.DeliveredPage,
        SERVER,
        {
            **_AT,
            **_PAGE,
            "seq": 44,
            "type": "page",
            "state": "ok",
            "figures": [
                {
                    "id": "p1-f1",
                    "url": "/v1/tasks/report/figures/p1-f1.png",
                    "bbox": [72.0, 96.5, 523.0, 310.0],
                    "caption": None,
                }
            ],
            "source": "text_layer",
            "error": None,
            "levels": "page",
            "headings": [{"text": "Quarterly report", "level": 2}],
            "coverage": 1.0,
            "incomplete": False,
            "excused": 0.03,
            "repeated": 0.0,
            "doubled": False,
        },
    ),
    Message(
        CaptionEvent,
        SERVER,
        {
            **_AT,
            "seq": 61,
            "type": "caption",
            "page": 1,
            "figure": "p1-f1",
            "state": "ok",
            "caption": "A bar chart of sales by quarter; the third is the highest, at 402.",
            "reason": None,
            "captioner": "qwen-vl-max describe-1",
        },
    ),
    Message(
        wire.DeliveredResult,
        SERVER,
        {
            **_AT,
            "seq": 99,
            "type": "result",
            "status": "partial",
            "captions": "complete",
            "captioner": "qwen-vl-max describe-1",
            "pages": 12,
            "failed_pages": [7],
            "error": None,
            "elapsed_seconds": 3.21,
            "url": "/v1/tasks/report/result",
            "levels": "document",
            "expires_at": "2026-01-01T00:00:00+00:00",
        },
    ),
)

PROTOCOLS: Final = {"original": ORIGINAL, "v2": V2}


def models(*messages: Message) -> list[tuple[type[BaseModel], Side]]:
    """What their schemas are made from."""
    return [(message.model, message.side) for message in messages]


def schemas() -> str:
    """docs/schemas.json: every message by name, and what each side of a protocol may say."""
    refs = "#/$defs/"
    sides = {
        f"{protocol}.{side}": {
            "description": f"What the {side} may say in the protocol {protocol}.",
            "oneOf": [{"$ref": refs + m.name} for m in messages if m.side == kind],
        }
        for protocol, messages in PROTOCOLS.items()
        for side, kind in (("client", CLIENT), ("server", SERVER))
    }
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Messages of OcrPlus",
        "description": "Made by `make docs` from ocrplus_contract. A message is valid against "
        "`#/$defs/{name}`, and against what its side may say in its protocol: "
        + ", ".join(f"`#/$defs/{name}`" for name in sides)
        + ".",
        "$defs": {**sides, **definitions(models(*ORIGINAL, *V2), refs)},
    }
    return as_text(whole)


def as_text(document: dict[str, Any]) -> str:
    """A document as it lies in docs/."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
