"""The parent's ear for doorbells: shut while its pod is told to drain or is not warm yet.

A doorbell that a draining pod heard would have to be rung again, and one that a warming pod heard
would wait for it while others idle.
"""

from typing import Any, Protocol

from ocrplus_contract.names import Pool


class Orders(Protocol):
    """Whether doorbells are welcome now."""

    open: bool


class Doorway:
    """Follows the orders on Celery's own loop; `consumer` is Celery's, which is untyped."""

    def __init__(self, orders: Orders, consumer: Any, pool: Pool) -> None:
        self._orders = orders
        self._consumer = consumer
        self._queue = str(pool)

    def follow(self) -> None:
        """Listen or stop listening, as the orders are; between two connections there is no ear."""
        ear = self._consumer.task_consumer
        if ear is None:
            return
        listens = ear.consuming_from(self._queue)
        if self._orders.open and not listens:
            self._consumer.add_task_queue(self._queue)
        elif listens and not self._orders.open:
            self._consumer.cancel_task_queue(self._queue)
