"""No value does nothing in silence: it changes an object, is refused, or NOTES name it as idle."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import chart_other
import chart_render
import chart_values
import pytest
from chart_other import Other
from chart_render import CHART, ChartRefused

VALUES = [value for value in chart_values.values(chart_render.TEXT) if not value.is_group]
OTHERS = [chart_other.other(value, number) for number, value in enumerate(VALUES)]
CAPTIONS = {"captions": {"existingSecret": "vlm"}}
EXTERNAL = {"redis": {"enabled": False}, "externalRedis": {"existingSecret": "server"}}
ROUTE = {"gatewayApi": {"enabled": True, "parentRefs": [{"name": "contour"}]}}
INGRESS = {"ingress": {"enabled": True, "hosts": ["a.test"]}}
JWT = {"mode": "jwt", "jwt": {"jwksUrl": "https://a.test", "issuer": "a", "audience": "b"}}
# A base, and which of the values are tried on it.
BASES: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "defaults": ({}, ("",)),
    "captions": (CAPTIONS, ("caption",)),
    "none scales": (
        {"operator": {"enabled": False}, **CAPTIONS},
        ("ocrWorker.auto", "captionWorker.auto", "ocrWorker.rep", "captionWorker.rep", "operator."),
    ),
    "keda": (
        {"operator": {"enabled": False}, "keda": {"enabled": True}, **CAPTIONS},
        ("ocrWorker.auto", "captionWorker.auto", "ocrWorker.rep", "captionWorker.rep", "keda."),
    ),
    "keda, and never nothing": (
        {
            "operator": {"enabled": False},
            "keda": {"enabled": True},
            "ocrWorker": {"autoscaling": {"minReplicas": 1}},
        },
        ("ocrWorker.autoscaling.s",),
    ),
    "no autoscaler": (
        {"gateway": {"autoscaling": {"enabled": False}}, "ocrWorker": {"gpu": {"enabled": False}}},
        ("gateway.auto", "gateway.rep", "ocrWorker.gpu", "ocrWorker.eng"),
    ),
    "manual, and never nothing": (
        {
            "ocrWorker": {"autoscaling": {"mode": "Manual", "replicas": 3, "minReplicas": 1}},
            "captionWorker": {"autoscaling": {"mode": "Manual", "replicas": 3}},
            **CAPTIONS,
        },
        ("ocrWorker.auto", "captionWorker.auto"),
    ),
    "external Redis": (EXTERNAL, ("redis.", "externalRedis.", "networkPolicy.redis")),
    "external Redis by KEDA": (
        {
            **EXTERNAL,
            "operator": {"enabled": False},
            "keda": {"enabled": True, "redisAddress": "a.test:6380"},
        },
        ("keda.", "externalRedis."),
    ),
    "bucket": ({"blobs": {"type": "s3", "s3": {"bucket": "b"}}}, ("blobs.", "networkPolicy.eg")),
    "volume": ({"blobs": {"type": "pvc"}}, ("blobs.",)),
    "claim": ({"blobs": {"type": "pvc", "pvc": {"existingClaim": "c"}}}, ("blobs.pvc",)),
    "provider": ({"auth": JWT}, ("auth.", "test.", "networkPolicy.eg")),
    "routes": ({**ROUTE, **INGRESS}, ("ingress.", "gatewayApi.")),
    "balancer": ({"gateway": {"service": {"type": "LoadBalancer"}}}, ("gateway.service.",)),
    "monitors": ({"monitoring": {"enabled": True}}, ("monitoring.",)),
    "neither alerts nor dashboards": (
        {
            "monitoring": {
                "enabled": True,
                "alerts": {"enabled": False},
                "dashboards": {"enabled": False},
            }
        },
        ("monitoring.",),
    ),
    "collector": ({"tracing": {"endpoint": "http://a.test:4318"}}, ("tracing.",)),
    "no policies": ({"networkPolicy": {"enabled": False}}, ("networkPolicy.",)),
    "no volume for Redis": (
        {"redis": {"persistence": {"enabled": False}}},
        ("redis.persistence",),
    ),
    "classes": ({"priorityClasses": {"create": True}}, ("priorityClasses.",)),
}


def test_the_defaults_that_notes_compare_with_are_those_of_the_values() -> None:
    made = (CHART / "files" / "defaults.json").read_text("utf-8")

    assert made == chart_values.defaults(), "run `make chart`"


@pytest.mark.parametrize("base", BASES)
def test_a_value_changes_something_or_is_told(base: str) -> None:
    values, tried = BASES[base]
    before, _ = _rendered(values, [])
    waiting = [one for one in OTHERS if one.path.startswith(tried) and not _is_set(values, one)]

    waiting = list(_unmarked(values, waiting))
    silent = [other.path for other in waiting if _is_silent(values, other, before)]

    assert silent == []


def _is_set(values: Any, other: Other) -> bool:
    for key in other.path.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return bool(values == other.value)


def _unmarked(values: Mapping[str, Any], others: Sequence[Other]) -> Iterator[Other]:
    """Set all of a group that carry marks at once; those that are not found in what it made."""
    groups: dict[str, list[Other]] = {}
    for other in others:
        if other.mark:
            groups.setdefault(other.path.partition(".")[0], []).append(other)
        else:
            yield other
    for group in groups.values():
        try:
            made, idle = _rendered(values, group)
        except ChartRefused:
            yield from group
            continue
        yield from (one for one in group if one.mark not in made and not _is_told(one, idle))


def _is_told(other: Other, idle: set[str]) -> bool:
    """By its name, or by that of a part of it."""
    return any(f"{path}.".startswith(f"{other.path}.") for path in idle)


def _is_silent(values: Mapping[str, Any], other: Other, before: str) -> bool:
    try:
        made, idle = _rendered(values, [other])
    except ChartRefused:
        return False
    told = _is_told(other, idle)
    assert not told or made == before, f"{other.path} is told idle and is not"
    return made == before and not told


def _rendered(values: Mapping[str, Any], others: Sequence[Other]) -> tuple[str, set[str]]:
    """Every object without the words that chance makes, and the values told idle."""
    merged: dict[str, Any] = json.loads(json.dumps(values))
    for other in others:
        *way, last = other.path.split(".")
        group = merged
        for key in way:
            group = group.setdefault(key, {})
        group[last] = other.value
    objects, notes = chart_render.with_notes(merged)
    for entry in objects:
        if entry["kind"] == "Secret":
            entry["data"] = sorted(entry["data"])
    idle = set(re.findall(r"^- (\S+) does nothing: ", notes, re.MULTILINE))
    return json.dumps(objects), idle


def test_what_does_nothing_is_named_with_the_reason() -> None:
    notes = chart_render.notes(
        "keda-values.yaml",
        {
            "ocrWorker": {"autoscaling": {"headroom": "2", "maxReplicas": 3}},
            "operator": {"replicas": 3},
        },
    )

    said = re.findall(r"^- (.* does nothing: .*)$", notes, re.MULTILINE)
    assert said == [
        "ocrWorker.autoscaling.headroom does nothing: KEDA scales, the operator does not.",
        "operator.replicas does nothing: operator.enabled is false.",
    ]


@pytest.mark.parametrize("file", [None, *chart_render.FILES])
def test_the_ready_values_set_nothing_that_does_nothing(file: str | None) -> None:
    assert "does nothing" not in chart_render.notes(file)
