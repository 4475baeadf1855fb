"""Delivery through nginx and two gateways: large documents, cuts and deaths, original clients.

python benchmarks/delivery.py [--only nginx|cuts|original] [--seed N]
Ends with 1 when anything is lost, doubled, out of order, or resumed too late. Only a run of all
parts is written down: parts of several runs are no record of one.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import delivery_cuts
import delivery_nginx
import delivery_original
import redis
import redis_server
import results
from delivery_setup import NGINX, Gateways, gateways, nginx

_IDLE_SECONDS: Final = 90.0
_RESUME_P99_SECONDS: Final = 2.0
_PLAN: Final = delivery_cuts.Plan(users=8, cuts=200, kills=20, events_per_second=300, seconds=45)


@dataclass(frozen=True)
class Scene:
    """What the parts measure on."""

    store: redis.Redis
    gateways: Gateways
    nginx_port: int
    seed: int


def through_nginx(scene: Scene) -> dict[str, Any]:
    """A large document passes, a larger one is refused by the gateway, idle sockets stay."""
    return asyncio.run(delivery_nginx.measure(scene.nginx_port, scene.store, _IDLE_SECONDS))


def under_cuts(scene: Scene) -> dict[str, Any]:
    """Nothing is lost while clients are cut and gateways are killed."""
    url = f"ws://127.0.0.1:{scene.nginx_port}/ws/"
    run = delivery_cuts.under_cuts(scene.store, [url], scene.gateways, _PLAN, scene.seed)
    outcome = asyncio.run(run)
    resumes, verdicts, journals = outcome.resumes, outcome.verdicts, outcome.journals
    p99 = percentile(resumes, 99)
    faults = list(outcome.faults)
    if p99 >= _RESUME_P99_SECONDS:
        faults.append(f"p99 of resuming is {p99:.2f} s, the bar {_RESUME_P99_SECONDS} s")
    unexplained = sum(journal.unexplained for journal in journals)
    if unexplained:
        faults.append(f"{unexplained} connections closed though neither cut nor killed")
    acknowledged = sum(verdict.acknowledged for verdict in verdicts)
    received = sum(verdict.received for verdict in verdicts)
    return {
        "seed": scene.seed,
        "users": _PLAN.users,
        "cuts": _PLAN.cuts,
        "gateways killed": _PLAN.kills,
        "events_per_second": outcome.events_per_second,
        "acknowledged": acknowledged,
        "received": received,
        "lost": acknowledged - received,
        "doubles after a resume": sum(verdict.doubles for verdict in verdicts),
        "connections closed": dict(sum((j.closes for j in journals), Counter())),
        "resumes": len(resumes),
        "resume_p50_seconds": percentile(resumes, 50),
        "resume_p99_seconds": p99,
        "resume_worst_seconds": resumes[-1],
        "gateway restart, worst seconds": max(outcome.restart_seconds),
        "faults": faults,
    }


def original(scene: Scene) -> dict[str, Any]:
    """Nothing is lost when an original client goes in the middle."""
    one, other = scene.gateways.ws
    through = f"ws://127.0.0.1:{scene.nginx_port}/ws/"
    ways = {"same": (one, one), "other": (one, other), "nginx": (through, through)}
    return delivery_original.measure(scene.store, ways)


_PARTS: Final[dict[str, Callable[[Scene], dict[str, Any]]]] = {
    "nginx": through_nginx,
    "cuts": under_cuts,
    "original": original,
}


def percentile(ordered: list[float], percent: int) -> float:
    """The smallest value that so many percent do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(_PARTS), action="append", help="default: all parts")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    arguments = parser.parse_args()
    if not Path(NGINX).exists():
        parser.error(f"{NGINX} is missing: apt-get install nginx-light")
    print(f"seed {arguments.seed}", flush=True)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="ocrplus-delivery-") as name:
        folder = Path(name)
        for part in arguments.only or _PARTS:
            figures[part] = _run(part, folder, arguments.seed)
            print(part, figures[part], flush=True)
    faults = [fault for part in figures.values() for fault in part["faults"]]
    for part in figures.values():
        part["faults"] = len(part["faults"])
    if figures.keys() == _PARTS.keys():
        results.write("delivery", figures)
    for fault in faults[:50]:
        print("MISSED:", fault, file=sys.stderr)
    return 1 if faults else 0


def _run(part: str, folder: Path, seed: int) -> dict[str, Any]:
    """One part on servers of its own."""
    scratch = folder / part
    scratch.mkdir()
    with (
        redis_server.running("valkey") as server,
        gateways(server.url, scratch) as pair,
        nginx(pair.ports, scratch) as port,
        server.client as store,
    ):
        return _PARTS[part](Scene(store, pair, port, seed))


if __name__ == "__main__":
    sys.exit(main())
