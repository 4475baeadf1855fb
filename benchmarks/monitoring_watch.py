"""Faults, when their alerts were seen to fire, and what the runbooks' first commands then said."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import runbook_commands
from prometheus_server import Prometheus

_LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Fault:
    """The alert that must fire, how soon (its windows, its `for`, some scrapes), and what its
    runbook's first command must show then: a pattern."""

    name: str
    alert: str
    within_seconds: float
    shows: str
    labels: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def title(self) -> str:
        """How results call it."""
        return f"{self.name}: {self.alert}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Seconds until the alert, infinite without; whether the command showed the cause."""

    seconds: float
    shown: bool
    said: str


class Watch:
    """Since when each fault of one namespace is, and when its alert was seen to fire."""

    def __init__(self, server: Prometheus, namespace: str, env: Mapping[str, str]) -> None:
        self._server = server
        self._namespace = namespace
        self._env = env
        self._began: dict[Fault, float] = {}
        self.outcomes: dict[str, Outcome] = {}

    def begin(self, *faults: Fault) -> None:
        """The fault is there now."""
        for fault in faults:
            self._began[fault] = time.monotonic()

    def fired(self, *faults: Fault) -> bool:
        """Look once; whether all of these have fired, or may no more."""
        self._look()
        now = time.monotonic()
        for fault in faults:
            if fault.title not in self.outcomes and now - self._began[fault] > self._most(fault):
                self.outcomes[fault.title] = Outcome(float("inf"), False, "")
        return all(fault.title in self.outcomes for fault in faults)

    def until(self, *faults: Fault) -> None:
        """Wait for their alerts, each for half as long again as its time."""
        while not self.fired(*faults):
            time.sleep(_LOOK_SECONDS)

    @staticmethod
    def _most(fault: Fault) -> float:
        return 1.5 * fault.within_seconds

    def _look(self) -> None:
        firing = alerts_firing(self._server)
        for fault, began in self._began.items():
            asked = {"alertname": fault.alert, "namespace": self._namespace, **fault.labels}
            if fault.title in self.outcomes:
                continue
            if any(asked.items() <= labels.items() for labels in firing):
                seconds = round(time.monotonic() - began, 1)
                command = runbook_commands.first_command(fault.alert)
                said = runbook_commands.run(command, self._env, self._server.url)
                shown = re.search(fault.shows, said) is not None
                self.outcomes[fault.title] = Outcome(seconds, shown, said)


def alerts_firing(server: Prometheus) -> list[dict[str, str]]:
    """Labels of what fires now."""
    alerts: list[dict[str, Any]] = server.get("alerts")["alerts"]
    return [alert["labels"] for alert in alerts if alert["state"] == "firing"]
