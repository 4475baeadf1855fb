"""Errors that cross a room's boundary, and the closed set of codes that clients see.

OcrPlusError
├── JobRefused          the client's document or request; carries an ErrorCode
├── Conflict            same task_id, other bytes or options (a JobRefused)
├── LeaseLost           the permit no longer holds its chunk: stop, commit nothing
├── BlobMissing         a stored document or figure is gone
├── BlobsUnavailable    the blob store cannot be used now; says why in an operator's words
└── ServerUnfit         the Redis server cannot keep the promises (version, eviction)
"""

from enum import StrEnum
from typing import Final


class ErrorCode(StrEnum):
    """Codes of errors about a request or a whole document."""

    BAD_JSON = "bad_json"
    BAD_MESSAGE = "bad_message"
    UNKNOWN_TYPE = "unknown_type"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    GONE = "gone"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    QUOTA_EXCEEDED = "quota_exceeded"
    RATE_LIMITED = "rate_limited"
    BUSY = "busy"
    PDF_INVALID = "pdf_invalid"
    PDF_ENCRYPTED = "pdf_encrypted"
    PDF_PASSWORD_WRONG = "pdf_password_wrong"
    PDF_EMPTY = "pdf_empty"
    PDF_TOO_MANY_PAGES = "pdf_too_many_pages"
    PDF_TIMEOUT = "pdf_timeout"
    CANCELLED = "cancelled"
    UNDELIVERABLE = "undeliverable"
    WORKER_LOST = "worker_lost"
    ENGINE_FAILED = "engine_failed"
    INTERNAL = "internal"


class PageErrorCode(StrEnum):
    """Codes of pages that failed while their document went on."""

    TOO_LARGE = "page_too_large"
    TIMEOUT = "page_timeout"
    POISON = "page_poison"
    RENDER_FAILED = "page_render_failed"
    ENGINE_FAILED = "page_engine_failed"


MESSAGES: Final[dict[ErrorCode, str]] = {
    ErrorCode.BAD_JSON: "The message is not valid JSON. Send one JSON object a frame.",
    ErrorCode.BAD_MESSAGE: "The message lacks a field or a field has the wrong type.",
    ErrorCode.UNKNOWN_TYPE: "The message type is not known here.",
    ErrorCode.UNAUTHORIZED: "A valid token is needed. Send it as 'Authorization: Bearer …'.",
    ErrorCode.FORBIDDEN: "The token does not belong to this user.",
    ErrorCode.NOT_FOUND: "There is no such task, page or figure.",
    ErrorCode.GONE: "The result has expired. Submit the document again.",
    ErrorCode.CONFLICT: "This task_id is taken by other bytes or options. Choose another task_id.",
    ErrorCode.TOO_LARGE: "The document is larger than this service accepts.",
    ErrorCode.QUOTA_EXCEEDED: "The quota is used up.",
    ErrorCode.RATE_LIMITED: "Too many requests. Wait and try again.",
    ErrorCode.BUSY: "The service has more work than it can accept now. Try again later.",
    ErrorCode.PDF_INVALID: "The bytes are not a readable PDF. Check or re-export the file.",
    ErrorCode.PDF_ENCRYPTED: "The PDF needs a password. Send it as the option 'password'.",
    ErrorCode.PDF_PASSWORD_WRONG: "The password does not open this PDF.",
    ErrorCode.PDF_EMPTY: "The PDF has no pages, or none of those asked for.",
    ErrorCode.PDF_TOO_MANY_PAGES: "The PDF has more pages than this service accepts.",
    ErrorCode.PDF_TIMEOUT: "The PDF took too long or too much memory to open.",
    ErrorCode.CANCELLED: "The task was cancelled.",
    ErrorCode.UNDELIVERABLE: "The result is too large for this connection. Fetch it by HTTP.",
    ErrorCode.WORKER_LOST: "The worker was lost and the task given up. Submit it again.",
    ErrorCode.ENGINE_FAILED: "The document could not be read.",
    ErrorCode.INTERNAL: "Something went wrong here. Try again; report it if it stays.",
}

RETRY_AFTER_SECONDS: Final = 5.0
"""When to come back, where nothing better is known."""

RETRYABLE: Final = frozenset(
    {
        ErrorCode.RATE_LIMITED,
        ErrorCode.BUSY,
        ErrorCode.QUOTA_EXCEEDED,
        ErrorCode.WORKER_LOST,
        ErrorCode.ENGINE_FAILED,
        ErrorCode.INTERNAL,
    }
)

HTTP_STATUS: Final[dict[ErrorCode, int]] = {
    ErrorCode.BAD_JSON: 400,
    ErrorCode.BAD_MESSAGE: 400,
    ErrorCode.UNKNOWN_TYPE: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.GONE: 410,
    ErrorCode.CONFLICT: 409,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.QUOTA_EXCEEDED: 429,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.BUSY: 429,
    ErrorCode.PDF_INVALID: 422,
    ErrorCode.PDF_ENCRYPTED: 422,
    ErrorCode.PDF_PASSWORD_WRONG: 422,
    ErrorCode.PDF_EMPTY: 422,
    ErrorCode.PDF_TOO_MANY_PAGES: 422,
    ErrorCode.PDF_TIMEOUT: 422,
    ErrorCode.CANCELLED: 409,
    ErrorCode.UNDELIVERABLE: 500,
    ErrorCode.WORKER_LOST: 500,
    ErrorCode.ENGINE_FAILED: 500,
    ErrorCode.INTERNAL: 500,
}


class OcrPlusError(Exception):
    """Base of every error that OcrPlus raises on purpose."""

    log_text: str = ""
    """What logs may tell of it beside its type."""


_LONGEST_MESSAGE: Final = 500  # it may repeat what a client made up


class JobRefused(OcrPlusError):
    """The document or request is refused; `code` is what the client sees."""

    def __init__(
        self,
        code: ErrorCode,
        message: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        self.code = code
        self.message = (message or MESSAGES[code])[:_LONGEST_MESSAGE]
        if retry_after_seconds is None and code in (ErrorCode.BUSY, ErrorCode.RATE_LIMITED):
            retry_after_seconds = RETRY_AFTER_SECONDS
        self.retry_after_seconds = retry_after_seconds
        self.log_text = str(code)  # a message may name what the client sent
        super().__init__(f"{code}: {self.message}")

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.code in RETRYABLE


class Conflict(JobRefused):
    """The task_id stands for other bytes or options already."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.CONFLICT)


class LeaseLost(OcrPlusError):
    """The permit was released: another worker may hold the chunk. Commit nothing more."""


class BlobMissing(OcrPlusError):
    """The stored bytes are gone: expired, deleted, or never written."""


class BlobsUnavailable(OcrPlusError):
    """The blob store cannot be used now. The text is for operators and tells no secret."""

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        self.lasting = lasting  # until somebody mends the configuration
        self.log_text = reason
        super().__init__(reason)
