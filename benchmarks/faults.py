"""Deaths in the middle of a document: what is lost, and how soon it is noticed.

python benchmarks/faults.py [--rounds N]
Two worker replicas read a 40-page document; one of them, with a page in hand, loses its engine
process (SIGKILL), its whole process tree (SIGKILL), or is stopped past its lease and continued.
Nobody helps. Every page must be there exactly once.
"""

import argparse
import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx
import results
from documents import page_marker, text_document
from service import Service, service

from ocrplus_contract.states import WorkerState

PAGES = 40
LEASE_SECONDS = 10
ENVIRONMENT = {
    "OCRPLUS_LEASE_SECONDS": str(LEASE_SECONDS),
    "OCRPLUS_ENGINE_THREADS": "1",
}


def busy_engine(running: Service, task: str) -> tuple[str, int]:
    """Wait for an engine process with a page of the task in hand, not its first."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for worker_id, record in running.workers().items():
            if record.state is WorkerState.BUSY and record.chunk.startswith(f"{task}/"):
                first = int(record.chunk.rpartition("/")[2].split("-")[0])
                if record.page > first:
                    return worker_id, record.pid
        time.sleep(0.02)
    raise TimeoutError("no engine took a page of the task")


def held_by(running: Service, worker_id: str) -> set[bytes]:
    """Permits that the ledger says a worker holds."""
    leases: Any = running.client.hgetall("lease:ocr")  # bytes to bytes
    return {permit for permit, raw in leases.items() if json.loads(raw)["owner"] == worker_id}


def kill_child(pid: int) -> None:
    """The engine process dies, as by the OOM killer."""
    os.kill(pid, signal.SIGKILL)


def kill_tree(pid: int) -> None:
    """The whole replica dies, as with its node."""
    import psutil

    parent = psutil.Process(psutil.Process(pid).ppid())
    for process in [parent, *parent.children(recursive=True)]:
        process.kill()


def stop_past_lease(pid: int) -> None:
    """The engine process is stopped for longer than its lease, then goes on."""
    os.kill(pid, signal.SIGSTOP)


async def strike(running: Service, fault: str, round_: int) -> dict[str, Any]:
    """One document with one fault: seconds until the permit was released, pages counted."""
    acts: dict[str, Callable[[int], None]] = {
        "child_killed": kill_child,
        "tree_killed": kill_tree,
        "stopped": stop_past_lease,
    }
    task = f"{fault}{round_}"
    async with httpx.AsyncClient(base_url=running.http, timeout=60) as http:
        # Bytes of its own: the content cache would answer the same ones at once.
        pdf = text_document(PAGES, seed=len(acts) * round_ + list(acts).index(fault))
        query = {"user": "faults", "task_id": task}
        (await http.post("/v1/tasks", params=query, content=pdf)).raise_for_status()
        worker_id, pid = await asyncio.to_thread(busy_engine, running, task)
        permits = held_by(running, worker_id)
        began = time.monotonic()
        acts[fault](pid)
        while permits & set(running.client.hkeys("lease:ocr")):
            await asyncio.sleep(0.05)
        noticed = time.monotonic() - began
        if fault == "stopped":
            await asyncio.sleep(3)
            os.kill(pid, signal.SIGCONT)
        status = await wait_for_end(http, task)
        found = (await http.get(f"/v1/tasks/{task}/result", params={"user": "faults"})).json()
    history: Any = running.client.xrange("stream:task:faults")  # bytes
    events = [json.loads(fields[b"event"]) for _, fields in history]
    seen = [e["page"] for e in events if e["task_id"] == task and e["type"] == "page"]
    markdown = found["result"]["markdown"]
    return {
        "noticed_seconds": noticed,
        "status": status,
        "pages_in_result": len(markdown),
        "page_events": len(seen),
        "each_page_once": sorted(seen) == list(range(1, PAGES + 1)),
        "right_pages": all(page_marker(p["page"]) in p["markdown"] for p in markdown),
    }


async def wait_for_end(http: httpx.AsyncClient, task: str, user: str = "faults") -> str:
    """The status that a task ends with."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        view = (await http.get(f"/v1/tasks/{task}", params={"user": user})).json()
        if view["status"] not in ("queued", "running"):
            return str(view["status"])
        await asyncio.sleep(0.2)
    raise TimeoutError(task)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    rounds = parser.parse_args().rounds
    figures: dict[str, Any] = {"lease_seconds": LEASE_SECONDS}
    with service(workers=2, env=ENVIRONMENT) as running:
        for fault in ("child_killed", "stopped", "tree_killed"):
            outcomes = []
            for round_ in range(rounds):
                running.wait_for_idle(2)
                outcome = asyncio.run(strike(running, fault, round_))
                print(fault, outcome, flush=True)
                assert outcome["status"] == "ok" and outcome["each_page_once"], outcome
                assert outcome["right_pages"] and outcome["pages_in_result"] == PAGES, outcome
                outcomes.append(outcome)
            figures[fault] = {
                "noticed_seconds_max": max(o["noticed_seconds"] for o in outcomes),
                "rounds": len(outcomes),
                "each_page_exactly_once": True,
            }
    assert figures["child_killed"]["noticed_seconds_max"] <= 5, figures
    assert figures["tree_killed"]["noticed_seconds_max"] <= LEASE_SECONDS + 30, figures
    results.write("faults", figures)


if __name__ == "__main__":
    main()
