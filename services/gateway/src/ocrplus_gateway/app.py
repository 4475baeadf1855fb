"""The ASGI application: wiring only."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

import redis.asyncio
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, RedisError, TimeoutError
from starlette.exceptions import HTTPException

from ocrplus_contract import tracing
from ocrplus_contract.blobs import open_store
from ocrplus_contract.errors import BlobsUnavailable, ErrorCode, JobRefused
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Ledger
from ocrplus_contract.names import UserId
from ocrplus_contract.sentinels import async_pool
from ocrplus_contract.server import connect
from ocrplus_contract.settings import GatewaySettings
from ocrplus_gateway.admission import Admission, Bell
from ocrplus_gateway.auth import Doorkeeper
from ocrplus_gateway.cancellation import ended
from ocrplus_gateway.deadlines import CaptionDeadlines
from ocrplus_gateway.door import Door
from ocrplus_gateway.events import Event
from ocrplus_gateway.health import Health
from ocrplus_gateway.http import HttpInterface, error_response
from ocrplus_gateway.hub import Hub
from ocrplus_gateway.inspection import Inspector
from ocrplus_gateway.jobs import Jobs
from ocrplus_gateway.loop import watch_loop
from ocrplus_gateway.metrics import GatewayMetrics
from ocrplus_gateway.openapi import DESCRIPTION, HEALTHZ, READYZ, document, operation_id
from ocrplus_gateway.original import Positions
from ocrplus_gateway.presence import Presence
from ocrplus_gateway.reconciler import Reconciler
from ocrplus_gateway.retention import Sweeper, remove_stale_uploads
from ocrplus_gateway.room import RoomWatch
from ocrplus_gateway.session import SessionLimits, Shared
from ocrplus_gateway.sessions import Sessions
from ocrplus_gateway.submission import STORE_AWAY
from ocrplus_gateway.traces import JobTraces
from ocrplus_gateway.trial import InspectionTrial

log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 3  # however many clients there are
# Its own spans and logs tell of each request by path, query and an error's words. Ours do not.
_NO_TELEMETRY: Any = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
_CODES = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.NOT_FOUND, 413: ErrorCode.TOO_LARGE}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application is made of."""

    hub: Hub
    http: HttpInterface
    shared: Shared
    sessions: Sessions
    positions: Positions
    presence: Presence
    doorkeeper: Doorkeeper
    health: Health
    reconciler: Reconciler
    deadlines: CaptionDeadlines
    room: RoomWatch
    metrics: GatewayMetrics


def connect_async(url: str) -> "redis.asyncio.Redis":
    """A client for the event loop: few connections, bounded waits, tries again after a restart."""
    pool = async_pool(
        url,
        max_connections=_MOST_CONNECTIONS,
        timeout=20,
        socket_timeout=10,
        socket_connect_timeout=5,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=2, base=0.05), 6),
        retry_on_error=[ConnectionError, TimeoutError, BusyLoadingError],
    )
    return redis.asyncio.Redis(connection_pool=pool)


def _event_client(url: str) -> "redis.asyncio.Redis":
    """The client whose one connection listens to events; pushes of protocol 3 take longer."""
    pool = async_pool(
        url,
        redis.asyncio.ConnectionPool,
        max_connections=1,
        socket_connect_timeout=5,
        socket_keepalive=True,
        protocol=2,
    )
    return redis.asyncio.Redis.from_pool(pool)


def build_parts(settings: GatewaySettings, metrics: GatewayMetrics) -> Parts:
    """Put the gateway together; connects to nothing yet."""
    url = settings.redis_url.get_secret_value()
    client = connect_async(url)
    broker = (
        connect_async(settings.broker_url.get_secret_value()) if settings.broker_url else client
    )
    keys = Keys(settings.key_prefix)
    ledger = Ledger(settings.key_prefix, settings.result_ttl_seconds)
    blobs = open_store(settings, connect(settings))
    bell = Bell(settings)
    traces = JobTraces(client, keys)

    def observe(stream: str, event: Event) -> None:
        trace = None
        if tracing.is_on():
            trace = traces.heard(UserId(stream.rpartition(":")[2]), event)
        metrics.observe(stream, event, trace)

    hub = Hub(client, _event_client(url), keys, observe, settings.gap_seconds)
    jobs = Jobs(client, keys, ledger, blobs)
    admission = Admission(settings, client, blobs, bell)
    limits = SessionLimits(
        pdf_bytes=settings.max_pdf_bytes,
        frame_bytes=settings.max_frame_bytes,
        pages=settings.max_pages,
        tasks=settings.max_user_tasks,
        messages_per_second=settings.messages_per_second,
        ping_seconds=settings.ping_seconds,
    )
    sessions = Sessions(metrics, settings.max_connections, settings.max_user_connections)
    shared = Shared(hub, jobs, ledger, admission, metrics, traces, limits)
    presence = Presence(client, keys)
    doorkeeper = Doorkeeper(settings.auth, client, keys)
    reconciler = Reconciler(settings, client, broker, bell, Sweeper(client, keys, blobs), metrics)
    return Parts(
        hub=hub,
        http=HttpInterface(
            hub, jobs, admission, doorkeeper, sessions, metrics, traces, settings.max_pdf_bytes
        ),
        shared=shared,
        sessions=sessions,
        positions=Positions(client, keys, ledger, presence.name),
        presence=presence,
        doorkeeper=doorkeeper,
        health=Health(client, keys, blobs, hub, sessions, InspectionTrial(Inspector(settings))),
        reconciler=reconciler,
        deadlines=CaptionDeadlines(client, keys, ledger, lambda: reconciler.leading),
        room=RoomWatch(client, blobs, metrics),
        metrics=metrics,
    )


def create_app(parts: Parts) -> Door:
    """The application around its parts."""
    app = http_app(parts)
    return Door(app, parts.shared, parts.sessions, parts.doorkeeper, parts.positions, parts.metrics)


def http_app(parts: Parts) -> FastAPI:
    """What stands behind the door: the HTTP interface; connects to nothing before it starts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(remove_stale_uploads)
        await parts.hub.start()
        tasks = [
            asyncio.create_task(parts.presence.run()),
            asyncio.create_task(parts.reconciler.run()),
            asyncio.create_task(parts.deadlines.run()),
            asyncio.create_task(parts.room.run()),
            asyncio.create_task(watch_loop(parts.metrics)),
        ]
        yield
        await ended(*tasks)
        with suppress(RedisError, OSError):
            await parts.presence.stop()
        await parts.hub.stop()
        await parts.shared.traces.stop()

    app = FastAPI(
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=operation_id,
        telemetry=_NO_TELEMETRY,
        **DESCRIPTION,
    )
    app.state.doorkeeper = parts.doorkeeper
    app.include_router(parts.http.router())
    _add_health(app, parts.health)
    _add_errors(app, parts.metrics)
    _guard_origins(app, parts.doorkeeper)
    whole = document(app)
    app.openapi = lambda: whole  # type: ignore[method-assign]  # the framework's way to say so
    return app


def _guard_origins(app: FastAPI, doorkeeper: Doorkeeper) -> None:
    """Web pages of other hosts may not ask, unless they are listed."""
    if doorkeeper.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(doorkeeper.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID", "traceparent"],
            expose_headers=["Retry-After", "traceresponse"],
        )

    @app.middleware("http")
    async def same_origin(
        request: Request, go_on: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        if doorkeeper.may_ask(request.headers):
            return await go_on(request)
        refusal = JobRefused(ErrorCode.FORBIDDEN, "This origin is not allowed.")
        return error_response(refusal, None)


def _add_health(app: FastAPI, health: Health) -> None:
    @app.get("/healthz", **HEALTHZ)
    async def healthz() -> JSONResponse:
        """The process answers; of what it depends on this says nothing."""
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", **READYZ)
    async def readyz() -> JSONResponse:
        """Every part that a document needs, down to the process that opens it; and that it is not
        shutting down."""
        parts = await health.parts()
        told = {name: asdict(part) for name, part in parts.items()}
        problems = {name: part.reason for name, part in parts.items() if not part.ready}
        if problems:
            return JSONResponse({"ready": False, "problems": problems, "parts": told}, 503)
        workers = await health.workers()
        return JSONResponse({"ready": True, "workers": workers, "parts": told})


def _add_errors(app: FastAPI, metrics: GatewayMetrics) -> None:
    """Every error, the framework's own too, has the one shape; a document lost to one counts."""

    def answered(request: Request, refusal: JobRefused) -> Response:
        if (request.method, request.url.path) == ("POST", "/v1/tasks"):
            metrics.refused(refusal.code)
        return error_response(refusal, request.path_params.get("task_id"))

    async def refused(request: Request, error: Any) -> Response:
        return error_response(error, request.path_params.get("task_id"))

    async def invalid(request: Request, error: Any) -> Response:
        where = ".".join(str(part) for part in error.errors()[0]["loc"][1:])
        refusal = JobRefused(ErrorCode.BAD_MESSAGE, f"'{where}' is not valid.")
        return error_response(refusal, request.path_params.get("task_id"))

    async def http_error(request: Request, error: Any) -> Response:
        code = _CODES.get(error.status_code, ErrorCode.BAD_MESSAGE)
        response = error_response(JobRefused(code), None)
        response.status_code = error.status_code
        if error.status_code == 405:  # the framework would name the methods of one route only
            allowed = app.openapi()["paths"].get(request.scope["route"].path_format, {})
            response.headers["Allow"] = ", ".join(map(str.upper, allowed))
        return response

    async def store_away(request: Request, error: Any) -> Response:
        log.error("documents cannot be read", extra={"error": error})
        return answered(request, JobRefused(ErrorCode.BUSY, STORE_AWAY))

    async def unexpected(request: Request, error: Any) -> Response:
        log.error("a request failed", exc_info=error)
        return answered(request, JobRefused(ErrorCode.INTERNAL))

    handlers: dict[Any, Callable[[Request, Any], Awaitable[Response]]] = {
        JobRefused: refused,
        BlobsUnavailable: store_away,
        RequestValidationError: invalid,
        HTTPException: http_error,
        Exception: unexpected,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
