"""The worked trace of docs/autoscaling.md: two documents into a sleeping pool, step by step.

`python benchmarks/autoscaling_worked.py` prints the table; a test holds the page to it.
"""

from typing import Final

from autoscaling import SPEC
from autoscaling_cluster import Cluster, Setting
from autoscaling_operator import Operator
from autoscaling_traces import Document, Trace

from ocrplus_operator.control.types import Decision

_CHUNK: Final = (16, 10.1)  # pages, seconds
TRACE: Final = Trace(
    "worked",
    (
        Document(10.0, 160, (_CHUNK,) * 10, 0),
        Document(124.0, 80, (_CHUNK,) * 5, 1),
    ),
    700.0,
)
_HEAD: Final = (
    "| second | pages wait | work s | done in 20 s | ready | starting | replicas | reason | step |"
)


class _Told(Operator):
    """Keeps a line of each decision that asks for a step."""

    def __init__(self) -> None:
        super().__init__(SPEC)
        self.rows: list[str] = []

    def act(self, cluster: Cluster, decision: Decision) -> None:
        before = cluster.replicas
        super().act(cluster, decision)
        steps = _steps(decision, before)
        if steps:
            self.rows.append(_row(cluster.now, decision, steps))


def _steps(decision: Decision, before: int) -> str:
    parts = [f"scale {before} → {decision.scale_to}"] if decision.scale_to is not None else []
    for word, pods in (
        ("take back", decision.unmark),
        ("mark", decision.mark),
        ("make cheap", decision.cheapen),
    ):
        if pods:
            parts.append(f"{word} {len(pods)}")
    return ", ".join(parts)


def _row(now: float, decision: Decision, steps: str) -> str:
    i = decision.inputs
    cells = (
        f"{now:.0f}",
        i.waiting_pages,
        f"{i.work_seconds:.0f}",
        f"{i.capacity_seconds:.0f}",
        i.ready_workers,
        i.starting_workers,
        decision.desired,
        decision.reason,
        steps,
    )
    return "| " + " | ".join(str(c) for c in cells) + " |"


def table() -> str:
    """The decisions that ask for a step, as Markdown."""
    law = _Told()
    Cluster(TRACE, law, 0, Setting()).run()
    rule = "|" + "---|" * 9
    return "\n".join([_HEAD, rule, *law.rows])


if __name__ == "__main__":
    print(table())
