"""How right the estimate is that a client gets with `submitted`, in a mixed load.

python benchmarks/eta.py [--seed N] [--documents N]
Four users submit short, long and scanned documents at random moments, near what one worker can do.
Exits 1 when a bar is missed.
"""

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from documents import text_document
from results import write
from service import Service, service

from ocrplus_contract.keys import Keys
from ocrplus_contract.names import TaskId, UserId

_SCANS = Path(__file__).parents[1] / "examples" / "samples"
_MEAN_PAUSE_SECONDS = 1.3
_WARM_UP = 6


def document(rng: random.Random, number: int) -> tuple[str, bytes]:
    """A kind of document and its bytes, each its own."""
    kind = rng.choices(["short", "middle", "long", "scan"], [0.55, 0.25, 0.06, 0.14])[0]
    if kind == "scan":
        scans = sorted(_SCANS.glob("scan*.pdf"))
        return kind, rng.choice(scans).read_bytes() + b"\n%% %d\n" % number
    pages = {"short": (1, 3), "middle": (6, 14), "long": (30, 50)}[kind]
    return kind, text_document(rng.randint(*pages), seed=number)


def submit(running: Service, user: str, task: str, pdf: bytes) -> dict[str, Any]:
    answer = httpx.post(
        f"{running.http}/v1/tasks", params={"user": user, "task_id": task}, content=pdf, timeout=60
    )
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    return body


def seconds_taken(running: Service, user: str, task: str) -> float:
    """From admission to the end, by the server's clock; waits for it."""
    while True:
        fields: Any = running.client.hmget(
            Keys().job(UserId(user), TaskId(task)), ["created_at", "finished_at"]
        )
        if fields[1] is not None:
            return float(fields[1]) - float(fields[0])
        time.sleep(0.5)


def measured(seed: int, documents: int) -> dict[str, Any]:
    rng = random.Random(seed)
    rows = []
    with service(workers=1) as running:
        for number in range(_WARM_UP):  # the pace is learnt from what was read before
            kind, pdf = document(rng, 10_000 + number)
            submit(running, "warm", f"w{number}", pdf)
        for number in range(_WARM_UP):
            seconds_taken(running, "warm", f"w{number}")
        submitted = []
        for number in range(documents):
            kind, pdf = document(rng, number)
            user, task = f"u{rng.randrange(4)}", f"t{number}"
            answer = submit(running, user, task, pdf)
            submitted.append((kind, user, task, answer))
            time.sleep(rng.expovariate(1 / _MEAN_PAUSE_SECONDS))
        for kind, user, task, answer in submitted:
            taken = seconds_taken(running, user, task)
            rows.append((kind, answer["estimated_seconds"], taken, answer["queue_pages_ahead"]))
            print(kind, answer["pages_total"], rows[-1][1:], flush=True)
    return summary(seed, rows)


def summary(seed: int, rows: list[tuple[str, float, float, int]]) -> dict[str, Any]:
    ratios = sorted(estimate / taken for _, estimate, taken, _ in rows)

    def within(factor: float) -> float:
        return round(sum(1 / factor <= r <= factor for r in ratios) / len(ratios), 3)

    return {
        "seed": seed,
        "documents": len(rows),
        "waited_behind_others": sum(ahead > 0 for *_, ahead in rows),
        "within_a_factor_of_two": within(2),
        "within_a_factor_of_four": within(4),
        "ratio_p10": round(ratios[len(ratios) // 10], 2),
        "ratio_median": round(ratios[len(ratios) // 2], 2),
        "ratio_p90": round(ratios[len(ratios) * 9 // 10], 2),
        "kept": within(2) >= 0.5 and within(4) >= 0.9,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=60)
    arguments = parser.parse_args()
    found = measured(arguments.seed, arguments.documents)
    print(found)
    write("eta", found)
    return 0 if found["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
