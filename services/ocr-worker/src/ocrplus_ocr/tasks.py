"""The one Celery task, and the start of each child."""

import logging
from typing import Any

import redis
from billiard.util import get_logger as billiard_logger
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown
from kombu.exceptions import OperationalError

from ocrplus_contract import logs
from ocrplus_contract.names import RING_TASK, Pool
from ocrplus_contract.settings import OcrSettings
from ocrplus_ocr import child
from ocrplus_ocr.app import app

log = logging.getLogger(__name__)


@app.task(name=RING_TASK[Pool.OCR])
def ring() -> None:
    """There may be a chunk: take one and do it."""
    child.current().serve_one()


def ring_again(count: int) -> None:
    """Ring for chunks that wait anew."""
    for _ in range(count):
        ring.apply_async(queue=str(Pool.OCR))


def ring_captions(count: int) -> None:
    """Ring for figures that wait; what fails is made good by the reconciler."""
    try:
        with app.producer_or_acquire() as producer:
            for _ in range(count):
                app.send_task(
                    RING_TASK[Pool.CAPTION], queue=str(Pool.CAPTION), producer=producer, retry=False
                )
    except (OSError, OperationalError, redis.RedisError):
        log.warning("captions could not be rung for; the reconciler will", extra={"count": count})


@setup_logging.connect
def _configure_logs(**_: Any) -> None:
    """Celery sets no logging up where this signal has a receiver: parent and children log alike."""
    billiard_logger()  # once it has cut its logger off from all others, ours can join it to them
    logs.configure("ocr-worker", OcrSettings().log_level)


@worker_process_init.connect
def _start(**_: Any) -> None:
    child.start(ring_again, ring_captions)


@worker_process_shutdown.connect
def _stop(**_: Any) -> None:
    child.stop()
