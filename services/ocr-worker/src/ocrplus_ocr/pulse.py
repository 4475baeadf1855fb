"""The heartbeat of one child: renews its lease, writes its record, hears orders, ends a hung page.

It beats in a thread of the engine's own process, so that a process that is stopped or dead stops
beating. A page in hand for longer than the deadline cannot be interrupted from within (it hangs
in native code), so the pulse kills the process; the successor blames that page.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import redis

from ocrplus_contract import logs
from ocrplus_contract.errors import LeaseLost
from ocrplus_contract.heartbeat import queue_forgetting, queue_record
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Lease, Ledger, run
from ocrplus_contract.names import Pool
from ocrplus_contract.records import WORKER_HEARTBEAT_SECONDS, WorkerRecord
from ocrplus_contract.states import WorkerState
from ocrplus_contract.trace import within

log = logging.getLogger(__name__)

_SMOOTHING: Final = 0.1  # weight of the newest page in seconds per page


@dataclass(frozen=True, slots=True)
class PulseTiming:
    """Seconds: how long a lease lasts, how long a page may take."""

    lease_seconds: float
    page_deadline_seconds: float


def _kill_own_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Pulse:
    """State of one worker as others see it, and the thread that tells them.

    The engine's thread calls `warm`, `begin_chunk`, `begin_page`, `end_chunk`; the beat reads.
    """

    def __init__(
        self,
        client: "redis.Redis",
        ledger: Ledger,
        worker_id: str,
        timing: PulseTiming,
        *,
        end_process: Callable[[], None] = _kill_own_process,
        on_state: Callable[[WorkerState], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._keys = Keys(ledger.prefix)
        self._worker_id = worker_id
        self._timing = timing
        self._end_process = end_process
        self._on_state = on_state  # told what others see, whenever the record is written
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._lease: Lease | None = None
        self._page_began = 0.0  # monotonic: a stopped process must see the time it lost
        self._engine = ""
        self._told = False  # to drain
        self._reaching = False  # for a chunk: from "may I" to the answer of the take script
        self._lost = threading.Event()
        self._stop = threading.Event()
        self._record = WorkerRecord(
            pod=worker_id.rpartition(".")[0], pid=os.getpid(), state=WorkerState.WARMING
        )
        interval = min(WORKER_HEARTBEAT_SECONDS, timing.lease_seconds / 4)
        self._thread = threading.Thread(
            target=self._beat_until_stopped, args=(interval,), name="pulse", daemon=True
        )

    def start(self) -> None:
        """Write the first record and begin to beat."""
        self._write()
        self._thread.start()

    def stop(self) -> None:
        """Stop beating and forget the record: this worker ended in order."""
        self._stop.set()
        pipe = self._client.pipeline(transaction=False)
        queue_forgetting(pipe, self._keys, Pool.OCR, self._worker_id)
        pipe.execute()

    def warm(self, cold_start_seconds: float, engine: str) -> None:
        """The engine of this version is ready."""
        self._engine = engine
        self._update(
            state=WorkerState.IDLE, cold_start_seconds=cold_start_seconds, idle_since=_unix()
        )

    def reach(self) -> bool:
        """Whether a chunk may be taken now. If so, nobody hears `drained` before `begin_chunk`
        and `end_chunk`, or `let_go`, have told what came of it.
        """
        if self._told:
            self._write()  # still? Who is told goes on saying `drained` meanwhile
            if self._told:
                return False
        with self._lock:
            self._reaching = True
        may = False
        try:
            self._write()  # hears the orders as they are at this moment
            may = not self._told
        finally:
            if not may:
                self.let_go()
        if not may:
            self._write()
        return may

    def let_go(self) -> None:
        """There was no chunk."""
        with self._lock:
            self._reaching = False

    def begin_chunk(self, lease: Lease) -> None:
        """A chunk was taken; its first page is in hand."""
        self._lost.clear()
        with self._lock:
            self._lease = lease
            self._reaching = False
            self._page_began = time.monotonic()
        self._update(
            state=WorkerState.BUSY,
            chunk=f"{lease.task}/{lease.first}-{lease.last}",
            chunk_started_at=_unix(),
            page=lease.first,
            page_started_at=_unix(),
            pages_left=len(lease.pages),
        )

    def page_done(self, next_page: int | None) -> None:
        """A page was committed; the next one, if any, is in hand now."""
        now = time.monotonic()
        with self._lock:
            took = now - self._page_began
            self._page_began = now
        mean = self._record.seconds_per_page
        self._update(
            page=next_page or 0,
            page_started_at=_unix() if next_page else 0.0,
            pages_left=max(0, self._record.pages_left - 1),
            seconds_per_page=took if not mean else mean + _SMOOTHING * (took - mean),
        )

    def end_chunk(self) -> None:
        """Nothing is in hand any more."""
        with self._lock:
            self._lease = None
        self._update(
            state=WorkerState.IDLE,
            chunk="",
            page=0,
            page_started_at=0.0,
            chunk_started_at=0.0,
            pages_left=0,
            idle_since=_unix(),
        )

    @property
    def lost(self) -> bool:
        """Whether the chunk in hand is no longer this worker's, or its job has ended."""
        return self._lost.is_set()

    def beat(self) -> None:
        """One heartbeat: deadline, lease, record."""
        with self._lock:
            lease, began, page = self._lease, self._page_began, self._record.page
        if lease is not None:
            seconds = time.monotonic() - began
            if seconds > self._timing.page_deadline_seconds:
                with within(lease.trace, job_id=lease.task, user=logs.hashed(lease.user)):
                    log.error(
                        "page is past its deadline, ending this process",
                        extra={"page": page, "seconds": round(seconds, 1)},
                    )
                self._end_process()
            self._renew(lease)
        self._write()

    def _renew(self, lease: Lease) -> None:
        try:
            held = run(self._client, self._ledger.renew(Pool.OCR, lease.permit))
        except LeaseLost:
            held = False
        with self._lock:
            if not held and self._lease is lease:  # and not ended between the look and the answer
                self._lost.set()

    def _update(self, **changes: object) -> None:
        with self._lock:
            self._record = self._record.model_copy(update=changes)
        self._write()

    def _write(self) -> None:
        """Write the record and hear the orders; an order that is new is answered at once."""
        with self._writing:  # in turn, or an older record could lie over a newer one
            while not self._write_once():
                pass

    def _write_once(self) -> bool:
        with self._lock:
            told, record = self._told, self._shown()
        pipe = self._client.pipeline(transaction=False)
        queue_record(pipe, self._keys, Pool.OCR, self._worker_id, record)
        if self._engine:
            pipe.set(self._keys.engine(), self._engine, ex=self._ledger.ttl_seconds)
        pipe.zadd(self._keys.workers(Pool.OCR), {self._worker_id: _unix()})
        pipe.sismember(self._keys.drain(Pool.OCR), record.pod)
        self._on_state(record.state)
        orders = bool(pipe.execute()[-1])
        if orders == told:
            return True
        log.info("told to drain" if orders else "told to go on", extra={"pod": record.pod})
        with self._lock:
            self._told = orders
        return False

    def _shown(self) -> WorkerRecord:
        """The record under the present orders. A warming worker holds nothing: it is drained."""
        if not self._told:
            return self._record
        holds = self._lease is not None or self._reaching
        state = WorkerState.DRAINING if holds else WorkerState.DRAINED
        return self._record.model_copy(update={"state": state})

    def _beat_until_stopped(self, interval: float) -> None:
        while not self._stop.wait(interval):
            try:
                self.beat()
            except redis.RedisError:
                log.warning(
                    "heartbeat failed; the chunk in hand is taken again if this goes on",
                    exc_info=True,
                )


def _unix() -> float:
    return time.time()  # records carry unix seconds by contract
