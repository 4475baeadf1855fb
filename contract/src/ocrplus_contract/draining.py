"""What a worker's process follows: whether its pod is told to drain, and whether it is warm.

A pod told to drain takes no chunk, ends the one in hand and says `drained`; told no longer, it goes
on. Its workers look before each chunk and in each heartbeat; its parent, which receives the
doorbells, follows here and stops listening for them.
"""

import logging
import threading
from typing import Any, Final  # redis-py's replies; Celery's consumer

import redis

from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool

log = logging.getLogger(__name__)

FOLLOW_SECONDS: Final = 0.5
_SHUT_SECONDS: Final = 0.1  # who became warm, or is wanted again, should hear soon


class PodOrders:
    """Follows the orders for one pod in a thread; `open` says whether doorbells are welcome."""

    def __init__(
        self, client: "redis.Redis", keys: Keys, pool: Pool, pod: str, *, slots: int
    ) -> None:
        self._client = client
        self._keys = keys
        self._pool = pool
        self._pod = pod
        self._slots = slots
        self._stop = threading.Event()
        self.open = True

    def start(self) -> None:
        """Begin to follow."""
        threading.Thread(target=self._follow, name="pod-orders", daemon=True).start()

    def stop(self) -> None:
        """Follow no longer."""
        self._stop.set()

    def look(self) -> None:
        """Once: told to drain, or without a warm worker, the pod welcomes no doorbell."""
        pipe = self._client.pipeline(transaction=False)
        pipe.sismember(self._keys.drain(self._pool), self._pod)
        for slot in range(self._slots):
            worker = self._keys.worker(self._pool, f"{self._pod}.{slot}")
            pipe.hget(worker, "cold_start_seconds")
        told, *warmed = pipe.execute()
        self.open = not told and any(float(seconds or 0) > 0 for seconds in warmed)

    def _follow(self) -> None:
        while not self._stop.wait(FOLLOW_SECONDS if self.open else _SHUT_SECONDS):
            try:
                self.look()
            except redis.RedisError:
                log.debug("orders not read; what was last heard holds", exc_info=True)


class Doorway:
    """Celery's ear for doorbells, shut while the orders say so; `consumer` is Celery's.

    A doorbell that a draining pod heard would have to be rung again, and one that a warming pod
    heard would wait for it while others idle.
    """

    def __init__(self, orders: PodOrders, consumer: Any, pool: Pool) -> None:
        self._orders = orders
        self._consumer = consumer
        self._queue = str(pool)

    def follow(self) -> None:
        """Listen or not, as the orders are, on Celery's own loop; between connections: no ear."""
        ear = self._consumer.task_consumer
        if ear is None:
            return
        listens = ear.consuming_from(self._queue)
        if self._orders.open and not listens:
            self._consumer.add_task_queue(self._queue)
        elif listens and not self._orders.open:
            self._consumer.cancel_task_queue(self._queue)


def is_told(client: "redis.Redis", keys: Keys, pool: Pool, pod: str) -> bool:
    """Whether a pod is told to drain, at this moment."""
    told: Any = client.sismember(keys.drain(pool), pod)
    return bool(told)
