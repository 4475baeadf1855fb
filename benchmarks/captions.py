"""What captions cost, save and survive: one part a subject, all of them without an argument.

The OCR side is played at its seam, the ledger, at a steady pace: what is measured is what captions
add to it.
"""

import asyncio
import hashlib
import os
import random
import socket
import statistics
import sys
import time
from typing import Any

import pictures
import psutil
import results
from caption_process import caption_worker
from captions_setup import USER, Bench, bench, figure, largest_memory, wait_for_quiet
from documents import text_document
from hostile_answers import HOSTILE, SAID, browsed, is_plain, rendered
from service import original_client

from ocrplus_caption.cleaning import description

DEADLINE = 30.0
PAGES = 12
PAGE_SECONDS = 0.05


# Nothing waits for captions


def _last_page(found: list[tuple[float, dict[str, Any]]]) -> float:
    return max(at for at, event in found if event["type"] == "page")


def _run(deployment: Bench, task: str, captions: bool) -> float:
    """Seconds from the first event to the last page's."""
    deployment.submit(task, PAGES, captions=str(captions).lower())
    deployment.read(_draw(task), 1, PAGE_SECONDS)
    found = deployment.events(task)
    return _last_page(found) - found[0][0]


def _draw(task: str) -> Any:
    base = int.from_bytes(hashlib.sha256(task.encode()).digest()[:2]) * 100
    small = pictures.chart(0, (400, 870))

    def draw(page: int, number: int) -> bytes:
        from PIL import ImageDraw

        image = small.copy()
        ImageDraw.Draw(image).text((120, 40), f"{base + page}", fill="black")
        return pictures.png(image)

    return draw


def _pairs(deployment: Bench, name: str, on: bool) -> list[float]:
    """Milliseconds by which the second of a pair is later, its order changing."""
    differences = []
    for number in range(10):
        order = [False, on] if number % 2 else [on, False]
        took = [_run(deployment, f"{name}{number}{i}", one) for i, one in enumerate(order)]
        with_captions = took[1] if number % 2 else took[0]
        without = took[0] if number % 2 else took[1]
        differences.append((with_captions - without) * 1000)
    return differences


def _closed_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def independence() -> None:
    """Ten pairs off/off, and off against a model that is dead, hangs, or takes 60 s."""
    figures: dict[str, Any] = {}
    spread = 0.0
    for name, mode, seconds, base_url in (
        ("off", "ok", 0.0, None),
        ("dead", "ok", 0.0, _closed_port()),
        ("hanging", "hang", 0.0, None),
        ("slow", "ok", 60.0, None),
    ):
        with bench(base_url=base_url) as deployment:
            deployment.vlm.control(mode=mode, seconds=seconds)
            _run(deployment, f"warm{name}", False)
            differences = _pairs(deployment, name, name != "off")
            median = statistics.median(differences)
            row = {"median_difference_ms": round(median, 1)}
            if name == "off":
                spread = max(map(abs, differences))
                row["spread_ms"] = round(spread, 1)
            else:
                row["within_spread"] = abs(median) <= spread
                row.update(_results(deployment, name))
            figures[name] = row
            print(name, row, flush=True)
    results.write("captions_independence", figures)


def _results(deployment: Bench, name: str) -> dict[str, Any]:
    """How long after the last page results come: of v2's events, and of one original client."""
    original = asyncio.run(_original(deployment, f"orig{name}"))
    tasks = [f"{name}{number}{(number % 2)}" for number in range(10)]
    waits, captions = [], set()
    for task in tasks:
        found = deployment.events(task)
        ends = [(at, e) for at, e in found if e["type"] == "result"]
        while not ends:
            time.sleep(0.5)
            found = deployment.events(task)
            ends = [(at, e) for at, e in found if e["type"] == "result"]
        waits.append(ends[0][0] - _last_page(found))
        captions.add(ends[0][1]["captions"])
    worst = max(waits)
    return {
        "result_after_last_page_s_worst": round(worst, 2),
        "original_result_after_last_page_s": round(original, 2),
        "in_time": worst <= DEADLINE + 1 and original <= DEADLINE + 1,
        "v2_captions": "/".join(sorted(captions)),
    }


async def _original(deployment: Bench, task: str) -> float:
    pdf = text_document(PAGES, seed=4711)
    client = asyncio.create_task(
        original_client(deployment.gateway.http, USER, task, pdf, DEADLINE + 30)
    )
    while not deployment.client.exists(f"job:{USER}:{task}"):  # noqa: ASYNC110  # seen from outside
        await asyncio.sleep(0.05)
    await asyncio.to_thread(deployment.read, _draw(task), 1, PAGE_SECONDS)
    await client
    return time.time() - _last_page(deployment.events(task))


# Throughput and memory


def throughput() -> None:
    """1,000 figures of a megapixel at 2 s a call, 50 at once, one process."""
    count, concurrency, seconds = 1000, 50, 2.0
    env = {
        "OCRPLUS_CAPTION__CONCURRENCY": str(concurrency),
        "OCRPLUS_CAPTION__REQUESTS_PER_MINUTE": "0",
    }
    with bench(workers=0) as deployment:
        deployment.vlm.control(seconds=seconds)
        deployment.submit("many", 25)
        deployment.read(lambda page, number: figure(page * 100 + number), count // 25, 0.0)
        wait_for_quiet()
        with (
            caption_worker(
                deployment.redis_url, deployment.blobs, deployment.vlm.base_url, **env
            ) as worker,
            largest_memory(worker.process.pid) as worst,
        ):
            psutil.cpu_percent()
            found = deployment.wait_for_captions("many", count, 300)
            busy = psutil.cpu_percent() / 100
            stats = deployment.vlm.stats()
            cpu = sum(psutil.Process(worker.process.pid).cpu_times()[:2])
    elapsed = max(at for at, _ in found) - min(at for at, _ in found) + seconds
    ideal = count / concurrency * seconds
    results.write(
        "captions_throughput",
        {
            "figures": count,
            "described": sum(event["state"] == "ok" for _, event in found),
            "calls": stats["calls"],
            "most_calls_at_once": stats["most_at_once"],
            "seconds": round(elapsed, 1),
            "share_of_the_limit": round(ideal / elapsed, 3),
            "machine_busy": round(busy, 2),
            "worker_cpu_seconds": round(cpu, 1),
            "worker_mib_at_worst": round(worst[0]),
        },
    )


# The same picture, and others


def sameness() -> None:
    """A logo on 200 pages, and 200 charts of one template: whose description goes where."""
    with bench() as deployment:
        deployment.vlm.control(seconds=0.5, text="{sha}")
        crops = [
            pictures.png(pictures.with_margins(pictures.logo(), n % 5, n % 3, n % 7, n % 2))
            for n in range(200)
        ]
        deployment.submit("logo", 200)
        deployment.read(lambda page, number: crops[page - 1], 1, 0.0)
        logos = deployment.wait_for_captions("logo", 200, 120)
        logo_calls = deployment.vlm.stats()["calls"]
        deployment.vlm.control(reset=True)
        charts = [pictures.png(pictures.chart(seed, (580, 870))) for seed in range(200)]
        deployment.submit("charts", 200)
        deployment.read(lambda page, number: charts[page - 1], 1, 0.0)
        found = deployment.wait_for_captions("charts", 200, 120)
        wrong = sum(
            event["caption"] != hashlib.sha256(charts[event["page"] - 1]).hexdigest()[:16]
            for _, event in found
        )
        results.write(
            "captions_sameness",
            {
                "logo_pages": len(logos),
                "logo_calls": logo_calls,
                "charts": len(found),
                "chart_calls": deployment.vlm.stats()["calls"],
                "wrong_merges": wrong,
            },
        )


# Limits


def _limited(limit: str, figures: int) -> dict[str, Any]:
    with bench(workers=4, OCRPLUS_CAPTION__REQUESTS_PER_MINUTE=limit) as deployment:
        deployment.vlm.control(per_minute=60, seconds=0.3)
        deployment.submit("limits", figures)
        began = time.monotonic()
        deployment.read(_draw(f"limits{limit}"), 1, 0.0)
        found = deployment.wait_for_captions("limits", figures, 400)
        stats = deployment.vlm.stats()
    return {
        "figures": figures,
        "described": sum(event["state"] == "ok" for _, event in found),
        "refusals_429": stats["statuses"].get("429", 0),
        "seconds": round(time.monotonic() - began, 1),
    }


def limits() -> None:
    """A server that takes 60 a minute, four processes: limiter at 60, and none."""
    figures = {"limiter_60": _limited("60", 130), "no_limiter": _limited("0", 130)}
    results.write("captions_limits", figures)


# Deaths


def deaths() -> None:
    """Workers killed at random moments: every figure ends once."""
    kills, pages = 20, 20
    rng = random.Random(5)
    env = {"OCRPLUS_LEASE_SECONDS": "5", "OCRPLUS_CAPTION__CONCURRENCY": "8"}
    twice = lost = described = 0
    with bench(workers=0) as deployment:
        deployment.vlm.control(seconds=0.2)
        for number in range(kills):
            task = f"death{number}"
            deployment.submit(task, pages)
            deployment.read(_draw(task), 1, 0.0)
            at, blobs, model = deployment.redis_url, deployment.blobs, deployment.vlm.base_url
            with caption_worker(at, blobs, model, OCRPLUS_POD_NAME="mortal", **env) as worker:
                time.sleep(rng.uniform(0.0, 0.9))
                worker.process.kill()
                worker.process.wait(10)
            with caption_worker(at, blobs, model, OCRPLUS_POD_NAME="mortal", **env):
                deployment.wait_for_captions(task, pages, 60)
                time.sleep(0.3)
            found = [event["figure"] for _, event in deployment.captions(task)]
            twice += len(found) - len(set(found))
            lost += pages - len(set(found))
            described += sum(e["state"] == "ok" for _, e in deployment.captions(task))
    results.write(
        "captions_deaths",
        {
            "kills": kills,
            "figures": kills * pages,
            "described": described,
            "lost": lost,
            "twice": twice,
        },
    )


# The cleaner


def cleaner() -> None:
    """Twenty hostile answers, cleaned and raw, in a browser."""
    texts = [description(answer, 1200) or "" for answer in HOSTILE.values()]
    html = [rendered("\n".join(f"> {line}" for line in text.splitlines())) for text in texts]
    clean = browsed(html)
    raw = browsed([rendered(answer) for answer in HOSTILE.values()])
    results.write(
        "captions_cleaner",
        {
            "hostile_answers": len(HOSTILE),
            "descriptions_kept": sum(SAID in text for text in texts),
            "nothing_but_words_and_tables": sum(map(is_plain, html)),
            "requests": len(clean.requests),
            "dialogs": int(clean.dialog),
            "requests_uncleaned": len(raw.requests),
            "dialogs_uncleaned": int(raw.dialog),
        },
    )


PARTS = {
    part.__name__: part for part in (independence, throughput, sameness, limits, deaths, cleaner)
}


def main() -> None:
    for name in sys.argv[1:] or PARTS:
        print(f"captions: {name}", flush=True)
        PARTS[name]()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
