"""Nodes with GPUs on which nothing runs, for a real API server and its scheduler.

    KUBECONFIG=… python fake_kubelet.py --node gpu-a:nvidia.com/gpu=4 --node gpu-b:nvidia.com/gpu=2

Pods that the scheduler places there become Running, then Ready; deleted ones go. Annotations of a
pod change the pace, in seconds or `never`: `fakekubelet/{start,ready,stop}-delay`. The nodes carry
the label and the taint `ocrplus.io/fake`, so that only pods
of the tests come. SIGTERM removes the nodes.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
from datetime import UTC, datetime
from typing import Any

from ocrplus_operator.errors import ApiError, NotFound
from ocrplus_operator.kube import Kube

log = logging.getLogger("fake-kubelet")

Object = dict[str, Any]
FAKE = "ocrplus.io/fake"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_STEP_SECONDS = 0.05
_BEAT_SECONDS = 10.0
_DELAY_SECONDS = {"start": "0.3", "ready": "0.3", "stop": "1.0"}
_CAPACITY = {"cpu": "64", "memory": "512Gi", "pods": "250", "ephemeral-storage": "1Ti"}


def now(*, micro: bool = False) -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S" + (".%fZ" if micro else "Z"))


class FakeKubelet:
    """All fake nodes of one cluster; `nodes`: name → extended resources."""

    def __init__(self, kube: Kube, nodes: dict[str, dict[str, str]]) -> None:
        self._kube = kube
        self._nodes = nodes
        self._pods: dict[str, Object] = {}
        self._since: dict[tuple[str, str], float] = {}

    async def run(self, ready: asyncio.Event) -> None:
        """Until cancelled; the nodes are taken away then."""
        try:
            for name in self._nodes:
                await self._register(name)
            ready.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._beat())
                tasks.create_task(self._watch())
                tasks.create_task(self._move())
        finally:
            for name in self._nodes:
                with contextlib.suppress(ApiError):
                    await self._kube.request("DELETE", f"/api/v1/nodes/{name}")

    # ------------------------------------------------------------------ nodes

    async def _register(self, name: str) -> None:
        labels = {FAKE: "true", "kubernetes.io/hostname": name}
        spec = {"taints": [{"key": FAKE, "value": "true", "effect": "NoSchedule"}]}
        meta = {"name": name, "labels": labels}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec}
        await self._kube.create("/api/v1/nodes", node)
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name},
            "spec": self._lease(name),
        }
        with contextlib.suppress(ApiError):  # left over from an earlier node of this name
            await self._kube.create(_LEASES, lease)
        await self._report(name)

    def _lease(self, name: str) -> Object:
        return {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now(micro=True)}

    async def _report(self, name: str) -> None:
        capacity = {**_CAPACITY, **self._nodes[name]}
        at = now()
        condition = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "nothing runs here",
            "lastHeartbeatTime": at,
            "lastTransitionTime": at,
        }
        status = {"capacity": capacity, "allocatable": capacity, "conditions": [condition]}
        await self._kube.patch(f"/api/v1/nodes/{name}/status", {"status": status})
        await self._kube.patch(f"{_LEASES}/{name}", {"spec": self._lease(name)})

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            for name in self._nodes:
                try:
                    await self._report(name)
                except ApiError as error:
                    log.warning("node %s: %s", name, error)

    # ------------------------------------------------------------------ pods

    async def _watch(self) -> None:
        while True:
            try:
                listed = await self._kube.get("/api/v1/pods")
                self._pods = {p["metadata"]["uid"]: p for p in listed["items"] if self._is_ours(p)}
                version = listed["metadata"]["resourceVersion"]
                async for event in self._kube.watch("/api/v1/pods", version):
                    self._seen(event["type"], event["object"])
            except ApiError as error:
                log.warning("watch: %s", error)
                await asyncio.sleep(0.5)

    def _is_ours(self, pod: Object) -> bool:
        return pod.get("spec", {}).get("nodeName") in self._nodes

    def _seen(self, kind: str, pod: Object) -> None:
        if kind == "DELETED":
            self._pods.pop(pod["metadata"]["uid"], None)
        elif self._is_ours(pod):
            self._pods[pod["metadata"]["uid"]] = pod

    async def _move(self) -> None:
        while True:
            for uid, pod in list(self._pods.items()):
                try:
                    await self._step(uid, pod)
                except NotFound:
                    self._pods.pop(uid, None)
                except ApiError as error:
                    log.warning("pod %s: %s", pod["metadata"]["name"], error)
            await asyncio.sleep(_STEP_SECONDS)

    async def _step(self, uid: str, pod: Object) -> None:
        meta, status = pod["metadata"], pod.get("status", {})
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        if "deletionTimestamp" in meta:
            if self._waited(uid, "stop", pod):
                body = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
                await self._kube.request("DELETE", path, body=body)
                self._pods.pop(uid, None)
        elif status.get("phase") == "Pending":
            if self._waited(uid, "start", pod):
                self._pods[uid] = await self._set(path, pod, ready=False)
        elif status.get("phase") != "Running" or _is_ready(pod):
            return
        elif self._waited(uid, "ready", pod):
            self._pods[uid] = await self._set(path, pod, ready=True)

    def _waited(self, uid: str, what: str, pod: Object) -> bool:
        annotations = pod["metadata"].get("annotations") or {}
        delay = annotations.get(f"fakekubelet/{what}-delay", _DELAY_SECONDS[what])
        if delay == "never":
            return False
        loop = asyncio.get_running_loop()
        began = self._since.setdefault((uid, what), loop.time())
        return loop.time() - began >= float(delay)

    async def _set(self, path: str, pod: Object, *, ready: bool) -> Object:
        at = now()
        known = {c["type"]: c for c in pod["status"].get("conditions", ())}
        words = {"Initialized": "True", "Ready": str(ready), "ContainersReady": str(ready)}
        conditions = [
            {"type": kind, "status": value, "lastTransitionTime": at}
            for kind, value in words.items()
        ]
        conditions.append(known.get("PodScheduled", {"type": "PodScheduled", "status": "True"}))
        containers = [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "none",
                "ready": ready,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": at}},
            }
            for container in pod["spec"]["containers"]
        ]
        status = {
            "phase": "Running",
            "startTime": pod["status"].get("startTime", at),
            "conditions": conditions,
            "containerStatuses": containers,
        }
        return await self._kube.patch(f"{path}/status", {"status": status})


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _node(text: str) -> tuple[str, dict[str, str]]:
    name, _, resources = text.partition(":")
    return name, dict(part.split("=", 1) for part in resources.split(",") if part)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", type=_node, action="append", required=True)
    nodes = dict(parser.parse_args().node)
    ready, loop = asyncio.Event(), asyncio.get_running_loop()
    async with Kube() as kube:
        task = asyncio.create_task(FakeKubelet(kube, nodes).run(ready))
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        await asyncio.wait([task, asyncio.create_task(ready.wait())], return_when="FIRST_COMPLETED")
        if ready.is_set():
            log.warning("ready: %s", ", ".join(nodes))
        with contextlib.suppress(asyncio.CancelledError):
            await task


if __name__ == "__main__":
    asyncio.run(main())
