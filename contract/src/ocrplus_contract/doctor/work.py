"""The work in Redis and who does it: queues, leases, doorbells, heartbeats, versions."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final  # Any: replies of Redis

import redis
from redis.exceptions import ResponseError

from ocrplus_contract.doctor.findings import Finding, fail, ok, warn
from ocrplus_contract.doctor.server import Server
from ocrplus_contract.heartbeat import own_version
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import GROUP, Pool
from ocrplus_contract.records import WorkerRecord
from ocrplus_contract.states import WorkerState

_LATE_SECONDS: Final = 300.0  # what docs/slo.md promises
_GRACE_SECONDS: Final = 30.0  # for the reconciler, after a lease has run out
_IN_HAND_SECONDS: Final = 300.0
_MOST_NAMES: Final = 1000


@dataclass(frozen=True, slots=True)
class QueueReading:
    """A pool's stream of permits, as it is now."""

    pool: Pool
    stream: bool = False
    group: bool = False
    lag: int | None = 0
    pending: int = 0
    expired: int = 0
    oldest_expired_seconds: float = 0.0
    oldest_waiting_seconds: float = 0.0
    doorbells: int = 0


@dataclass(frozen=True, slots=True)
class FleetReading:
    """Who beats: gateways' versions by name, workers' records by pool, versions by worker."""

    gateways: dict[str, str] = field(default_factory=dict)
    workers: dict[Pool, dict[str, WorkerRecord]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class Work:
    """Queues and fleet of one deployment; the broker may be another server."""

    server: Server
    broker: Server
    lease_seconds: float

    @property
    def _keys(self) -> Keys:
        return self.server.keys

    def look(self) -> Iterator[Finding]:
        """Everything about it."""
        try:
            with self.server.client() as client, self.broker.client() as broker:
                yield from self._seen(client, broker)
        except redis.RedisError as error:
            reason = f"queues and workers cannot be read ({type(error).__name__})"
            yield fail("work", reason, "see the findings about redis and broker")

    def _seen(self, client: "redis.Redis", broker: "redis.Redis") -> Iterator[Finding]:
        fleet = read_fleet(client, self._keys)
        for pool in Pool:
            reading = read_queue(client, broker, self._keys, pool, self.lease_seconds)
            yield judge_queue(reading, _states(fleet, pool))
            yield judge_workers(reading, _states(fleet, pool), _stuck(fleet, pool))
        yield judge_gateways(fleet)
        yield judge_versions(fleet)


def read_queue(
    client: "redis.Redis", broker: "redis.Redis", keys: Keys, pool: Pool, lease_seconds: float
) -> QueueReading:
    """A pool's queue."""
    work = keys.work(pool)
    try:
        groups: Any = client.xinfo_groups(work)
    except ResponseError:  # nothing was ever admitted
        return QueueReading(pool)
    group = next((g for g in groups if g["name"] == GROUP.encode()), None)
    if group is None:
        return QueueReading(pool, stream=True)
    idle_ms = int((lease_seconds + _GRACE_SECONDS) * 1000)
    expired: Any = client.xpending_range(work, GROUP, "-", "+", count=100, idle=idle_ms)
    seconds, microseconds = client.time()
    doorbells: Any = broker.llen(keys.queue(pool))
    return QueueReading(
        pool,
        stream=True,
        group=True,
        lag=group["lag"],
        pending=group["pending"],
        expired=len(expired),
        oldest_expired_seconds=max(
            (entry["time_since_delivered"] / 1000 for entry in expired), default=0.0
        ),
        oldest_waiting_seconds=_oldest(client, work, group, seconds + microseconds / 1e6),
        doorbells=int(doorbells),
    )


def _oldest(client: "redis.Redis", work: str, group: Any, now: float) -> float:
    if not group["lag"]:
        return 0.0
    after = f"({group['last-delivered-id'].decode()}"
    first: Any = client.xrange(work, after, count=1)
    return max(0.0, now - int(first[0][0].partition(b"-")[0]) / 1000) if first else 0.0


def read_fleet(client: "redis.Redis", keys: Keys) -> FleetReading:
    """Who said within the last seconds that it lives; a few round trips, however many they are."""
    pipe = client.pipeline(transaction=False)
    pipe.zrevrange(keys.gateways(), 0, _MOST_NAMES)
    for pool in Pool:
        pipe.zrevrange(keys.workers(pool), 0, _MOST_NAMES)
    names, *ids = ([raw.decode() for raw in members] for members in pipe.execute())
    for name in names:
        pipe.get(keys.gateway(name))
    gateways = {
        name: version.decode()
        for name, version in zip(names, pipe.execute(), strict=True)
        if version is not None
    }
    fleet = FleetReading(gateways, {}, {}, time.time())
    for pool, workers in zip(Pool, ids, strict=True):
        fleet.workers[pool] = _records(pipe, keys, pool, workers, fleet.versions)
    return fleet


def _records(
    pipe: Any, keys: Keys, pool: Pool, workers: Sequence[str], versions: dict[str, str]
) -> dict[str, WorkerRecord]:
    for worker_id in workers:
        pipe.hgetall(keys.worker(pool, worker_id))
        pipe.get(keys.worker_version(pool, worker_id))
    found, replies = {}, iter(pipe.execute())
    for worker_id, fields, version in zip(workers, replies, replies, strict=True):
        with suppress(ValueError, KeyError):  # another version's record: it says no less
            record = WorkerRecord.from_hash(fields)
            if record is not None:
                found[worker_id] = record
                if version is not None:
                    versions[worker_id] = version.decode()
    return found


def _states(fleet: FleetReading, pool: Pool) -> Counter[WorkerState]:
    return Counter(record.state for record in fleet.workers.get(pool, {}).values())


def _stuck(fleet: FleetReading, pool: Pool) -> Sequence[str]:
    return [
        worker_id
        for worker_id, record in fleet.workers.get(pool, {}).items()
        if record.page_started_at and fleet.now - record.page_started_at > _IN_HAND_SECONDS
    ]


def judge_queue(reading: QueueReading, states: Counter[WorkerState]) -> Finding:
    """Lag known, leases kept, doorbells there."""
    name = f"queue.{reading.pool}"
    if not reading.stream:
        return ok(name, "nothing was ever admitted")
    if not reading.group:
        return fail(
            name,
            f"the stream has no consumer group '{GROUP}': nothing that waits can be taken",
            "somebody destroyed the group or restored half of the data: restore the server's data",
        )
    if reading.lag is None:
        return fail(
            name,
            "its lag is unknown (NULL), so nobody can tell how much waits",
            "look what deletes entries of the stream (XDEL); a gateway counts anew each minute",
        )
    if reading.expired:
        return fail(
            name,
            f"{reading.expired} chunks are held by workers that went silent, one for "
            f"{reading.oldest_expired_seconds:.0f} s",
            "a gateway brings such chunks back within seconds: see whether one runs and reconciles",
        )
    missing = reading.lag - reading.doorbells
    if missing > 0 and states[WorkerState.IDLE]:
        return warn(
            name,
            f"{missing} waiting chunks have no doorbell beside {states[WorkerState.IDLE]} idle "
            "workers",
            "a gateway rings within seconds: look again, then whether one runs and reconciles",
        )
    told = f"{reading.lag} wait, {reading.pending} in hand"
    if reading.oldest_waiting_seconds > _LATE_SECONDS:
        waits = f"{told}, the oldest for {reading.oldest_waiting_seconds:.0f} s"
        return warn(name, waits, "more workers, or see why those that run take nothing")
    return ok(name, told)


def judge_workers(
    reading: QueueReading, states: Counter[WorkerState], stuck: Sequence[str]
) -> Finding:
    """Somebody beats, and works at what waits."""
    name = f"workers.{reading.pool}"
    if not states:
        if reading.lag:
            return fail(
                name,
                f"no worker beats, and {reading.lag} chunks wait",
                f"start one: see the pods and logs of the {reading.pool} worker",
            )
        if reading.pool is Pool.CAPTION:
            return ok(name, "none beats and nothing waits: captions are off, or scaled to zero")
        return warn(
            name, "no worker beats", "start one, unless the pool is scaled to zero: it wakes up"
        )
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    if stuck:
        return warn(
            name,
            f"{told}; {stuck[0]} has had the same page in hand for more than "
            f"{_IN_HAND_SECONDS:.0f} s",
            "its page deadline ends it; if not, delete the pod: its work is taken again",
        )
    if reading.lag and set(states) <= {
        WorkerState.WARMING,
        WorkerState.DRAINING,
        WorkerState.DRAINED,
    }:
        return warn(name, f"{told}, and {reading.lag} chunks wait", "wait until one is warm")
    return ok(name, told)


def judge_gateways(fleet: FleetReading) -> Finding:
    """One must run: it also brings work back and rings."""
    if fleet.gateways:
        return ok("gateways", f"{len(fleet.gateways)} beat")
    return fail(
        "gateways",
        "no gateway beats: nobody is served, and lost work is not brought back",
        "start one: see the pods and logs of the gateway",
    )


def judge_versions(fleet: FleetReading) -> Finding:
    """All of one version, but for the minutes of a rollout."""
    told = {f"gateway {name}": version for name, version in fleet.gateways.items()}
    told |= {f"worker {name}": version for name, version in fleet.versions.items()}
    told["this process"] = own_version()
    versions: dict[str, list[str]] = {}
    for who, version in told.items():
        versions.setdefault(version, []).append(who)
    if len(versions) == 1:
        return ok("versions", f"all are of version {own_version()}")
    parts = "; ".join(f"{version}: {', '.join(who[:3])}" for version, who in versions.items())
    return warn("versions", parts, "wait for the rollout to end, or see why it hangs")
