"""Workers for pods in which nothing runs: the real heartbeat and the real ledger, played pages.

Each pod that is Running gets a worker in a thread that does what a real one does: warms, asks,
takes chunks, commits pages, drains. When a pod is told to go, what its worker had said is kept.
"""

import contextlib
import threading
import time
from dataclasses import dataclass, field

import httpx
import redis
from clusters import Cluster
from ledger_steps import KEYS, LEDGER, admit, commit, finish

from ocrplus_contract.errors import LeaseLost
from ocrplus_contract.ledger import run
from ocrplus_contract.names import Pool
from ocrplus_contract.records import WorkerRecord
from ocrplus_ocr.pulse import Pulse, PulseTiming


def work(store: redis.Redis, task: str, chunks: int, pages: int = 2) -> None:
    """Admit a document of so many chunks of so many pages."""
    admit(store, "u", task, [(i * pages + 1, (i + 1) * pages) for i in range(chunks)])


def done(store: redis.Redis, task: str) -> bool:
    """Whether that document was converted."""
    return store.hget(KEYS.job("u", task), "state") == b"ok"  # type: ignore[arg-type]


class PlayedWorker:
    """One worker of one pod."""

    def __init__(self, store: redis.Redis, pod: str, warm_seconds: float, page_seconds: float):
        self._store = store
        self._owner = f"{pod}.0"
        self._page_seconds = page_seconds
        self._warm_seconds = warm_seconds
        self._pulse = Pulse(store, LEDGER, self._owner, PulseTiming(4, 600))
        self._ending = threading.Event()
        self._killed = threading.Event()
        self.interrupted = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def state(self) -> str:
        """What its record says at this moment."""
        record = WorkerRecord.from_hash(self._store.hgetall(KEYS.worker(Pool.OCR, self._owner)))
        return str(record.state) if record else "gone"

    def terminate(self) -> None:
        """SIGTERM: the chunk in hand is finished."""
        self._ending.set()

    def kill(self) -> None:
        """SIGKILL."""
        self._killed.set()
        self._ending.set()

    def _run(self) -> None:
        with contextlib.suppress(redis.RedisError):
            self._pulse.start()
        if self._ending.wait(self._warm_seconds):
            return self._leave()
        with contextlib.suppress(redis.RedisError):
            self._pulse.warm(max(0.1, self._warm_seconds), "played")
        while not self._ending.is_set():
            try:
                if not self._serve():
                    self._ending.wait(0.1)
            except redis.RedisError:
                self._ending.wait(0.2)
        return self._leave()

    def _leave(self) -> None:
        with contextlib.suppress(redis.RedisError):
            self._pulse.stop()
        self._store.close()

    def _serve(self) -> bool:
        if not self._pulse.reach():
            return False
        lease = run(self._store, LEDGER.take(Pool.OCR, self._owner))
        if lease is None:
            self._pulse.let_go()
            return False
        self._pulse.begin_chunk(lease)
        try:
            for page in lease.pages:
                if self._killed.wait(self._page_seconds):
                    self.interrupted = True
                    return False
                commit(self._store, lease, page)
                self._pulse.page_done(page + 1 if page < lease.last else None)
            finish(self._store, lease)
        except LeaseLost:
            self.interrupted = True
        finally:
            self._pulse.end_chunk()
        return True


@dataclass
class Fleet:
    """The workers of a Deployment's pods; `went` tells what each said when its pod was deleted."""

    cluster: Cluster
    url: str
    target: str = "worker"
    warm_seconds: float = 0.3
    page_seconds: float = 0.05
    went: dict[str, str] = field(default_factory=dict)
    workers: dict[str, PlayedWorker] = field(default_factory=dict)
    interrupted: int = 0
    _rolled: set[str] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Fleet":
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        for worker in self.workers.values():
            worker.kill()
        for worker in self.workers.values():
            worker.thread.join(5)

    @property
    def states(self) -> list[str]:
        """What each worker says now."""
        return [worker.state for worker in list(self.workers.values())]

    def lowered(self) -> dict[str, str]:
        """What the pods said that went by an order to have fewer, not by a rollout."""
        return {pod: said for pod, said in self.went.items() if pod not in self._rolled}

    def _follow(self) -> None:
        while not self._stop.wait(0.05):
            try:
                self._look({p["metadata"]["name"]: p for p in self.cluster.pods(self.target)})
            except (httpx.HTTPError, redis.RedisError):
                time.sleep(0.2)

    def _look(self, pods: dict[str, dict]) -> None:  # type: ignore[type-arg]
        for name, pod in pods.items():
            terminating = "deletionTimestamp" in pod["metadata"]
            if terminating and name not in self.went:
                self._goes(name)
                if (pod["metadata"].get("annotations") or {}).get("round") != self._round():
                    self._rolled.add(name)
            running = not terminating and pod["status"].get("phase") == "Running"
            if running and name not in self.workers:
                self.workers[name] = PlayedWorker(
                    redis.Redis.from_url(self.url), name, self.warm_seconds, self.page_seconds
                )
        for name in [n for n in self.workers if n not in pods]:
            if name not in self.went:  # gone between two looks: its mark may be forgotten already
                self._goes(name)
                if self.went[name] == "idle":
                    self.went[name] = "not seen"
            worker = self.workers.pop(name)
            if worker.thread.is_alive():
                worker.kill()
                worker.thread.join(5)
            self.interrupted += worker.interrupted

    def _round(self) -> str | None:
        template = self.cluster.get("deployments", self.target)["spec"]["template"]
        found: str | None = (template["metadata"].get("annotations") or {}).get("round")
        return found

    def _goes(self, name: str) -> None:
        worker = self.workers.get(name)
        self.went[name] = worker.state if worker else "never started"
        if worker:
            worker.terminate()
