"""What is done to each deployment of `make monitoring-faults`, and what must be seen of it."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx
import redis
import websockets.sync.client as sockets
from caption_process import CaptionWorker
from caption_running import USER, Running
from documents import text_document
from ledger_steps import admit, take
from monitoring_watch import Fault, Watch
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from ocrplus_contract.blobs import RedisStore
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool

if TYPE_CHECKING:
    import subprocess

LATE_SECONDS: Final = 34.0
_STOP_SECONDS: Final = 1.6  # shorter than a scrape waits: the gateway must tell of it
_ON_SECONDS: Final = 3.5
_OVER_ONE: Final = r'"[1-9][\d.]*"\]'
_SILENT: Final = "OcrplusProcessSilent"


@dataclass(frozen=True)
class Deployed:
    """A deployment, its played OCR worker, its caption worker and its broker if it has them."""

    running: Running
    worker: "subprocess.Popen[str] | None" = None
    captions: CaptionWorker | None = None
    broker: "redis.Redis | None" = None


# Scene 1: the model and the workers.

MODEL_STOPS: Final = Fault(
    "the model stops", "OcrplusCaptionBreakerOpen", 180, r"FAIL  vlm +\S+ answers 500"
)
REDIS_FILLS: Final = Fault(
    "Redis fills", "OcrplusRedisMemoryHigh", 150, r"WARN  redis\.memory .+ are used"
)
WORKERS_DIE: Final = Fault(
    "the workers are killed",
    "OcrplusQueueStalled",
    400,
    r"FAIL  workers\.ocr +no worker beats, and \d+ chunks wait",
)
WORKERS_SILENT: Final = Fault(
    "the workers are killed",
    _SILENT,
    90,
    r'"job":"ocr-worker"\},"value":\[[\d.]+,"0"',
    {"job": "ocr-worker"},
)
GATEWAY_STOPS: Final = Fault(
    "a gateway is stopped",
    _SILENT,
    90,
    r'"job":"gateway"\},"value":\[[\d.]+,"0"',
    {"job": "gateway"},
)


def model_and_workers(deployed: Deployed, watch: Watch) -> None:
    """The model answers 500, Redis fills, the workers are killed; then the gateway is stopped."""
    running, worker = deployed.running, deployed.worker
    assert worker is not None
    running.vlm.control(mode="error")
    watch.begin(MODEL_STOPS)
    submit_for(running, 5)
    used = int(running.client.info("memory")["used_memory"])
    running.client.config_set("maxmemory", int(used * 1.15))
    watch.begin(REDIS_FILLS)
    worker.kill()
    watch.begin(WORKERS_DIE, WORKERS_SILENT)
    running.submit("after", 3)
    watch.until(REDIS_FILLS)
    running.client.config_set("maxmemory", 0)
    watch.until(MODEL_STOPS, WORKERS_DIE, WORKERS_SILENT)
    watch.begin(GATEWAY_STOPS)
    with _stopped(running.gateway.process.pid):
        watch.until(GATEWAY_STOPS)


# Scene 2: a page that kills its workers, and work that nobody takes.

POISON: Final = Fault(
    "a page kills three workers",
    "OcrplusPagesPoisoned",
    30,
    r'poisoned_total","pool":"ocr"\},"value":\[[\d.]+,"1"',
)
LEASES: Final = Fault(
    "workers die over a page",
    "OcrplusLeasesExpire",
    120,
    r"FAIL  workers\.ocr +no worker beats, and \d+ chunks wait",
)
NOBODY_TAKES: Final = Fault(
    "nobody takes what waits",
    "OcrplusWorkWaits",
    520,
    r"FAIL  workers\.ocr +no worker beats, and \d+ chunks wait",
    {"severity": "page"},
)


def poison_and_waiting(deployed: Deployed, watch: Watch) -> None:
    """Three takes of one page that never beat; then a document that stays in the queue."""
    running = deployed.running
    running.submit("poison", 1)
    watch.begin(POISON, LEASES)
    for _ in range(3):
        while take(running.client) is None:
            time.sleep(0.2)
    running.submit("waits", 3)
    watch.begin(NOBODY_TAKES)
    watch.until(POISON, LEASES, NOBODY_TAKES)


# Scene 3: a gateway that stalls, pages that fail, a model that refuses.

STALLS: Final = Fault(
    "a gateway stalls",
    "OcrplusGatewayStalls",
    120,
    rf'"longest stall"\}},"value":\[[\d.]+,{_OVER_ONE}',
)
DELIVERY: Final = Fault(
    "a gateway stalls", "OcrplusDeliverySlow", 240, _OVER_ONE, {"severity": "page"}
)
PAGES_FAIL: Final = Fault(
    "pages fail",
    "OcrplusPagesFail",
    240,
    r'"outcome":"failed"\},"value":\[[\d.]+,"[1-9]',
    {"severity": "page"},
)
REFUSED: Final = Fault(
    "the model refuses every picture",
    "OcrplusCaptionsFail",
    240,
    r'"reason":"caption_refused"\},"value":\[[\d.]+,"[1-9]',
    {"severity": "page"},
)


def stalls_and_failures(deployed: Deployed, watch: Watch) -> None:
    """Stop the gateway again and again while events of failing documents are made."""
    running = deployed.running
    faults = (STALLS, DELIVERY, PAGES_FAIL, REFUSED)
    running.vlm.control(mode="refuse")
    with _listening(running):
        watch.begin(*faults)
        number = 0
        while not watch.fired(*faults):
            number += 1
            with _stopped(running.gateway.process.pid):
                admit(running.client, USER, f"late-{number}", [(1, 4)])
                time.sleep(_STOP_SECONDS)
            running.submit(f"figures-{number}", 2)
            time.sleep(_ON_SECONDS)


# Scene 4: the server.

FIRST_PAGES: Final = Fault(
    "workers come late",
    "OcrplusFirstPageSlow",
    240,
    r'"value":\[[\d.]+,"(3[0-9]|[4-9]\d)[\d.]*"\]',
    {"severity": "page"},
)
HISTORY: Final = Fault(
    "clients come with another server's positions",
    "OcrplusHistoryLost",
    30,
    r'"reason":"epoch"\},"value":\[[\d.]+,"[1-9]',
)
GROUP_GONE: Final = Fault(
    "a work stream's group is destroyed",
    "OcrplusQueueUnreadable",
    180,
    r"FAIL  queue\.ocr +the stream has no consumer group",
)
REDIS_FULL: Final = Fault(
    "Redis is full",
    "OcrplusSubmissionsRefused",
    200,
    r"FAIL  redis\.writing +a write is refused \(OOM\)",
    {"severity": "page"},
)
REDIS_STOPS: Final = Fault(
    "Redis hangs", "OcrplusRedisDown", 120, r"FAIL  redis +\S+ does not answer within"
)
GATEWAYS_GONE: Final = Fault(
    "no gateway runs", "OcrplusGatewayAbsent", 180, r"FAIL  gateways +no gateway beats"
)


def server(deployed: Deployed, watch: Watch) -> None:
    """Late workers, lost history, a group that is gone, Redis full, then hanging; no gateway."""
    running, worker = deployed.running, deployed.worker
    assert worker is not None
    with _listening(running):
        watch.begin(FIRST_PAGES)
        for number in range(8):
            admit(running.client, USER, f"late-{number}", [(1, 2)])
        watch.begin(HISTORY)
        for _ in range(8):
            _seek_history(running)
        ends = time.monotonic() + LATE_SECONDS + 5
        while time.monotonic() < ends:
            watch.fired(HISTORY)
            time.sleep(1)
    worker.kill()
    running.client.xgroup_destroy(Keys().work(Pool.OCR), "workers")
    running.client.config_set("maxmemory", 1_000_000)
    watch.begin(GROUP_GONE, REDIS_FULL)
    while not watch.fired(FIRST_PAGES, HISTORY, GROUP_GONE, REDIS_FULL):
        _submit_in_vain(running)
    running.client.config_set("maxmemory", 0)
    watch.begin(REDIS_STOPS)
    with _stopped(int(running.client.info("server")["process_id"])):
        watch.until(REDIS_STOPS)
    running.gateway.process.kill()
    watch.begin(GATEWAYS_GONE)
    watch.until(GATEWAYS_GONE)


# Scene 5: figures that nobody describes.

CAPTIONS_STOP: Final = Fault(
    "the caption workers are stopped",
    "OcrplusCaptionsStalled",
    520,
    r"FAIL  workers\.caption +no worker beats, and \d+ chunks wait",
)


def captions_stopped(deployed: Deployed, watch: Watch) -> None:
    """A caption worker that has described is stopped; documents with figures go on coming."""
    running, captions = deployed.running, deployed.captions
    assert captions is not None
    running.submit("described", 1)
    running.captioned("described", 1)
    captions.process.terminate()
    captions.process.wait(30)
    watch.begin(CAPTIONS_STOP)
    number = 0
    while not watch.fired(CAPTIONS_STOP):
        number += 1
        running.submit(f"waits-{number}", 1)
        time.sleep(10)


# Scene 6: a broker apart that takes no doorbells, and a store of documents without room.

_MEGABYTE: Final = 1_000_000
DOORBELLS: Final = Fault(
    "the broker takes no doorbells",
    "OcrplusDoorbellsMissing",
    240,
    r"FAIL  broker\.writing +a write is refused \(OOM\)(?s:.+)"
    r"WARN  queue\.ocr +\d+ waiting chunks have no doorbell beside 1 idle",
)
ROOM: Final = Fault(
    "documents fill their store", "OcrplusBlobRoomLow", 360, r"WARN  blobs\.room +2\d\d MB are left"
)


def broker_and_store(deployed: Deployed, watch: Watch) -> None:
    """Celery's server is full, so that no gateway can ring; then documents lie where few fit.

    A queue that was merely emptied is none that users feel: the reconciler fills it in seconds.
    """
    running, broker = deployed.running, deployed.broker
    assert broker is not None
    running.client.config_set("maxmemory", 600 * _MEGABYTE)
    broker.config_set("maxmemory", 1)
    running.submit("unheard", 3)
    watch.begin(DOORBELLS)
    store = RedisStore(running.client, Keys(), 3600)
    for number in range(3):
        store.put(f"{USER}/large-{number}/source.pdf", bytes(100 * _MEGABYTE))
    watch.begin(ROOM)
    watch.until(DOORBELLS, ROOM)


FAULTS: Final[Mapping[str, tuple[Fault, ...]]] = {
    "model-and-workers": (
        *(MODEL_STOPS, REDIS_FILLS),
        *(WORKERS_DIE, WORKERS_SILENT, GATEWAY_STOPS),
    ),
    "poison-and-waiting": (POISON, LEASES, NOBODY_TAKES),
    "stalls-and-failures": (STALLS, DELIVERY, PAGES_FAIL, REFUSED),
    "server": (FIRST_PAGES, HISTORY, GROUP_GONE, REDIS_FULL, REDIS_STOPS, GATEWAYS_GONE),
    "captions-stopped": (CAPTIONS_STOP,),
    "broker-and-store": (DOORBELLS, ROOM),
}
"""Namespace → what is wrong in it."""


def submit_for(running: Running, seconds: float) -> None:
    """Documents of one and two pages, two a second."""
    ends, number = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        number += 1
        running.submit(f"task-{time.monotonic_ns()}", 1 + number % 2)
        time.sleep(0.5)


def _submit_in_vain(running: Running) -> None:
    query = {"user": USER, "task_id": f"vain-{time.monotonic_ns()}"}
    url = f"{running.gateway.http}/v1/tasks"
    with suppress(httpx.HTTPError):
        httpx.post(url, params=query, content=text_document(1, seed=1), timeout=10)
    time.sleep(2)


def _socket(running: Running) -> sockets.ClientConnection:
    url = f"{running.gateway.ws}{USER}"
    return sockets.connect(url, subprotocols=[Subprotocol("ocrplus.v2")], max_size=None)


def _seek_history(running: Running) -> None:
    with _socket(running) as socket:
        resume = {"epoch": "feed", "seq": 7}
        socket.send(json.dumps({"type": "hello", "v": 2, "resume": resume}))
        while json.loads(socket.recv(10))["type"] != "history_lost":
            continue


@contextmanager
def _listening(running: Running) -> Iterator[None]:
    """A client that takes every event."""
    with _socket(running) as socket:
        socket.send(json.dumps({"type": "hello", "v": 2}))
        while json.loads(socket.recv(10))["type"] != "welcome":
            continue

        def listen() -> None:
            with suppress(ConnectionClosed):
                for _ in socket:
                    continue

        listener = threading.Thread(target=listen, name="listener", daemon=True)
        listener.start()
        yield
    listener.join(10)


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
