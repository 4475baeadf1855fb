"""`python -m ocrplus_operator explain NAME`: the last decisions of a pool as a table over time."""

from collections.abc import Sequence
from typing import Final

from ocrplus_operator.kube import Kube, Object
from ocrplus_operator.resource import pools_path

# Column → its field in `inputs`, or of the decision itself.
_COLUMNS: Final = (
    ("TIME", "time"),
    ("FROM", "from"),
    ("TO", "to"),
    ("REASON", "reason"),
    ("CHUNKS", "waitingChunks"),
    ("PAGES", "waitingPages"),
    ("IN FLIGHT", "inFlight"),
    ("EXPIRED", "expired"),
    ("WAIT(s)", "oldestWaitSeconds"),
    ("WORK(s)", "workSeconds"),
    ("CAPACITY(s)", "capacitySeconds"),
    ("PAGES/s", "pagesPerSecond"),
    ("s/PAGE", "secondsPerPage"),
    ("COLD(s)", "coldStartSeconds"),
    ("RATE", "rateWorkers"),
    ("HOLD", "holdWorkers"),
    ("READY", "readyWorkers"),
    ("STARTING", "startingWorkers"),
    ("FLOOR", "floorReplicas"),
    ("CEILING", "ceilingReplicas"),
    ("STEPS", "steps"),
    ("WHY", "message"),
)

_INPUTS: Final = [name for _, name in _COLUMNS[4:-2]]  # zeros are not kept in status


async def explain(namespace: str, name: str) -> str:
    """The table of one pool.

    Raises:
        NotFound: there is no such pool.
    """
    async with Kube() as kube:
        pool = await kube.get(pools_path(namespace, name))
    return table(pool)


def table(pool: Object) -> str:
    """Render `status.recentDecisions`, oldest first, under what holds now."""
    status = pool.get("status") or {}
    conditions = [
        f"{one['type']}={one['status']} ({one['reason']}): {one['message']}"
        for one in status.get("conditions", ())
    ]
    rows = [_row(one) for one in status.get("recentDecisions", ())]
    if not rows:
        return "\n".join([*conditions, "no decision yet"])
    return "\n".join([*conditions, "", *_aligned([[head for head, _ in _COLUMNS], *rows])])


def _row(decision: Object) -> list[str]:
    values = {**dict.fromkeys(_INPUTS, 0), **decision.get("inputs", {}), **decision}
    return [_cell(values.get(name)) for _, name in _COLUMNS]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
