"""What a worker's probe command says: whether this pod's processes beat, and if not why."""

import sys
from dataclasses import dataclass
from typing import Final

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from ocrplus_contract.doctor.server import Server, unreachable
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool
from ocrplus_contract.records import WORKER_RECORD_TTL_SECONDS, WorkerRecord
from ocrplus_contract.recovery import pod_name
from ocrplus_contract.sentinels import pool
from ocrplus_contract.settings import CommonSettings

_SOCKET_SECONDS: Final = 3.0  # with its retries an answer within the 20 s that a probe has
_RETRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Probe:
    """The processes of one pod, by their records."""

    settings: CommonSettings
    pool: Pool
    pod: str
    slots: int

    def run(self, *, warm: bool = False) -> int:
        """Exit code of the command: 0 while one beats (and is warm); the reason on stderr."""
        pod = pod_name(self.pod, parent_pid=1)  # in a container the worker is process 1
        try:
            problem = self._problem(pod, warm)
        except (redis.RedisError, OSError) as error:
            server = Server(self.settings.redis_url.get_secret_value(), Keys())
            problem = f"redis: {unreachable(server, error).reason}"
        if problem is None:
            return 0
        sys.stderr.write(f"{self.pool}-worker: {problem}\n")
        return 1

    def _client(self) -> "redis.Redis":
        connections = pool(
            self.settings.redis_url.get_secret_value(),
            socket_timeout=_SOCKET_SECONDS,
            socket_connect_timeout=_SOCKET_SECONDS,
            retry=Retry(ExponentialBackoff(cap=1, base=0.1), _RETRIES),
        )
        return redis.Redis.from_pool(connections)

    def _problem(self, pod: str, warm: bool) -> str | None:
        keys = Keys(self.settings.key_prefix)
        workers = [keys.worker(self.pool, f"{pod}.{slot}") for slot in range(self.slots)]
        with self._client() as client:
            records = [WorkerRecord.from_hash(client.hgetall(worker)) for worker in workers]
        alive = [record for record in records if record is not None]
        if not alive:
            return (
                f"heartbeat: no process of {pod} has beaten for {WORKER_RECORD_TTL_SECONDS} s: it "
                "starts, hangs or has ended; see the log"
            )
        # Not by state: one that drains while it warms says `drained`.
        if warm and not any(record.cold_start_seconds > 0 for record in alive):
            return f"engine: none of {len(alive)} processes of {pod} is warm yet; see the log"
        return None
