"""All services of one machine, composed: broker, gateway, OCR workers, a caption worker."""

import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis

from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool
from ocrplus_contract.states import WorkerState
from ocrplus_local import broker
from ocrplus_local.supervise import Child, ChildFailed

_READY_SECONDS: Final = 60
_WARM_SECONDS: Final = 300
_WATCH_SECONDS: Final = 0.2
_MOST_RESTART_PAUSE_SECONDS: Final = 30.0


def captions_configured() -> bool:
    """Whether the environment names a vision-language endpoint."""
    names = ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_API_KEY_FILE")
    return any(os.environ.get(name) for name in names)


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How to run it. `port` 0 is a free one; `verbose` sends the children's logs to our stderr."""

    port: int = 0
    workers: int = 1
    verbose: bool = False


class Stack:
    """The services while the `with` block runs; nothing of them stays behind."""

    def __init__(self, options: StackOptions, *, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._folder = Path(tempfile.mkdtemp(prefix="ocrplus-"))
        self._temporary = self._folder / "tmp"
        self._temporary.mkdir()
        self._broker: Child | None = None
        self._gateway: Child | None = None
        self._workers: list[Child] = []
        self._captioner: Child | None = None
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._failure: str | None = None
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)
        self.redis_url = ""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def http(self) -> str:
        """Base URL of the gateway."""
        assert self._gateway is not None
        return str(self._gateway.ready["http"])

    @property
    def metrics(self) -> dict[str, list[str]]:
        """URLs of /metrics by component."""
        assert self._gateway is not None
        return {
            "gateway": [str(self._gateway.ready["metrics"])],
            "ocr-worker": [str(worker.ready["metrics"]) for worker in self._workers],
            "caption-worker": [str(self._captioner.ready["metrics"])] if self._captioner else [],
        }

    def check(self) -> None:
        """Raise ChildFailed if a service that must stay has ended."""
        if self._failure is not None:
            raise ChildFailed(self._failure)

    def _log(self, name: str) -> Path | None:
        return None if self._options.verbose else self._folder / f"{name}.log"

    def _start(self) -> None:
        given = broker.given_url()
        if given is not None:
            self.redis_url = given
        else:
            self._say("starting an embedded Valkey server")
            data = self._folder / "valkey"
            data.mkdir()
            self._broker, self.redis_url = broker.embedded(data, self._log("valkey"))
        self._say(f"starting the gateway and {self._options.workers} OCR worker(s)")
        self._gateway = self._python("gateway", "ocrplus_gateway", self._gateway_env())
        for number in range(self._options.workers):
            env = self._worker_env(number)
            self._workers.append(self._python(f"ocr-worker-{number}", "ocrplus_ocr", env))
        if captions_configured():
            self._captioner = self._python("caption-worker", "ocrplus_caption", self._caption_env())
        else:
            self._say("captions are off: set OPENAI_BASE_URL or OPENAI_API_KEY to have them")
        self._gateway.wait_ready(_READY_SECONDS)
        if self._captioner is not None:
            self._captioner.wait_ready(_READY_SECONDS)
        for worker in self._workers:
            worker.wait_ready(_READY_SECONDS)
        self._watcher.start()

    def _python(self, name: str, module: str, env: dict[str, str]) -> Child:
        child = Child(name, [sys.executable, "-m", module], env, self._log(name))
        child.start()
        return child

    def _common_env(self) -> dict[str, str]:
        blobs = (self._folder / "blobs").as_uri()
        return {
            **os.environ,
            "PYTHONSAFEPATH": "1",
            "TMPDIR": str(self._temporary),  # a killed child's files go with ours
            "OCRPLUS_REDIS_URL": self.redis_url,
            "OCRPLUS_BLOB_URL": os.environ.get("OCRPLUS_BLOB_URL", blobs),
            "OCRPLUS_METRICS_PORT": "0",
        }

    def _gateway_env(self) -> dict[str, str]:
        return {
            **self._common_env(),
            "OCRPLUS_PORT": str(self._options.port),
            # One port is one process's; the others' are free ones, printed.
            "OCRPLUS_METRICS_PORT": os.environ.get("OCRPLUS_METRICS_PORT", "0"),
        }

    def _worker_env(self, number: int) -> dict[str, str]:
        cores = max(1, (os.cpu_count() or 1) // self._options.workers)
        threads = cores if os.environ.get("OCRPLUS_DEVICE", "cpu") == "cpu" else 0
        return {
            **self._common_env(),
            "OCRPLUS_POD_NAME": f"{socket.gethostname()}-{os.getpid()}-{number}",
            "OCRPLUS_ENGINE_THREADS": os.environ.get("OCRPLUS_ENGINE_THREADS", str(threads)),
        }

    def _caption_env(self) -> dict[str, str]:
        return {
            **self._common_env(),
            "OCRPLUS_POD_NAME": f"{socket.gethostname()}-{os.getpid()}-captions",
        }

    def wait_warm(self) -> None:
        """Wait until one of our engines is warm.

        Raises:
            ChildFailed: a service ended, or no engine was warm in time.
        """
        self._say("warming the OCR engine")
        client = redis.Redis.from_url(self.redis_url)
        keys = Keys(os.environ.get("OCRPLUS_KEY_PREFIX", ""))
        mine = f"{socket.gethostname()}-{os.getpid()}-".encode()
        deadline = time.monotonic() + _WARM_SECONDS
        while time.monotonic() < deadline:
            self.check()
            members: Any = client.zrange(keys.workers(Pool.OCR), 0, -1)  # bytes
            for member in members:
                record: Any = client.hget(keys.worker(Pool.OCR, member.decode()), "state")
                if member.startswith(mine) and record not in (None, WorkerState.WARMING.encode()):
                    return
            time.sleep(0.1)
        raise ChildFailed("no OCR engine was warm in time; run again with --verbose")

    def _watch(self) -> None:
        """A gateway or broker that ends is the end; a worker is started again."""
        kept = [*self._workers, *([self._captioner] if self._captioner else [])]
        pauses = dict.fromkeys(range(len(kept)), 0.5)
        while not self._stopping.wait(_WATCH_SECONDS):
            for child in (self._broker, self._gateway):
                if child is not None and child.ended and self._failure is None:
                    self._failure = child.obituary()
            for number, worker in enumerate(kept):
                if worker.ended and not self._stopping.wait(pauses[number]):
                    pauses[number] = min(pauses[number] * 2, _MOST_RESTART_PAUSE_SECONDS)
                    self._say(f"{worker.name} ended and is started again")
                    worker.start()
        # The kernel ends a child with the thread that started it: stay until they have ended.
        self._stopped.wait()

    def stop(self) -> None:
        """End workers, gateway and broker, in this order, and forget their files."""
        self._stopping.set()
        # With a server of ours the work goes with it; a server of the user's gets a chunk's end.
        grace = 2.0 if self._broker is not None else 30.0
        workers = [*self._workers, *([self._captioner] if self._captioner else [])]
        for worker in workers:
            if not worker.ended:
                os.kill(worker.pid, 15)
        for child in (*workers, self._gateway, self._broker):
            if child is not None:
                child.stop(grace)
        self._stopped.set()
        if self._watcher.is_alive():
            self._watcher.join()
        shutil.rmtree(self._folder, ignore_errors=True)
