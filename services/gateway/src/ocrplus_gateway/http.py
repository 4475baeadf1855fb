"""The HTTP interface: the same jobs and results as on the WebSocket."""

import asyncio
import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from ocrplus_contract import logs
from ocrplus_contract.blobs import figure_name
from ocrplus_contract.errors import (
    HTTP_STATUS,
    BlobMissing,
    ErrorCode,
    JobRefused,
)
from ocrplus_contract.messages import ErrorObject
from ocrplus_contract.names import ID_PATTERN, TaskId, UserId, valid_id
from ocrplus_contract.options import JobOptions
from ocrplus_contract.records import JobRecord
from ocrplus_contract.trace import TraceContext, current_or_new
from ocrplus_gateway.admission import Admission
from ocrplus_gateway.archive import blocks, zipped
from ocrplus_gateway.auth import TICKET_SECONDS, Doorkeeper, Subject
from ocrplus_gateway.captions import figures_of, with_captions
from ocrplus_gateway.events import Event, Gap, SlowConsumer
from ocrplus_gateway.hub import Hub
from ocrplus_gateway.jobs import Jobs, is_open, merged_markdown, page_text, status
from ocrplus_gateway.metrics import GatewayMetrics
from ocrplus_gateway.openapi import (
    COMMON,
    EVENTS,
    FIGURE,
    FORGET,
    LIST,
    PAGE,
    RESULT,
    RESULT_MD,
    RESULT_ZIP,
    SUBMIT,
    TASK,
    TICKET,
)
from ocrplus_gateway.sessions import Sessions
from ocrplus_gateway.sse import EventStream
from ocrplus_gateway.streamed import Streamed, result_json
from ocrplus_gateway.submission import Submission
from ocrplus_gateway.traces import JobTraces
from ocrplus_gateway.uploads import received

DEFAULT_USER: Final = "local"
_LONGEST_WAIT_SECONDS: Final = 600.0
_NOT_OPTIONS: Final = frozenset({"user", "task_id", "name", "wait"})
_NOSNIFF: Final = {"X-Content-Type-Options": "nosniff"}


def _doorkeeper(request: Request) -> Doorkeeper:
    doorkeeper: Doorkeeper = request.app.state.doorkeeper
    return doorkeeper


async def _subject(request: Request) -> Subject:
    return await _doorkeeper(request).by_header(request.headers.get("authorization"))


async def _user(
    subject: Annotated[Subject, Depends(_subject)],
    user: Annotated[
        str | None,
        Query(
            description="Whose task it is; default: the token's user, or `local`.",
            json_schema_extra={"pattern": ID_PATTERN},
        ),
    ] = None,
) -> UserId:
    acting = subject.acting_as(user, DEFAULT_USER)
    logs.note(user=logs.hashed(acting))
    return acting


User = Annotated[UserId, Depends(_user)]
TaskPath = Annotated[str, Path(description="The task's id.", examples=["report"])]
PagePath = Annotated[int, Path(description="The page's number, from 1.", examples=[1])]
FigurePath = Annotated[
    str, Path(description="The figure's file, as the Markdown links it.", examples=["p1-f1.png"])
]


@dataclass(frozen=True, slots=True)
class HttpInterface:
    """What the routes work with."""

    hub: Hub
    jobs: Jobs
    admission: Admission
    doorkeeper: Doorkeeper
    sessions: Sessions
    metrics: GatewayMetrics
    traces: JobTraces
    most_pdf_bytes: int

    def router(self) -> APIRouter:
        """The routes under /v1."""
        router = APIRouter(prefix="/v1", responses=COMMON)
        add = partial(router.add_api_route, tags=["tasks"])
        add("/tasks", self.submit, methods=["POST"], **SUBMIT)
        add("/tasks", self.tasks, methods=["GET"], **LIST)
        add("/tasks/{task_id}", self.task, methods=["GET"], **TASK)
        add("/tasks/{task_id}", self.forget, methods=["DELETE"], **FORGET)
        add("/tasks/{task_id}/events", self.events, methods=["GET"], **EVENTS)
        add("/tasks/{task_id}/result", self.result, methods=["GET"], **RESULT)
        add("/tasks/{task_id}/result.md", self.markdown, methods=["GET"], **RESULT_MD)
        add("/tasks/{task_id}/result.zip", self.archive, methods=["GET"], **RESULT_ZIP)
        add("/tasks/{task_id}/pages/{page}", self.page, methods=["GET"], **PAGE)
        add("/tasks/{task_id}/figures/{name}", self.figure, methods=["GET"], **FIGURE)
        router.add_api_route("/tickets", self.ticket, methods=["POST"], tags=["tickets"], **TICKET)
        return router

    async def submit(
        self, request: Request, subject: Annotated[Subject, Depends(_subject)]
    ) -> Response:
        """Submit a PDF: a raw body, or a form with the field `file`; `?wait=` for the result."""
        began = time.time()
        async with received(request, self.most_pdf_bytes) as upload:
            given = {**dict(request.query_params), **upload.fields}
            user = subject.acting_as(given.get("user"), DEFAULT_USER)
            task = _new_task(given)
            logs.note(user=logs.hashed(user), job_id=task)
            wait = _wait_seconds(given)
            name = given.get("name") or upload.name or f"{task}.pdf"
            try:
                submission = Submission(user, task, upload.file, name[:255], _options(given), began)
                admitted = await self.admission.admit(submission)
            except JobRefused as refusal:
                self.metrics.refused(refusal.code)
                return error_response(refusal, task)
        self.metrics.submitted(duplicate=admitted.duplicate_of is not None)
        if wait:
            job = await self._wait_for_end(user, task, wait)
            if job is not None:
                return await self._ended(user, job)
        body = {
            "task_id": task,
            "status": "submitted",
            "pages_total": admitted.pages_total,
            "queue_pages_ahead": admitted.pages_ahead,
            "estimated_seconds": admitted.estimated_seconds,
            "duplicate": admitted.duplicate_of is not None,
        }
        return JSONResponse(body, 202)

    async def tasks(
        self,
        user: User,
        limit: Annotated[int, Query(ge=1, le=1000, description="How many, at most.")] = 100,
        skip: Annotated[
            int, Query(ge=0, le=1_000_000, description="How many of the newest to pass over.")
        ] = 0,
    ) -> Response:
        """The user's tasks, newest first."""
        jobs = await self.jobs.all(user, limit, skip)
        return JSONResponse({"tasks": [status(job) for job in jobs]})

    async def task(self, task_id: TaskPath, user: User) -> Response:
        """State, pages done, failed pages, and when an ended task expires."""
        return JSONResponse(status(await self._find(user, task_id)))

    async def forget(self, task_id: TaskPath, user: User) -> Response:
        """Cancel a task if it runs, and delete all that is kept of it."""
        task = _task(task_id)
        logs.note(job_id=task)
        await self.jobs.forget(user, task)
        return Response(status_code=204)

    async def events(
        self,
        task_id: TaskPath,
        user: User,
        last_event_id: Annotated[
            str | None, Header(description="`epoch-seq` of the last event that was taken.")
        ] = None,
    ) -> Response:
        """The task's events as Server-Sent Events, to its result and captions that come after it;
        204 when all are taken.
        """
        job = await self._find(user, task_id)
        stream = EventStream(self.hub, self.jobs, self.traces, user, job)
        refused = self.sessions.refusal(user, known=True)
        if refused is not None:
            raise JobRefused(ErrorCode.RATE_LIMITED, f"{refused.reason}; try again later.")
        if last_event_id is not None and await stream.is_complete(last_event_id):
            return Response(status_code=204)  # an EventSource then stops coming back
        return Streamed(
            self.sessions.counted(user, stream.lines(last_event_id)),
            "text/event-stream",
            {"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def ticket(self, user: User) -> Response:
        """A ticket for one WebSocket of this user: subprotocol `ticket.…`, within 30 seconds."""
        ticket = await self.doorkeeper.ticket(user)
        return JSONResponse({"ticket": ticket, "expires_in": TICKET_SECONDS})

    async def result(self, task_id: TaskPath, user: User) -> Response:
        """The result as JSON; 202 with the status before the end."""
        job = await self._find(user, task_id)
        if is_open(job):
            return JSONResponse(status(job), 202)
        return await self._ended(user, job, with_status=False)

    async def markdown(self, task_id: TaskPath, user: User) -> Response:
        """The whole document as Markdown; 202 with the status before the end."""
        job = await self._find(user, task_id)
        if is_open(job):
            return JSONResponse(status(job), 202)
        if job.error:
            return _end_of(job)
        pages = await self.jobs.described(user, TaskId(task_id))
        text = (await asyncio.to_thread(merged_markdown, pages)).encode()
        return Response(text, media_type="text/markdown; charset=utf-8", headers=_NOSNIFF)

    async def archive(self, task_id: TaskPath, user: User) -> Response:
        """Markdown and figures in one zip; 202 with the status before the end."""
        job = await self._find(user, task_id)
        if is_open(job):
            return JSONResponse(status(job), 202)
        if job.error:
            return _end_of(job)
        pages = await self.jobs.described(user, TaskId(task_id))
        file = await asyncio.to_thread(zipped, self.jobs.blobs, user, job, pages)
        return Streamed(
            blocks(file),
            "application/zip",
            {**_NOSNIFF, "Content-Disposition": f'attachment; filename="{task_id}.zip"'},
        )

    async def page(self, task_id: TaskPath, page: PagePath, user: User) -> Response:
        """One page, as soon as it is read."""
        job = await self._find(user, task_id)
        record = await self.jobs.page(user, TaskId(job.task_id), page)
        captions = await self.jobs.captions(user, TaskId(job.task_id))
        ended = not is_open(job)
        record = with_captions([record], captions, ended=ended)[0]
        return JSONResponse(
            {
                "task_id": job.task_id,
                "page": record.page,
                "state": record.state,
                "markdown": page_text(record),
                "levels": record.levels,
                "headings": record.own_headings(),
                "source": record.source,
                "coverage": record.coverage,
                "incomplete": record.incomplete,
                "excused": record.excused,
                "repeated": record.repeated,
                "doubled": record.doubled,
                "reading": record.reading.model_dump() if record.reading else None,
                "error": record.error,
                "figures": figures_of(record, captions, TaskId(job.task_id), ended=ended),
            }
        )

    async def figure(self, task_id: TaskPath, name: FigurePath, user: User) -> Response:
        """A figure's PNG."""
        figure_id, dot, kind = name.partition(".")
        if not dot or kind != "png" or not valid_id(figure_id):
            raise JobRefused(ErrorCode.NOT_FOUND)
        job = await self._find(user, task_id)
        task = TaskId(job.task_id)
        figure = await self.jobs.figure(user, task, figure_id)
        try:
            png = await asyncio.to_thread(self.jobs.blobs.get, figure_name(user, task, figure))
        except BlobMissing as missing:
            raise JobRefused(ErrorCode.NOT_FOUND) from missing
        return Response(png, media_type="image/png", headers=_NOSNIFF)

    async def _find(self, user: UserId, task_id: str) -> JobRecord:
        task = _task(task_id)
        logs.note(job_id=task)
        return await self.jobs.find(user, task)

    async def _ended(self, user: UserId, job: JobRecord, *, with_status: bool = True) -> Response:
        if job.error:
            return _end_of(job)
        result = await self.jobs.result(user, job)
        more = {"status": str(job.state), "failed_pages": list(job.failed_pages)}
        text = result_json(job.task_id, result, more if with_status else {})
        return Streamed(text, "application/json", {})

    async def _wait_for_end(self, user: UserId, task: TaskId, seconds: float) -> JobRecord | None:
        """The job once it has ended, None when the wait ran out first."""
        at = await self.jobs.locate(user)
        subscription = await self.hub.attach(user, at.stream_id, at.epoch, at.seq)
        try:
            async with asyncio.timeout(seconds):
                while is_open(job := await self.jobs.find(user, task)):
                    item = await subscription.next()
                    while isinstance(item, Event) and (item.type, item.task) != ("result", task):
                        item = await subscription.next()
                return job
        except (TimeoutError, Gap, SlowConsumer):
            return None  # the client asks again, as after a wait that ran out
        finally:
            await self.hub.detach(subscription)


def error_response(
    refusal: JobRefused, task: str | None, trace: TraceContext | None = None
) -> JSONResponse:
    """An error as every route answers it; `trace`: of the task whose end is told."""
    error = ErrorObject.of(refusal.code, refusal.message)
    logs.note(code=refusal.code)
    trace_id = (trace or current_or_new()).trace_id
    body = {"error": error.model_dump(), "task_id": task, "trace": trace_id}
    headers = {}
    if refusal.retry_after_seconds is not None:
        headers["Retry-After"] = str(math.ceil(refusal.retry_after_seconds))
    if refusal.code is ErrorCode.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, HTTP_STATUS[refusal.code], headers)


def _end_of(job: JobRecord) -> JSONResponse:
    """How a task that failed is told of, with the trace that it was read in."""
    return error_response(JobRefused(ErrorCode(job.error)), job.task_id, job.trace)


def _task(text: str) -> TaskId:
    if not valid_id(text):
        raise JobRefused(ErrorCode.NOT_FOUND)
    return TaskId(text)


def _new_task(given: Mapping[str, str]) -> TaskId:
    task = given.get("task_id") or uuid.uuid4().hex
    if not valid_id(task):
        raise JobRefused(
            ErrorCode.BAD_MESSAGE,
            "'task_id' must be 1 to 128 letters, digits or . _ @ - and begin with one of the "
            "first two.",
        )
    return TaskId(task)


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
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise JobRefused(ErrorCode.BAD_MESSAGE, f"Option '{name}': {first['msg']}.") from error
