"""What a value of the chart may look like, by the words of its `# @schema` comment.

A string without a shape would let any typo through to the cluster, where it fails late and far
from its cause; so every string has one, and a test holds values.yaml to that. Objects and lists
that Kubernetes itself defines are outlined here: the fields that they must and may have, so that
a wrong nesting is refused at `helm install`, and the API server judges the rest.
"""

from collections.abc import Sequence
from typing import Any, Final  # Any: JSON schemas

Schema = dict[str, Any]

_DNS: Final = "[a-z0-9]([-a-z0-9.]*[a-z0-9])?"

# Of strings. Empty ones are let through only where empty means something.
STRINGS: Final[dict[str, Schema]] = {
    "name": {"pattern": f"^({_DNS})?$", "maxLength": 253},
    "some name": {"pattern": f"^{_DNS}$", "maxLength": 253},
    "key": {"pattern": "^[-._a-zA-Z0-9]+$", "maxLength": 253},
    "key or none": {"pattern": "^[-._a-zA-Z0-9]*$", "maxLength": 253},
    "quantity": {"pattern": r"^[1-9][0-9]*(\.[0-9]+)?([kMGTPE]|[KMGTPE]i)$"},
    "duration": {"pattern": "^([1-9][0-9]*(ms|s|m|h))+$"},
    "path": {"pattern": "^/[A-Za-z0-9._/-]*[A-Za-z0-9._-]$"},
    "program": {"pattern": "^[A-Za-z0-9._/-]+$"},
    "url": {"pattern": r"^(https?://[^@\s]+)?$"},
    "registry": {"pattern": "^([A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._-]+)*)?$"},
    "repository": {"pattern": "^[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$"},
    "tag": {"pattern": "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$"},
    "some tag": {"pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"},
    "digest": {"pattern": "^(sha256:[0-9a-f]{64})?$"},
    "word": {"pattern": r"^\S*$"},
    "some word": {"pattern": r"^\S+$"},
}


def _object(required: Sequence[str] = (), **properties: object) -> Schema:
    known = {
        name: kind if isinstance(kind, dict) else {"type": kind}
        for name, kind in properties.items()
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": known,
        **({"required": list(required)} if required else {}),
    }


def _map(kind: object) -> Schema:
    return {
        "type": "object",
        "additionalProperties": kind if isinstance(kind, dict) else {"type": kind},
    }


LABEL: Final[Schema] = {
    "type": "string",
    "maxLength": 63,
    "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
}
PORT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 65535}
_SELECTOR: Final = _object(matchLabels=_map("string"), matchExpressions="array")
_PEER: Final = _object(
    podSelector=_SELECTOR,
    namespaceSelector=_SELECTOR,
    ipBlock=_object(["cidr"], cidr="string", **{"except": "array"}),
) | {"minProperties": 1}
_AMOUNTS: Final = _map(["string", "number"])

# Entries of lists.
ITEMS: Final[dict[str, Schema]] = {
    "string": {"type": "string", "minLength": 1},
    "name": {"type": "string", **STRINGS["some name"]},
    "port": PORT,
    "host": {"type": "string", "pattern": rf"^(\*\.)?{_DNS}$"},
    "origin": {"type": "string", "pattern": r"^(\*|https?://[^/@\s]+)$"},
    "network": {"type": "string", "pattern": "^[0-9A-Fa-f.:]+(/[0-9]+)?$"},
}

# What Kubernetes defines, in outline: the type of the value, and of its entries.
KUBERNETES: Final[dict[str, Schema]] = {
    "resources": _object(requests=_AMOUNTS, limits=_AMOUNTS, claims="array"),
    "tolerations": _object(
        key="string",
        operator="string",
        value="string",
        effect="string",
        tolerationSeconds="integer",
    ),
    "affinity": _object(nodeAffinity="object", podAffinity="object", podAntiAffinity="object"),
    "spread": _object(
        ["maxSkew", "topologyKey", "whenUnsatisfiable"],
        maxSkew={"type": "integer", "minimum": 1},
        topologyKey="string",
        whenUnsatisfiable={"enum": ["DoNotSchedule", "ScheduleAnyway"]},
        minDomains="integer",
        nodeAffinityPolicy="string",
        nodeTaintsPolicy="string",
        labelSelector="object",
        matchLabelKeys="array",
    ),
    "env": _object(["name"], name="string", value="string", valueFrom="object"),
    "containers": {"type": "object", "required": ["name", "image"]},
    "volumes": {
        "type": "object",
        "required": ["name"],
        "additionalProperties": {"type": ["object", "string"]},
    },
    "mounts": _object(
        ["name", "mountPath"],
        name="string",
        mountPath={"type": "string", **STRINGS["path"]},
        readOnly="boolean",
        subPath="string",
        subPathExpr="string",
        mountPropagation="string",
        recursiveReadOnly="string",
    ),
    "volume source": _map("object")
    | {"maxProperties": 1, "propertyNames": {"pattern": "^[a-z][A-Za-z]+$"}},
    "schedules": _object(
        ["cron", "duration", "minReplicas"],
        cron={"type": "string", "minLength": 9},
        duration={"type": "string", "pattern": "^([0-9]+(h|m|s))+$"},
        timeZone="string",
        minReplicas={"type": "integer", "minimum": 0},
    ),
    "tls": _object(secretName="string", hosts={"type": "array", "items": ITEMS["host"]}),
    "parents": _object(
        ["name"],
        name="string",
        namespace="string",
        sectionName="string",
        port=PORT,
        group="string",
        kind="string",
    ),
    "peers": _PEER,
    "egress": _object(to={"type": "array", "items": _PEER}, ports="array") | {"minProperties": 1},
}


def of(says: Schema, default: object) -> Schema:
    """The schema of one value: what its comment says, its shapes spelled out.

    Raises:
        KeyError: a shape has no such name.
    """
    rest = dict(says)
    if "kubernetes" in rest:
        outline = KUBERNETES[rest.pop("kubernetes")]
        return (
            {"type": "array", **rest, "items": outline}
            if isinstance(default, list)
            else outline | rest
        )
    if "map" in rest:
        kind = rest.pop("map")
        return _map(LABEL if kind == "label" else kind) | rest
    if "items" in rest:
        return {"type": "array", **rest, "items": ITEMS[rest.pop("items")]}
    shape = STRINGS[rest.pop("shape")] if "shape" in rest else {}
    return shape | rest
