"""`make monitoring-faults`: cause what users feel, and see that the right alert fires in its time.

Four deployments side by side, each in a namespace of its own of one real Prometheus: the real
gateway, caption worker and Valkey, the rules as they are. Only the engine is played, for none of it
depends on what a page costs. When an alert fires, the first command of its runbook is run against
the faulty deployment and must show the cause. Nine minutes, nearly all of them waiting.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import caption_running
import child
import monitoring_scenes as scenes
import played_ocr_worker
import prometheus_server
import redis_server
import results
from caption_process import worker_env
from monitoring import RULES
from monitoring_watch import Outcome, Watch, alerts_firing
from prometheus_server import Prometheus, prometheus

from ocrplus_local.supervise import die_with_parent

if TYPE_CHECKING:
    import subprocess

BUSY_SECONDS: Final = 20.0


def main() -> int:
    """0 when every alert fired in its time, its runbook showed why, and none fired before; 1 when
    not, 2 without Prometheus."""
    try:
        outcomes, false = _run()
    except prometheus_server.Missing as missing:
        print(f"monitoring: {missing}", file=sys.stderr)
        return 2
    limits = {fault.title: fault.within_seconds for fault in scenes.FAULTS}
    bad = []
    for title, limit in limits.items():
        outcome = outcomes.get(title, Outcome(float("inf"), False, "never caused"))
        well = outcome.seconds <= limit and outcome.shown
        print(f"{title}: {outcome.seconds:.0f} s (limit {limit:.0f}), cause shown: {outcome.shown}")
        if not well:
            bad.append(title)
            print(outcome.said, file=sys.stderr)
    if false:
        print(f"fired before any fault: {false}", file=sys.stderr)
    if bad or false:
        return 1
    figures = {
        "alert_after_seconds": {title: outcomes[title].seconds for title in limits},
        "alerts_caused": len({fault.alert for fault in scenes.FAULTS}),
        "causes_shown_by_the_first_command": sum(outcomes[title].shown for title in limits),
        "fired_before": false,
    }
    results.write("monitoring_faults", figures)
    return 0


@dataclass(frozen=True, slots=True)
class _Place:
    """One deployment, what of it is scraped, and what is done to it."""

    deployed: scenes.Deployed
    scraped: Mapping[str, list[str]]
    env: Mapping[str, str]
    scene: Callable[[scenes.Deployed, Watch], None]


_SCENES: Final[
    dict[str, tuple[Callable[[scenes.Deployed, Watch], None], bool, tuple[str, ...]]]
] = {
    "model-and-workers": (scenes.model_and_workers, True, ("",)),
    "poison-and-waiting": (scenes.poison_and_waiting, False, ()),
    "stalls-and-failures": (scenes.stalls_and_failures, True, ("failing",)),
    "server": (scenes.server, False, ("late", str(scenes.LATE_SECONDS))),
}
"""Namespace → what is done, whether there is a caption worker, the played OCR worker's mode."""


def _run() -> tuple[dict[str, Outcome], list[str]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocrplus-faults-")))
        places = {name: _place(stack, folder, name) for name in _SCENES}
        scraped = {name: place.scraped for name, place in places.items()}
        server = stack.enter_context(prometheus(scraped, RULES))
        busy = places["model-and-workers"].deployed.running
        scenes.submit_for(busy, BUSY_SECONDS)
        false = sorted({labels["alertname"] for labels in alerts_firing(server)})
        return _causing(server, places), false


def _place(stack: ExitStack, folder: Path, name: str) -> _Place:
    scene, captions, mode = _SCENES[name]
    blobs = folder / name
    blobs.mkdir()
    redis = stack.enter_context(redis_server.running("valkey"))
    running = stack.enter_context(caption_running.deployed(redis, blobs))
    scraped = {"gateway": [running.gateway.metrics]}
    if captions:
        scraped["caption-worker"] = [stack.enter_context(running.worker()).metrics]
    worker = None
    if mode:
        worker, url = stack.enter_context(_ocr_worker(running, mode))
        scraped["ocr-worker"] = [url]
    env = worker_env(redis.url, blobs, running.vlm.base_url, OCRPLUS_LEASE_SECONDS="2")
    return _Place(scenes.Deployed(running, worker), scraped, env, scene)


def _causing(server: Prometheus, places: Mapping[str, _Place]) -> dict[str, Outcome]:
    watches = {name: Watch(server, name, place.env) for name, place in places.items()}
    with ThreadPoolExecutor(len(places), "scene") as pool:
        ends = [
            pool.submit(place.scene, place.deployed, watches[name])
            for name, place in places.items()
        ]
        for end in ends:
            end.result()
    return {title: o for watch in watches.values() for title, o in watch.outcomes.items()}


@contextmanager
def _ocr_worker(
    running: caption_running.Running, mode: tuple[str, ...]
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    command = [sys.executable, played_ocr_worker.__file__, running.redis_url, str(running.blobs)]
    with child.running([*command, *mode], preexec_fn=die_with_parent) as process:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())["metrics"]


if __name__ == "__main__":
    sys.exit(main())
