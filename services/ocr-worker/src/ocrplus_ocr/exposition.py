"""What the parent tells of its children: counts of all there ever were, states of the living.

A child that died leaves its files behind. What it counted stays true; a gauge does not: without
this a killed child would be busy for ever. Imported, like `metrics`, only after the folder is set.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any  # prometheus_client.multiprocess is untyped

from prometheus_client import CollectorRegistry, Metric, multiprocess
from prometheus_client.registry import Collector


class LivingProcesses(Collector):
    """Collects from `PROMETHEUS_MULTIPROC_DIR`, after forgetting the gauges of dead processes."""

    def __init__(self) -> None:
        untyped: Any = multiprocess
        self._folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        self._collector: Any = untyped.MultiProcessCollector(CollectorRegistry())
        self._forget: Any = untyped.mark_process_dead

    def collect(self) -> Iterable[Metric]:
        """Everything, anew at each scrape."""
        for file in self._folder.glob("gauge_live*_*.db"):
            pid = file.stem.rpartition("_")[2]
            if not Path(f"/proc/{pid}").exists():
                self._forget(int(pid))
        metrics: Iterable[Metric] = self._collector.collect()
        return metrics
