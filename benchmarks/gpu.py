"""The profile gpu-onnx on a GPU: beside the CPUs, with other options, several processes a card.

python benchmarks/gpu.py [SET] [OUT] [--steps …]
OUT keeps what each step found, so that steps may be run one by one; a run of `record` writes the
results. But for the step `service` the engine reads alone.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import corpus
import gpu_meter
import results

GPU = {"OCRPLUS_DEVICE": os.environ.get("OCRPLUS_DEVICE", "gpu"), "OCRPLUS_ENGINE": "onnxruntime"}
CPU = {"OCRPLUS_DEVICE": "cpu", "OCRPLUS_ENGINE": "onnxruntime"}
KINDS = ("born_digital", "scanned", "mixed")
# What is changed, see gpu_engine.py, or the environment.
OPTIONS: dict[str, dict[str, Any]] = {
    "as_shipped": {},
    "any_shape": {"any_shape": True},
    "batch_32": {"batch": 32},
    "with_tf32": {"provider": {"use_tf32": "1"}},
    "arena_doubling": {"provider": {"arena_extend_strategy": "kNextPowerOfTwo"}},
    "search_default": {"provider": {"cudnn_conv_algo_search": "DEFAULT"}},
    "threads_1": {"env": {"OCRPLUS_ENGINE_THREADS": "1"}},
    "threads_4": {"env": {"OCRPLUS_ENGINE_THREADS": "4"}},
}
MACHINE = "machine.txt"  # kept: a step may run elsewhere, such as `score`
TOGETHER = (1, 2, 4, 8)
GROWING_PASSES = 5


@dataclass(frozen=True)
class Arm:
    """One way to run: `processes` engines, each of which reads every document, `passes` times."""

    name: str
    env: dict[str, str]
    changes: dict[str, Any] = field(default_factory=dict)
    processes: int = 1
    passes: int = 2


@dataclass
class EngineProcess:
    """An engine in a process of its own, see gpu_engine.py."""

    process: "subprocess.Popen[str]"

    def answer(self) -> dict[str, Any]:
        """Its next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the engine ended with {self.process.wait(30)}")
        found: dict[str, Any] = json.loads(line)
        return found

    def read(self, document: corpus.Document) -> dict[str, Any]:
        """One document."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{document.path}\n")
        self.process.stdin.flush()
        return self.answer()


@contextmanager
def engine(arm: Arm, out: Path) -> Iterator[EngineProcess]:
    """Start one; end it in order."""
    command = [sys.executable, str(Path(__file__).with_name("gpu_engine.py")), str(out)]
    env = {**os.environ, **arm.env, **arm.changes.get("env", {})}
    with subprocess.Popen(
        [*command, json.dumps(arm.changes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    ) as process:
        try:
            yield EngineProcess(process)
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)
        finally:
            process.kill()


def ran(arm: Arm, documents: Sequence[corpus.Document], out: Path) -> dict[str, Any]:
    """Its figures: how it starts, each pass, what it holds."""
    gpu = arm.env is GPU
    before = gpu_meter.used_mib() if gpu else 0
    with ExitStack() as stack:
        folders = [out / arm.name / str(number) for number in range(arm.processes)]
        engines = [stack.enter_context(engine(arm, folder)) for folder in folders]
        started = [one.answer() for one in engines]
        figures: dict[str, Any] = {
            "start_seconds": round(max(one["seconds"] for one in started), 2),
            "start_cpu_seconds": round(max(one["cpu_seconds"] for one in started), 2),
        }
        if gpu:
            figures["gpu_mib_started"] = gpu_meter.used_mib() - before
        for number in range(1, arm.passes + 1):
            name = ("first", "warm")[number - 1] if arm.passes == 2 else f"pass_{number}"
            figures[name] = one_pass(engines, documents, gpu_meter.metered() if gpu else None)
            if gpu:
                figures[name]["gpu_mib"] = gpu_meter.used_mib() - before
        if gpu:
            pids = [one["pid"] for one in started]
            figures["gpu_mib_by_process"] = gpu_meter.used_by(pids) or "not told"
    if gpu:
        figures["gpu_mib_left_behind"] = gpu_meter.used_mib() - before
    print(arm.name, json.dumps(figures), flush=True)
    (out / f"arm_{arm.name}.json").write_text(json.dumps(figures))
    return figures


def one_pass(
    engines: Sequence[EngineProcess],
    documents: Sequence[corpus.Document],
    meter: AbstractContextManager[gpu_meter.Usage] | None,
) -> dict[str, Any]:
    """Every engine reads every document, each beginning with another one."""
    answers: dict[tuple[int, str], dict[str, Any]] = {}

    def all_of(number: int) -> None:
        first = number * len(documents) // len(engines)
        for document in [*documents[first:], *documents[:first]]:
            answers[number, document.name] = engines[number].read(document)

    threads = [threading.Thread(target=all_of, args=(n,)) for n in range(len(engines))]
    began = time.monotonic()
    with meter or nullcontext(gpu_meter.Usage()) as usage:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
    pages = sum(answer["pages"] for answer in answers.values())
    return {
        "pages_per_second": round(pages / took, 3),
        **by_kind(documents, answers),
        **usage.figures(),
        "peak_rss_mib": round(max(answer["peak_rss_mib"] for answer in answers.values())),
        "failed_pages": sorted({f for answer in answers.values() for f in answer["failed"]}),
    }


def by_kind(
    documents: Sequence[corpus.Document], answers: dict[tuple[int, str], dict[str, Any]]
) -> dict[str, Any]:
    """Seconds of a page by the clock and of CPUs, by kind of document."""
    figures: dict[str, Any] = {}
    for kind in KINDS:
        names = {document.name for document in documents if document.kind == kind}
        chosen = [answer for (_, name), answer in answers.items() if name in names]
        if not chosen:
            continue
        pages = sum(answer["pages"] for answer in chosen)
        figures[kind] = {
            "pages": pages,
            "seconds_a_page": round(sum(a["seconds"] for a in chosen) / pages, 3),
            "cpu_seconds_a_page": round(sum(a["cpu_seconds"] for a in chosen) / pages, 3),
        }
    return figures


def same(documents: Sequence[corpus.Document], one: Path, other: Path) -> dict[str, Any]:
    """How many pages have the same Markdown in two folders, and which have not."""
    differ = []
    for document in documents:
        for page in range(1, document.pages + 1):
            file = f"{document.name}/page_{page}.md"
            if (one / file).read_bytes() != (other / file).read_bytes():
                differ.append(f"{document.name} page {page}")
    pages = sum(document.pages for document in documents)
    return {"pages": pages, "same": pages - len(differ), "differ": differ}


def sample(documents: Sequence[corpus.Document]) -> list[corpus.Document]:
    """Every third document of each kind: for steps with many arms."""
    kinds = ([d for d in documents if d.kind == kind] for kind in KINDS)
    return [document for some in kinds for document in some[::3]]


@dataclass(frozen=True)
class Bench:
    """The steps; each returns its figures."""

    folder: Path
    out: Path

    @property
    def documents(self) -> list[corpus.Document]:
        """The quality documents of the set."""
        return corpus.documents(self.folder)

    def gpu(self) -> dict[str, Any]:
        (self.out / MACHINE).write_text(f"{results.this_machine()}, {gpu_meter.described()}")
        return self._ran(Arm("gpu", GPU))

    def cpu(self) -> dict[str, Any]:
        return self._ran(Arm("cpu", CPU, passes=1))

    def same(self) -> dict[str, Any]:
        return same(self.documents, self.out / "gpu" / "0", self.out / "cpu" / "0")

    def options(self) -> dict[str, Any]:
        return {
            name: ran(Arm(f"options_{name}", GPU, changes), sample(self.documents), self.out)
            for name, changes in OPTIONS.items()
        }

    def together(self) -> dict[str, Any]:
        arms = [Arm(f"together_{count}", GPU, processes=count) for count in TOGETHER]
        chosen = sample(self.documents)
        return {str(arm.processes): ran(arm, chosen, self.out) for arm in arms}

    def growth(self) -> dict[str, Any]:
        return self._ran(Arm("growth", GPU, passes=GROWING_PASSES))

    def service(self) -> dict[str, Any]:
        import gpu_service  # what a client and a gateway need

        of_kind = {document.kind: document.path for document in self.documents}
        return gpu_service.figures(GPU, [of_kind["scanned"], of_kind["born_digital"]])

    def score(self) -> dict[str, Any]:
        import quality  # the scorer's own packages are for development

        return {
            arm: quality.means(quality.score(self.folder, self.out / arm / "0"))
            for arm in ("gpu", "cpu")
        }

    def _ran(self, arm: Arm) -> dict[str, Any]:
        return ran(arm, self.documents, self.out)


STEPS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "gpu": Bench.gpu,
    "cpu": Bench.cpu,
    "same": Bench.same,
    "options": Bench.options,
    "together": Bench.together,
    "growth": Bench.growth,
    "service": Bench.service,
    "score": Bench.score,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", nargs="?", type=Path, default=corpus.DEFAULT)
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--steps", nargs="+", default=[*STEPS, "record"], metavar="STEP")
    arguments = parser.parse_args()
    if shutil.which("nvidia-smi") is None and not {*arguments.steps} <= {"cpu", "same", "score"}:
        print("skipped: there is no nvidia-smi")
        return
    out = arguments.out or Path(tempfile.mkdtemp(prefix="ocrplus-gpu-"))
    out.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments.set, out)
    for step in arguments.steps:
        if step == "record":
            kept = {name: out / f"{name}.json" for name in STEPS}
            figures = {n: json.loads(file.read_text()) for n, file in kept.items() if file.exists()}
            results.write("gpu", figures, machine=(out / MACHINE).read_text())
        else:
            found = STEPS[step](bench)
            (out / f"{step}.json").write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
