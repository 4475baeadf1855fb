"""The real services for a benchmark: `ocrplus serve` as a child, its processes, its clients."""

import asyncio
import base64
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import child
import psutil
import redis
import websockets

from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool
from ocrplus_contract.records import WorkerRecord
from ocrplus_contract.states import WorkerState
from ocrplus_local.supervise import die_with_parent


@dataclass(frozen=True)
class Service:
    """A running deployment on this machine."""

    http: str
    redis_url: str
    metrics: dict[str, list[str]]

    @property
    def client(self) -> "redis.Redis":
        """A client that returns bytes."""
        return redis.Redis.from_url(self.redis_url)

    def workers(self) -> dict[str, WorkerRecord]:
        """Records of the live engine processes by worker id."""
        client, keys = self.client, Keys()
        found: dict[str, WorkerRecord] = {}
        members: Any = client.zrange(keys.workers(Pool.OCR), 0, -1)  # bytes
        for member in members:
            worker_id = member.decode()
            record = WorkerRecord.from_hash(client.hgetall(keys.worker(Pool.OCR, worker_id)))
            if record is not None:
                found[worker_id] = record
        return found

    def wait_for_idle(self, count: int, timeout_seconds: float = 120) -> None:
        """Wait until `count` engine processes are warm and idle."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            idle = [w for w in self.workers().values() if w.state is WorkerState.IDLE]
            if len(idle) >= count:
                return
            time.sleep(0.2)
        raise TimeoutError(f"no {count} idle workers: {self.workers()}")

    def trees(self) -> list[list[psutil.Process]]:
        """Each worker replica's processes, its parent first."""
        parents = {psutil.Process(record.pid).ppid() for record in self.workers().values()}
        return [[p, *p.children(recursive=True)] for p in map(psutil.Process, sorted(parents))]

    def cpu_seconds(self) -> float:
        """CPU seconds used so far by all worker replicas."""
        total = 0.0
        for tree in self.trees():
            total += sum(sum(process.cpu_times()[:2]) for process in tree)
        return total

    def convert(self, user: str, task: str, pdf: bytes, timeout_seconds: float = 900) -> Any:
        """Convert one document as an original client does; the two messages it got."""
        return asyncio.run(original_client(self.http, user, task, pdf, timeout_seconds))


async def original_client(
    http: str, user: str, task: str, pdf: bytes, timeout_seconds: float = 900
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Speak the original protocol: submit, receive `submitted`, then the result or an error."""
    url = http.replace("http://", "ws://") + f"/ws/{user}"
    async with (
        asyncio.timeout(timeout_seconds),
        websockets.connect(url, max_size=None, compression=None) as socket,
    ):
        message = {"task_id": task, "pdf_file": base64.b64encode(pdf).decode()}
        await socket.send(json.dumps(message))
        first = await _next_of(socket, task)
        if first.get("status") != "submitted":
            return first, first
        return first, await _next_of(socket, task)


async def _next_of(socket: "websockets.ClientConnection", task: str) -> dict[str, Any]:
    """The next message of a task; what another socket of this user did not confirm comes too."""
    while True:
        message: dict[str, Any] = json.loads(await socket.recv())
        if message["task_id"] == task:
            return message


@contextmanager
def service(*, workers: int = 1, env: dict[str, str] | None = None) -> Iterator[Service]:
    """Start `ocrplus serve` on free ports, wait for warm workers, end all of it afterwards."""
    command = [sys.executable, "-m", "ocrplus_local", "serve", "--port", "0"]
    command += ["--workers", str(workers)]
    environment = {**os.environ, **(env or {})}
    with child.running(
        command, ends_within=60, env=environment, preexec_fn=die_with_parent
    ) as process:
        assert process.stdout is not None
        ready: dict[str, Any] = {}
        while not ready.get("ready"):
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("ocrplus serve ended before it was ready")
            ready = json.loads(line) if line.startswith("{") else {}
        running = Service(ready["http"], ready["redis"], ready["metrics"])
        running.wait_for_idle(workers)
        yield running
