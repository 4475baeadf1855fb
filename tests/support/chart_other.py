"""Another value for each of the chart's values: its schema takes it, and it is not the default.

Where the new value can carry a mark of its own, the mark is told too, so that many values are set
in one rendering and looked for in what it made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import chart_values

# By what the comment says of it; `%s` is a mark.
SHAPES: Final[Mapping[str, str]] = {
    "name": "%s",
    "some name": "%s",
    "key": "%s",
    "key or none": "%s",
    "path": "/%s",
    "program": "%s",
    "url": "https://%s",
    "registry": "%s",
    "repository": "%s",
    "tag": "%s",
    "some tag": "%s",
    "word": "%s",
    "some word": "%s",
}
ITEMS: Final[Mapping[str, str]] = {"name": "%s", "host": "%s.test", "origin": "https://%s"}
KUBERNETES: Final[Mapping[str, Any]] = {
    "resources": {"requests": {"cpu": "7m", "memory": "7Mi"}, "limits": {"memory": "999Gi"}},
    "tolerations": [{"key": "%s"}],
    "affinity": {"nodeAffinity": {"%s": "1"}},
    "spread": [{"maxSkew": 1, "topologyKey": "%s", "whenUnsatisfiable": "DoNotSchedule"}],
    "env": [{"name": "%s"}],
    "containers": [{"name": "%s", "image": "a"}],
    "volumes": [{"name": "%s", "emptyDir": {}}],
    "mounts": [{"name": "%s", "mountPath": "/%s"}],
    "volume source": {"hostPath": {"path": "/%s"}},
    "schedules": [{"cron": "0 7 * * *", "duration": "12h", "minReplicas": 1, "timeZone": "%s"}],
    "tls": [{"secretName": "%s"}],
    "parents": [{"name": "%s"}],
    "peers": [{"podSelector": {"matchLabels": {"app": "%s"}}}],
    "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "%s"}}}]}],
}
# Those whose pattern is their own.
OWN: Final[Mapping[str, Any]] = {
    "nameOverride": "%s",
    "fullnameOverride": "%s",
    "settings.keyPrefix": "%s:",
    "settings.listenAddress": "::",
    "captions.baseUrl": "https://%s.test",
    "blobs.s3.endpoint": "https://%s.test",
    "keda.redisAddress": "%s:6379",
    "externalRedis.url": "redis://cache.test:6379",
    "ocrWorker.autoscaling.headroom": "0.5",
    "gateway.config": {"OCRPLUS_MAX_USER_TASKS": 5},
    "ocrWorker.config": {"OCRPLUS_RENDER_SECONDS": 5},
    "captionWorker.config": {"OCRPLUS_CAPTION__ATTEMPTS": 5},
    "operator.config": {"OCRPLUS_OPERATOR__TICK_SECONDS": 2.5},
    "gateway.service.nodePort": 30080,
    "gateway.service.loadBalancerSourceRanges": ["192.0.2.0/24"],
    # within what the rules across values allow
    "gateway.terminationGracePeriodSeconds": 46,
    "redis.maxmemoryMegabytes": 900,
}


@dataclass(frozen=True, slots=True)
class Other:
    """A value's path, another value for it, and its mark, empty where it has none."""

    path: str
    value: Any
    mark: str


def other(value: chart_values.Value, number: int) -> Other:
    """Another value; `number` makes the mark."""
    path, mark = ".".join(value.path), f"mark{number}x"
    pattern = OWN[path] if path in OWN else _by_kind(value)
    made = _marked(pattern, mark)
    return Other(path, made, mark if made != pattern else "")


def _by_kind(value: chart_values.Value) -> Any:
    says, default = value.says, value.default
    for table, word in ((SHAPES, "shape"), (ITEMS, "items"), (KUBERNETES, "kubernetes")):
        found = table.get(says.get(word, ""))
        if found is not None:
            return [found] if word == "items" else found
    if "map" in says:
        return {"example.org/mark": "%s"}
    return _plain(says, default)


def _plain(says: Mapping[str, Any], default: Any) -> Any:
    if "enum" in says:
        return next(each for each in says["enum"] if each not in (default, ""))
    if isinstance(default, bool):
        return not default
    if isinstance(default, (int, float)):
        top = says.get("maximum", float("inf"))
        return default + 1 if default + 1 <= top else default - 1
    fixed = {"quantity": "77Gi", "duration": "77s", "digest": f"sha256:{7:064x}"}
    if says.get("shape") in fixed:
        return fixed[says["shape"]]
    if says.get("items") == "port":
        return [7777]
    assert "type" in says, f"no other value is known for {default!r}, which says {says}"
    return {"null": 1, "string": "7%"}[says["type"][1]]


def _marked(pattern: Any, mark: str) -> Any:
    if isinstance(pattern, str):
        return pattern.replace("%s", mark)
    if isinstance(pattern, list):
        return [_marked(each, mark) for each in pattern]
    if isinstance(pattern, dict):
        return {_marked(key, mark): _marked(each, mark) for key, each in pattern.items()}
    return pattern
