"""CPU seconds and memory of a page: the service's worker tree beside the bare engine.

python benchmarks/pages.py [SET] [--rounds N]
SET is a folder of the corpus' shape. Both arms read the same documents with the same number of
inference threads, rendering included, warm; born-digital and scanned documents apart, documents
with pages of both kinds left out. Each round
runs both arms in turn, so that the machine's drift falls on both.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import corpus
import psutil
import results
from service import Service, service

SAMPLE = Path(__file__).parents[1] / "examples" / "samples" / "report_en.pdf"
BARE = """
import json, sys
from pathlib import Path
import psutil
from ocrplus_contract.settings import OcrSettings
from ocrplus_ocr.engine import ReadOptions
from ocrplus_ocr.engine.build import build_engine
import pypdfium2
engine = build_engine(OcrSettings())
own = psutil.Process()
def cpu_seconds():  # with the process that renders
    return sum(sum(p.cpu_times()[:2]) for p in [own, *own.children()])
list(engine.read(Path(sys.argv[1]), [1], ReadOptions()))
print("ready", flush=True)
for line in sys.stdin:
    path = Path(line.strip())
    began = cpu_seconds()
    with pypdfium2.PdfDocument(path) as pdf:
        count = len(pdf)
    states = [r.state for r in engine.read(path, range(1, count + 1), ReadOptions())]
    print(json.dumps({"cpu": cpu_seconds() - began, "pages": len(states)}), flush=True)
"""


class BareEngine:
    """The engine alone in a process of its own, one document a line."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", BARE, str(SAMPLE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read_until("ready")

    def _read_until(self, start: str) -> str:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            if line.startswith(start):
                return line
        raise RuntimeError("the bare engine ended")

    def cpu_seconds(self, path: Path) -> float:
        """CPU seconds of one document."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{path.resolve()}\n")
        self._child.stdin.flush()
        return float(json.loads(self._read_until("{"))["cpu"])

    def close(self) -> None:
        """End the process."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(30)


def service_cpu(running: Service, document: corpus.Document, user: str) -> float:
    """CPU seconds of the worker tree for one document through the original protocol.

    A user a round: the content cache would answer his second submission without reading.
    """
    before = running.cpu_seconds()
    _, result = running.convert(user, document.name, document.path.read_bytes())
    assert len(result["result"]["markdown"]) == document.pages, (document.name, result)
    time.sleep(0.3)  # the last heartbeat and acknowledgement belong to the document
    return running.cpu_seconds() - before


def peak_rss_mib(running: Service) -> float:
    """Highest resident size any engine process has had, in MiB."""
    peaks = []
    for record in running.workers().values():
        status = Path(f"/proc/{record.pid}/status").read_text()
        peaks += [int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line]
    return max(peaks) / 1024


def measure(documents: Sequence[corpus.Document], rounds: int) -> dict[str, Any]:
    """Figures by kind of document."""
    bare = BareEngine()
    spent: dict[tuple[str, str], list[float]] = {}
    with service() as running:
        for document in documents:  # warm-up: every shape once
            bare.cpu_seconds(document.path)
            service_cpu(running, document, "warm")
        for round_ in range(rounds):
            for document in documents:
                kind = document.kind
                through = service_cpu(running, document, f"round{round_}")
                alone = bare.cpu_seconds(document.path)
                spent.setdefault((kind, document.name), []).append(through)
                spent.setdefault((f"bare_{kind}", document.name), []).append(alone)
        rss = peak_rss_mib(running)
    bare_rss = psutil.Process(bare._child.pid).memory_info().rss / 2**20
    bare.close()
    figures: dict[str, Any] = {"engine_process_peak_rss_mib": rss, "bare_engine_rss_mib": bare_rss}
    for kind in ("born_digital", "scanned"):
        chosen = [d for d in documents if d.kind == kind]
        pages = sum(d.pages for d in chosen)
        through = sum(statistics.median(spent[kind, d.name]) for d in chosen)
        alone = sum(statistics.median(spent[f"bare_{kind}", d.name]) for d in chosen)
        figures[kind] = {
            "pages": pages,
            "cpu_seconds_per_page": through / pages,
            "bare_cpu_seconds_per_page": alone / pages,
            "overhead_ratio": through / alone,
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", nargs="?", type=Path, default=corpus.DEFAULT)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    pure = [d for d in corpus.documents(arguments.set) if d.kind != "mixed"]
    figures = measure(pure, arguments.rounds)
    print(json.dumps(figures, indent=2))
    results.write("pages", figures)


if __name__ == "__main__":
    main()
