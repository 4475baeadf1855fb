"""What one caption process holds: a loop in a thread, on which all figures are described.

Celery's threads only wait for it. Everything that asks or answers shares the loop's one client.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError

from ocrplus_caption.app import threads_of
from ocrplus_caption.captioner import Captioner
from ocrplus_caption.crowd import Crowd, Crowded, Desks
from ocrplus_caption.describe import Describer, figure_of
from ocrplus_caption.gate import Gate, NotNow, endpoint_of
from ocrplus_caption.memory import Memory
from ocrplus_caption.metrics import CaptionMetrics
from ocrplus_caption.prompt import load
from ocrplus_caption.pulse import Pulse
from ocrplus_contract import logs, tracing
from ocrplus_contract.blobs import open_store
from ocrplus_contract.captions import CaptionRecord, commit_caption
from ocrplus_contract.draining import FOLLOW_SECONDS
from ocrplus_contract.errors import LeaseLost
from ocrplus_contract.ledger import Lease, Ledger, ReleaseReason, run_async
from ocrplus_contract.names import Pool
from ocrplus_contract.recovery import pod_name, release_expired, release_predecessor
from ocrplus_contract.sentinels import async_pool
from ocrplus_contract.server import connect
from ocrplus_contract.settings import CaptionWorkerSettings
from ocrplus_contract.trace import within

log = logging.getLogger(__name__)

Ring = Callable[[int], None]

_CONNECTIONS: Final = 16
_PIXEL_THREADS: Final = 2
_DESKS: Final = 8
_CROWD_SHARE: Final = 4  # a quarter of the threads may wait for others' pictures


@dataclass(slots=True)
class Process:
    """One caption worker at work."""

    client: "redis.asyncio.Redis"
    blocking: "redis.Redis"
    ledger: Ledger
    worker_id: str
    settings: CaptionWorkerSettings
    describer: Describer
    pulse: Pulse
    ring: Ring
    loop: asyncio.AbstractEventLoop
    beating: "Future[None] | None" = None

    def serve_one(self) -> None:
        """Take the next figure, if there is one, and have it described; called by any thread."""
        doorbells = asyncio.run_coroutine_threadsafe(self._serve_one(), self.loop).result()
        self.ring(doorbells)

    def drain(self) -> None:
        """Take nothing more; what is in hand has a while to end, then it is given back."""
        self.loop.call_soon_threadsafe(self._begin_drain)

    def _begin_drain(self) -> None:
        self.pulse.draining.set()
        self.describer.crowd.scatter()
        self.loop.call_later(self.settings.shutdown_seconds, self.pulse.break_off)

    async def _serve_one(self) -> int:
        """One figure; how many doorbells to ring."""
        draining = self.pulse.draining
        await self.describer.gate.wait_until_open(draining)
        if draining.is_set():
            return 0  # whoever reconciles rings again
        try:
            if not await self.pulse.reach():
                await asyncio.sleep(FOLLOW_SECONDS)  # until this pod listens no more
                return 1  # for another pod
            lease = await run_async(self.client, self.ledger.take(Pool.CAPTION, self.worker_id))
            if lease is None:
                return 0
            hold = self.pulse.hold(lease)
        finally:
            self.pulse.let_go()
        try:
            return await self._describe(lease)
        except asyncio.CancelledError:
            return 0 if hold.lost else await self._release(lease, "returned")
        finally:
            self.pulse.drop(hold)

    async def _describe(self, lease: Lease) -> int:
        with within(
            lease.trace, job_id=lease.task, user=logs.hashed(lease.user), figure=figure_of(lease)
        ):
            return await self._described(lease)

    async def _described(self, lease: Lease) -> int:
        chunk = f"{lease.user}:{lease.task}/{lease.first}"
        try:
            self.describer.crowd.turn_away(chunk)
            self.describer.metrics.taken(lease)  # one that gives way goes on waiting
            tracing.waited(lease)
            with tracing.worked(lease) as span:
                record = await self.describer.describe(lease)
                span.note(state=record.state, reason=record.reason or "")
                committed = await self._commit(lease, record)
            if committed:
                self.describer.metrics.ended(record)
                log.info("figure done", extra={"state": record.state})
            return 0
        except NotNow:
            return await self._release(lease, "returned")
        except Crowded as crowded:
            if await self._release(lease, "postponed"):
                self.describer.crowd.owe(crowded.picture, chunk)
            return 0
        except LeaseLost:
            log.warning("a figure was taken away; it is another's")
            return 0
        except redis.RedisError:
            raise  # the lease runs out, whoever notices brings the figure back
        except Exception:  # the room's outermost loop: the figure is blamed
            log.exception("figure failed")
            return await self._release(lease, "died")

    async def _commit(self, lease: Lease, record: CaptionRecord) -> bool:
        call = commit_caption(self.ledger, lease.permit, lease.task, record)
        with tracing.span("commit"):
            return await run_async(self.client, call)

    async def _release(self, lease: Lease, reason: ReleaseReason) -> int:
        call = self.ledger.release(Pool.CAPTION, lease.permit, reason)
        return (await run_async(self.client, call)).permits

    def look_for_expired(self) -> None:
        """Bring back what others left; at each heartbeat."""
        lease_ms = self.settings.lease_seconds * 1000

        def bring_back() -> None:
            self.ring(release_expired(self.blocking, self.ledger, Pool.CAPTION, lease_ms))

        self.loop.run_in_executor(None, bring_back)


_current: Process | None = None
_thread: threading.Thread | None = None


def current() -> Process:
    """This process's worker."""
    assert _current is not None, "the worker has not been started"
    return _current


def metrics() -> CaptionMetrics:
    """What it counts."""
    return current().describer.metrics


def start(ring: Ring) -> None:
    """Bring back a predecessor's figures, start the loop, begin to beat."""
    global _current, _thread
    tracing.configure("caption-worker")
    loop = asyncio.new_event_loop()
    _thread = threading.Thread(target=loop.run_forever, name="captions", daemon=True)
    _thread.start()
    _current = asyncio.run_coroutine_threadsafe(_build(ring, loop), loop).result()
    _current.beating = asyncio.run_coroutine_threadsafe(
        _current.pulse.run(_current.look_for_expired), loop
    )
    process = _current
    ring(release_predecessor(process.blocking, process.ledger, Pool.CAPTION, process.worker_id))


def stop() -> None:
    """Leave in order."""
    if _current is not None and _thread is not None:
        process = _current
        if process.beating is not None:
            process.beating.cancel()
        asyncio.run_coroutine_threadsafe(process.pulse.forget(), process.loop).result(10)
        asyncio.run_coroutine_threadsafe(process.describer.captioner.close(), process.loop).result(
            10
        )
        process.loop.call_soon_threadsafe(process.loop.stop)
        _thread.join(10)
    tracing.stop()


async def _build(ring: Ring, loop: asyncio.AbstractEventLoop) -> Process:
    settings = CaptionWorkerSettings()
    ledger = Ledger(settings.key_prefix, settings.result_ttl_seconds)
    client, blocking = _connect(settings), connect(settings)
    metrics = CaptionMetrics(settings.caption)
    blobs = open_store(settings, blocking)
    calls = asyncio.Semaphore(settings.caption.concurrency)
    pixels = ThreadPoolExecutor(_PIXEL_THREADS, thread_name_prefix="pixels")
    describer = Describer(
        client=client,
        ledger=ledger,
        blobs=blobs,
        memory=Memory(client, ledger, blobs, pixels),
        crowd=Crowd(max(1, threads_of(settings.caption.concurrency) // _CROWD_SHARE), ring),
        desks=Desks(_DESKS),
        gate=Gate(client, ledger, settings, endpoint_of(settings), calls, metrics),
        captioner=Captioner(settings),
        prompt=load(settings.caption.prompt),
        settings=settings.caption,
        metrics=metrics,
        pixels=pixels,
    )
    worker_id = f"{pod_name(settings.pod_name, os.getpid())}.0"
    pulse = Pulse(
        client,
        ledger,
        worker_id,
        lease_seconds=settings.lease_seconds,
        captioner=describer.name,
        metrics=metrics,
        concurrency=settings.caption.concurrency,
    )
    return Process(client, blocking, ledger, worker_id, settings, describer, pulse, ring, loop)


def _connect(settings: CaptionWorkerSettings) -> "redis.asyncio.Redis":
    pool = async_pool(
        settings.redis_url.get_secret_value(),
        max_connections=_CONNECTIONS,
        timeout=30,
        socket_timeout=10,
        socket_connect_timeout=5,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=5, base=0.05), 12),
        retry_on_error=[ConnectionError, TimeoutError, BusyLoadingError],
    )
    return redis.asyncio.Redis(connection_pool=pool)
