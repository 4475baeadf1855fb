"""`python -m ocrplus_caption`: one caption worker, configured by the environment alone.

Celery runs in this very process (in a container: process 1), with a pool of threads.
"""

import ctypes
import logging
import os
import sys
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
from ocrplus_contract.settings import CaptionWorkerSettings, problems_of

log = logging.getLogger("ocrplus_caption")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def main() -> int:
    """Run until SIGTERM; 2 when the settings are not usable."""
    logs.configure("caption-worker", own_outlets=True)
    try:
        settings = CaptionWorkerSettings()
    except ValidationError as error:
        log.error("settings are not usable", extra={"problem": problems_of(error)})
        return 2
    logs.configure("caption-worker", settings.log_level)
    problem = (
        _unusable(settings) or _server_problem(settings) or store_problem(settings, writing=False)
    )
    if problem:
        log.error("the worker cannot start", extra={"problem": problem})
        return 2
    _keep_memory()
    return _serve(settings)


def _keep_memory() -> None:
    """Have few arenas, each of which is as large as its worst, and reuse what they have: memory
    that is given back and taken anew for each picture costs a page fault a page.
    """
    with suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_ARENA_MAX, 2)
        libc.mallopt(_M_MMAP_THRESHOLD, 16 * 2**20)
        libc.mallopt(_M_TRIM_THRESHOLD, 32 * 2**20)


def _unusable(settings: CaptionWorkerSettings) -> str | None:
    from ocrplus_caption.prompt import UnknownPrompt, load

    if not settings.captions_configured:
        return "captions are off: set OPENAI_BASE_URL, OPENAI_API_KEY, or both"
    try:
        load(settings.caption.prompt)
    except UnknownPrompt:
        return f"there is no prompt {settings.caption.prompt}: see OCRPLUS_CAPTION__PROMPT"
    return None


def _server_problem(settings: CaptionWorkerSettings) -> str | None:
    """Why the server cannot keep the promises; one that does not answer yet is waited for."""
    with suppress(redis.ConnectionError, redis.TimeoutError):
        info: Any = connect(settings).info()
        return unfit_because(info)
    return None


def _serve(settings: CaptionWorkerSettings) -> int:
    from celery.signals import worker_ready
    from prometheus_client import start_http_server

    from ocrplus_caption import process
    from ocrplus_caption.app import app

    pod = pod_name(settings.pod_name, os.getpid())
    keys = Keys(settings.key_prefix)
    orders = PodOrders(connect(settings), keys, Pool.CAPTION, pod, slots=1)
    orders.start()

    @worker_ready.connect
    def announce(sender: Any, **_: object) -> None:
        doorway = Doorway(orders, sender, Pool.CAPTION)
        sender.hub.call_repeatedly(FOLLOW_SECONDS / 2, doorway.follow)
        registry = process.metrics().registry
        server, _thread = start_http_server(settings.metrics_port, settings.host, registry)
        url = f"http://{settings.host}:{server.server_port}/metrics"
        logs.announce("caption-worker", metrics=url)

    worker = app.Worker(
        hostname=f"caption@{os.getpid()}",
        loglevel=settings.log_level.upper(),
        queues=["caption"],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    try:
        worker.start()
    finally:
        process.stop()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
