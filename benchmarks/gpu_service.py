"""The whole service with its workers on a GPU: start, two documents, a death, a drain.

A step of gpu.py. Two engine processes of one replica share the card.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import faults
import gpu_meter
import httpx
import psutil
from documents import page_marker, text_document
from service import Service, service

PROCESSES = 2
PAGES = 16
LEASE_SECONDS = 10


def figures(env: dict[str, str], files: Sequence[Path]) -> dict[str, Any]:
    """All of it, on a service of its own."""
    before = gpu_meter.used_mib()
    settings = {
        "OCRPLUS_WORKERS_PER_REPLICA": str(PROCESSES),
        "OCRPLUS_LEASE_SECONDS": str(LEASE_SECONDS),
    }
    began = time.monotonic()
    with service(env={**env, **settings}) as running:
        running.wait_for_idle(PROCESSES)
        found: dict[str, Any] = {
            "ready_seconds": round(time.monotonic() - began, 1),
            "cold_start_seconds": [
                round(float(record.cold_start_seconds or 0), 1)
                for record in running.workers().values()
            ],
            "gpu_mib": gpu_meter.used_mib() - before,
        }
        steps: dict[str, Callable[[], Any]] = {
            "converted": lambda: converted(running, files),
            "child_killed": lambda: child_killed(running, before),
            "drained": lambda: asyncio.run(drained(running)),
        }
        for name, step in steps.items():
            found[name] = step()
            print(name, found[name], flush=True)
    found["gpu_mib_left_behind"] = gpu_meter.used_mib() - before
    return found


def converted(running: Service, files: Sequence[Path]) -> dict[str, Any]:
    """Documents by the command line's client."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "ocrplus_local", "convert", *map(str, files)]
        began = time.monotonic()
        ended = subprocess.run([*command, "-o", out, "--url", running.http], timeout=120)
        written = {file.stem: len(file.read_text("utf-8")) for file in Path(out).glob("*.md")}
    return {
        "exit_code": ended.returncode,
        "seconds": round(time.monotonic() - began, 2),
        "characters": written,
    }


def child_killed(running: Service, before: int) -> dict[str, Any]:
    """An engine process is killed with a page in hand, and what becomes of its memory."""
    with gpu_meter.metered() as usage:
        outcome = asyncio.run(faults.strike(running, "child_killed", 0))
    running.wait_for_idle(PROCESSES)
    return {
        **outcome,
        "gpu_mib_least_and_most": [min(usage.mib) - before, max(usage.mib) - before],
        "gpu_mib_after": gpu_meter.used_mib() - before,
    }


async def drained(running: Service) -> dict[str, Any]:
    """A replica is told to end (SIGTERM) with pages in hand; its successor does the rest."""
    task = "drained"
    async with httpx.AsyncClient(base_url=running.http, timeout=60) as http:
        query = {"user": "gpu", "task_id": task, "text_source": "ocr"}
        sent = await http.post("/v1/tasks", params=query, content=text_document(PAGES, seed=99))
        sent.raise_for_status()
        _, pid = await asyncio.to_thread(faults.busy_engine, running, task)
        parent = psutil.Process(psutil.Process(pid).ppid())
        began = time.monotonic()
        os.kill(parent.pid, signal.SIGTERM)
        code = await asyncio.to_thread(_ended, parent)
        seconds = time.monotonic() - began
        status = await faults.wait_for_end(http, task, "gpu")
        found = (await http.get(f"/v1/tasks/{task}/result", params={"user": "gpu"})).json()
    markdown = found["result"]["markdown"]
    return {
        "ended": code,
        "seconds": round(seconds, 1),
        "status": status,
        "pages_in_result": len(markdown),
        "right_pages": sum(page_marker(p["page"]) in p["markdown"] for p in markdown),
    }


def _ended(process: psutil.Process) -> str:
    gone, _ = psutil.wait_procs([process], 60)
    return "in order" if gone else "not within 60 s"
