"""A client of a running service's HTTP interface, as the command line needs it."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import httpx

_TRIES: Final = 5


class ServiceError(Exception):
    """The service refused a request; `code` is one of the wire's error codes."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")


@dataclass(frozen=True, slots=True)
class TaskView:
    """Where a task stands."""

    status: str
    pages_done: int
    pages_total: int
    failed_pages: tuple[int, ...]
    error: dict[str, Any] | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status not in ("queued", "running")


class Client:
    """One user of one service."""

    def __init__(self, url: str, *, user: str | None = None, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url, timeout=60, headers=headers)
        self._user = {"user": user} if user else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def submit(self, path: Path, task: str, options: dict[str, str]) -> TaskView:
        """Upload a document. Waits and tries again while the service is busy.

        Raises:
            ServiceError: the document is refused.
        """
        # A form, not a query: a password may not stand in anybody's access log.
        fields = {**self._user, "task_id": task, "name": path.name, **options}
        for attempt in range(_TRIES):
            with path.open("rb") as body:
                response = self._request(
                    "POST", "/v1/tasks", data=fields, files={"file": (path.name, body)}
                )
            if response.status_code != 429 or attempt == _TRIES - 1:
                break
            time.sleep(float(response.headers.get("Retry-After", 2)))
        return _view(_checked(response).json())

    def view(self, task: str) -> TaskView:
        """Where the task stands."""
        response = _checked(self._request("GET", f"/v1/tasks/{task}", params=self._user))
        return _view(response.json())

    def markdown(self, task: str) -> str:
        """The whole document as Markdown."""
        response = self._request("GET", f"/v1/tasks/{task}/result.md", params=self._user)
        return _checked(response).content.decode("utf-8")

    def figure(self, task: str, name: str) -> bytes:
        """One figure's PNG."""
        response = self._request("GET", f"/v1/tasks/{task}/figures/{name}", params=self._user)
        return _checked(response).content

    def forget(self, task: str) -> None:
        """Cancel the task if it runs, and delete all that is kept of it."""
        with suppress(ServiceError):
            self._request("DELETE", f"/v1/tasks/{task}", params=self._user)

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            reason = f"no answer from the service ({type(error).__name__})"
            raise ServiceError("internal", reason) from error


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    try:
        error = response.json()["error"]
        raise ServiceError(str(error["code"]), str(error["message"]))
    except (ValueError, KeyError, TypeError) as unreadable:
        raise ServiceError("internal", f"HTTP {response.status_code}") from unreadable


def _view(body: dict[str, Any]) -> TaskView:
    return TaskView(
        status=str(body["status"]),
        pages_done=int(body.get("pages_done", 0)),
        pages_total=int(body.get("pages_total", 0)),
        failed_pages=tuple(body.get("failed_pages") or ()),
        error=body.get("error"),
    )
