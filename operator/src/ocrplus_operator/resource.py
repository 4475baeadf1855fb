"""The custom resource as values: its spec for the law, and what only the operator's own parts need.

The API server has applied defaults and CEL rules; what is read here again is what those cannot
see (time zones, cron lines).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ocrplus_operator.control import schedules
from ocrplus_operator.control.spec import (
    Limits,
    MissingMetrics,
    Mode,
    Objective,
    PoolSpec,
    RedisSource,
    ScaleDown,
    ScaleToZero,
    Schedule,
    Source,
    Startup,
    TargetRef,
)
from ocrplus_operator.control.types import OWN_KIND, Pause
from ocrplus_operator.errors import Unreadable
from ocrplus_operator.kube import Object

GROUP: Final = "ocrplus.io"
VERSION: Final = "v1alpha1"
PLURAL: Final = "workerpools"
KIND: Final = OWN_KIND
PAUSED: Final = "ocrplus.io/paused"
PAUSED_SCALE_DOWN: Final = "ocrplus.io/paused-scale-down"

_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0}
_DEFAULT_LEASE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Resource:
    """One WorkerPool as it stands in the API."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: PoolSpec
    pause: Pause
    lease_seconds: int
    status: Object

    @property
    def path(self) -> str:
        """Its path in the API."""
        return pools_path(self.namespace, self.name)

    @property
    def reference(self) -> dict[str, str]:
        """What an Event refers to."""
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
        }


def pools_path(namespace: str, name: str = "") -> str:
    """Path of a namespace's pools, or of one."""
    folder = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
    return f"{folder}/{name}" if name else folder


def elder_rival(resource: Resource, pools: Sequence[Object]) -> str:
    """An older pool with the same target, or the same work, as `WorkerPool/name`; empty without.

    The younger one yields: a second pool made by mistake must not stop the first. Two pools of one
    work would order for it twice and forget each other's drains.
    """
    mine = next((b for b in pools if b["metadata"]["uid"] == resource.uid), None)
    if mine is None:
        return ""
    for body in pools:
        if _seniority(body) < _seniority(mine) and _claims(body) & _claims(mine):
            return f"{KIND}/{body['metadata']['name']}"
    return ""


def _seniority(body: Object) -> tuple[str, str]:
    return body["metadata"].get("creationTimestamp", ""), body["metadata"]["uid"]


def _claims(body: Object) -> set[tuple[str, ...]]:
    """What only one pool may have: a target, the keys of a kind of work."""
    spec = body["spec"]
    source = spec.get("source", {})
    redis = source.get("redis", {})
    secret = redis.get("secretRef", {})
    keys = (secret.get("name", ""), secret.get("key", "url"), redis.get("keyPrefix", ""))
    return {("target", spec["targetRef"]["name"]), (*keys, source.get("pool", "ocr"))}


def resource_of(body: Object) -> Resource:
    """Read a WorkerPool.

    Raises:
        Unreadable: `InvalidSpec`, with what a person has to change.
    """
    meta = body["metadata"]
    try:
        spec = _spec(body["spec"])
        for schedule in spec.schedules:
            schedules.check(schedule)
    except (KeyError, ValueError, TypeError) as error:
        raise Unreadable("InvalidSpec", f"spec: {error}") from error
    return Resource(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        generation=meta.get("generation", 0),
        spec=spec,
        pause=_pause(meta.get("annotations") or {}),
        lease_seconds=body["spec"]["source"].get("leaseSeconds", _DEFAULT_LEASE_SECONDS),
        status=body.get("status") or {},
    )


def seconds(duration: str) -> float:
    """Seconds of a duration such as 1h30m."""
    parts = re.findall(r"([0-9]+)([hms])", duration)
    if not parts or "".join(n + unit for n, unit in parts) != duration:
        raise ValueError(f"duration {duration!r} is not like 12h or 1h30m")
    return sum(int(n) * _UNITS[unit] for n, unit in parts)


def _pause(annotations: dict[str, str]) -> Pause:
    # Whatever is not "false" pauses: a typo must not start what somebody wanted stopped.
    def is_set(name: str) -> bool:
        return annotations.get(name, "false").strip().lower() not in ("false", "")

    return Pause(all=is_set(PAUSED), scale_down=is_set(PAUSED_SCALE_DOWN))


def _spec(spec: Object) -> PoolSpec:
    target = spec["targetRef"]
    return PoolSpec(
        target=TargetRef(target["name"]),
        mode=Mode(spec.get("mode", "Auto")),
        replicas=spec.get("replicas"),
        limits=Limits(**_renamed(spec.get("limits"), Limits)),
        objective=_objective(spec.get("objective") or {}),
        scale_down=ScaleDown(**_renamed(spec.get("scaleDown"), ScaleDown)),
        scale_to_zero=ScaleToZero(**_renamed(spec.get("scaleToZero"), ScaleToZero)),
        startup=Startup(**_renamed(spec.get("startup"), Startup)),
        schedules=tuple(_schedule(one) for one in spec.get("schedules") or ()),
        source=_source(spec["source"]),
        missing_metrics=MissingMetrics(**_renamed(spec.get("missingMetrics"), MissingMetrics)),
    )


def _renamed(block: Object | None, kind: type[Any]) -> dict[str, Any]:
    """A block's fields by their names in Python; what this operator does not know is left out."""
    named = {re.sub(r"[A-Z]", lambda m: "_" + m[0].lower(), k): v for k, v in (block or {}).items()}
    return {name: named[name] for name in named if name in kind.__dataclass_fields__}


def _objective(block: Object) -> Objective:
    values = _renamed(block, Objective)
    if "headroom" in values:
        values["headroom"] = float(values["headroom"])
    return Objective(**values)


def _schedule(block: Object) -> Schedule:
    return Schedule(
        cron=block["cron"],
        duration_seconds=seconds(block["duration"]),
        min_replicas=block["minReplicas"],
        time_zone=block.get("timeZone", "UTC"),
    )


def _source(block: Object) -> Source:
    secret = block["redis"]["secretRef"]
    redis = RedisSource(
        secret_name=secret["name"],
        secret_key=secret.get("key", "url"),
        key_prefix=block["redis"].get("keyPrefix", ""),
    )
    values = _renamed(block, Source)
    values["redis"] = redis
    return Source(**values)
