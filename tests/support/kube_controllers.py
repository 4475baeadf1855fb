"""What moves Deployments and pods of the small API server: controllers, scheduler, kubelet.

The ReplicaSet's ranking of victims is the real one as far as the operator relies on it. Delays come
from the annotations that the real control plane's fake kubelet reads too (`fakekubelet/…`).
"""

import asyncio
import copy
import hashlib
import json
from typing import Any

from kube_api import KubeApi, Object, now

_STEP_SECONDS = 0.03


class Controllers:
    """Moves everything a step at a time in the server's own loop."""

    def __init__(self, api: KubeApi, gpus: int = 1000) -> None:
        self._api = api
        self._store = api.store
        self._gpus = gpus
        self._since: dict[str, float] = {}

    async def run(self) -> None:
        while True:
            for deployment in list(self._store.listed("deployments", "")):
                self._deployment(deployment)
            for pod in list(self._store.listed("pods", "")):
                self._pod(pod)
            await asyncio.sleep(_STEP_SECONDS)

    # ------------------------------------------------------------------ deployments

    def _deployment(self, deployment: Object) -> None:
        meta, template = deployment["metadata"], deployment["spec"]["template"]
        wanted = deployment["spec"].get("replicas", 1)
        revision = _hash(template)
        pods = [p for p in self._pods_of(meta["uid"]) if _stays(p)]
        new = [p for p in pods if p["metadata"]["labels"]["pod-template-hash"] == revision]
        old = [p for p in pods if p not in new]
        if old:
            self._roll(deployment, new, old)
        elif len(new) < wanted:
            self._create(deployment, revision)
        else:
            for pod in sorted(new, key=_rank)[: len(new) - wanted]:
                self._store.delete("pods", meta["namespace"], pod["metadata"]["name"])
        self._report(deployment, revision)

    def _roll(self, deployment: Object, new: list[Object], old: list[Object]) -> None:
        wanted = deployment["spec"].get("replicas", 1)
        if len(new) < wanted and len(new) + len(old) <= wanted:
            self._create(deployment, _hash(deployment["spec"]["template"]))
        elif len([p for p in new if _ready(p)]) + len(old) > wanted:
            victim = min(old, key=_rank)
            name = victim["metadata"]["name"]
            self._store.delete("pods", deployment["metadata"]["namespace"], name)

    def _pods_of(self, uid: str) -> list[Object]:
        return [
            p
            for p in self._store.listed("pods", "")
            if any(o["uid"] == uid for o in p["metadata"].get("ownerReferences", ()))
        ]

    def _create(self, deployment: Object, revision: str) -> None:
        meta, template = deployment["metadata"], copy.deepcopy(deployment["spec"]["template"])
        labels = {**template["metadata"].get("labels", {}), "pod-template-hash": revision}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": f"{meta['name']}-{revision}-",
                "labels": labels,
                "annotations": dict(template["metadata"].get("annotations") or {}),
                "ownerReferences": [{"uid": meta["uid"], "kind": "ReplicaSet", "name": "rs"}],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        }
        self._store.create("pods", meta["namespace"], pod)

    def _report(self, deployment: Object, revision: str) -> None:
        pods = [p for p in self._pods_of(deployment["metadata"]["uid"]) if _stays(p)]
        ready = sum(_ready(p) for p in pods)
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(pods),
            "updatedReplicas": sum(
                p["metadata"]["labels"]["pod-template-hash"] == revision for p in pods
            ),
            "readyReplicas": ready,
            "availableReplicas": ready,
        }
        self._set_status("deployments", deployment, status)

    def _set_status(self, plural: str, obj: Object, status: Object) -> None:
        meta = obj["metadata"]
        present = self._store.objects.get((plural, meta["namespace"], meta["name"]))
        if present is not None and present.get("status") != status:
            new = copy.deepcopy(present)
            new["status"] = status
            self._store.update(plural, present, new)

    # ------------------------------------------------------------------ pods

    def _pod(self, pod: Object) -> None:
        meta, status = pod["metadata"], pod["status"]
        if "deletionTimestamp" in meta:
            if self._waited(meta["uid"], "stop", _delay(pod, "stop-delay", 0.1)):
                self._store.remove(("pods", meta["namespace"], meta["name"]))
        elif not pod["spec"].get("nodeName"):
            self._schedule(pod)
        elif status["phase"] == "Pending":
            if self._waited(meta["uid"], "start", _delay(pod, "start-delay", 0.1)):
                self._set_status("pods", pod, _pod_status("Running", ready=False, before=status))
        elif status["phase"] == "Running":
            ready = self._waited(meta["uid"], "ready", _delay(pod, "ready-delay", 0.1))
            if ready != _ready(pod) and not _delay_is_never(pod):
                self._set_status("pods", pod, _pod_status("Running", ready=ready, before=status))

    def _schedule(self, pod: Object) -> None:
        taken = sum(_gpus(p) for p in self._store.listed("pods", "") if p["spec"].get("nodeName"))
        if taken + _gpus(pod) > self._gpus:
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            if pod["status"].get("conditions") != [condition]:
                self._set_status("pods", pod, {"phase": "Pending", "conditions": [condition]})
            return
        new = copy.deepcopy(pod)
        new["spec"]["nodeName"] = "node-1"
        new["status"] = {"phase": "Pending", "conditions": [_condition("PodScheduled", "True", {})]}
        self._store.update("pods", pod, new)

    def _waited(self, uid: str, what: str, seconds: float | None) -> bool:
        if seconds is None:
            return False
        began = self._since.setdefault(f"{uid}/{what}", self._api.loop.time())
        return self._api.loop.time() - began >= seconds


def _hash(template: Object) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]


def _stays(pod: Object) -> bool:
    return "deletionTimestamp" not in pod["metadata"]


def _ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _rank(pod: Object) -> tuple[bool, bool, bool, int, str]:
    """As the ReplicaSet controller ranks: first what it deletes first."""
    cost = (pod["metadata"].get("annotations") or {}).get(
        "controller.kubernetes.io/pod-deletion-cost", "0"
    )
    # The youngest go first of those that are alike; names are random, creation times too coarse.
    return (
        bool(pod["spec"].get("nodeName")),
        pod["status"]["phase"] == "Running",
        _ready(pod),
        int(cost),
        pod["metadata"]["name"],
    )


def _delay(pod: Object, name: str, default: float) -> float | None:
    value = (pod["metadata"].get("annotations") or {}).get(f"fakekubelet/{name}")
    if value is None:
        return default
    return None if value == "never" else float(value)


def _delay_is_never(pod: Object) -> bool:
    return (pod["metadata"].get("annotations") or {}).get("fakekubelet/ready-delay") == "never"


def _gpus(pod: Object) -> int:
    return sum(
        int((c.get("resources") or {}).get("limits", {}).get("nvidia.com/gpu", 0))
        for c in pod["spec"].get("containers", ())
    )


def _condition(kind: str, status: str, before: Object) -> Object:
    same = before.get("status") == status
    return {
        "type": kind,
        "status": status,
        "lastTransitionTime": before["lastTransitionTime"] if same else now(),
    }


def _pod_status(phase: str, *, ready: bool, before: Object) -> Object:
    known: dict[str, Any] = {c["type"]: c for c in before.get("conditions", ())}
    readiness = _condition("Ready", "True" if ready else "False", known.get("Ready", {}))
    return {"phase": phase, "conditions": [known["PodScheduled"], readiness]}
