"""How many replicas the namespace's ResourceQuotas leave a target: one that cannot be created for
want of quota is no replica, and an order for it would only hide that.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from ocrplus_operator.kube import Object

_SUFFIXES: Final = {
    "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
    "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip


def quantity(text: str) -> float:
    """A Kubernetes quantity as a number."""
    found = re.fullmatch(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)", str(text))
    if found is None or found[2] not in _SUFFIXES:
        raise ValueError(f"{text!r} is no quantity")
    return float(found[1]) * _SUFFIXES[found[2]]


def quota_replicas(quotas: Iterable[Object], template: Object, present: int) -> int | None:
    """The most replicas that quotas leave, the `present` ones included; None where none limits."""
    wants = _wants(template.get("spec", {}))
    most: int | None = None
    for quota in quotas:
        if quota["spec"].get("scopes") or quota["spec"].get("scopeSelector"):
            continue  # which pods it counts cannot be told from the template alone
        status = quota.get("status", {})
        for name, hard in (status.get("hard") or {}).items():
            if (each := wants.get(name, 0.0)) > 0:
                left = quantity(hard) - quantity(status.get("used", {}).get(name, "0"))
                fits = present + max(0, int(left / each + 1e-9))
                most = fits if most is None else min(most, fits)
    return most


def _wants(pod: Object) -> dict[str, float]:
    """What one pod takes of each name that a quota may have."""
    wants: dict[str, float] = defaultdict(float, {"pods": 1.0, "count/pods": 1.0})
    for container in pod.get("containers", ()):
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        for name, amount in {**limits, **(resources.get("requests") or {})}.items():
            wants[f"requests.{name}"] += quantity(amount)
            if name in ("cpu", "memory"):
                wants[name] += quantity(amount)
        for name, amount in limits.items():
            wants[f"limits.{name}"] += quantity(amount)
    return wants
