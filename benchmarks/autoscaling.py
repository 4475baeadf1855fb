"""The operator's own `decide()` beside its peers' laws, in virtual time over eight traces.

    benchmarks/autoscaling.py --seeds 100-119 --json out.json

A figure is the mean over the seeds of a trace, as a share of KEDA + HPA at their defaults, then the
geometric mean over the traces. Seeds 0 to 9 are for tuning the law; report others.
`autoscaling_replay.py` takes recorded arrivals instead and draws them.
"""

import argparse
import json
import math
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import results
from autoscaling_cluster import Cluster, Law, Setting, figures
from autoscaling_operator import Operator, decision_milliseconds
from autoscaling_peers import Keda, Kpa, RayServe, oracle
from autoscaling_traces import NAMES, Trace, draw

from ocrplus_operator.control.spec import Objective, PoolSpec, ScaleToZero, TargetRef

BASELINE: Final = "keda"
SPEC: Final = PoolSpec(TargetRef("ocr-worker"))
LEAN: Final = replace(
    SPEC,
    objective=Objective(headroom=0.5, min_useful_seconds=30),
    scale_to_zero=ScaleToZero(after_seconds=120),
)
_CELERY: Final = Setting(grace=30, visibility=3600, sweep=100)
GOALS: Final[dict[str, dict[str, float]]] = {
    "ocrplus": {
        "p95": 0.60, "p99": 0.75, "gpu_hours": 0.97, "scale_events": 0.60, "killed_chunks": 0,
    },
    "ocrplus-order": {
        "p95": 0.40, "p99": 0.60, "gpu_hours": 0.97, "scale_events": 0.60, "killed_chunks": 0,
    },
    "ocrplus-lean": {
        "p95": 0.80, "p99": 0.90, "gpu_hours": 0.77, "scale_events": 0.75, "killed_chunks": 0,
    },
}  # fmt: skip
ARMS: Final = ("keda", "kpa", "rayserve", "ocrplus", "ocrplus-order", "ocrplus-lean", "oracle")
SHARES: Final = ("p50", "p95", "p99", "gpu_hours", "scale_events", "pod_starts")
SUMS: Final = ("killed_chunks", "interrupted_chunks", "wasted_seconds")


def arm(name: str) -> tuple[Law, Setting]:
    """A fresh law and what is around it."""
    match name:
        case "keda":
            return Keda(), _CELERY
        case "kpa":
            return Kpa(), replace(_CELERY, grace=300)
        case "rayserve":
            return RayServe(), replace(_CELERY, grace=600)
        case "ocrplus-order":
            return Operator(SPEC, name), Setting(fair=True)
        case "ocrplus-lean":
            return Operator(LEAN, name), Setting()
        case "prewarmed":  # what a perfect forecast could give this law
            return Operator(SPEC, name), Setting(free_start=True)
    return Operator(SPEC, name), Setting()


def run(trace: Trace, name: str, seed: int) -> dict[str, float]:
    """One arm over one trace."""
    if name == "oracle":
        return oracle(trace, seed)
    law, setting = arm(name)
    cluster = Cluster(trace, law, seed, setting)
    cluster.run()
    return figures(trace, cluster)


_Task = tuple[str, int, str]


def _task(task: _Task) -> tuple[_Task, dict[str, float]]:
    name, seed, each = task
    return task, run(draw(name, seed), each, seed)


class Runs:
    """Figures of each trace, seed and arm; kept in a file, so that a long run can go on later."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.figures: dict[_Task, dict[str, float]] = {}
        if path and path.exists():
            for line in path.read_text().splitlines():
                name, seed, each, found = json.loads(line)
                self.figures[name, seed, each] = found

    def add(self, task: _Task, found: dict[str, float]) -> None:
        self.figures[task] = found
        if self._path:
            with self._path.open("a") as lines:
                lines.write(json.dumps([*task, found]) + "\n")

    def complete(self, tasks: Iterable[_Task], jobs: int) -> None:
        """Run what is missing."""
        missing = [task for task in tasks if task not in self.figures]
        if jobs == 1:
            for task in missing:
                self.add(*_task(task))
            return
        with ProcessPoolExecutor(jobs) as pool:
            for task, found in pool.map(_task, missing):
                self.add(task, found)


def measured(
    seeds: range, arms: tuple[str, ...], traces: tuple[str, ...], runs: Runs, *, jobs: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Means over the seeds: trace → arm → figure."""
    runs.complete(((n, s, a) for s in seeds for n in traces for a in arms), jobs)
    return {
        name: {each: _mean([runs.figures[name, s, each] for s in seeds]) for each in arms}
        for name in traces
    }


def _mean(found: list[dict[str, float]]) -> dict[str, float]:
    return {figure: sum(f[figure] for f in found) / len(found) for figure in found[0]}


def shares(
    by_trace: dict[str, dict[str, dict[str, float]]], arms: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Geometric means over the traces as shares of the baseline; what was lost, summed."""
    table: dict[str, dict[str, float]] = {}
    for each in arms:
        row = {}
        for figure in SHARES:
            logs = [
                math.log(max(by_arm[each][figure], 1e-9) / max(by_arm[BASELINE][figure], 1e-9))
                for by_arm in by_trace.values()
            ]
            row[figure] = math.exp(sum(logs) / len(logs))
        for figure in SUMS:
            row[figure] = sum(by_arm[each][figure] for by_arm in by_trace.values())
        table[each] = row
    return table


def missed(table: dict[str, dict[str, float]]) -> list[str]:
    """The goals that are not met, in words."""
    return [
        f"{each}: {figure} {table[each][figure]:.3f} > {most}"
        for each, goals in GOALS.items()
        if each in table
        for figure, most in goals.items()
        if table[each][figure] > most
    ]


def _printed(table: dict[str, dict[str, float]]) -> None:
    columns = (*SHARES, *SUMS)
    print(f"{'':14}" + "".join(f"{c[:12]:>13}" for c in columns))
    for each, row in table.items():
        print(f"{each:14}" + "".join(f"{row[c]:13.3f}" for c in columns))


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=_seeds, default=range(100, 120), metavar="A-B")
    parser.add_argument("--json", type=Path, help="also write everything here")
    parser.add_argument("--runs", type=Path, help="keep each run here and do not repeat it")
    parser.add_argument("--arms", default=",".join(ARMS), help="also: prewarmed")
    parser.add_argument("--traces", default=",".join(NAMES))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    arms = tuple(asked.arms.split(","))
    arms = arms if BASELINE in arms else (BASELINE, *arms)
    traces = tuple(asked.traces.split(","))
    by_trace = measured(asked.seeds, arms, traces, Runs(asked.runs), jobs=asked.jobs)
    table = shares(by_trace, arms)
    _printed(table)
    not_met = missed(table)
    for line in not_met:
        print(f"missed: {line}")
    metrics: dict[str, Any] = {  # Any: figures and words
        "seeds": f"{asked.seeds[0]}-{asked.seeds[-1]}",
        "shares_of_keda": table,
        "decision_ms_at_1000_workers": round(decision_milliseconds(1000), 2),
        "goals_missed": not_met or "none",
    }
    if asked.json:
        asked.json.write_text(json.dumps({**metrics, "traces": by_trace}, indent=2) + "\n")
    else:
        results.write("autoscaling", metrics)


if __name__ == "__main__":
    main()
