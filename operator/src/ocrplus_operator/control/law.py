"""The law: how many workers, and the next step of every drain. Pure."""

from ocrplus_operator.control.spec import PoolSpec
from ocrplus_operator.control.types import Decision, Memory, Reason, Snapshot


def decide(snapshot: Snapshot, memory: Memory, spec: PoolSpec) -> tuple[Decision, Memory]:
    """Decide once; call it every three seconds with the memory that it gave last time."""
    raise NotImplementedError(Reason.HOLD)
