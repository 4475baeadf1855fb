"""Every hostile document of the corpus through the real services, held to its row.

python benchmarks/hostile.py [SET] [--skip-long] [--only NAME ...]
One gateway and one worker take them one after the other. A row says what may become of its file
and what it may take; in between a good document must convert, and in the end the same processes
must be there. Exits 1 when a row is not kept.
"""

import argparse
import json
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import corpus
import httpx
import psutil
import redis
import results

from ocrplus_contract.errors import ErrorCode, PageErrorCode
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool
from ocrplus_contract.records import WorkerRecord
from ocrplus_local.stack import Stack, StackOptions

GOOD = Path(__file__).parents[1] / "examples" / "samples" / "report_en.pdf"
LONG = {"pages_text_many.pdf": 1800.0}  # 2,000 pages may take longer than their row says
OURS_TO_BLAME = frozenset({ErrorCode.INTERNAL, ErrorCode.WORKER_LOST, ErrorCode.ENGINE_FAILED})
GOOD_EVERY = 8
SAMPLE_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 600
GRACE_SECONDS = 60  # past the limit the row is lost, but how it would have ended is worth knowing
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Row:
    """One file, and what its row allows."""

    file: str
    kind: str
    expected: str
    pages: int | None
    max_seconds: float
    max_megabytes: float
    password: str | None


@dataclass(frozen=True)
class Outcome:
    """What became of a file: an error's code, or a state for each page."""

    error: str | None
    message: str
    states: tuple[str, ...] = ()
    page_errors: tuple[str, ...] = ()
    markdown: str = ""
    seconds: float = 0.0
    gateway_megabytes: float = 0.0
    worker_megabytes: float = 0.0

    @property
    def word(self) -> str:
        """In one word or two."""
        if self.error is not None:
            return self.error
        return ", ".join(f"{n} {state}" for state, n in Counter(self.states).items())


def rows(folder: Path) -> list[Row]:
    """The set's rows, the long ones last."""
    listed = json.loads((folder / "hostile_rows.json").read_text("utf-8"))
    found = [
        Row(
            file=row["file"],
            kind=row["kind"],
            expected=row["expected"],
            pages=row["pages"],
            max_seconds=LONG.get(row["file"], row["max_s"]),
            max_megabytes=row["max_mb"],
            password=row.get("password"),
        )
        for row in listed
    ]
    return sorted(found, key=lambda row: row.file in LONG)


def complaints(row: Row, outcome: Outcome) -> list[str]:
    """What about the outcome the row does not allow."""
    found = []
    if outcome.seconds > row.max_seconds:
        found.append(f"{outcome.seconds:.0f} s instead of {row.max_seconds:.0f}")
    megabytes = max(outcome.gateway_megabytes, outcome.worker_megabytes)
    if megabytes > row.max_megabytes:
        found.append(f"{megabytes:.0f} MB instead of {row.max_megabytes:.0f}")
    if outcome.error is not None:
        found += _complaints_about_error(row, outcome.error)
    else:
        found += _complaints_about_pages(row, outcome)
    return found


def _complaints_about_error(row: Row, error: str) -> list[str]:
    if error not in set(ErrorCode) - OURS_TO_BLAME:
        return [f"no clean error: {error}"]
    if row.expected not in ("clean_error", "either"):
        return [f"{row.expected} expected, not {error}"]
    if row.kind == "encrypted user password" and error != ErrorCode.PDF_ENCRYPTED:
        return [f"pdf_encrypted expected, not {error}"]
    return []


def _complaints_about_pages(row: Row, outcome: Outcome) -> list[str]:
    found = []
    if row.expected == "clean_error":
        found.append(f"an error expected, not {outcome.word}")
    if row.expected == "converts" and "ok" not in outcome.states:
        found.append(f"a page with text expected, not {outcome.word}")
    if row.expected == "converts" and row.pages not in (None, len(outcome.states)):
        found.append(f"{row.pages} pages expected, not {len(outcome.states)}")
    if row.kind == "broken page" and (outcome.states[0], outcome.states[-1]) != ("ok", "ok"):
        found.append(f"the pages around the broken one expected, not {outcome.states}")
    unknown = set(outcome.page_errors) - set(PageErrorCode)
    if unknown:
        found.append(f"unknown page errors: {sorted(unknown)}")
    if CONTROL.search(outcome.markdown):
        found.append("control characters in the Markdown")
    return found


class Memory:
    """Highest resident size of any process of some trees, while the block runs."""

    def __init__(self, *roots: psutil.Process) -> None:
        self._roots = roots
        self.megabytes = [0.0] * len(roots)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        for root in self._roots:
            for process in _tree(root):
                with suppress(OSError):  # 5 resets the peak, see proc_pid_clear_refs(5)
                    Path(f"/proc/{process.pid}/clear_refs").write_text("5")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        ending = False
        while not ending:
            ending = self._stop.wait(SAMPLE_SECONDS)  # what ends sooner is looked at once
            for index, root in enumerate(self._roots):
                peak = max((_peak_megabytes(process.pid) for process in _tree(root)), default=0.0)
                self.megabytes[index] = max(self.megabytes[index], peak)


def _tree(root: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [root, *root.children(recursive=True)]
    return []


def _peak_megabytes(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


class Services:
    """Gateway and worker as this suite sees them."""

    def __init__(self, stack: Stack) -> None:
        self._http = httpx.Client(base_url=stack.http, timeout=LONGEST_WAIT_SECONDS + 60)
        self._redis = redis.Redis.from_url(stack.redis_url)
        self.gateway = _service("ocrplus_gateway")
        self.worker = _service("ocrplus_ocr")

    def engine(self) -> int:
        """The engine process by the worker's own record; 0 while there is none."""
        keys = Keys()
        members: Any = self._redis.zrange(keys.workers(Pool.OCR), 0, -1)  # bytes
        for member in members:
            record = WorkerRecord.from_hash(
                self._redis.hgetall(keys.worker(Pool.OCR, member.decode()))
            )
            if record is not None:
                return record.pid
        return 0

    def processes(self) -> tuple[int, int, int]:
        """Gateway, worker and engine."""
        return self.gateway.pid, self.worker.pid, self.engine()

    def convert(self, pdf: bytes, name: str, limit_seconds: float, **fields: str) -> Outcome:
        """Submit a document and wait for its end, or for the limit."""
        began = time.monotonic()
        task = f"hostile-{time.monotonic_ns()}"
        form = {**fields, "task_id": task, "wait": str(min(LONGEST_WAIT_SECONDS, limit_seconds))}
        with Memory(self.gateway, self.worker) as memory:
            files = {"file": (name, pdf, "application/pdf")}
            answer = self._http.post("/v1/tasks", data=form, files=files)
            while answer.status_code == 202 and time.monotonic() - began < limit_seconds:
                time.sleep(0.5)
                answer = self._http.get(f"/v1/tasks/{task}/result")
            seconds = time.monotonic() - began
        outcome = self._outcome(task, answer, seconds, memory)
        self._http.delete(f"/v1/tasks/{task}")
        return outcome

    def _outcome(
        self, task: str, answer: httpx.Response, seconds: float, memory: Memory
    ) -> Outcome:
        body = answer.json()
        gateway, worker = memory.megabytes
        if "result" not in body:
            error = body.get("error") or {"code": "not_ended", "message": ""}
            return Outcome(
                error=error["code"],
                message=error["message"],
                seconds=seconds,
                gateway_megabytes=gateway,
                worker_megabytes=worker,
            )
        pages = [
            self._http.get(f"/v1/tasks/{task}/pages/{page['page']}").json()
            for page in body["result"]["markdown"]
        ]
        return Outcome(
            error=None,
            message="",
            states=tuple(page["state"] for page in pages),
            page_errors=tuple(page["error"] for page in pages if page["error"]),
            markdown="\n\n".join(page["markdown"] for page in pages),
            seconds=seconds,
            gateway_megabytes=gateway,
            worker_megabytes=worker,
        )

    def check_good(self, number: int) -> list[str]:
        """Whether an ordinary document still converts; its bytes are new each time."""
        outcome = self.convert(GOOD.read_bytes() + b"\n%% %d\n" % number, "good.pdf", 60)
        sound = outcome.states == ("ok", "ok") and "A year of the north quay" in outcome.markdown
        return [] if sound else [f"the good document gave {outcome.word} afterwards"]


def _service(module: str) -> psutil.Process:
    (found,) = (p for p in psutil.Process().children() if p.cmdline()[-1] == module)
    return found


@contextmanager
def running() -> Iterator[Services]:
    """A gateway and one warm worker."""
    with Stack(StackOptions(workers=1), say=lambda text: print(text, flush=True)) as stack:
        stack.wait_warm()
        yield Services(stack)


@dataclass(frozen=True)
class Verdict:
    """A row, what became of its file, and what is wrong with that."""

    row: Row
    outcome: Outcome
    wrong: tuple[str, ...]


def judge(services: Services, folder: Path, row: Row) -> Iterator[Verdict]:
    """Convert a row's file, and once more with its password where it has one."""
    pdf = (folder / "hostile" / row.file).read_bytes()
    limit = row.max_seconds + GRACE_SECONDS
    outcome = services.convert(pdf, row.file, limit)
    yield Verdict(row, outcome, tuple(complaints(row, outcome)))
    if row.password is not None:
        opened = Row(
            f"{row.file} opened", "opened", "converts", row.pages, row.max_seconds, 2048, None
        )
        outcome = services.convert(pdf, row.file, limit, password=row.password)
        yield Verdict(opened, outcome, tuple(complaints(opened, outcome)))


def run(services: Services, folder: Path, chosen: Sequence[Row]) -> tuple[list[Verdict], list[str]]:
    """Verdicts on all files, and what is wrong with the services afterwards."""
    verdicts: list[Verdict] = []
    trouble = services.check_good(0)
    before = services.processes()
    for number, row in enumerate(chosen, 1):
        engine = services.engine()
        for verdict in judge(services, folder, row):
            verdicts.append(verdict)
            _say(verdict)
        if services.engine() != engine:
            trouble.append(f"{row.file} ended the engine")
        if number % GOOD_EVERY == 0 or number == len(chosen):
            trouble += [f"after {row.file}: {text}" for text in services.check_good(number)]
    after = services.processes()
    if after != before:
        trouble.append(f"gateway, worker, engine were {before} and are {after}")
    return verdicts, trouble


def _say(verdict: Verdict) -> None:
    outcome = verdict.outcome
    mark = "; ".join(verdict.wrong) or "kept"
    print(
        f"{verdict.row.file}: {outcome.word} {' '.join(sorted(set(outcome.page_errors)))} "
        f"{outcome.seconds:.1f} s, {outcome.gateway_megabytes:.0f} + "
        f"{outcome.worker_megabytes:.0f} MB: {mark}",
        flush=True,
    )


def figures(verdicts: Sequence[Verdict], trouble: Sequence[str]) -> dict[str, Any]:
    """What goes into the result file."""

    def worst(of: str) -> dict[str, float]:
        ordered = sorted(verdicts, key=lambda v: -getattr(v.outcome, of))[:5]
        return {v.row.file: round(getattr(v.outcome, of), 1) for v in ordered}

    return {
        "conversions": len(verdicts),
        "kept": sum(1 for v in verdicts if not v.wrong),
        "not_kept": {v.row.file: "; ".join(v.wrong) for v in verdicts if v.wrong},
        "services": list(trouble),
        "pages": dict(Counter(state for v in verdicts for state in v.outcome.states)),
        "page_errors": dict(Counter(code for v in verdicts for code in v.outcome.page_errors)),
        "errors": dict(Counter(v.outcome.error for v in verdicts if v.outcome.error)),
        "slowest_seconds": worst("seconds"),
        "largest_gateway_process_mb": worst("gateway_megabytes"),
        "largest_worker_process_mb": worst("worker_megabytes"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", nargs="?", type=Path, default=corpus.DEFAULT)
    parser.add_argument("--skip-long", action="store_true", help="without " + ", ".join(LONG))
    parser.add_argument("--only", nargs="+", default=[], help="files whose names hold one of these")
    arguments = parser.parse_args()
    if not (arguments.set / "hostile").is_dir():
        print(f"skipped: no corpus of hostile documents at {arguments.set / 'hostile'}")
        return 0
    chosen = [
        row
        for row in rows(arguments.set)
        if not (arguments.skip_long and row.file in LONG)
        and (not arguments.only or any(part in row.file for part in arguments.only))
    ]
    with running() as services:
        verdicts, trouble = run(services, arguments.set, chosen)
    found = figures(verdicts, trouble)
    print(json.dumps(found, indent=2, ensure_ascii=False))
    if not arguments.only:
        results.write("hostile", found)
    return 1 if trouble or found["not_kept"] else 0


if __name__ == "__main__":
    sys.exit(main())
