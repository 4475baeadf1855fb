"""`make monitoring-faults`: cause what users feel, and see that the right alert fires in its time.

The real gateway, caption worker, Valkey and Prometheus with the rules as they are; only the engine
is played, for none of it depends on what a page costs. Eight minutes, nearly all of them waiting.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import caption_running
import child
import played_ocr_worker
import prometheus_server
import redis_server
import results
from monitoring import RULES
from prometheus_server import Prometheus, prometheus

from ocrplus_local.supervise import die_with_parent

BUSY_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: the alert that must fire, how soon (its windows, its `for`, some scrapes)."""

    name: str
    alert: str
    within_seconds: float
    labels: dict[str, str] = field(default_factory=dict)


MODEL_STOPS: Final = Fault("the model stops", "OcrplusCaptionBreakerOpen", 180)
REDIS_FULL: Final = Fault("Redis fills", "OcrplusRedisMemoryHigh", 150)
WORKERS_DIE: Final = Fault("the workers are killed", "OcrplusQueueStalled", 400)
WORKERS_SILENT: Final = Fault(
    "the workers are killed", "OcrplusProcessSilent", 90, {"job": "ocr-worker"}
)
GATEWAY_STALLS: Final = Fault(
    "a gateway is stopped", "OcrplusProcessSilent", 90, {"job": "gateway"}
)


def main() -> int:
    """0 when every alert fired in its time and none before, 1 when not, 2 without Prometheus."""
    try:
        took, false = _run()
    except prometheus_server.Missing as missing:
        print(f"monitoring: {missing}", file=sys.stderr)
        return 2
    late = [fault for fault, seconds in took.items() if seconds > fault_limit(fault)]
    for name, seconds in took.items():
        print(f"{name}: {seconds:.0f} s (limit {fault_limit(name):.0f})")
    if false:
        print(f"fired before any fault: {false}", file=sys.stderr)
    if not late and not false:
        results.write("monitoring_faults", {"alert_after_seconds": took, "fired_before": false})
    return 1 if late or false else 0


_FAULTS: Final = (MODEL_STOPS, REDIS_FULL, WORKERS_DIE, WORKERS_SILENT, GATEWAY_STALLS)


def _title(fault: Fault) -> str:
    return f"{fault.name}: {fault.alert}"


def fault_limit(title: str) -> float:
    """Seconds within which a fault's alert has to fire."""
    return next(fault.within_seconds for fault in _FAULTS if _title(fault) == title)


def _run() -> tuple[dict[str, float], list[str]]:
    with (
        tempfile.TemporaryDirectory(prefix="ocrplus-faults-") as name,
        redis_server.running("valkey") as redis,
        caption_running.deployed(redis, Path(name)) as running,
        running.worker() as captioner,
        _ocr_worker(running) as worker,
    ):
        scraped = {
            "gateway": [running.gateway.metrics],
            "caption-worker": [captioner.metrics],
            "ocr-worker": [worker.metrics],
        }
        with prometheus(scraped, RULES) as server:
            return _causing(server, running, worker)


def _causing(
    server: Prometheus, running: caption_running.Running, worker: "_Worker"
) -> tuple[dict[str, float], list[str]]:
    watch = _Watch(server)
    _submit_for(running, BUSY_SECONDS)
    false = watch.firing_names()

    running.vlm.control(mode="error")
    watch.begin(MODEL_STOPS)
    _submit_for(running, 5)
    used = int(running.client.info("memory")["used_memory"])
    running.client.config_set("maxmemory", int(used * 1.15))
    watch.begin(REDIS_FULL)
    watch.until(REDIS_FULL)
    running.client.config_set("maxmemory", 0)

    worker.kill()
    watch.begin(WORKERS_DIE, WORKERS_SILENT)
    running.submit("after", 3)
    watch.until(MODEL_STOPS, WORKERS_DIE, WORKERS_SILENT)

    pid = running.gateway.process.pid
    os.kill(pid, signal.SIGSTOP)
    watch.begin(GATEWAY_STALLS)
    try:
        watch.until(GATEWAY_STALLS)
    finally:
        os.kill(pid, signal.SIGCONT)
    return watch.took, false


def _submit_for(running: caption_running.Running, seconds: float) -> None:
    ends, number = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        number += 1
        running.submit(f"task-{time.monotonic_ns()}", 1 + number % 2)
        time.sleep(0.5)


@dataclass(frozen=True)
class _Worker:
    metrics: str
    process: "subprocess.Popen[str]"

    def kill(self) -> None:
        self.process.kill()


@contextmanager
def _ocr_worker(running: caption_running.Running) -> Iterator[_Worker]:
    command = [sys.executable, played_ocr_worker.__file__, running.redis_url, str(running.blobs)]
    with child.running(command, preexec_fn=die_with_parent) as process:
        assert process.stdout is not None
        yield _Worker(json.loads(process.stdout.readline())["metrics"], process)


class _Watch:
    """Since when each fault is, and when its alert was seen to fire."""

    def __init__(self, server: Prometheus) -> None:
        self._server = server
        self._began: dict[str, tuple[Fault, float]] = {}
        self.took: dict[str, float] = {}

    def begin(self, *faults: Fault) -> None:
        """The fault is there now."""
        for fault in faults:
            self._began[_title(fault)] = (fault, time.monotonic())

    def until(self, *faults: Fault) -> None:
        """Wait for their alerts, each for twice its time at most."""
        deadline = time.monotonic() + 2 * max(fault.within_seconds for fault in faults)
        wanted = {_title(fault) for fault in faults}
        while not wanted <= self.took.keys() and time.monotonic() < deadline:
            self._look()
            time.sleep(_LOOK_SECONDS)
        for title in wanted - self.took.keys():
            self.took[title] = float("inf")

    def _look(self) -> None:
        firing = self._firing()
        for title, (fault, began) in self._began.items():
            if title not in self.took and any(_is(fault, labels) for labels in firing):
                self.took[title] = round(time.monotonic() - began, 1)

    def _firing(self) -> list[dict[str, str]]:
        alerts: list[dict[str, Any]] = self._server.get("alerts")["alerts"]
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]

    def firing_names(self) -> list[str]:
        """What fires now."""
        return sorted({labels["alertname"] for labels in self._firing()})


def _is(fault: Fault, labels: dict[str, str]) -> bool:
    asked = {"alertname": fault.alert, **fault.labels}
    return asked.items() <= labels.items()


if __name__ == "__main__":
    sys.exit(main())
