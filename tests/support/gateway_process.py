"""A real gateway as a child process, and a worker played by the test."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import child
import redis
from ledger_steps import commit, finish, take


@dataclass(frozen=True)
class Gateway:
    """A running gateway process."""

    http: str
    metrics: str
    process: "subprocess.Popen[str]"

    @property
    def ws(self) -> str:
        return self.http.replace("http", "ws", 1) + "/ws/"


@contextmanager
def gateway(redis_url: str, blobs: Path, *, stderr: Any = None, **env: str) -> Iterator[Gateway]:
    """Run `python -m ocrplus_gateway` on free ports."""
    environment = {
        **os.environ,
        "OCRPLUS_REDIS_URL": redis_url,
        "OCRPLUS_BLOB_URL": blobs.as_uri(),
        "OCRPLUS_PORT": "0",
        "OCRPLUS_METRICS_PORT": "0",
        "OCRPLUS_LOG_LEVEL": "warning",
        **env,
    }
    command = [sys.executable, "-m", "ocrplus_gateway"]
    with child.running(command, env=environment, stderr=stderr) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield Gateway(ready["http"], ready["metrics"], process)


def play_worker(client: redis.Redis) -> int:
    """Take and commit everything that waits; how many pages."""
    pages = 0
    while (lease := take(client)) is not None:
        for page in lease.pages:
            commit(client, lease, page)
            pages += 1
        finish(client, lease)
    return pages
