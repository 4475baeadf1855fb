"""Where a benchmark's figures go: one JSON file a subject, with command, machine and date."""

import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "results"


def write(name: str, metrics: dict[str, Any]) -> Path:
    """Write `results/{name}.json` and return its path."""
    path = _FOLDER / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    arguments = [Path(a).name if a.startswith("/") else a for a in sys.argv[1:]]
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments])
    record = {
        "command": command,
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
        "metrics": metrics,
    }
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    print(f"wrote {path.name}")
    return path


def machine() -> str:
    """Processor, cores and memory in words."""
    cpu = _field(Path("/proc/cpuinfo"), "model name") or platform.processor()
    cores = Path("/proc/cpuinfo").read_text().count("processor\t")
    kib = int((_field(Path("/proc/meminfo"), "MemTotal") or "0 kB").split()[0])
    gib = round(kib / 2**20)
    return f"{cpu}, {cores} cores, {gib} GiB, Python {platform.python_version()}"


def _field(path: Path, name: str) -> str | None:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None
