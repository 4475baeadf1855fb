"""A dead child's counts stay, its state goes."""

import os
import subprocess
import sys
from pathlib import Path

CHILD = """
from ocrplus_ocr.metrics import OcrMetrics
from ocrplus_contract.states import WorkerState
OcrMetrics().state(WorkerState.BUSY)
OcrMetrics().warmed(3)
"""
PARENT = """
from prometheus_client import CollectorRegistry
from ocrplus_ocr.exposition import LivingProcesses
from ocrplus_ocr.metrics import OcrMetrics
from ocrplus_contract.states import WorkerState
OcrMetrics().state(WorkerState.IDLE)
registry = CollectorRegistry()
registry.register(LivingProcesses())
value = registry.get_sample_value
print([value("ocrplus_ocr_worker_state", {"state": s}) for s in ("busy", "idle")])
print(value("ocrplus_ocr_pages_total", {"outcome": "ok", "source": "ocr"}))
"""


def test_the_state_of_a_process_that_died_is_not_told(tmp_path: Path) -> None:
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", CHILD], env=env, check=True, timeout=60)

    parent = [sys.executable, "-c", PARENT]
    told = subprocess.run(
        parent, env=env, check=True, timeout=60, capture_output=True, text=True
    ).stdout

    assert told.splitlines() == ["[0.0, 1.0]", "0.0"]
    assert list(tmp_path.glob("counter_*.db"))
