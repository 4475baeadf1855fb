"""An OCR worker without an engine: real permits, real metrics, made-up pages with a figure each.

`python played_ocr_worker.py REDIS_URL BLOB_FOLDER [failing|late SECONDS]` takes what waits until it
is killed, and prints where its metrics are: `failing` fails every other page, `late` lets the first
work wait for so long. For tests of what is seen from outside.
"""

import itertools
import json
import math
import os
import sys
import time
from pathlib import Path

import pictures
import redis
from caption_process import PlayedOcr
from ledger_steps import commit, finish, take
from prometheus_client import disable_created_metrics, start_http_server

from ocrplus_contract.blobs import DirectoryStore
from ocrplus_contract.heartbeat import queue_record
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool
from ocrplus_contract.records import WorkerRecord
from ocrplus_contract.states import PageState, TextSource, WorkerState
from ocrplus_ocr.engine import PageResult
from ocrplus_ocr.metrics import OcrMetrics


def main(redis_url: str, blobs: str, mode: str = "", seconds: str = "0") -> None:
    """Work until killed."""
    client = redis.Redis.from_url(redis_url)
    seeds = itertools.count()
    ocr = PlayedOcr(
        client,
        DirectoryStore(Path(blobs)),
        redis_url,
        draw=lambda page, number: pictures.png(pictures.photo(next(seeds), (240, 180))),
    )  # no picture twice: what was described before is not asked about
    disable_created_metrics()  # as several processes of one pod never have them
    metrics = OcrMetrics()
    server, _ = start_http_server(0, "127.0.0.1")
    ready = {"metrics": f"http://127.0.0.1:{server.server_port}/metrics", "pid": os.getpid()}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    metrics.warmed(1.0)
    metrics.state(WorkerState.IDLE)
    began = None if mode == "late" else -math.inf
    while began is None or time.monotonic() < began + float(seconds):
        beat(client, WorkerState.IDLE)
        if began is None and client.xlen(Keys().work(Pool.OCR)):
            began = time.monotonic()
        time.sleep(0.5)
    while True:
        metrics.state(WorkerState.IDLE)
        beat(client, WorkerState.IDLE)
        while (lease := take(client)) is not None:
            metrics.taken(lease)
            metrics.state(WorkerState.BUSY)
            beat(client, WorkerState.BUSY)
            for page in lease.pages:
                time.sleep(0.1)
                fails = mode == "failing" and page % 2
                state = PageState.FAILED if fails else PageState.OK
                if fails:
                    commit(client, lease, page, state)
                else:
                    ocr.commit(lease, page)
                timings = {"render": 0.02, "text": 0.01, "engine": 0.07}
                metrics.page_done(
                    PageResult(
                        page=page,
                        state=state,
                        markdown="",
                        source=TextSource.TEXT_LAYER,
                        timings=timings,
                    )
                )
            finish(client, lease)
        time.sleep(0.2)


def beat(client: redis.Redis, state: WorkerState) -> None:
    """Say that this worker lives."""
    record = WorkerRecord(pod="played", pid=os.getpid(), state=state)
    queue_record(client, Keys(), Pool.OCR, "played.0", record)
    client.zadd(Keys().workers(Pool.OCR), {"played.0": time.time()})


if __name__ == "__main__":
    main(*sys.argv[1:])
