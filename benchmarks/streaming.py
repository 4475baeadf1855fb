"""Time to the first page, gain of a second worker, and a small job beside a large one.

python benchmarks/streaming.py [--only first_page|two_workers|fairness]
Ratios of wall times on the same machine in the same run; one inference thread a worker wherever
two arms are compared.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
from typing import Any

import httpx
import results
from documents import text_document
from service import Service, service

ONE_THREAD = {"OCRPLUS_ENGINE_THREADS": "1"}


async def page_times(running: Service, user: str, task: str, pdf: bytes) -> dict[str, Any]:
    """Submit by HTTP and note when each page's event is published, in seconds from `submitted`."""
    client = running.client
    async with httpx.AsyncClient(base_url=running.http, timeout=60) as http:
        response = await http.post("/v1/tasks", params={"user": user, "task_id": task}, content=pdf)
        response.raise_for_status()
    submitted = time.monotonic()
    position, pages, result = "0", [], None
    while result is None:
        read: Any = client.xread({f"stream:task:{user}": position}, block=1000)  # bytes
        for _, entries in read or []:
            for entry_id, fields in entries:
                position = entry_id
                event = json.loads(fields[b"event"])
                if event["task_id"] == task and event["type"] == "page":
                    pages.append(time.monotonic() - submitted)
                elif event["task_id"] == task and event["type"] == "result":
                    result = event
    return {"pages": pages, "total": time.monotonic() - submitted, "status": result["status"]}


def _page_times(running: Service, user: str, task: str, pdf: bytes) -> dict[str, Any]:
    return asyncio.run(page_times(running, user, task, pdf))


def first_page() -> dict[str, Any]:
    """Share of a 60-page document's time after which its first page is there."""
    shares = []
    with service() as running:
        _page_times(running, "bench", "warm", text_document(2, seed=9))
        for round_ in range(3):
            pdf = text_document(60, seed=round_)
            times = _page_times(running, "bench", f"first{round_}", pdf)
            assert times["status"] == "ok" and len(times["pages"]) == 60, times
            shares.append(times["pages"][0] / times["total"])
    return {"first_page_share": {"median": statistics.median(shares), "max": max(shares)}}


def two_workers() -> dict[str, Any]:
    """Wall time of a 64-page document with one worker over that with two, one thread each.

    A worker renders ahead of its inference and so takes more than one core where there is one:
    `cores_taken` by one worker bounds what a second can gain on the same machine. The second pair
    gives each worker a core of its own, as pods have, and what is one core's stays one core's.
    """
    return {"a_core_each": _gain(core_each=True), "unbound": _gain(core_each=False)}


def _gain(*, core_each: bool) -> dict[str, Any]:
    seconds: dict[int, list[float]] = {1: [], 2: []}
    cores: dict[int, list[float]] = {1: [], 2: []}
    for count in (1, 2):
        with service(workers=count, env=ONE_THREAD) as running:
            if core_each:
                _bind(running)
            # Each worker reads a few pages first: the arms compare warm engines.
            _page_times(running, "bench", "warm", text_document(32, seed=99))
            for round_ in range(3):
                pdf = text_document(64, seed=round_)
                before = running.cpu_seconds()
                times = _page_times(running, "bench", f"two{count}{round_}", pdf)
                assert times["status"] == "ok", times
                seconds[count].append(times["total"])
                cores[count].append((running.cpu_seconds() - before) / times["total"])
    one, two = statistics.median(seconds[1]), statistics.median(seconds[2])
    return {
        "one_worker_seconds": one,
        "two_workers_seconds": two,
        "speed_up": one / two,
        "cores_taken": {"one": statistics.median(cores[1]), "two": statistics.median(cores[2])},
    }


def _bind(running: Service) -> None:
    """Give each worker replica, its children and threads a core."""
    allowed = sorted(os.sched_getaffinity(0))
    for tree, core in zip(running.trees(), allowed, strict=False):
        for process in tree:
            for thread in process.threads():
                os.sched_setaffinity(thread.id, {core})


def fairness() -> dict[str, Any]:
    """Wait of a 1-page job while another user's 200 pages run, against the longest chunk."""
    with service(env=ONE_THREAD) as running:
        waits, gaps = asyncio.run(_beside_a_large_job(running))
    return {
        "small_job_seconds": {"median": statistics.median(waits), "max": max(waits)},
        "longest_chunk_seconds": max(gaps),
        "share_of_a_chunk": max(waits) / max(gaps),
    }


async def _beside_a_large_job(running: Service) -> tuple[list[float], list[float]]:
    pdf = text_document(200, seed=1)
    large = asyncio.create_task(asyncio.to_thread(_page_times, running, "large", "big", pdf))
    await asyncio.sleep(3)
    waits = []
    for round_ in range(4):
        pdf = text_document(1, seed=round_ + 50)
        times = await asyncio.to_thread(_page_times, running, "small", f"s{round_}", pdf)
        waits.append(times["pages"][0])
        await asyncio.sleep(2)
    pages = (await large)["pages"]
    chunk = 16  # pages: the larger bound of a chunk, see OCRPLUS_CHUNK_PAGES
    gaps = [pages[i + chunk] - pages[i] for i in range(len(pages) - chunk)]
    return waits, gaps


SUBJECTS = {"first_page": first_page, "two_workers": two_workers, "fairness": fairness}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(SUBJECTS))
    only = parser.parse_args().only
    for name, subject in SUBJECTS.items():
        if only in (None, name):
            figures = subject()
            print(json.dumps({name: figures}, indent=2))
            results.write(name, figures)


if __name__ == "__main__":
    main()
