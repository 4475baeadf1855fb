"""A server that speaks TLS only, under its own authority: every room reaches it by its URL."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from ocrplus_contract.server import connect
from ocrplus_contract.settings import CommonSettings
from ocrplus_gateway.app import connect_async
from ocrplus_local.broker import free_port
from ocrplus_operator.observe import sentinels

SERVER = shutil.which("redis-server")  # the embedded one is built without TLS
RING = """
from kombu import Connection
from ocrplus_contract.broker import celery_options
from ocrplus_contract.settings import CommonSettings
options = celery_options(CommonSettings())
with Connection(
    options["broker_url"], transport_options=options["broker_transport_options"]
) as broker:
    queue = broker.SimpleQueue("ocr")
    queue.put("heard")
    message = queue.get(timeout=5)
    message.ack()
    print(message.payload)
"""


def _authority(folder: Path) -> None:
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.crt")]
    subprocess.run(
        ["openssl", "req", "-x509", *key, *subject, *files],
        capture_output=True,
        timeout=30,
        check=True,
    )


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    if SERVER is None or shutil.which("openssl") is None:
        pytest.skip("needs Debian's redis-server and openssl: apt-get install redis-server openssl")
    _authority(tmp_path)
    port = free_port()
    options = {
        "port": "0",
        "tls-port": str(port),
        "bind": "127.0.0.1",
        "tls-cert-file": str(tmp_path / "ca.crt"),
        "tls-key-file": str(tmp_path / "key.pem"),
        "tls-auth-clients": "no",
        "requirepass": "secret",
        "save": "",
        "dir": str(tmp_path),
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    server = subprocess.Popen(
        [SERVER, *words],
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL),
    )
    address = f"rediss://:secret@127.0.0.1:{port}/0?ssl_ca_certs={tmp_path / 'ca.crt'}"
    try:
        _await(address)
        yield address
    finally:
        server.kill()
        server.wait(10)


def _await(url: str) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            with redis.Redis.from_url(url, retry=None) as client:
                client.ping()
            return
        except redis.ConnectionError:
            assert time.monotonic() < deadline, "the server did not come up"
            time.sleep(0.05)


async def test_every_room_reaches_a_server_that_speaks_tls_only(url: str) -> None:
    rooms = connect_async(url), sentinels.client(url, socket_timeout=2)

    with connect(CommonSettings(redis_url=url)) as client:
        client.set("word", "seen")
        for room in rooms:
            assert await room.get("word") == b"seen"
            await room.aclose()
            await room.connection_pool.disconnect()


def test_a_doorbell_rings_over_tls(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RING],
        env={**os.environ, "OCRPLUS_REDIS_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout.strip(), done.returncode) == ("heard", 0), done.stderr[-800:]


def test_a_certificate_of_nobody_known_is_refused(url: str) -> None:
    bare = url.partition("?")[0]

    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        redis.Redis.from_url(bare, retry=None).ping()
