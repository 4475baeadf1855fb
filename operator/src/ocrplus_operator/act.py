"""Acting: what a decision asks for, step by step, and the Events that tell of it.

Written are only the target's scale subresource, the deletion cost of pods, the drain set in Redis
and Events. A step that fails is left undone: the next decision sees so and asks again.
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from redis.exceptions import RedisError

from ocrplus_operator.control.types import (
    DELETION_COST_ANNOTATION,
    Decision,
    Notice,
)
from ocrplus_operator.errors import ApiError, Conflict, NotFound
from ocrplus_operator.kube import FIELD_MANAGER, Kube
from ocrplus_operator.observe.cluster import Target
from ocrplus_operator.observe.pods import removal_order
from ocrplus_operator.observe.redis import WorkSource
from ocrplus_operator.resource import Resource

log = logging.getLogger(__name__)

_MOST_TRIES: Final = 5
_MOST_MESSAGE: Final = 1000  # the API refuses Events with more than 1,024 characters


def _deployment(resource: Resource) -> str:
    name = resource.spec.target.name
    return f"/apis/apps/v1/namespaces/{resource.namespace}/deployments/{name}"


@dataclass(frozen=True, slots=True)
class Acted:
    """Whether all was done, and what was refused that a person has to know of."""

    done: bool = True
    refused: str = ""


class Actor:
    """Carries decisions out for one pool, as long as this process may act."""

    def __init__(self, kube: Kube, may_act: Callable[[], bool] = lambda: True) -> None:
        self._kube = kube
        self._may_act = may_act
        self._refused = ""

    async def carry_out(
        self, resource: Resource, decision: Decision, target: Target, work: WorkSource | None
    ) -> Acted:
        """Do what is asked for, in the order that is safe."""
        self._refused = ""
        done = await self._carry_out(resource, decision, target, work)
        return Acted(done, self._refused)

    async def _carry_out(
        self, resource: Resource, decision: Decision, target: Target, work: WorkSource | None
    ) -> bool:
        undone = await self._undo(resource, decision, work)
        done = await self._drain(resource, decision, work)
        if decision.scale_to is None:
            return undone and done
        if not undone:
            return False
        return await self._scale(resource, target, decision.scale_to) and done

    def _refuse(self, what: str, error: Exception) -> None:
        self._refused = self._refused or f"{what}: {error}"
        log.warning("refused", extra={"what": what, "error": error})

    async def _undo(self, resource: Resource, decision: Decision, work: WorkSource | None) -> bool:
        """Drains that are undone, or over: first the cost, since a drain without a mark is safe."""
        freed = [p for p in decision.unmark if await self._cost(resource, p, None)]
        gone = [*freed, *decision.forget]
        if gone and not await self._in_redis(work, gone, mark=False):
            return False
        return len(freed) == len(decision.unmark)

    async def _drain(self, resource: Resource, decision: Decision, work: WorkSource | None) -> bool:
        marked = not decision.mark or await self._in_redis(work, decision.mark, mark=True)
        costs = [
            await self._cost(resource, pod, str(decision.deletion_cost)) for pod in decision.cheapen
        ]
        return marked and all(costs)

    async def _in_redis(
        self, work: WorkSource | None, pods: list[str] | tuple[str, ...], *, mark: bool
    ) -> bool:
        if work is None or not self._may_act():
            return False
        try:
            await (work.mark(*pods) if mark else work.unmark(*pods))
        except (RedisError, OSError, TimeoutError) as error:
            self._refuse("the drain set could not be written", error)
            return False
        return True

    async def _cost(self, resource: Resource, pod: str, cost: str | None) -> bool:
        if not self._may_act():
            return False
        path = f"/api/v1/namespaces/{resource.namespace}/pods/{pod}"
        body = {"metadata": {"annotations": {DELETION_COST_ANNOTATION: cost}}}
        try:
            await self._kube.patch(path, body)
        except NotFound:
            return cost is None  # nothing is left to undo
        except ApiError as error:
            self._refuse(f"deletion cost of {pod} not written", error)
            return False
        return True

    async def _scale(self, resource: Resource, target: Target, replicas: int) -> bool:
        """Order replicas, only as long as the target has those that the decision rests on."""
        if not self._may_act():
            return False
        try:
            if replicas < target.replicas:
                if not await self._only_drained_go(resource, target, replicas):
                    log.warning("another pod would go: not scaled", extra={"to": replicas})
                    return False
                if not self._may_act():  # that look took its time
                    return False
                await self._order(resource, target.version, replicas)
                return True
            return await self._raise(resource, target, replicas)
        except Conflict:
            log.info("the target changed meanwhile; it is looked at again")
        except ApiError as error:
            self._refuse(f"replicas of {resource.spec.target.name} not written", error)
        return False

    async def _raise(self, resource: Resource, target: Target, replicas: int) -> bool:
        """More must not wait for a target whose status changes with every pod."""
        for _ in range(_MOST_TRIES):
            try:
                await self._order(resource, target.version, replicas)
                return True
            except Conflict:
                now = Target(await self._kube.get(_deployment(resource)))
                if now.replicas != target.replicas:
                    raise
                if not self._may_act():
                    return False
                target = now
        return False

    async def _order(self, resource: Resource, version: str, replicas: int) -> None:
        body = {"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}}
        await self._kube.patch(f"{_deployment(resource)}/scale", body)

    async def _only_drained_go(self, resource: Resource, target: Target, replicas: int) -> bool:
        """A last look past the watch's cache: are those that would go first the ones marked so?"""
        path = f"/api/v1/namespaces/{resource.namespace}/pods"
        listed = await self._kube.get(path, labelSelector=target.selector)
        order = removal_order(listed["items"])
        going = order[: max(0, len(order) - replicas)]
        return all(pod.cheap for pod in going)

    async def tell(self, resource: Resource, notice: Notice) -> None:
        """Write an Event; one that is lost is no reason to stop."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{resource.name}.{secrets.token_hex(8)}",
                "namespace": resource.namespace,
            },
            "involvedObject": resource.reference,
            "reason": notice.reason,
            "message": notice.message[:_MOST_MESSAGE],
            "type": "Warning" if notice.warning else "Normal",
            "source": {"component": FIELD_MANAGER},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._kube.create(f"/api/v1/namespaces/{resource.namespace}/events", event)
        except ApiError as error:
            log.warning("event not written", extra={"reason": notice.reason, "error": error})
