"""Replays arrivals, recorded or drawn, under the law and its peers, and draws what happened.

    benchmarks/autoscaling_replay.py --arrivals arrivals.csv --svg out.svg
    benchmarks/autoscaling_replay.py --trace bursts --seed 100 --svg out.svg

A recording has one document a line, `at,pages`: seconds (of any epoch) and pages. What a page
takes was not recorded; `--seconds-per-page` says so.
"""

import argparse
import csv
import math
from pathlib import Path
from typing import Final

import numpy as np
from autoscaling import arm
from autoscaling_cluster import QUOTA, Cluster, Setting, figures
from autoscaling_peers import Always, oracle
from autoscaling_plot import Line, Panel, svg
from autoscaling_traces import CHUNK_PAGES, NAMES, Document, Trace, draw

ARMS: Final = ("ocrplus", "keda", "kpa", "rayserve")
_BUCKETS: Final = 120
_CHUNK_SECONDS: Final = 0.5
_AFTER_SECONDS: Final = 900.0


def recorded(path: Path, seconds_per_page: float) -> Trace:
    """Read a recording."""
    with path.open(newline="") as lines:
        rows = sorted((float(row["at"]), int(row["pages"])) for row in csv.DictReader(lines))
    if not rows:
        raise SystemExit(f"{path.name} holds no documents")
    begin = rows[0][0]
    documents = tuple(
        Document(at - begin, pages, _chunks(pages, seconds_per_page), user)
        for user, (at, pages) in enumerate(rows)
    )
    return Trace(path.stem, documents, rows[-1][0] - begin + _AFTER_SECONDS)


def _chunks(pages: int, seconds_per_page: float) -> tuple[tuple[int, float], ...]:
    sizes = [min(CHUNK_PAGES, pages - k) for k in range(0, pages, CHUNK_PAGES)]
    return tuple((size, _CHUNK_SECONDS + size * seconds_per_page) for size in sizes)


def replay(trace: Trace, name: str, seed: int) -> Cluster:
    """One arm, with its timeline; the oracle is all workers always warm."""
    law, setting = (Always(), Setting(cold_start=0.0)) if name == "oracle" else arm(name)
    cluster = Cluster(trace, law, seed, setting)
    cluster.timeline = []
    cluster.run()
    return cluster


def latency(trace: Trace, cluster: Cluster) -> Line:
    """The slowest of each stretch of arrivals: seconds to the last page."""
    width = trace.seconds / _BUCKETS
    worst: dict[int, float] = {}
    for document, finished in zip(trace.documents, cluster.finished, strict=True):
        bucket = int(document.at // width)
        worst[bucket] = max(worst.get(bucket, 0.0), finished - document.at)
    return [(bucket * width, seconds) for bucket, seconds in sorted(worst.items())]


def drawn(trace: Trace, runs: dict[str, Cluster]) -> str:
    """Queue, workers and latency over time."""
    lines: dict[str, list[tuple[float, int, int, int, int]]] = {
        name: cluster.timeline or [] for name, cluster in runs.items()
    }
    return svg(
        f"{trace.name}: {len(trace.documents)} documents, at most {QUOTA} workers",
        (
            Panel("pages that wait", {n: [(p[0], p[1]) for p in t] for n, t in lines.items()}),
            Panel("workers", {n: [(p[0], p[2]) for p in t] for n, t in lines.items()}),
            Panel(
                "seconds from arrival to the last page, slowest",
                {name: latency(trace, cluster) for name, cluster in runs.items()},
            ),
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--arrivals", type=Path, metavar="CSV")
    source.add_argument("--trace", choices=NAMES)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--seconds-per-page", type=float, default=0.6)
    parser.add_argument("--arms", default=",".join((*ARMS, "oracle")))
    parser.add_argument("--svg", type=Path, required=True)
    asked = parser.parse_args()
    if asked.arrivals:
        trace = recorded(asked.arrivals, asked.seconds_per_page)
    else:
        trace = draw(asked.trace, asked.seed)
    runs = {name: replay(trace, name, asked.seed) for name in asked.arms.split(",")}
    for name, cluster in runs.items():
        found = oracle(trace, asked.seed) if name == "oracle" else figures(trace, cluster)
        took = np.array(cluster.finished) - np.array([d.at for d in trace.documents])
        print(
            f"{name:14} p50 {found['p50']:7.1f} s  p95 {found['p95']:7.1f} s  "
            f"longest {math.ceil(took.max()):6d} s  {found['gpu_hours']:7.2f} worker-hours  "
            f"{found['scale_events']:5.0f} scale events"
        )
    asked.svg.write_text(drawn(trace, runs))
    print(f"wrote {asked.svg.name}")


if __name__ == "__main__":
    main()
