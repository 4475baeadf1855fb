"""What `nvidia-smi` says of a GPU while something runs on it."""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import mean

_TOOL = "nvidia-smi"


def said(*arguments: str) -> list[list[str]]:
    """Rows of one query."""
    command = [_TOOL, *arguments, "--format=csv,noheader,nounits"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    return [[cell.strip() for cell in line.split(",")] for line in told.splitlines() if line]


def described() -> str:
    """The first GPU and its driver in words."""
    name, memory, driver = said("--query-gpu=name,memory.total,driver_version")[0]
    return f"{name}, {round(int(memory) / 1024)} GiB, driver {driver}"


def used_mib() -> int:
    """Memory in use, of all processes."""
    return int(said("--query-gpu=memory.used")[0][0])


def used_by(pids: Sequence[int]) -> list[int]:
    """MiB in use by each process; empty where the driver does not tell processes apart."""
    rows = said("--query-compute-apps=pid,used_memory")
    own = {int(pid): int(mib) for pid, mib in rows if mib.isdigit()}
    return [own[pid] for pid in pids if pid in own]


@dataclass
class Usage:
    """Samples of a while: percent of the time that a kernel ran, MiB in use."""

    busy: list[int] = field(default_factory=list)
    mib: list[int] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Mean and highest."""
        if not self.busy:
            return {}
        return {
            "gpu_busy_percent": round(mean(self.busy), 1),
            "gpu_mib_max": max(self.mib),
        }


@contextmanager
def metered(milliseconds: int = 500) -> Iterator[Usage]:
    """Samples for the length of a block."""
    usage = Usage()
    command = [_TOOL, "--query-gpu=utilization.gpu,memory.used"]
    command += ["--format=csv,noheader,nounits", "-lms", str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        reader = threading.Thread(target=_keep, args=(process, usage), daemon=True)
        reader.start()
        try:
            yield usage
        finally:
            process.terminate()
            reader.join(5)


def _keep(process: "subprocess.Popen[str]", usage: Usage) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        busy, _, mib = line.partition(",")
        if busy.strip().isdigit() and mib.strip().isdigit():
            usage.busy.append(int(busy))
            usage.mib.append(int(mib))
