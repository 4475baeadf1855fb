"""One engine process of `gpu.py`: reads the documents that it is told, a line each, and says how.

python benchmarks/gpu_engine.py OUT [CHANGES]
Its first answer is the engine's start, then one for each document; the Markdown goes to OUT.
CHANGES is JSON: `provider`, options of CUDA; `batch`, lines that are recognised at a time;
`any_shape`, one session a model for images of any size.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pypdfium2
import quality

from ocrplus_contract.settings import OcrSettings
from ocrplus_ocr.engine import Engine, ReadOptions, ppstructure, shapes
from ocrplus_ocr.engine.build import build_engine
from ocrplus_ocr.engine.profiles import constructor_arguments

_OWN = psutil.Process()


def _cpu_seconds() -> float:
    """Of this process and the one that renders."""
    return sum(sum(p.cpu_times()[:2]) for p in [_OWN, *_OWN.children()])


def _peak_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def changed(
    real: Callable[..., dict[str, Any]], changes: dict[str, Any]
) -> Callable[..., dict[str, Any]]:
    """`constructor_arguments` with other options."""

    def arguments(*given: Any) -> dict[str, Any]:
        made = real(*given)
        if "provider" in changes and made["device"] != "cpu":
            engine = made["engine_config"]
            engine["provider_options"] = engine.get("provider_options", {}) | changes["provider"]
        if "batch" in changes:
            vars(ppstructure)["RECOGNITION_BATCH_GPU"] = changes["batch"]
            general = made["paddlex_config"]["SubPipelines"]["GeneralOCR"]
            general["SubModules"]["TextRecognition"]["batch_size"] = changes["batch"]
        return made

    return arguments


def _read(engine: Engine, path: Path, out: Path) -> dict[str, Any]:
    with pypdfium2.PdfDocument(path) as pdf:
        numbers = range(1, len(pdf) + 1)
    began, cpu = time.monotonic(), _cpu_seconds()
    read = list(engine.read(path, numbers, ReadOptions()))
    took = {"seconds": time.monotonic() - began, "cpu_seconds": _cpu_seconds() - cpu}
    (out / path.stem).mkdir(exist_ok=True)
    quality.written(read, out / path.stem)
    failed = [f"{path.stem} page {page.page}" for page in read if page.error]
    return took | {"pages": len(read), "failed": failed, "peak_rss_mib": _peak_mib()}


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    changes = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    if changes.get("any_shape"):
        vars(shapes).update(settle=lambda *_: None, warm_up=lambda _: None)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    vars(ppstructure)["constructor_arguments"] = changed(constructor_arguments, changes)
    began, cpu = time.monotonic(), _cpu_seconds()
    engine = build_engine(OcrSettings())
    started = {"seconds": time.monotonic() - began, "cpu_seconds": _cpu_seconds() - cpu}
    answers.write(json.dumps(started | {"pid": os.getpid(), "peak_rss_mib": _peak_mib()}) + "\n")
    for line in sys.stdin:
        answers.write(json.dumps(_read(engine, Path(line.strip()), out)) + "\n")
    engine.close()


if __name__ == "__main__":
    main()
