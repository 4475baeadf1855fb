"""Probes and metrics on one port: /livez, /readyz, /metrics.

Alive: every pool was looked at lately. Ready: the API server answered lately, whoever leads, and
knows WorkerPools. An answer says of each part whether it is so, with a code, and why not.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ocrplus_operator.leader import Leader
from ocrplus_operator.metrics import OperatorMetrics
from ocrplus_operator.pool import Pools

_STUCK_SECONDS: Final = 60.0
_SILENT_SECONDS: Final = 30.0
_CODES: Final = {"pools": "stuck", "api": "no_answer", "resource": "not_listed"}
"""Part → what its problem is called, for programs."""


@dataclass(slots=True)
class Waiting:
    """What the operator waits for before it looks after pools; empty when for nothing."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes look at."""

    pools: Pools
    leader: Leader
    metrics: OperatorMetrics
    clock: Callable[[], float] = time.monotonic
    waiting: Waiting = field(default_factory=Waiting)

    def problems(self) -> dict[str, str]:
        """Part → what is wrong with it."""
        found: dict[str, str] = {}
        if (stuck := self.clock() - self.pools.oldest_tick) > _STUCK_SECONDS:
            found["pools"] = f"a pool was not looked at for {stuck:.0f} s"
        return found

    def unready(self) -> dict[str, str]:
        """The same, and what a replica that is only slow may lack."""
        found = self.problems()
        if self.clock() - self.leader.heard > _SILENT_SECONDS:
            found["api"] = "the API server has not answered lately"
        if self.waiting.reason:
            found["resource"] = f"WorkerPools cannot be listed: {self.waiting.reason}"
        return found

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _livez(self, _: web.Request) -> web.Response:
        return _answer(self.problems())

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(self.unready())

    async def _metrics(self, _: web.Request) -> web.Response:
        self.metrics.leads.set(self.leader.leads)
        body = generate_latest(self.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(problems: dict[str, str]) -> web.Response:
    parts = {
        part: {
            "ready": part not in problems,
            "code": code if part in problems else "ok",
            "reason": problems.get(part, ""),
        }
        for part, code in _CODES.items()
    }
    body = {"ok": not problems, "problems": problems, "parts": parts}
    return web.json_response(body, status=503 if problems else 200)
