"""What goes wrong in the operator, and what is done about it.

OperatorError
├── ApiError             the API server refused or did not answer; tried again at the next tick
│   ├── NotFound         404
│   ├── Conflict         409: somebody else wrote first
│   └── Forbidden        401, 403: a person must fix the rights
└── Unreadable           the pool, its work or its target could not be read: hold, with the reason
"""


class OperatorError(Exception):
    """Base of this room. `log_text` is what logs may tell of it beside its type."""

    @property
    def log_text(self) -> str:
        return str(self)


class ApiError(OperatorError):
    """A request to the API server failed; `status` 0 means no answer at all."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"{status or 'no answer'}: {message}")


class NotFound(ApiError):
    """There is no such object."""


class Conflict(ApiError):
    """The object has changed since it was read."""


class Forbidden(ApiError):
    """The operator has not the right."""


class Unreadable(OperatorError):
    """A reading failed, which is never zero; `reason` is CamelCase for the condition."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(f"{reason}: {message}")


_BY_STATUS: dict[int, type[ApiError]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
}


def api_error(status: int, message: str) -> ApiError:
    """The narrowest error of an answer."""
    return _BY_STATUS.get(status, ApiError)(status, message)
