"""Master, replica and sentinel, real ones: every room finds the master, and after it its heir."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis_server
from redis import exceptions

from ocrplus_caption.process import _connect as caption_client
from ocrplus_contract.sentinels import BadSentinelUrl, Sentinels
from ocrplus_contract.server import connect
from ocrplus_contract.settings import CaptionWorkerSettings, CommonSettings
from ocrplus_gateway.app import connect_async
from ocrplus_local.broker import free_port
from ocrplus_operator.observe import sentinels as operators

RING = """
import sys
from kombu import Connection
from ocrplus_contract.broker import celery_options
from ocrplus_contract.settings import CommonSettings
options = celery_options(CommonSettings())
transport = options["broker_transport_options"]
with Connection(options["broker_url"], transport_options=transport) as broker:
    queue = broker.SimpleQueue("ocr")
    queue.put(sys.argv[1])
    heard = queue.get(timeout=5)
    heard.ack()
    print(heard.payload)
"""
PASSWORD = "a word/with: @signs"


class Trio:
    """Master and replica with a password, and one sentinel that may decide alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in ("master", "replica", "sentinel")}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        keys = f'requirepass "{PASSWORD}"\nmasterauth "{PASSWORD}"\nsave ""\n'
        keys += "repl-diskless-sync-delay 0\n"
        self._start("master", keys)
        self._await("master")
        self._start("replica", keys + f"replicaof 127.0.0.1 {self.ports['master']}\n")
        self._await("replica")
        watch = f"sentinel monitor ocr 127.0.0.1 {self.ports['master']} 1\n"
        watch += f'sentinel auth-pass ocr "{PASSWORD}"\nsentinel down-after-milliseconds ocr 500\n'
        watch += "sentinel failover-timeout ocr 3000\n"
        self._start("sentinel", watch, "--sentinel")

    def _start(self, name: str, config: str, *more: str) -> None:
        file = self.folder / f"{name}.conf"
        file.write_text(f"bind 127.0.0.1\nport {self.ports[name]}\ndir {self.folder}\n{config}")
        self.processes[name] = subprocess.Popen(
            [str(redis_server.binary("valkey")), str(file), *more],
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL),
        )

    def client(self, name: str) -> redis.Redis:
        password = None if name == "sentinel" else PASSWORD
        return redis.Redis(port=self.ports[name], password=password)

    def _await(self, name: str) -> None:
        with self.client(name) as client:
            until(lambda: client.ping())

    @property
    def url(self) -> str:
        quoted = "a%20word%2Fwith%3A%20%40signs"
        nobody = f"127.0.0.1:{free_port()}"
        return f"redis+sentinel://:{quoted}@{nobody},127.0.0.1:{self.ports['sentinel']}/ocr/3"

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait(10)


def until(what: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := what():
                return found
        except (exceptions.RedisError, OSError):
            pass
        assert time.monotonic() < deadline, f"did not come to pass in {seconds} s"
        time.sleep(0.05)


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Trio]:
    found = Trio(tmp_path)
    try:
        with found.client("sentinel") as watcher:
            until(lambda: watcher.execute_command("SENTINEL", "replicas", "ocr"))
        with found.client("replica") as replica:
            until(lambda: replica.info("replication")["master_link_status"] == "up")
        yield found
    finally:
        found.end()


async def test_every_room_speaks_to_the_master_and_after_its_death_to_its_heir(trio: Trio) -> None:
    settings = CommonSettings(redis_url=trio.url)
    rooms = connect_async(trio.url), caption_client(CaptionWorkerSettings(redis_url=trio.url))
    reader = operators.client(trio.url, socket_timeout=2)

    with connect(settings) as client:
        client.set("word", "before")
        assert _rings(trio.url, "first")
        for room in (*rooms, reader):
            assert await room.get("word") == b"before"
        with redis.Redis(port=trio.ports["master"], password=PASSWORD, db=3) as master:
            assert master.get("word") == b"before", "the database of the URL"
        with redis.Redis(port=trio.ports["replica"], password=PASSWORD, db=3) as replica:
            until(lambda: replica.get("word"))
        trio.processes["master"].kill()

        client.set("word", "after")

        for room in rooms:
            assert await room.get("word") == b"after"
        assert until(lambda: _rings(trio.url, "second"))
    for room in (*rooms, reader):
        await room.aclose()
        await room.connection_pool.disconnect()


def _rings(url: str, word: str) -> bool:
    """Whether a message of Celery's own comes through, by a new connection as after a loss."""
    # In a process of its own: kombu leaves its sockets to sentinels to the collector.
    command = [sys.executable, "-c", RING, word]
    env = {**os.environ, "OCRPLUS_REDIS_URL": url}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() == word


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://one,two:26380/ocr",
        "redis+sentinel://user:a%2Fb@[::1]:26380,two/ocr/4?sentinel_password=c",
        "redis+sentinel://:a@one/ocr",
    ],
)
def test_operator_and_services_read_a_url_alike(url: str) -> None:
    services = Sentinels.of(url)
    hosts, master, server, asking = operators.read(url)

    assert services is not None
    assert list(services.hosts) == hosts
    assert services.master == master
    assert services.server_options == server
    assert services.sentinel_password == asking["password"]


@pytest.mark.parametrize(
    "url", ["redis+sentinel:///ocr", "redis+sentinel://one", "redis+sentinel://one/a/b"]
)
def test_a_url_that_lacks_a_part_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BadSentinelUrl, match="needs hosts"):
        Sentinels.of(url)


def test_an_ordinary_url_is_none_of_sentinels() -> None:
    assert Sentinels.of("rediss://:a@host:6380/0") is None
