"""The target in the cluster: its replicas, pods, rollout, quota, and who else scales it.

The Deployment is read in every tick, since an order may only rest on replicas that are current;
what changes seldom (other scalers, quotas, the Secret) is read by and by.
"""

import asyncio
import base64
import binascii
import time
from dataclasses import dataclass
from typing import Final

from ocrplus_operator.control.types import Cluster, Unknown
from ocrplus_operator.errors import ApiError, Forbidden, NotFound, Unreadable
from ocrplus_operator.kube import Kube, Object
from ocrplus_operator.observe.pods import PodWatch, pod_of, templates
from ocrplus_operator.observe.quota import quota_replicas
from ocrplus_operator.resource import Resource, elder_rival, pools_path

_DEFAULT_GRACE_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Target:
    """The Deployment as read in this tick."""

    body: Object

    @property
    def replicas(self) -> int:
        """`spec.replicas`, which the API server defaults to 1."""
        return int(self.body["spec"].get("replicas", 1))

    @property
    def version(self) -> str:
        """Precondition of an order that rests on these replicas."""
        return str(self.body["metadata"].get("resourceVersion", ""))

    @property
    def selector(self) -> str:
        """Label selector of its pods."""
        selector = self.body["spec"]["selector"]
        parts = [f"{k}={v}" for k, v in sorted(selector.get("matchLabels", {}).items())]
        for rule in selector.get("matchExpressions", ()):
            parts.append(_expression(rule["key"], rule["operator"], rule.get("values") or []))
        return ",".join(parts)

    @property
    def grace_seconds(self) -> int:
        """How long its pods may take to end."""
        pod = self.body["spec"]["template"].get("spec", {})
        return int(pod.get("terminationGracePeriodSeconds", _DEFAULT_GRACE_SECONDS))

    @property
    def is_moving(self) -> bool:
        """Whether its controller has not caught up, or replaces pods by newer ones."""
        status = self.body.get("status", {})
        seen = status.get("observedGeneration", 0) >= self.body["metadata"].get("generation", 0)
        return not seen or status.get("updatedReplicas", 0) < status.get("replicas", 0)


def _expression(key: str, operator: str, values: list[str]) -> str:
    match operator:
        case "Exists":
            return key
        case "DoesNotExist":
            return f"!{key}"
    return f"{key} {'in' if operator == 'In' else 'notin'} ({','.join(values)})"


class ClusterView:
    """What one pool's target looks like."""

    def __init__(self, kube: Kube, survey_seconds: float) -> None:
        self._kube = kube
        self._survey_seconds = survey_seconds
        self._watch: PodWatch | None = None
        self._read_at = float("-inf")
        self._conflict = ""
        self._quota: int | None = None
        self.redis_url = ""
        self.target: Target | None = None

    async def close(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            await self._watch.stop()
            self._watch = None

    async def read(self, resource: Resource) -> Cluster | Unknown:
        """The target now; `Unknown` when anything of it could not be read."""
        self.target = None
        try:
            target = await self._deployment(resource)
            watch = await self._pods(resource.namespace, target.selector)
            if time.monotonic() - self._read_at > self._survey_seconds:
                await self._survey(resource, target, watch.bodies)
        except Unreadable as error:
            return Unknown(error.reason, error.message)
        except Forbidden as error:
            return Unknown("Forbidden", str(error))
        except ApiError as error:
            return Unknown("ApiUnavailable", str(error))
        self.target = target
        bodies = watch.bodies
        return Cluster(
            replicas=target.replicas,
            pods=tuple(pod_of(body) for body in bodies),
            quota_replicas=self._quota,
            rollout=target.is_moving or len(templates(bodies)) > 1,
            conflict=self._conflict,
        )

    async def _deployment(self, resource: Resource) -> Target:
        name = resource.spec.target.name
        path = f"/apis/apps/v1/namespaces/{resource.namespace}/deployments/{name}"
        try:
            return Target(await self._kube.get(path))
        except NotFound as error:
            raise Unreadable("TargetMissing", f"there is no Deployment {name}") from error

    async def _pods(self, namespace: str, selector: str) -> PodWatch:
        if self._watch is None or self._watch.ended or self._watch.selector != selector:
            await self.close()
            self._watch = PodWatch(self._kube, namespace, selector)
            self._watch.start()
        if not self._watch.synced and not await self._watch.wait(2.0):
            raise Unreadable("PodsUnknown", "the pods could not be listed yet")
        return self._watch

    async def _survey(self, resource: Resource, target: Target, pods: tuple[Object, ...]) -> None:
        namespace = resource.namespace
        self.redis_url, self._conflict, quotas = await asyncio.gather(
            self._url(resource),
            self._other_scaler(resource),
            self._list(f"/api/v1/namespaces/{namespace}/resourcequotas"),
        )
        staying = sum("deletionTimestamp" not in body["metadata"] for body in pods)
        self._quota = quota_replicas(quotas, target.body["spec"]["template"], staying)
        self._read_at = time.monotonic()

    async def _url(self, resource: Resource) -> str:
        source = resource.spec.source.redis
        path = f"/api/v1/namespaces/{resource.namespace}/secrets/{source.secret_name}"
        try:
            data = (await self._kube.get(path)).get("data") or {}
            return base64.b64decode(data[source.secret_key]).decode().strip()
        except NotFound as error:
            raise Unreadable("SecretMissing", f"no Secret {source.secret_name}") from error
        except (KeyError, binascii.Error, UnicodeDecodeError) as error:
            message = f"Secret {source.secret_name} has no readable key {source.secret_key}"
            raise Unreadable("SecretMissing", message) from error

    async def _other_scaler(self, resource: Resource) -> str:
        namespace, name = resource.namespace, resource.spec.target.name
        *scalers, pools = await asyncio.gather(
            self._list(f"/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects"),
            self._list(f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"),
            self._list(pools_path(namespace)),
        )
        for body in scalers[0]:
            if _aims_at(body["spec"].get("scaleTargetRef", {}), name):
                return f"ScaledObject/{body['metadata']['name']}"
        for body in scalers[1]:
            if _aims_at(body["spec"].get("scaleTargetRef", {}), name):
                return f"HorizontalPodAutoscaler/{body['metadata']['name']}"
        return elder_rival(resource, pools)

    async def _list(self, path: str) -> list[Object]:
        try:
            found: list[Object] = (await self._kube.get(path))["items"]
        except NotFound:  # KEDA is not installed
            return []
        return found


def _aims_at(reference: Object, name: str) -> bool:
    return reference.get("kind", "Deployment") == "Deployment" and reference.get("name") == name
