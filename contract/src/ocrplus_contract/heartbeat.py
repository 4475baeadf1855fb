"""How a worker's record is written and forgotten, the same in every pool."""

import importlib.metadata
from functools import cache
from typing import Any  # redis-py's pipelines for threads and for event loops have no common type

from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool
from ocrplus_contract.records import WORKER_RECORD_TTL_SECONDS, WorkerRecord


@cache
def own_version() -> str:
    """The version of OcrPlus that this process runs."""
    return importlib.metadata.version("ocrplus")


def queue_record(pipe: Any, keys: Keys, pool: Pool, worker_id: str, record: WorkerRecord) -> None:
    """Add to a pipeline what writes a worker's record; it lapses unless it is written again."""
    key = keys.worker(pool, worker_id)
    pipe.hset(key, mapping=record.to_hash())
    pipe.expire(key, WORKER_RECORD_TTL_SECONDS)
    # Beside the record, whose fields are agreed with the operator.
    version = keys.worker_version(pool, worker_id)
    pipe.set(version, own_version(), ex=WORKER_RECORD_TTL_SECONDS)


def queue_forgetting(pipe: Any, keys: Keys, pool: Pool, worker_id: str) -> None:
    """Add to a pipeline what removes a worker that ended in order."""
    pipe.delete(keys.worker(pool, worker_id), keys.worker_version(pool, worker_id))
    pipe.zrem(keys.workers(pool), worker_id)
