"""What a WorkerPool's status says: built from decisions, written on change and seldom.

Pure but for `StatusWriter.write`. Types and reasons of conditions are the law's
(`control.types.ConditionType`) and those named here.
"""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ocrplus_operator.control.types import (
    Condition,
    ConditionType,
    Decision,
    Notice,
    Reading,
    Unknown,
)
from ocrplus_operator.kube import Kube, Object

RECENT_DECISIONS: Final = 50

GRACE_PERIOD_SHORT: Final = "GracePeriodShort"
REASON_GRACE_ENOUGH: Final = "GracePeriodEnough"
REASON_GRACE_SHORT: Final = "DrainTimeoutAboveGracePeriod"
REASON_INVALID_SPEC: Final = "InvalidSpec"
REASON_REFUSED: Final = "Refused"

# Conditions of which an Event tells, and the status that is the bad one.
_WRONG: Final = {
    "Ready": "False",
    "Paused": "True",
    "DoorbellsMissing": "True",
    GRACE_PERIOD_SHORT: "True",
}
_TRUTH: Final = {True: "True", False: "False", None: "Unknown"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One tick: what was decided, on which reading, and what was left when all was done."""

    at: float
    decision: Decision
    reading: Reading | Unknown
    replicas: int | None
    """`spec.replicas` of the target when it was looked at; None where it could not be."""
    selector: str
    grace_seconds: int | None
    drain_timeout_seconds: float
    generation: int
    refused: str = ""
    """What the API server or Redis refused when the decision was carried out."""


def timestamp(at: float) -> str:
    """An API timestamp of unix seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def status_of(before: Object, outcome: Outcome) -> Object:
    """The status after a tick. What could not be read stays as it was last known."""
    decision, counts = outcome.decision, outcome.decision.counts
    status = {
        **before,
        "observedGeneration": outcome.generation,
        "recentDecisions": list(before.get("recentDecisions", ())),
    }
    if decision.desired is not None:
        status["desiredReplicas"] = decision.desired
    if outcome.replicas is not None:
        status |= {
            "replicas": counts.pods,
            "readyReplicas": counts.ready,
            "warmingReplicas": counts.warming,
            "busyReplicas": counts.busy,
            "drainingReplicas": counts.draining,
            "selector": outcome.selector,
        }
    if isinstance(outcome.reading, Reading):
        status |= _measured(outcome.reading, decision)
    entry = decision_entry(outcome)
    if is_news(before, decision):
        told = {**entry, "inputs": {k: v for k, v in entry["inputs"].items() if v}}
        status["recentDecisions"] = [*status["recentDecisions"], told][-RECENT_DECISIONS:]
    else:  # the same answer: since when, and why it is so now
        kept = ("time", "from", "steps")
        entry |= {k: v for k, v in before["lastDecision"].items() if k in kept}
    status["lastDecision"] = entry
    status["conditions"] = _conditions(before, outcome)
    return status


def _measured(reading: Reading, decision: Decision) -> Object:
    inputs = decision.inputs
    return {
        "backlog": {
            "chunks": reading.waiting_chunks,
            "pages": reading.waiting_pages,
            "inFlight": inputs.in_flight,
            "expired": reading.expired_leases,
            "doorbells": reading.doorbells,
            "workSeconds": _rounded(inputs.work_seconds),
            "oldestWaitSeconds": _rounded(reading.oldest_wait_seconds),
        },
        "rates": {
            "pagesPerSecond": _rounded(inputs.pages_per_second, 3),
            "secondsPerPage": _rounded(inputs.seconds_per_page, 3),
            "coldStartSeconds": _rounded(inputs.cold_start_seconds),
        },
    }


def is_news(before: Object, decision: Decision) -> bool:
    """Whether a decision answers otherwise than the last one, or does a step of a drain."""
    last = before.get("lastDecision") or {}
    changed = (last.get("to"), last.get("reason")) != (decision.desired, str(decision.reason))
    steps = decision.unmark or decision.mark or decision.cheapen or decision.scale_to is not None
    return changed or bool(steps)


def decision_entry(outcome: Outcome) -> Object:
    """One decision as `lastDecision` and `recentDecisions` keep it."""
    decision = outcome.decision
    entry: Object = {
        "time": timestamp(outcome.at),
        "reason": str(decision.reason),
        "message": decision.message,
        "inputs": {
            _camel(name): _rounded(value, 3) for name, value in asdict(decision.inputs).items()
        },
    }
    if steps := steps_of(decision, outcome.replicas):
        entry["steps"] = steps
    if outcome.replicas is not None:
        entry["from"] = outcome.replicas
    if decision.desired is not None:
        entry["to"] = decision.desired
    return entry


def steps_of(decision: Decision, replicas: int | None) -> str:
    """What is done about it in this look, in words; empty where nothing is."""
    steps = [
        f"{word} {len(pods)}"
        for word, pods in (
            ("take back", decision.unmark),
            ("mark", decision.mark),
            ("make cheap", decision.cheapen),
        )
        if pods
    ]
    if decision.scale_to is not None:
        steps.append(f"scale {replicas} to {decision.scale_to}")
    return ", ".join(steps)


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def _rounded(value: float, digits: int = 1) -> float | int:
    rounded = round(float(value), digits)
    return int(rounded) if rounded == int(rounded) else rounded


def _conditions(before: Object, outcome: Outcome) -> list[Object]:
    known = {one["type"]: one for one in before.get("conditions", ())}
    for condition in _judged(outcome):
        known[str(condition.type)] = _condition(
            known.get(str(condition.type)), str(condition.type), condition, outcome
        )
    if outcome.grace_seconds is not None:
        known[GRACE_PERIOD_SHORT] = _condition(
            known.get(GRACE_PERIOD_SHORT), GRACE_PERIOD_SHORT, _grace(outcome), outcome
        )
    return list(known.values())


def _judged(outcome: Outcome) -> tuple[Condition, ...]:
    """The law's conditions; ready is nobody whose decisions are refused."""
    if not outcome.refused:
        return outcome.decision.conditions
    refused = Condition(ConditionType.READY, False, REASON_REFUSED, outcome.refused)
    return tuple(
        refused if one.type is ConditionType.READY and one.status else one
        for one in outcome.decision.conditions
    )


def turns(before: Object, after: Object) -> tuple[Notice, ...]:
    """What has gone wrong, or is well again, between two statuses: Events for who looks there."""
    was = {one["type"]: one for one in before.get("conditions", ())}
    notices = []
    for one in after.get("conditions", ()):
        old, bad = was.get(one["type"]), _WRONG.get(one["type"])
        if bad is None or (
            old and (old["status"], old["reason"]) == (one["status"], one["reason"])
        ):
            continue
        if one["status"] == bad:
            reason = one["reason"] if one["type"] == "Ready" else one["type"]
            notices.append(Notice(reason, one["message"], warning=one["type"] != "Paused"))
        elif old and old["status"] == bad:
            notices.append(
                Notice(f"{one['type']}Over" if bad == "True" else "Ready", one["message"])
            )
    return tuple(notices)


@dataclass(frozen=True, slots=True)
class _Judged:
    status: bool | None
    reason: str
    message: str


def _grace(outcome: Outcome) -> _Judged:
    limit, grace = outcome.drain_timeout_seconds, outcome.grace_seconds
    if grace is not None and limit > grace:
        return _Judged(
            True,
            REASON_GRACE_SHORT,
            f"scaleDown.drainTimeoutSeconds {limit:g} is above terminationGracePeriodSeconds "
            f"{grace}: a pod that is evicted may be killed with a chunk in hand",
        )
    return _Judged(False, REASON_GRACE_ENOUGH, "evicted pods have the time of a drain")


def _condition(
    before: Object | None, kind: str, judged: Condition | _Judged, outcome: Outcome
) -> Object:
    truth = _TRUTH[judged.status]
    same = before is not None and before["status"] == truth
    return {
        "type": kind,
        "status": truth,
        "observedGeneration": outcome.generation,
        "lastTransitionTime": before["lastTransitionTime"]
        if same and before is not None
        else timestamp(outcome.at),
        "reason": judged.reason,
        "message": judged.message,
    }


def invalid(before: Object, generation: int, message: str, at: float) -> Object:
    """The status of a pool whose spec cannot be acted on: it says so and keeps the rest."""
    known = {one["type"]: one for one in before.get("conditions", ())}
    ready = known.get("Ready")
    same = ready is not None and ready["status"] == "False"
    known["Ready"] = {
        "type": "Ready",
        "status": "False",
        "observedGeneration": generation,
        "lastTransitionTime": ready["lastTransitionTime"]
        if same and ready is not None
        else timestamp(at),
        "reason": REASON_INVALID_SPEC,
        "message": message,
    }
    return {**before, "observedGeneration": generation, "conditions": list(known.values())}


@dataclass(slots=True)
class StatusWriter:
    """Writes the status of one pool on change, at most every `interval_seconds`."""

    kube: Kube
    path: str
    interval_seconds: float
    written: Object = field(default_factory=dict)
    written_at: float = float("-inf")

    async def write(self, status: Object, now: float) -> bool:
        """Write a status if it differs from the last one and enough time has passed."""
        if status == self.written or now - self.written_at < self.interval_seconds:
            return False
        self.written_at = now  # also where it fails: the API server is not to be pressed
        changed = {k: v for k, v in status.items() if self.written.get(k) != v}
        await self.kube.patch(f"{self.path}/status", {"status": _replaced(changed, self.written)})
        self.written = status
        return True


def _replaced(changed: Object, before: Object) -> Object:
    """A merge patch that also removes what fell away inside of changed blocks."""
    patch: dict[str, Any] = {}
    for name, value in changed.items():
        was = before.get(name)
        if isinstance(value, dict) and isinstance(was, dict):
            gone = {key: None for key in was if key not in value}
            patch[name] = {**gone, **value}
        else:
            patch[name] = value
    return patch
