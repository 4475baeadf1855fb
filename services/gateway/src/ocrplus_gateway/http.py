"""The HTTP interface: the same jobs and results as on the WebSocket."""

import asyncio
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import redis.asyncio
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from ocrplus_contract.blobs import figure_name
from ocrplus_contract.errors import (
    HTTP_STATUS,
    BlobMissing,
    ErrorCode,
    JobRefused,
)
from ocrplus_contract.keys import Keys
from ocrplus_contract.messages import ErrorObject
from ocrplus_contract.names import ID_PATTERN, TaskId, UserId, valid_id
from ocrplus_contract.options import JobOptions
from ocrplus_contract.records import JobRecord
from ocrplus_gateway.admission import Admission, Submission
from ocrplus_gateway.hub import Hub
from ocrplus_gateway.jobs import Jobs, is_open, merged_markdown, page_text, status
from ocrplus_gateway.metrics import GatewayMetrics
from ocrplus_gateway.uploads import received

DEFAULT_USER: Final = "local"
_LONGEST_WAIT_SECONDS: Final = 600.0
_RETRY_AFTER_SECONDS: Final = 5
_NOT_OPTIONS: Final = frozenset({"user", "task_id", "name", "wait"})
_NOSNIFF: Final = {"X-Content-Type-Options": "nosniff"}

User = Annotated[str, Query(pattern=ID_PATTERN, description="Whose task it is.")]


@dataclass(frozen=True, slots=True)
class HttpInterface:
    """What the routes work with."""

    client: "redis.asyncio.Redis"
    keys: Keys
    hub: Hub
    jobs: Jobs
    admission: Admission
    metrics: GatewayMetrics
    most_pdf_bytes: int

    def router(self) -> APIRouter:
        """The routes under /v1."""
        router = APIRouter(prefix="/v1")
        router.add_api_route("/tasks", self.submit, methods=["POST"], status_code=202)
        router.add_api_route("/tasks/{task_id}", self.task, methods=["GET"])
        router.add_api_route("/tasks/{task_id}", self.forget, methods=["DELETE"], status_code=204)
        router.add_api_route("/tasks/{task_id}/result", self.result, methods=["GET"])
        router.add_api_route("/tasks/{task_id}/result.md", self.markdown, methods=["GET"])
        router.add_api_route("/tasks/{task_id}/pages/{page}", self.page, methods=["GET"])
        router.add_api_route("/tasks/{task_id}/figures/{name}", self.figure, methods=["GET"])
        return router

    async def submit(self, request: Request) -> Response:
        """Submit a PDF: a raw body, or a form with the field `file`; `?wait=` for the result."""
        began = time.monotonic()
        async with received(request, self.most_pdf_bytes) as upload:
            given = {**dict(request.query_params), **upload.fields}
            user, task = _ids(given)
            wait = _wait_seconds(given)
            name = given.get("name") or upload.name or f"{task}.pdf"
            try:
                submission = Submission(user, task, upload.file, name[:255], _options(given))
                admitted = await self.admission.admit(submission)
            except JobRefused as refusal:
                self.metrics.refused(refusal.code)
                return error_response(refusal, task)
        self.metrics.submitted(duplicate=admitted.duplicate_of is not None)
        if wait:
            job = await self._wait_for_end(user, task, wait)
            if job is not None:
                self.metrics.job_ended(began, job.pages_total)
                return await self._ended(user, job)
        body = {
            "task_id": task,
            "status": "submitted",
            "pages_total": admitted.pages_total,
            "duplicate": admitted.duplicate_of is not None,
        }
        return JSONResponse(body, 202)

    async def task(self, task_id: str, user: User = DEFAULT_USER) -> Response:
        """Where a task stands."""
        return JSONResponse(status(await self._find(user, task_id)))

    async def forget(self, task_id: str, user: User = DEFAULT_USER) -> Response:
        """Cancel a task if it runs, and delete all that is kept of it."""
        await self.jobs.forget(UserId(user), _task(task_id))
        return Response(status_code=204)

    async def result(self, task_id: str, user: User = DEFAULT_USER) -> Response:
        """The result as JSON; 202 with the status before the end."""
        job = await self._find(user, task_id)
        if is_open(job):
            return JSONResponse(status(job), 202)
        return await self._ended(UserId(user), job, with_status=False)

    async def markdown(self, task_id: str, user: User = DEFAULT_USER) -> Response:
        """The whole document as Markdown; 202 with the status before the end."""
        job = await self._find(user, task_id)
        if is_open(job):
            return JSONResponse(status(job), 202)
        if job.error:
            return error_response(JobRefused(ErrorCode(job.error)), job.task_id)
        pages = await self.jobs.pages(UserId(user), TaskId(task_id))
        text = merged_markdown(pages).encode()
        return Response(text, media_type="text/markdown; charset=utf-8", headers=_NOSNIFF)

    async def page(self, task_id: str, page: int, user: User = DEFAULT_USER) -> Response:
        """One page, as soon as it is read."""
        job = await self._find(user, task_id)
        record = await self.jobs.page(UserId(user), TaskId(job.task_id), page)
        return JSONResponse(
            {
                "task_id": job.task_id,
                "page": record.page,
                "state": record.state,
                "markdown": page_text(record),
                "source": record.source,
                "error": record.error,
            }
        )

    async def figure(self, task_id: str, name: str, user: User = DEFAULT_USER) -> Response:
        """A figure's PNG."""
        figure_id, dot, kind = name.partition(".")
        if not dot or kind != "png" or not valid_id(figure_id):
            raise JobRefused(ErrorCode.NOT_FOUND)
        job = await self._find(user, task_id)
        blob = figure_name(UserId(user), TaskId(job.task_id), figure_id)
        try:
            png = await asyncio.to_thread(self.jobs.blobs.get, blob)
        except BlobMissing as missing:
            raise JobRefused(ErrorCode.NOT_FOUND) from missing
        return Response(png, media_type="image/png", headers=_NOSNIFF)

    async def _find(self, user: str, task_id: str) -> JobRecord:
        return await self.jobs.find(UserId(user), _task(task_id))

    async def _ended(self, user: UserId, job: JobRecord, *, with_status: bool = True) -> Response:
        if job.error:
            return error_response(JobRefused(ErrorCode(job.error)), job.task_id)
        result = await self.jobs.result(user, job)
        body: dict[str, Any] = {"task_id": job.task_id, "result": result.model_dump()}
        if with_status:
            body |= {"status": str(job.state), "failed_pages": list(job.failed_pages)}
        return JSONResponse(body)

    async def _wait_for_end(self, user: UserId, task: TaskId, seconds: float) -> JobRecord | None:
        """The job once it has ended, None when the wait ran out first."""
        newest: Any = await self.client.xrevrange(self.keys.stream(user), count=1)
        after = newest[0][0].decode() if newest else "0"
        subscription = await self.hub.attach(user, after)
        try:
            async with asyncio.timeout(seconds):
                while is_open(job := await self.jobs.find(user, task)):
                    event = await subscription.next()
                    while event.data["type"] != "result" or event.data["task_id"] != task:
                        event = await subscription.next()
                return job
        except TimeoutError:
            return None
        finally:
            await self.hub.detach(subscription)


def error_response(refusal: JobRefused, task: str | None) -> JSONResponse:
    """An error as every route answers it."""
    code = HTTP_STATUS[refusal.code]
    error = ErrorObject.of(refusal.code, refusal.message)
    body = {"error": error.model_dump(), "task_id": task}
    headers = {"Retry-After": str(_RETRY_AFTER_SECONDS)} if code == 429 else None
    return JSONResponse(body, code, headers)


def _task(text: str) -> TaskId:
    if not valid_id(text):
        raise JobRefused(ErrorCode.NOT_FOUND)
    return TaskId(text)


def _ids(given: Mapping[str, str]) -> tuple[UserId, TaskId]:
    user = given.get("user", DEFAULT_USER)
    task = given.get("task_id") or uuid.uuid4().hex
    for name, value in (("user", user), ("task_id", task)):
        if not valid_id(value):
            raise JobRefused(
                ErrorCode.BAD_MESSAGE,
                f"'{name}' must be 1 to 128 letters, digits or . _ @ - and begin with a letter "
                "or digit.",
            )
    return UserId(user), TaskId(task)


def _wait_seconds(given: Mapping[str, str]) -> float:
    try:
        wait = float(given.get("wait", "0"))
    except ValueError as error:
        raise JobRefused(ErrorCode.BAD_MESSAGE, "'wait' must be a number of seconds.") from error
    return min(wait, _LONGEST_WAIT_SECONDS) if wait > 0 else 0.0


def _options(given: Mapping[str, str]) -> JobOptions:
    chosen = {name: value for name, value in given.items() if name not in _NOT_OPTIONS}
    try:
        return JobOptions.model_validate(chosen)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise JobRefused(ErrorCode.BAD_MESSAGE, f"Option '{name}': {first['msg']}.") from error
