"""The Celery app: prefork by spawn, one engine a child, messages that are only doorbells.

Nothing is read or connected at import. The options are a lazy mapping that Celery finds by its
import path: a spawned child gets a pickled app, and a path is what survives that (defaults added
by a function do not: the child would speak to the wrong broker).
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from celery import Celery

from ocrplus_contract.broker import HARD_LIMIT_SECONDS, worker_options
from ocrplus_contract.names import Pool
from ocrplus_contract.settings import OcrSettings


class _LazyOptions(Mapping[str, Any]):
    """Celery's options, built from the environment when the first one is asked for."""

    @cached_property
    def _options(self) -> dict[str, Any]:
        settings = OcrSettings()
        return {
            **worker_options(settings, Pool.OCR),
            "task_acks_on_timeout": False,
            "task_time_limit": HARD_LIMIT_SECONDS,
            "worker_concurrency": settings.workers_per_replica,
            "worker_pool": "prefork",
            "worker_pool_start_method": "spawn",  # CUDA contexts do not survive a fork
            "worker_proc_alive_timeout": 900,  # a child is up only when its models are warm
        }

    def __getitem__(self, name: str) -> Any:
        return self._options[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)


options = _LazyOptions()

app = Celery("ocrplus-ocr", include=["ocrplus_ocr.tasks"])
app.config_from_object("ocrplus_ocr.app:options")
