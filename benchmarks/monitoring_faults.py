"""`make monitoring-faults`: cause what users feel, and see that the right alert fires in its time.

Six deployments side by side, each in a namespace of its own of one real Prometheus: the real
gateway, caption worker and Valkey, the rules as they are. Only the engine is played, for none of it
depends on what a page costs. When an alert fires, the first command of its runbook is run against
the faulty deployment and must show the cause. Nine minutes, nearly all of them waiting.

`--only NAME…` runs these deployments alone, by namespace; the results keep what others showed
before, and say of which run it is.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import caption_running
import child
import monitoring_scenes as scenes
import played_ocr_worker
import prometheus_server
import redis_server
import results
from caption_process import CaptionWorker, worker_env
from monitoring import RULES
from monitoring_watch import Fault, Outcome, Watch, alerts_firing
from prometheus_server import Prometheus, prometheus

from ocrplus_local.supervise import die_with_parent

if TYPE_CHECKING:
    import subprocess

BUSY_SECONDS: Final = 20.0


_RESULTS: Final = "monitoring_faults"


def main() -> int:
    """0 when every alert fired in its time, its runbook showed why, and none fired before; 1 when
    not, 2 without Prometheus."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=list(_PLANS), default=list(_PLANS))
    names: list[str] = parser.parse_args().only
    try:
        outcomes, false = _run(names)
    except prometheus_server.Missing as missing:
        print(f"monitoring: {missing}", file=sys.stderr)
        return 2
    well = [_went_well(fault, outcomes) for name in names for fault in scenes.FAULTS[name]]
    if false:
        print(f"fired before any fault: {false}", file=sys.stderr)
    if false or not all(well):
        return 1
    results.write(_RESULTS, figures(names, {title: o.seconds for title, o in outcomes.items()}))
    return 0


def _went_well(fault: Fault, outcomes: Mapping[str, Outcome]) -> bool:
    limit = fault.within_seconds
    outcome = outcomes.get(fault.title, Outcome(float("inf"), False, "never caused"))
    told = f"{outcome.seconds:.0f} s (limit {limit:.0f}), cause shown: {outcome.shown}"
    print(f"{fault.title}: {told}")
    well = outcome.seconds <= limit and outcome.shown
    if not well:
        print(outcome.said, file=sys.stderr)
    return well


def figures(names: Sequence[str], seconds: Mapping[str, float]) -> dict[str, Any]:
    """Of a run in which all went well; else nothing is written. Of deployments that were not run:
    what the results have of them, and of which run that is."""
    before = results.read(_RESULTS)
    origin = results.origin(_RESULTS)
    known = {**before.get("alert_after_seconds", {}), **seconds}
    faults = {
        name: [fault for fault in of_it if fault.title in known]
        for name, of_it in scenes.FAULTS.items()
    }
    shown = [fault for of_it in faults.values() for fault in of_it]
    kept = {
        name: before.get("kept_of_other_runs", {}).get(name, origin)
        for name, of_it in faults.items()
        if of_it and name not in names
    }
    return {
        "alert_after_seconds": {fault.title: known[fault.title] for fault in shown},
        "alerts_caused": len({fault.alert for fault in shown}),
        "causes_shown_by_the_first_command": len(shown),
        "fired_before": [],
        **({"kept_of_other_runs": kept} if kept else {}),
    }


@dataclass(frozen=True, slots=True)
class _Place:
    """One deployment, what of it is scraped, and what is done to it."""

    deployed: scenes.Deployed
    scraped: Mapping[str, list[str]]
    env: Mapping[str, str]
    scene: Callable[[scenes.Deployed, Watch], None]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is done, the played OCR worker's mode, whether there is a caption worker, and whether
    documents lie in Redis and Celery has a server of its own."""

    scene: Callable[[scenes.Deployed, Watch], None]
    mode: tuple[str, ...] = ()
    captions: bool = False
    apart: bool = False


_WORKS: Final = ("",)
_PLANS: Final[Mapping[str, _Plan]] = {
    "model-and-workers": _Plan(scenes.model_and_workers, _WORKS, captions=True),
    "poison-and-waiting": _Plan(scenes.poison_and_waiting),
    "stalls-and-failures": _Plan(scenes.stalls_and_failures, ("failing",), captions=True),
    "server": _Plan(scenes.server, ("late", str(scenes.LATE_SECONDS))),
    "captions-stopped": _Plan(scenes.captions_stopped, _WORKS, captions=True),
    "broker-and-store": _Plan(scenes.broker_and_store, ("late", "3600"), apart=True),
}


def _run(names: Sequence[str]) -> tuple[dict[str, Outcome], list[str]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocrplus-faults-")))
        places = {name: _place(stack, folder, name) for name in names}
        scraped = {name: place.scraped for name, place in places.items()}
        server = stack.enter_context(prometheus(scraped, RULES))
        busy = [place.deployed for name, place in places.items() if _PLANS[name].mode == _WORKS]
        if busy:
            scenes.submit_for(busy[0].running, BUSY_SECONDS)
        else:
            time.sleep(BUSY_SECONDS)
        false = sorted({labels["alertname"] for labels in alerts_firing(server)})
        return _causing(server, places), false


def _place(stack: ExitStack, folder: Path, name: str) -> _Place:
    plan = _PLANS[name]
    blobs = folder / name
    blobs.mkdir()
    redis = stack.enter_context(redis_server.running("valkey"))
    broker = stack.enter_context(redis_server.running("valkey")) if plan.apart else None
    apart = {} if broker is None else _apart(broker)
    running = stack.enter_context(caption_running.deployed(redis, blobs, **apart))
    scraped = {"gateway": [running.gateway.metrics]}
    captions: CaptionWorker | None = None
    if plan.captions:
        captions = stack.enter_context(running.worker())
        scraped["caption-worker"] = [captions.metrics]
    worker = None
    if plan.mode:
        worker, url = stack.enter_context(_ocr_worker(running, plan.mode))
        scraped["ocr-worker"] = [url]
    env = worker_env(redis.url, blobs, running.vlm.base_url, OCRPLUS_LEASE_SECONDS="2")
    bell = None if broker is None else broker.client
    deployed = scenes.Deployed(running, worker, captions, bell)
    return _Place(deployed, scraped, {**env, **apart}, plan.scene)


def _apart(broker: redis_server.Server) -> dict[str, str]:
    return {"OCRPLUS_BLOB_URL": "redis://", "OCRPLUS_BROKER_URL": broker.url}


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
