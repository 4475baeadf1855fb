"""Bringing work back that a worker left: its predecessor's of the same name, and anybody's expired.

Every pool's workers do it in the same way; the reconciler does the second for all.
"""

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any  # redis-py's replies

import redis

from ocrplus_contract import logs, tracing
from ocrplus_contract.keys import Keys
from ocrplus_contract.ledger import Ledger, run
from ocrplus_contract.names import GROUP, Permit, Pool, TaskId, UserId
from ocrplus_contract.trace import TraceContext, within

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 10


def pod_name(given: str, parent_pid: int) -> str:
    """A replica's name, unique while it lives; the same after a restart in the same place."""
    return given or f"{socket.gethostname()}-{parent_pid}"


def release_predecessor(client: "redis.Redis", ledger: Ledger, pool: Pool, worker_id: str) -> int:
    """Bring back what a dead process of the same pod and slot held; doorbells to ring."""
    doorbells = 0
    leases: dict[Any, Any] = client.hgetall(Keys(ledger.prefix).lease(pool))  # bytes to bytes
    for name, raw in leases.items():
        permit, lease = Permit(name.decode()), json.loads(raw)
        if lease["owner"] == worker_id:
            released = run(client, ledger.release(pool, permit, "died"))
            doorbells += released.permits
            with _working_for(client, ledger, lease):
                tracing.broken_off(permit, lease, pool, "died")
                log.warning(
                    "brought back the chunk of a process that died",
                    extra={"chunk": f"{lease['first']}-{lease['last']}", "page": released.blamed},
                )
    return doorbells


def release_expired(client: "redis.Redis", ledger: Ledger, pool: Pool, lease_ms: int) -> int:
    """Bring back chunks whose owners stopped beating; doorbells to ring."""
    work = Keys(ledger.prefix).work(pool)
    try:
        idle: list[Any] = client.xpending_range(
            work, GROUP, "-", "+", count=_MOST_AT_ONCE, idle=lease_ms
        )
    except redis.ResponseError:  # nothing was ever admitted: no stream, no group
        return 0
    doorbells = 0
    for entry in idle:
        permit = Permit(entry["message_id"].decode())
        raw: Any = client.hget(Keys(ledger.prefix).lease(pool), permit)  # bytes
        released = run(client, ledger.release(pool, permit, "expired", idle_ms=lease_ms))
        doorbells += released.permits
        if released.held and raw is not None:
            lease = json.loads(raw)
            with _working_for(client, ledger, lease):
                tracing.broken_off(permit, lease, pool, "expired")
    return doorbells


@contextmanager
def _working_for(client: "redis.Redis", ledger: Ledger, lease: dict[str, Any]) -> Iterator[None]:
    """What is told inside is of the lease's job, and in its trace."""
    job = Keys(ledger.prefix).job(UserId(lease["user"]), TaskId(lease["task"]))
    raw: Any = client.hget(job, "traceparent")  # bytes
    context = TraceContext.parse((raw or b"").decode())
    with within(context, job_id=lease["task"], user=logs.hashed(lease["user"])):
        yield
