"""What delivery is measured on: gateways that can be killed, nginx before them, played jobs."""

import getpass
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import gateway_process
import ledger_steps
import redis

from ocrplus_contract.ledger import Lease, run
from ocrplus_contract.names import Pool
from ocrplus_contract.records import PageRecord
from ocrplus_contract.states import PageState, TextSource
from ocrplus_local.broker import free_port
from ocrplus_local.supervise import die_with_parent

GATEWAY_HEADER: Final = "X-Gateway"
"""Says which gateway answered: only the measurement asks."""

NGINX: Final = "/usr/sbin/nginx"
_PAGE_BYTES: Final = (20, 300, 3900, 9000)  # the last is above what travels in the event itself

# As the chart's ingress sets it; like the ingress controller it never counts a gateway as down.
_CONFIG: Final = """\
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream gateways {{
{servers}
    keepalive 32;
  }}
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 120m;
    location / {{
      proxy_pass http://gateways;
      add_header {header} $upstream_addr always;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_connect_timeout 5s;
      proxy_read_timeout 3600s;
      proxy_send_timeout 3600s;
      proxy_next_upstream error timeout;
    }}
  }}
}}
"""


class Gateways:
    """Gateway processes on fixed ports, each of which can be killed and comes back."""

    def __init__(self, redis_url: str, folder: Path, count: int = 2) -> None:
        self._redis_url = redis_url
        self._folder = folder
        self.ports = [free_port() for _ in range(count)]
        self._stacks = [ExitStack() for _ in range(count)]
        self._running: list[gateway_process.Gateway | None] = [None] * count

    @property
    def http(self) -> list[str]:
        """Addresses for HTTP."""
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    @property
    def ws(self) -> list[str]:
        """Addresses for WebSockets, to be followed by the user."""
        return [f"ws://127.0.0.1:{port}/ws/" for port in self.ports]

    def start(self, index: int) -> None:
        """Run a gateway; returns when it accepts connections."""
        log = (self._folder / f"gateway-{index}.log").open("ab")
        stack = self._stacks[index]
        stack.callback(log.close)
        self._running[index] = stack.enter_context(
            gateway_process.gateway(
                self._redis_url,
                self._folder / "blobs",
                stderr=log,
                OCRPLUS_PORT=str(self.ports[index]),
                OCRPLUS_AUTH__MODE="none",
                OCRPLUS_SHUTDOWN_SECONDS="1",
            )
        )

    def kill(self, index: int) -> None:
        """SIGKILL a gateway."""
        running = self._running[index]
        assert running is not None, "it is not running"
        running.process.send_signal(signal.SIGKILL)
        running.process.wait(10)
        self._stacks[index].close()

    def stop(self) -> None:
        """End them all."""
        for stack in self._stacks:
            stack.close()


@contextmanager
def gateways(redis_url: str, folder: Path) -> Iterator[Gateways]:
    """Two running gateways."""
    (folder / "blobs").mkdir(exist_ok=True)
    pair = Gateways(redis_url, folder)
    try:
        for index in range(len(pair.ports)):
            pair.start(index)
        yield pair
    finally:
        pair.stop()


@contextmanager
def nginx(ports: list[int], folder: Path) -> Iterator[int]:
    """nginx before the gateways; its port."""
    port = free_port()
    servers = "\n".join(f"    server 127.0.0.1:{one} max_fails=0;" for one in ports)
    name = getpass.getuser()
    user = f"user {name};" if name == "root" else ""
    config = folder / "nginx.conf"
    config.write_text(
        _CONFIG.format(folder=folder, port=port, servers=servers, user=user, header=GATEWAY_HEADER)
    )
    command = [NGINX, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    with subprocess.Popen(
        [*command, "-g", "daemon off;"], preexec_fn=die_with_parent, stdin=subprocess.DEVNULL
    ) as child:
        try:
            time.sleep(0.3)
            if child.poll() is not None:
                raise RuntimeError("nginx did not start: " + (folder / "error.log").read_text())
            yield port
        finally:
            child.terminate()
            child.wait(10)


def page_text(task: str, page: int, size: int | None = None) -> str:
    """The text of a page of a played job: always the same for the same page."""
    rng = random.Random(f"{task} {page}")
    size = size or rng.choice(_PAGE_BYTES)
    start = f"{task} page {page} "
    return start + "x" * max(0, size - len(start))


def play(client: redis.Redis, user: str, task: str, pages: int, size: int | None = None) -> None:
    """Admit a job and do all of it through the ledger's scripts."""
    ledger_steps.admit(client, user, task, [(1, pages)])
    lease = ledger_steps.take(client)
    assert lease is not None, "what was admitted waits"
    for page in lease.pages:
        _commit(client, lease, page, size)
    ledger_steps.finish(client, lease)


def _commit(client: redis.Redis, lease: Lease, page: int, size: int | None) -> None:
    text = page_text(lease.task, page, size)
    record = PageRecord(page=page, state=PageState.OK, markdown=text, source=TextSource.OCR)
    call = ledger_steps.LEDGER.commit_page(
        Pool.OCR,
        lease.permit,
        page=page,
        state=PageState.OK,
        record=record.pack(),
        body=record.event_body(lease.task),
        next_page=page + 1 if page < lease.last else None,
    )
    assert run(client, call), "the lease is ours"
