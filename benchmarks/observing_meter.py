"""CPU that one process spends on being observed, counted from within: metrics, logs, spans.

`folder_with(out)` makes a folder whose `sitecustomize` installs the meter in every Python process
that has it on its PYTHONPATH, engine processes included; each keeps its sums in a file of `out`, so
that one that ends abruptly has told all the same. What is called is wrapped at its seam and timed
by the thread's own CPU clock; the clock's own price is in the sums, against us.
"""

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import mmap
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

KINDS: Final = ("metrics", "logs", "spans")
VARIABLE: Final = "OBSERVING_OUT"
_SIZE: Final = struct.calcsize(f"{2 * len(KINDS)}q")

# What costs something, by the module that has it: (owner, function), "" for the module itself.
_CALLS: Final[dict[str, tuple[str, tuple[tuple[str, str], ...]]]] = {
    "prometheus_client.metrics": (
        "metrics",
        (
            ("Counter", "inc"),
            ("Gauge", "inc"),
            ("Gauge", "dec"),
            ("Gauge", "set"),
            ("Histogram", "observe"),
            ("MetricWrapperBase", "labels"),
        ),
    ),
    "prometheus_client.exposition": ("metrics", (("MetricsHandler", "do_GET"),)),
    "ocrplus_gateway.metrics": ("metrics", (("GatewayMetrics", "observe"),)),
    "logging": ("logs", (("Logger", "_log"),)),
    "ocrplus_contract.logs": ("logs", (("", "note"),)),
    "ocrplus_contract.logs.outlets": ("logs", (("_Pipe", "_pass_on"),)),
    "ocrplus_contract.otlp": ("spans", (("_OtlpSpan", "note"), ("_Said", "export"))),
    "ocrplus_contract.tracing": ("spans", (("", "tell"), ("", "of_job"), ("", "exemplar"))),
    "ocrplus_gateway.traces": (
        "spans",
        (("JobTraces", "heard"), ("JobTraces", "delivered"), ("", "_tell")),
    ),
}
_BLOCKS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "ocrplus_contract.tracing": ("spans", ("span",)),
    "ocrplus_contract.logs": ("logs", ("bind",)),
    "ocrplus_contract.trace": ("logs", ("within",)),
}
_WATCHED: Final = frozenset({*_CALLS, *_BLOCKS})


class Meter:
    """The sums of this process: CPU nanoseconds and calls of each kind."""

    def __init__(self, out: Path) -> None:
        path = out / str(os.getpid())
        path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._sums = memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("q")
        self._lock = threading.Lock()
        self._inside = threading.local()

    def timed(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, counted unless it is part of one that is."""

        @functools.wraps(call)
        def counted(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._inside, "depth", False):
                return call(*args, **kwargs)
            self._inside.depth = True
            began = time.thread_time_ns()
            try:
                return call(*args, **kwargs)
            finally:
                self._add(kind, time.thread_time_ns() - began)
                self._inside.depth = False

        return counted

    def _add(self, kind: str, nanoseconds: int) -> None:
        at = 2 * KINDS.index(kind)
        with self._lock:
            self._sums[at] += nanoseconds
            self._sums[at + 1] += 1

    def block(self, kind: str, make: Callable[..., Any]) -> Callable[..., Any]:
        """A context manager of which the beginning and the end count, not what is done inside."""

        @functools.wraps(make)
        def counted(*args: Any, **kwargs: Any) -> "_Block":
            return _Block(self, kind, self.timed(kind, make)(*args, **kwargs))

        return counted

    def into(self, module: ModuleType) -> None:
        """Wrap what a module that was just imported has."""
        kind, calls = _CALLS.get(module.__name__, ("", ()))
        for owner, name in calls:
            holder = getattr(module, owner) if owner else module
            if hasattr(holder, name):
                setattr(holder, name, self.timed(kind, getattr(holder, name)))
        kind, blocks = _BLOCKS.get(module.__name__, ("", ()))
        for name in blocks:
            if hasattr(module, name):
                setattr(module, name, self.block(kind, getattr(module, name)))


class _Block:
    def __init__(self, meter: Meter, kind: str, inner: Any) -> None:
        self._enter = meter.timed(kind, inner.__enter__)
        self._exit = meter.timed(kind, inner.__exit__)

    def __enter__(self) -> Any:
        return self._enter()

    def __exit__(self, *error: Any) -> Any:
        return self._exit(*error)


class _Finder(importlib.abc.MetaPathFinder):
    """Lets the meter see the modules it wraps as soon as they are there."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._finding = False

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _WATCHED or self._finding:
            return None
        self._finding = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._finding = False
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            run = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                self._meter.into(module)

            loader.exec_module = exec_module
        return spec


def install() -> None:
    """Begin to count in this process."""
    meter = Meter(Path(os.environ[VARIABLE]))
    meter.into(importlib.import_module("logging"))
    sys.meta_path.insert(0, _Finder(meter))


def folder_with(out: Path) -> Path:
    """A folder for PYTHONPATH that installs the meter in each process."""
    folder = out / "path"
    folder.mkdir()
    code = f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"
    code += "import observing_meter; observing_meter.install()\n"
    (folder / "sitecustomize.py").write_text(code)
    return folder


def sums(out: Path) -> dict[str, tuple[float, int]]:
    """CPU seconds and calls by kind, of all processes so far."""
    total = [0] * (2 * len(KINDS))
    for file in out.iterdir():
        if file.name.isdigit():
            for place, value in enumerate(struct.unpack(f"{2 * len(KINDS)}q", file.read_bytes())):
                total[place] += value
    return {kind: (total[2 * n] / 1e9, total[2 * n + 1]) for n, kind in enumerate(KINDS)}
