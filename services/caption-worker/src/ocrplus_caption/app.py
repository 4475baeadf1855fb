"""The Celery app: a pool of threads that wait for one event loop, messages that are only doorbells.

Nothing is read or connected at import. There are twice as many threads as calls in flight, so that
when all calls end at once the next pictures are ready.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from celery import Celery

from ocrplus_contract.broker import worker_options
from ocrplus_contract.names import Pool
from ocrplus_contract.settings import CaptionWorkerSettings


def threads_of(concurrency: int) -> int:
    """Figures in hand at once: one ready for each call in flight, two at least."""
    return concurrency + max(2, concurrency)


class _LazyOptions(Mapping[str, Any]):
    """Celery's options, built from the environment when the first one is asked for."""

    @cached_property
    def _options(self) -> dict[str, Any]:
        settings = CaptionWorkerSettings()
        return {
            **worker_options(settings, Pool.CAPTION),
            "worker_concurrency": threads_of(settings.caption.concurrency),
            "worker_pool": "threads",
        }

    def __getitem__(self, name: str) -> Any:
        return self._options[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)


options = _LazyOptions()

app = Celery("ocrplus-caption", include=["ocrplus_caption.tasks"])
app.config_from_object("ocrplus_caption.app:options")
