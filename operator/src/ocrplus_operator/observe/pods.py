"""The pods of a Deployment, kept current by list and watch, and what matters of each.

kopf's events cannot tell that a pod vanished while the watch was down; a fresh list can.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from ocrplus_operator.control.types import DELETION_COST_ANNOTATION, Pod
from ocrplus_operator.errors import ApiError
from ocrplus_operator.kube import Kube, Object

log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 1.0


def pod_of(body: Object) -> Pod:
    """Read a pod's JSON."""
    meta, status = body["metadata"], body.get("status", {})
    readiness = _condition(status, "Ready")
    return Pod(
        name=meta["name"],
        created_at=unix(meta["creationTimestamp"]),
        scheduled=bool(body["spec"].get("nodeName")),
        running=status.get("phase") == "Running",
        ready=readiness.get("status") == "True",
        terminating="deletionTimestamp" in meta,
        deletion_cost=_cost(meta.get("annotations") or {}),
        unready_since=unix(readiness["lastTransitionTime"])
        if readiness.get("status") == "False" and readiness.get("lastTransitionTime")
        else 0.0,
    )


def _condition(status: Object, kind: str) -> Object:
    found: Object = next((c for c in status.get("conditions", ()) if c["type"] == kind), {})
    return found


def removal_order(bodies: Iterable[Object]) -> list[Pod]:
    """Pods in the order in which their ReplicaSet deletes them: without a node, not running, not
    ready, lower deletion cost. What it looks at after that cannot matter to pods that differ here.
    """
    pods = [pod_of(body) for body in bodies if not _has_ended(body)]
    staying = [pod for pod in pods if not pod.terminating]
    return sorted(
        staying, key=lambda pod: (pod.scheduled, pod.running, pod.ready, pod.deletion_cost)
    )


def _has_ended(body: Object) -> bool:
    return body.get("status", {}).get("phase") in ("Succeeded", "Failed")


def unix(timestamp: str) -> float:
    """Unix seconds of an API timestamp."""
    return datetime.fromisoformat(timestamp).timestamp()


def templates(bodies: Iterable[Object]) -> set[str]:
    """Hashes of the pod templates of pods that stay: more than one while a rollout is under way."""
    return {
        (body["metadata"].get("labels") or {}).get("pod-template-hash", "")
        for body in bodies
        if "deletionTimestamp" not in body["metadata"]
    }


def _cost(annotations: dict[str, str]) -> int:
    try:
        return int(annotations.get(DELETION_COST_ANNOTATION, "0"))
    except ValueError:  # the ReplicaSet reads it as 0 too
        return 0


class PodWatch:
    """The pods that a label selector matches in a namespace."""

    def __init__(self, kube: Kube, namespace: str, selector: str) -> None:
        self._kube = kube
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self.selector = selector
        self._pods: dict[str, Object] = {}
        self._synced = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._run(), name="pod-watch")

    async def stop(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @property
    def synced(self) -> bool:
        """Whether the pods are those of a list that a live watch continues."""
        return self._synced.is_set()

    @property
    def ended(self) -> bool:
        """Whether it will never hear of anything again: something that nobody foresaw."""
        return self._task is not None and self._task.done()

    @property
    def bodies(self) -> tuple[Object, ...]:
        """The pods as last heard, without those that have ended."""
        return tuple(body for body in self._pods.values() if not _has_ended(body))

    async def wait(self, seconds: float) -> bool:
        """Wait for the first list."""
        try:
            await asyncio.wait_for(self._synced.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _run(self) -> None:
        while True:
            try:
                await self._list_and_watch()
            except ApiError as error:
                self._synced.clear()
                log.warning("pods are listed anew", extra={"error": error})
                await asyncio.sleep(_RETRY_SECONDS)

    async def _list_and_watch(self) -> None:
        listed = await self._kube.get(self._path, labelSelector=self.selector)
        self._pods = {body["metadata"]["uid"]: body for body in listed["items"]}
        self._synced.set()
        version = listed["metadata"]["resourceVersion"]
        while True:  # a watch that ended in order goes on where it stood
            async for event in self._kube.watch(self._path, version, labelSelector=self.selector):
                body = event["object"]
                version = body["metadata"]["resourceVersion"]
                if event["type"] == "DELETED":
                    self._pods.pop(body["metadata"]["uid"], None)
                elif event["type"] != "BOOKMARK":
                    self._pods[body["metadata"]["uid"]] = body
