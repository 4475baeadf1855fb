"""The one Celery task, and the start and end of the process's loop."""

from typing import Any

from celery.signals import setup_logging, worker_init, worker_shutting_down

from ocrplus_caption import process
from ocrplus_caption.app import app
from ocrplus_contract import logs
from ocrplus_contract.names import RING_TASK, Pool
from ocrplus_contract.settings import CaptionWorkerSettings


@app.task(name=RING_TASK[Pool.CAPTION])
def ring() -> None:
    """There may be a figure: take one and have it described."""
    process.current().serve_one()


def ring_again(count: int) -> None:
    """Ring for figures that wait anew."""
    for _ in range(count):
        ring.apply_async(queue=str(Pool.CAPTION))


@setup_logging.connect
def _configure_logs(**_: Any) -> None:
    """Celery sets no logging up where this signal has a receiver."""
    logs.configure("caption-worker", CaptionWorkerSettings().log_level)


@worker_init.connect
def _start(**_: Any) -> None:
    _configure_logs()  # Celery does so later, and a predecessor's figures are told of here
    process.start(ring_again)


@worker_shutting_down.connect
def _drain(**_: Any) -> None:
    process.current().drain()
