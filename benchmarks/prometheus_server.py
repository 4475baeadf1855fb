"""A real Prometheus (Debian's package) over the processes of one machine, asked by its HTTP API."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import child
import httpx
import yaml

from ocrplus_local.supervise import die_with_parent

EVERY: Final = "2s"
NAMESPACE: Final = "local"
_READY_SECONDS: Final = 30
_VARIABLES: Final = {"$namespace": ".*", "$__rate_interval": "30s"}


class Missing(Exception):
    """There is no Prometheus on this machine; the message says how to get one."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server."""

    url: str

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """What the API answers under `data`."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=params, timeout=30)
        answer.raise_for_status()
        return answer.json()["data"]

    def range(self, promql: str, seconds: float, step: float = 2) -> list[dict[str, Any]]:
        """Series of a dashboard's query over the last seconds, Grafana's variables filled in."""
        for variable, value in _VARIABLES.items():
            promql = promql.replace(variable, value)
        now = time.time()
        asked = {"query": promql, "start": now - seconds, "end": now, "step": step}
        series: list[dict[str, Any]] = self.get("query_range", asked)["result"]
        return series

    def series(self) -> list[dict[str, str]]:
        """Labels of every series that is there."""
        found: list[dict[str, str]] = self.get("series", {"match[]": '{__name__=~".+"}'})
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health, and what an alert's state is."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def silent(self) -> list[str]:
        """Targets that could not be scraped."""
        targets = self.get("targets")["activeTargets"]
        return [t["scrapeUrl"] for t in targets if t["health"] != "up"]


Scraped = Mapping[str, Mapping[str, Sequence[str]]]
"""Namespace → component → URLs of /metrics."""


@contextmanager
def prometheus(metrics: Scraped, rules: Sequence[Path]) -> Iterator[Prometheus]:
    """Scrape what is given for the length of a block.

    Raises:
        Missing: it is not installed.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise Missing("prometheus is missing: Debian has it as the package prometheus")
    with tempfile.TemporaryDirectory(prefix="ocrplus-prometheus-") as name:
        folder, port = Path(name), _free_port()
        (folder / "prometheus.yml").write_text(yaml.safe_dump(_configuration(metrics, rules)))
        command = [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        options: dict[str, Any] = {"preexec_fn": die_with_parent, "stderr": subprocess.STDOUT}
        with child.running(command, ends_within=20, **options):
            server = Prometheus(f"http://127.0.0.1:{port}")
            _wait_until_ready(server.url)
            yield server


def _configuration(metrics: Scraped, rules: Sequence[Path]) -> dict[str, Any]:
    components = sorted({component for given in metrics.values() for component in given})
    return {
        "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [
            {
                "job_name": component,
                "static_configs": [
                    {
                        "targets": [urlsplit(url).netloc for url in given.get(component, ())],
                        "labels": {"namespace": namespace},
                    }
                    for namespace, given in metrics.items()
                ],
            }
            for component in components
        ],
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/-/ready", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError("Prometheus was not ready in time")
