"""What one engine process holds, from its warm-up to its end.

The Celery child is a fresh interpreter (spawn); `start` builds everything in it before Celery
hears that the child is up, so no doorbell reaches a cold engine.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis
from billiard import current_process

from ocrplus_contract import logs, tracing
from ocrplus_contract.blobs import open_store
from ocrplus_contract.draining import FOLLOW_SECONDS
from ocrplus_contract.ledger import Lease, Ledger, run
from ocrplus_contract.names import Pool
from ocrplus_contract.recovery import pod_name, release_expired, release_predecessor
from ocrplus_contract.server import connect
from ocrplus_contract.settings import OcrSettings
from ocrplus_contract.trace import within
from ocrplus_ocr.chunk import ChunkReader
from ocrplus_ocr.engine import Engine
from ocrplus_ocr.engine.build import build_engine
from ocrplus_ocr.metrics import OcrMetrics
from ocrplus_ocr.pulse import Pulse, PulseTiming

log = logging.getLogger(__name__)

Ring = Callable[[int], None]

_DRAINING_PAUSE_SECONDS: Final = FOLLOW_SECONDS  # until this pod's parent listens no more
_FIRST_CHILD_SECONDS: Final = 60.0
_RESTART_PAUSE_SECONDS: Final = 5  # a child that cannot start is started again by Celery at once


@dataclass(frozen=True, slots=True)
class Child:
    """One engine process at work."""

    client: "redis.Redis"
    ledger: Ledger
    worker_id: str
    lease_ms: int
    engine: Engine
    pulse: Pulse
    reader: ChunkReader
    ring: Ring

    def serve_one(self) -> None:
        """Take the next chunk, if there is one, and do it."""
        self.ring(release_expired(self.client, self.ledger, Pool.OCR, self.lease_ms))
        if not self.pulse.reach():
            time.sleep(_DRAINING_PAUSE_SECONDS)
            self.ring(1)  # for another pod
            return
        lease = None
        try:
            lease = run(self.client, self.ledger.take(Pool.OCR, self.worker_id))
        finally:
            if lease is None:
                self.pulse.let_go()
        if lease is None:
            return
        self.reader.metrics.taken(lease)
        tracing.waited(lease)
        chunk = f"{lease.first}-{lease.last}"
        with within(lease.trace, job_id=lease.task, user=logs.hashed(lease.user), chunk=chunk):
            self._read(lease)

    def _read(self, lease: Lease) -> None:
        try:
            self.ring(self.reader.read(lease))
        except redis.RedisError:
            raise  # the lease runs out, whoever notices brings the chunk back
        except Exception:
            # The room's outermost loop. The page in hand is blamed, as if the process had died.
            log.exception("chunk failed")
            released = run(self.client, self.ledger.release(Pool.OCR, lease.permit, "died"))
            self.ring(released.permits)


_current: Child | None = None


def current() -> Child:
    """The child of this process."""
    assert _current is not None, "the child has not been started"
    return _current


def start(ring: Ring, ring_captions: Ring) -> None:
    """Bring back a predecessor's chunk, build and warm the engine, begin to beat."""
    global _current
    settings = OcrSettings()
    tracing.configure("ocr-worker")
    try:
        _current = _build(settings, ring, ring_captions)
    except Exception:  # outermost: Celery would swallow it and use a child without an engine
        log.exception("child cannot start, trying again in a new process")
        time.sleep(_RESTART_PAUSE_SECONDS)
        os._exit(1)


def stop() -> None:
    """Leave in order."""
    if _current is not None:
        _current.pulse.stop()
        _current.engine.close()
    tracing.stop()


def _seconds_since_start() -> float:
    """Since this replica began, or, for a successor of a dead child, since this process did."""
    own, parent = _seconds_alive(os.getpid()), _seconds_alive(os.getppid())
    return parent if parent - own < _FIRST_CHILD_SECONDS else own


def _seconds_alive(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    started = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    return float(Path("/proc/uptime").read_text().split()[0]) - started


def _build(settings: OcrSettings, ring: Ring, ring_captions: Ring) -> Child:
    began = time.monotonic()
    client = connect(settings)
    ledger = Ledger(settings.key_prefix, settings.result_ttl_seconds)
    worker_id = (
        f"{pod_name(settings.pod_name, os.getppid())}.{getattr(current_process(), 'index', 0)}"
    )
    ring(release_predecessor(client, ledger, Pool.OCR, worker_id))
    timing = PulseTiming(settings.lease_seconds, settings.page_deadline_seconds)
    metrics = OcrMetrics()
    pulse = Pulse(client, ledger, worker_id, timing, on_state=metrics.state)
    pulse.start()
    engine = build_engine(settings)
    warmup_seconds = time.monotonic() - began
    metrics.warmed(warmup_seconds)
    pulse.warm(_seconds_since_start(), engine.version)
    log.info("engine warm", extra={"worker": worker_id, "seconds": round(warmup_seconds, 2)})
    blobs = open_store(settings, client)
    return Child(
        client=client,
        ledger=ledger,
        worker_id=worker_id,
        lease_ms=settings.lease_seconds * 1000,
        engine=engine,
        pulse=pulse,
        reader=ChunkReader(client, ledger, engine, blobs, pulse, metrics, ring_captions),
        ring=ring,
    )
