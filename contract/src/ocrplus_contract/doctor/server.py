"""The Redis or Valkey server: does it answer, is it fit, and will it keep what it is given?

Reading and judging stand apart: `read` asks everything once, each judgement is a plain function.
What a managed server does not tell (CONFIG is often forbidden) is unknown and said to be so.
"""

import secrets
import socket
import ssl
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final  # Any: replies of Redis
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError

from ocrplus_contract.doctor.findings import Finding, fail, ok, warn
from ocrplus_contract.keys import Keys
from ocrplus_contract.sentinels import Sentinels, pool
from ocrplus_contract.server import LEAST_VERSION

_SOCKET_SECONDS: Final = 2.0
_PINGS: Final = 5
_PROBE_SECONDS: Final = 10
_MEMORY_WARN, _MEMORY_FAIL = 0.8, 0.95  # the first is the alert's, too
_CLIENTS_WARN: Final = 0.8
_SKEW_WARN_SECONDS, _SKEW_FAIL_SECONDS = 1.0, 30.0  # delivery's objective; a token's leeway
_SLOW_WARN_SECONDS, _SLOW_FAIL_SECONDS = 0.02, 0.5  # a page costs a dozen round trips

_TRIED_BY_SCRIPT: Final = "return redis.call('DEL', KEYS[1])"


@dataclass(frozen=True, slots=True)
class ServerReading:
    """What one look at a server told."""

    place: str
    info: Mapping[str, Any]
    appendfsync: str | None = None
    snapshots: str | None = None
    """Value of `save`; None: not told."""
    skew_seconds: float = 0.0
    """This host's clock minus the server's, less what the way there may hide."""
    round_trip_seconds: float = 0.0
    refused: str = ""
    """First word of the answer to a write, where that was refused."""

    @property
    def version(self) -> str:
        """As the server calls it: Valkey names the version of Redis that it stands for, too."""
        valkey = self.info.get("valkey_version")
        return f"Valkey {valkey}" if valkey else f"Redis {self.info.get('redis_version', '?')}"


@dataclass(frozen=True, slots=True)
class Server:
    """A server by its URL; `name` is what its findings are called."""

    url: str
    keys: Keys
    name: str = "redis"
    variable: str = "OCRPLUS_REDIS_URL"
    clock: Callable[[], float] = field(default=time.time)

    def client(self) -> "redis.Redis":
        """A client that tries once and waits for seconds only."""
        connections = pool(
            self.url,
            socket_timeout=_SOCKET_SECONDS,
            socket_connect_timeout=_SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        return redis.Redis.from_pool(connections)

    def look(self) -> Iterator[Finding]:
        """Everything about it."""
        try:
            with self.client() as client:
                reading = self.read(client)
        except (redis.RedisError, OSError) as error:
            yield unreachable(self, error)
            return
        except ValueError:  # its text would repeat the URL
            yield fail(
                self.name,
                f"{self.variable} is no URL of a server",
                "write redis://:password@host:6379/0, rediss://… or "
                "redis+sentinel://:password@host:26379/MASTER/0; percent-encode the password",
            )
            return
        yield ok(self.name, f"{reading.version} answers at {reading.place}")
        for judge in JUDGEMENTS:
            yield judge(self.name, reading)

    def read(self, client: "redis.Redis") -> ServerReading:
        """Ask everything once."""
        info: Any = client.info()
        trips = []
        for _ in range(_PINGS):
            began = time.perf_counter()
            client.ping()
            trips.append(time.perf_counter() - began)
        return ServerReading(
            place_of(self.url),
            info,
            _configured(client, "appendfsync"),
            _configured(client, "save"),
            self._skew(client),
            statistics.median(trips),
            self._refusal(client),
        )

    def _skew(self, client: "redis.Redis") -> float:
        before = self.clock()
        seconds, microseconds = client.time()
        after = self.clock()
        skew = (before + after) / 2 - (seconds + microseconds / 1e6)
        hidden = (after - before) / 2
        return max(0.0, abs(skew) - hidden) * (1 if skew > 0 else -1)

    def _refusal(self, client: "redis.Redis") -> str:
        key = self.keys.probe(secrets.token_hex(8))
        try:
            client.set(key, 1, ex=_PROBE_SECONDS)
            client.eval(_TRIED_BY_SCRIPT, 1, key)
        except NoPermissionError:
            return "NOPERM"
        except ResponseError as error:
            return _first_word(error)
        return ""


def _first_word(error: Exception) -> str:
    """The server's own code; redis-py drops it from some classes, whose names say the same."""
    known = {"ReadOnlyError": "READONLY", "OutOfMemoryError": "OOM"}
    word = str(error).partition(" ")[0]
    return known.get(type(error).__name__) or (word if word.isupper() else "ERR")


def _configured(client: "redis.Redis", name: str) -> str | None:
    with suppress(ResponseError):
        found: Any = client.config_get(name)
        return next((str(value) for value in found.values()), None)
    return None


def place_of(url: str) -> str:
    """Where a URL leads, without user and password."""
    sentinels = Sentinels.of(url)
    if sentinels is not None:
        hosts = ", ".join(f"{host}:{port}" for host, port in sentinels.hosts)
        return f"master {sentinels.master} of Sentinel {hosts}"
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


def unreachable(server: Server, error: Exception) -> Finding:
    """Why nobody answers, from what the client met."""
    place, name = place_of(server.url), server.name
    if isinstance(error, AuthenticationError):
        reason = f"{place} does not accept the password of {server.variable}"
        return fail(name, reason, f"put the server's password into {server.variable} or its Secret")
    if isinstance(error, NoPermissionError):
        return fail(name, f"the user of {server.variable} may not ask {place}", _ACL)
    if isinstance(error, BusyLoadingError):
        return fail(name, f"{place} is still loading its data", "wait; everything waits with you")
    if isinstance(error, MasterNotFoundError):
        reason = f"no Sentinel knows a master: {place}"
        return fail(name, reason, "correct the hosts and the master's name; look at the Sentinels")
    if isinstance(error, TimeoutError):
        reason = f"{place} does not answer within {_SOCKET_SECONDS:g} s"
        return fail(name, reason, f"look whether it is stopped or overloaded; {_WAY}")
    return fail(
        name, f"{place}: {why_no_connection(error)}", f"start it, or correct the URL; {_WAY}"
    )


_WAY: Final = "a NetworkPolicy or firewall may swallow the way there"
_ACL: Final = "give the user its keys (~PREFIX*) and channels (&PREFIX*), +@all -@dangerous +info"


def why_no_connection(error: BaseException | None) -> str:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return f"TLS fails ({error.reason or 'no reason given'})"
        if isinstance(error, socket.gaierror):
            return "the name is not known"
        if isinstance(error, ConnectionRefusedError):
            return "nobody listens there"
        if "max number of clients" in str(error):
            return "it takes no more clients (maxclients)"
        error = error.__cause__ or error.__context__
    return "no connection"


def judge_version(name: str, reading: ServerReading) -> Finding:
    """The scripts need what Redis has since 7.0."""
    name, told = f"{name}.version", str(reading.info.get("redis_version", "0"))
    numbers = tuple(int(part) for part in told.split(".")[:2] if part.isdigit())
    if numbers < LEAST_VERSION:
        return fail(name, f"{reading.version} is too old", "run Redis 7.0 or newer, or any Valkey")
    return ok(name, f"{reading.version} has what the scripts need")


def judge_role(name: str, reading: ServerReading) -> Finding:
    """A master, and one that stands alone."""
    name = f"{name}.role"
    if int(reading.info.get("cluster_enabled", 0)):
        return fail(
            name,
            "it is a Redis Cluster, and one script touches keys of several slots",
            "use a server with cluster mode disabled; Sentinel or a managed failover is fine",
        )
    if reading.info.get("role") == "slave":
        return fail(
            name,
            "it is a replica and takes no writes",
            "address the master, or use redis+sentinel://",
        )
    replicas = int(reading.info.get("connected_slaves", 0))
    return ok(name, f"it is a master with {replicas} replicas")


def judge_eviction(name: str, reading: ServerReading) -> Finding:
    """Nothing may be evicted: each key is somebody's document."""
    name, policy = f"{name}.eviction", str(reading.info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        return fail(
            name,
            f"maxmemory-policy is {policy}: when memory is short, documents are deleted unseen",
            "set maxmemory-policy noeviction, in its configuration too",
        )
    return ok(name, "maxmemory-policy is noeviction")


def judge_memory(name: str, reading: ServerReading) -> Finding:
    """Room for more; the limit is set, so that the kernel does not set it."""
    name, info = f"{name}.memory", reading.info
    limit = int(info.get("maxmemory") or info.get("total_system_memory") or 0)
    used = int(info.get("used_memory", 0))
    told = f"{_mebibytes(used)} of {_mebibytes(limit)} are used"
    more = "raise maxmemory and the pod's limit together, shorten OCRPLUS_RESULT_TTL_SECONDS, "
    more += "or keep documents elsewhere (OCRPLUS_BLOB_URL)"
    if limit and used > _MEMORY_FAIL * limit:
        return fail(name, f"{told}: at the limit every write is refused", more)
    if limit and used > _MEMORY_WARN * limit:
        return warn(name, told, more)
    if not info.get("maxmemory") and not reading.place.startswith(("127.", "localhost", "::1")):
        return warn(
            name,
            f"{told}, and no maxmemory is set: the kernel ends the server where the pod's limit is",
            "set maxmemory to about three quarters of the pod's or machine's memory",
        )
    return ok(name, told)


def judge_persistence(name: str, reading: ServerReading) -> Finding:
    """What was accepted must be there after a restart of the server."""
    name, info = f"{name}.persistence", reading.info
    failing = [
        part
        for part in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        if info.get(part, "ok") != "ok"
    ]
    if failing:
        reason = f"the last write to its disk failed ({', '.join(failing)})"
        return fail(name, reason, "look whether its volume is full or read only, and at its log")
    on = "set appendonly yes, in its configuration too; everysec or always as appendfsync"
    if not int(info.get("aof_enabled", 0)):
        if reading.snapshots == "":
            return fail(name, "nothing is written to disk: a restart loses every document", on)
        return warn(
            name, "appendonly is off: a restart loses what came since the last snapshot", on
        )
    if reading.appendfsync == "no":
        return warn(name, "appendfsync is no: a crash of the machine loses up to half a minute", on)
    loses = {"always": "nothing", "everysec": "at most the last second"}
    lost = loses.get(reading.appendfsync or "", "a little (it does not tell appendfsync)")
    return ok(name, f"appendonly is on; a crash loses {lost}")


def judge_writing(name: str, reading: ServerReading) -> Finding:
    """A key was written, and taken away by a script."""
    name, refused = f"{name}.writing", reading.refused
    if not refused:
        return ok(name, "a key was written, and deleted by a script")
    do = {
        "OOM": "give it memory (redis.memory says how much is used)",
        "NOPERM": _ACL,
        "READONLY": "address the master, or use redis+sentinel://",
        "MISCONF": "look whether its volume is full: it refuses writes until it can save",
    }
    return fail(
        name, f"a write is refused ({refused})", do.get(refused, "look at the server's log")
    )


def judge_clock(name: str, reading: ServerReading) -> Finding:
    """This host's clock against the server's: NTP itself cannot be seen from here."""
    name, skew = f"{name}.clock", reading.skew_seconds
    told = f"this host's clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} it"
    do = "set both clocks by NTP: ages, deadlines and tokens are told by them"
    if abs(skew) > _SKEW_FAIL_SECONDS:
        return fail(name, told, do)
    if abs(skew) > _SKEW_WARN_SECONDS:
        return warn(name, told, do)
    return ok(name, f"its clock and this host's differ by less than {_SKEW_WARN_SECONDS:g} s")


def judge_latency(name: str, reading: ServerReading) -> Finding:
    """The median of some round trips."""
    name, seconds = f"{name}.latency", reading.round_trip_seconds
    told = f"a round trip takes {seconds * 1000:.1f} ms"
    do = "bring it near (same zone), give it CPU, look for slow commands: SLOWLOG GET"
    if seconds > _SLOW_FAIL_SECONDS:
        return fail(name, told, do)
    return warn(name, told, do) if seconds > _SLOW_WARN_SECONDS else ok(name, told)


def judge_clients(name: str, reading: ServerReading) -> Finding:
    """Room for more connections."""
    name, info = f"{name}.clients", reading.info
    clients, most = int(info.get("connected_clients", 0)), int(info.get("maxclients", 0))
    told = f"{clients} of {most or 'any number of'} clients are connected"
    if most and clients > _CLIENTS_WARN * most:
        return warn(name, told, "raise maxclients, or look who else connects: CLIENT LIST")
    return ok(name, told)


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"


JUDGEMENTS: Final = (
    judge_version,
    judge_role,
    judge_eviction,
    judge_persistence,
    judge_memory,
    judge_writing,
    judge_clock,
    judge_latency,
    judge_clients,
)
