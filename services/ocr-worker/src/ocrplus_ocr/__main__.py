"""`python -m ocrplus_ocr`: one OCR worker replica, configured by the environment alone.

Celery runs in this very process (in a container: process 1), so SIGTERM reaches it and not its
children: it takes no new doorbell, lets each child end its chunk, and leaves.
"""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import Any  # celery is untyped

import redis
from pydantic import ValidationError

from ocrplus_contract import logs
from ocrplus_contract.blobs import store_problem
from ocrplus_contract.draining import FOLLOW_SECONDS, Doorway, PodOrders
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool
from ocrplus_contract.recovery import pod_name
from ocrplus_contract.server import connect, unfit_because
from ocrplus_contract.settings import OcrSettings, problems_of

log = logging.getLogger("ocrplus_ocr")

_LOOK_FOR_DEAD_SECONDS = 0.5


def main() -> int:
    """Run until SIGTERM; 2 when the settings or the models are not usable."""
    logs.configure("ocr-worker", own_outlets=True)
    try:
        settings = OcrSettings()
    except ValidationError as error:
        log.error("settings are not usable", extra={"problem": problems_of(error)})
        return 2
    logs.configure("ocr-worker", settings.log_level)
    problem = (
        _opencv_problem()
        or _missing_models(settings)
        or _gpu_problem(settings)
        or _server_problem(settings)
        or store_problem(settings)
    )
    if problem:
        log.error("the worker cannot start", extra={"problem": problem})
        return 2
    folder = tempfile.mkdtemp(prefix="ocrplus-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    # glibc keeps an arena per thread; with four of them the engine's memory grows by half.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    try:
        return _serve(settings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _opencv_problem() -> str | None:
    """Why OpenCV cannot be loaded: without it each engine process would die at import, for ever."""
    tried = subprocess.run(
        [sys.executable, "-c", "import cv2"], capture_output=True, text=True, check=False
    )
    if tried.returncode == 0:
        return None
    reason = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
    return (
        f"OpenCV cannot be loaded: {reason}. Install opencv-contrib-python-headless==4.10.0.84 "
        "over it, or the library it names"
    )


def _gpu_problem(settings: OcrSettings) -> str | None:
    """Why the GPU cannot be used: without it each engine process would end, for ever."""
    from ocrplus_ocr.engine.build import engine_config
    from ocrplus_ocr.engine.cuda import refusal
    from ocrplus_ocr.engine.profiles import Profile

    config = engine_config(settings)
    return None if config.profile is Profile.CPU else refusal(config)


def _server_problem(settings: OcrSettings) -> str | None:
    """Why the server cannot keep the promises; one that does not answer yet is waited for."""
    with suppress(redis.ConnectionError, redis.TimeoutError):
        info: Any = connect(settings).info()
        return unfit_because(info)
    return None


def _missing_models(settings: OcrSettings) -> str | None:
    from ocrplus_ocr.engine.build import missing_models

    missing = missing_models(settings)
    if not missing:
        return None
    return f"models are missing: {', '.join(missing)}; run `ocrplus models assemble`"


def _serve(settings: OcrSettings) -> int:
    from prometheus_client import CollectorRegistry, start_http_server

    from ocrplus_ocr.exposition import LivingProcesses

    registry = CollectorRegistry()
    registry.register(LivingProcesses())
    server, _thread = start_http_server(settings.metrics_port, settings.host, registry)
    url = f"http://{settings.host}:{server.server_port}/metrics"

    from celery.signals import worker_ready

    from ocrplus_ocr.app import app

    orders = PodOrders(
        connect(settings),
        Keys(settings.key_prefix),
        Pool.OCR,
        pod_name(settings.pod_name, os.getpid()),
        slots=settings.workers_per_replica,
    )
    orders.start()

    @worker_ready.connect
    def announce(sender: Any, **_: object) -> None:
        # Celery looks for dead children every 5 s, and is not always told of one before that.
        sender.hub.call_repeatedly(_LOOK_FOR_DEAD_SECONDS, sender.pool.maintain_pool)
        sender.hub.call_repeatedly(FOLLOW_SECONDS / 2, Doorway(orders, sender, Pool.OCR).follow)
        logs.announce("ocr-worker", metrics=url)

    worker = app.Worker(
        hostname=f"ocr@{os.getpid()}",
        loglevel=settings.log_level.upper(),
        queues=["ocr"],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    # Billiard would have a child write its first lines in a format of its own.
    os.environ.pop("_MP_FORK_LOGLEVEL_", None)
    worker.start()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
