"""What status says of a decision, and when it is written."""

from dataclasses import replace
from typing import Any

import pytest

from ocrplus_operator.control.types import (
    Condition,
    ConditionType,
    Counts,
    Decision,
    Inputs,
    Notice,
    Reading,
    Reason,
    Unknown,
)
from ocrplus_operator.explain import table
from ocrplus_operator.kube import Kube
from ocrplus_operator.status import (
    RECENT_DECISIONS,
    Outcome,
    StatusWriter,
    invalid,
    status_of,
    turns,
)

UNKNOWN = Unknown("Timeout", "no answer")


def outcome(at: float = 1000.0, *, reading: Any = UNKNOWN, **changes: Any) -> Outcome:
    available = Condition(
        ConditionType.METRICS_AVAILABLE, isinstance(reading, Reading), "Reason", "words"
    )
    fields: dict[str, Any] = {
        "desired": 3,
        "reason": Reason.BACKLOG,
        "message": "why",
        "inputs": Inputs(waiting_pages=7, work_seconds=12.345),
        "counts": Counts(pods=2, ready=1, busy=1),
        "conditions": (available,),
    }
    return Outcome(
        at=at,
        decision=Decision(**{**fields, **changes}),
        reading=reading,
        replicas=2,
        selector="app=w",
        grace_seconds=30,
        drain_timeout_seconds=300,
        generation=4,
    )


def test_a_decision_stands_with_its_inputs_and_only_news_is_added() -> None:
    first = status_of({}, outcome())
    again = status_of(first, outcome(1003.0))
    other = status_of(again, outcome(1006.0, desired=4))

    assert first["lastDecision"]["inputs"]["workSeconds"] == 12.345
    assert (first["lastDecision"]["from"], first["lastDecision"]["to"]) == (2, 3)
    assert again["recentDecisions"] == first["recentDecisions"]
    assert [d["to"] for d in other["recentDecisions"]] == [3, 4]


def test_the_last_decision_says_since_when_and_why_it_is_so_now() -> None:
    first = status_of({}, outcome(1000.0, message="then"))
    again = status_of(first, outcome(1003.0, message="now", inputs=Inputs(waiting_pages=2)))

    last, old = again["lastDecision"], again["recentDecisions"][-1]
    assert (last["time"], last["message"], last["inputs"]["waitingPages"]) == (
        first["lastDecision"]["time"], "now", 2,
    )  # fmt: skip
    assert (old["message"], old["inputs"]["waitingPages"]) == ("then", 7)


READY = Condition(ConditionType.READY, True, "Deciding", "all is well")
DEAF = Condition(ConditionType.READY, False, "Timeout", "holds: no answer")


def test_who_is_refused_is_not_ready_and_says_by_whom() -> None:
    refused = replace(outcome(conditions=(READY,)), refused="replicas of w not written: 403")
    ready = status_of({}, refused)["conditions"][0]

    assert (ready["status"], ready["reason"]) == ("False", "Refused")
    assert ready["message"] == "replicas of w not written: 403"


def test_what_goes_wrong_and_what_is_well_again_is_an_event_once() -> None:
    well = status_of({}, replace(outcome(conditions=(READY,)), grace_seconds=600))
    deaf = status_of(well, replace(outcome(conditions=(DEAF,)), grace_seconds=600))

    assert turns({}, well) == turns(deaf, deaf) == ()
    assert turns(well, deaf) == (Notice("Timeout", "holds: no answer", True),)
    assert turns(deaf, well) == (Notice("Ready", "all is well"),)


def test_a_step_of_a_drain_is_news_too() -> None:
    first = status_of({}, outcome())

    assert len(status_of(first, outcome(mark=("p",)))["recentDecisions"]) == 2


def test_what_was_done_stands_beside_the_decision() -> None:
    status = status_of({}, outcome(mark=("p",), cheapen=("q", "r"), scale_to=1))

    assert status["lastDecision"]["steps"] == "mark 1, make cheap 2, scale 2 to 1"
    assert "steps" not in status_of({}, outcome())["lastDecision"]


def test_the_last_fifty_decisions_are_kept() -> None:
    status: dict[str, Any] = {}
    for number in range(60):
        status = status_of(status, outcome(1000.0 + number, desired=number))

    assert [d["to"] for d in status["recentDecisions"]] == list(range(10, 60))
    assert len(status["recentDecisions"]) == RECENT_DECISIONS


def test_what_is_unknown_keeps_the_backlog_that_was_last_known() -> None:
    known = status_of({}, outcome(reading=Reading(waiting_chunks=5, waiting_pages=7)))
    status = status_of(known, outcome(1003.0))

    assert status["backlog"] == known["backlog"]
    assert status["backlog"]["chunks"] == 5


def test_a_condition_keeps_the_time_of_its_last_change() -> None:
    first = status_of({}, outcome(1000.0))
    same = status_of(first, outcome(1100.0))
    changed = status_of(same, outcome(1200.0, reading=Reading()))

    times = [
        next(c for c in status["conditions"] if c["type"] == "MetricsAvailable")[
            "lastTransitionTime"
        ]
        for status in (first, same, changed)
    ]
    assert times[0] == times[1] == "1970-01-01T00:16:40Z"
    assert times[2] == "1970-01-01T00:20:00Z"


def test_a_grace_period_shorter_than_a_drain_is_a_condition() -> None:
    grace = next(
        c for c in status_of({}, outcome())["conditions"] if c["type"] == "GracePeriodShort"
    )

    assert (grace["status"], grace["observedGeneration"]) == ("True", 4)
    assert "terminationGracePeriodSeconds 30" in grace["message"]


def test_a_spec_that_cannot_be_read_leaves_the_rest_of_the_status() -> None:
    before = status_of({}, outcome())
    status = invalid(before, 5, "time zone 'X' is not known", 2000.0)

    assert status["recentDecisions"] == before["recentDecisions"]
    ready = next(c for c in status["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "InvalidSpec")


class Patches(Kube):
    """A client that only remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[dict[str, Any]] = []

    async def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(body)
        return body


async def test_status_is_written_on_change_and_seldom() -> None:
    kube = Patches()
    writer = StatusWriter(kube, "/pool", interval_seconds=10)

    assert await writer.write({"a": 1, "b": {"x": 1, "y": 2}}, now=0)
    assert not await writer.write({"a": 1, "b": {"x": 1, "y": 2}}, now=100)
    assert await writer.write({"a": 1, "b": {"x": 1}}, now=101)
    assert not await writer.write({"a": 2, "b": {"x": 1}}, now=110)
    assert await writer.write({"a": 3, "b": {"x": 1}}, now=111)

    assert kube.bodies[1] == {"status": {"b": {"y": None, "x": 1}}}
    assert kube.bodies[2] == {"status": {"a": 3}}


def test_explain_shows_each_decision_with_its_inputs_and_what_holds() -> None:
    status = status_of(status_of({}, outcome()), outcome(1003.0, desired=5))
    lines = table({"status": status}).splitlines()

    assert lines[0].startswith("MetricsAvailable=False")
    head = next(line for line in lines if line.startswith("TIME"))
    rows = lines[lines.index(head) + 1 :]
    assert len(rows) == 2
    assert rows[1][head.index("TO") :].startswith("5")
    assert rows[1][head.index("WORK(s)") :].startswith("12.345")
    assert rows[1].endswith("why")


@pytest.mark.parametrize("pool", [{}, {"status": {"conditions": []}}])
def test_explain_of_a_new_pool_says_so(pool: dict[str, Any]) -> None:
    assert table(pool) == "no decision yet"
