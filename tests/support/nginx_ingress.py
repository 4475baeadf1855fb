"""Debian's nginx as ingress-nginx would set it up from an Ingress's annotations.

The controller itself needs an image registry; what it makes of these annotations is documented and
small. They are read from the Ingress in the cluster, so a missing one keeps nginx's own default.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from release import Release

_PREFIX: Final = "nginx.ingress.kubernetes.io/"
# The annotation, nginx's directive, the unit that the annotation leaves out.
_DIRECTIVES: Final = {
    "proxy-body-size": ("client_max_body_size", ""),
    "proxy-read-timeout": ("proxy_read_timeout", "s"),
    "proxy-send-timeout": ("proxy_send_timeout", "s"),
    "proxy-connect-timeout": ("proxy_connect_timeout", "s"),
    "proxy-request-buffering": ("proxy_request_buffering", ""),
    "proxy-buffering": ("proxy_buffering", ""),
}
_CONFIGURATION: Final = """\
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://{address};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      {directives}
    }}
  }}
}}
"""


def missing(release: Release) -> str:
    """What this machine lacks; empty when all is there."""
    if shutil.which("nginx") is None:
        return "nginx is not installed"
    host, port = _gateway(release)
    try:
        socket.create_connection((host, port), 3).close()
    except OSError:
        return "Services have no addresses here: e2e_node.py runs in the cluster's network"
    return ""


def _gateway(release: Release) -> tuple[str, int]:
    """Address of the gateway's Service."""
    for service in release.objects("services", "gateway"):
        for port in service["spec"]["ports"]:
            if port["name"] == "http":
                return service["spec"]["clusterIP"], port["port"]
    raise LookupError("the release has no Service for the gateway")


@contextmanager
def running(release: Release) -> Iterator[str]:
    """Run nginx before the release's gateway; its address."""
    host, port = _gateway(release)
    (ingress,) = release.objects("ingresses")
    with tempfile.TemporaryDirectory(prefix="nginx-") as name:
        listen = _free_port()
        text = _CONFIGURATION.format(
            folder=name,
            port=listen,
            address=f"{host}:{port}",
            directives=" ".join(directives(ingress["metadata"].get("annotations", {}))),
        )
        path = Path(name) / "nginx.conf"
        path.write_text(text)
        with subprocess.Popen(["nginx", "-c", str(path)]) as process:
            try:
                _wait(listen)
                yield f"http://127.0.0.1:{listen}"
            finally:
                process.terminate()
                process.wait(30)


def directives(annotations: dict[str, str]) -> list[str]:
    """What nginx is told by an Ingress's annotations."""
    given = {key.removeprefix(_PREFIX): value for key, value in annotations.items()}
    return [
        f"{directive} {given[name]}{unit};"
        for name, (directive, unit) in _DIRECTIVES.items()
        if name in given
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, "nginx does not listen"
        time.sleep(0.05)
