"""The manifests, and how a resource is read."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import kube_api
import pytest
import yaml

from ocrplus_operator.control.spec import PoolSpec
from ocrplus_operator.control.types import ConditionType, Pause, Reason
from ocrplus_operator.errors import Unreadable
from ocrplus_operator.metrics import OperatorMetrics
from ocrplus_operator.observe.quota import quantity, quota_replicas
from ocrplus_operator.resource import elder_rival, resource_of, seconds

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "operator" / "manifests"
CRD = yaml.safe_load((MANIFESTS / "workerpools.yaml").read_text())
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
PAGE = (ROOT / "docs" / "operator.md").read_text()
POOLS = list(yaml.safe_load_all((MANIFESTS / "pools.yaml").read_text()))


def fields(schema: dict[str, Any], path: str = "") -> list[tuple[str, str, str]]:
    found = []
    for name, inner in (schema.get("properties") or {}).items():
        if (path, name) != ("", "metadata"):
            found.append((f"{path}.{name}", name, inner.get("description", "")))
        found += fields(inner, f"{path}.{name}")
    if "items" in schema:
        found += fields(schema["items"], f"{path}[]")
    return found


@pytest.mark.parametrize(("path", "name", "text"), fields(SCHEMA))
def test_every_field_is_described_beginning_with_its_name(path: str, name: str, text: str) -> None:
    assert re.match(rf"{name} (is|are|says|names|bounds|multiplies|prefers|lets|comes)", text), path


def camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


BLOCKS = {f.name: type(f.default_factory()) for f in dataclasses.fields(PoolSpec)
          if f.default_factory is not dataclasses.MISSING}  # fmt: skip


@pytest.mark.parametrize("block", sorted(BLOCKS))
def test_whatever_the_law_can_be_told_can_be_said_in_the_resource(block: str) -> None:
    schema = SCHEMA["properties"]["spec"]["properties"][camel(block)]["properties"]

    assert {camel(f.name) for f in dataclasses.fields(BLOCKS[block])} <= set(schema)


def stored(body: dict[str, Any]) -> dict[str, Any]:
    """A resource as the API server hands it out."""
    meta = {"namespace": "n", "uid": "u", "generation": 1, **body["metadata"]}
    return kube_api.with_defaults(SCHEMA, {**body, "metadata": meta})


@pytest.mark.parametrize("body", POOLS, ids=lambda body: body["metadata"]["name"])
def test_the_example_pools_keep_to_the_schema_and_can_be_read(body: dict[str, Any]) -> None:
    validator = jsonschema_rs.validator_for(_closed(SCHEMA))
    validator.validate(body)

    assert resource_of(stored(body)).spec.source.pool == body["spec"]["source"]["pool"]


def _closed(schema: Any) -> Any:
    """The schema with unknown fields refused, which a real server prunes silently."""
    if not isinstance(schema, dict):
        return schema
    closed = {k: _closed(v) if k != "properties" else v for k, v in schema.items()}
    if "properties" in schema:
        closed["properties"] = {k: _closed(v) for k, v in schema["properties"].items()}
        closed["additionalProperties"] = False
        if schema["properties"].keys() >= {"metadata", "spec"}:
            closed["properties"]["metadata"] = {}
    return closed


def pool(**spec: Any) -> dict[str, Any]:
    bare = {"targetRef": {"name": "w"}, "source": {"redis": {"secretRef": {"name": "s"}}}}
    return stored({"metadata": {"name": "p"}, "spec": {**bare, **spec}})


def test_durations_zones_and_cron_lines_that_make_no_sense_are_named() -> None:
    schedule = {"cron": "0 7 * * *", "duration": "1h", "minReplicas": 1}
    for wrong in ({"cron": "0 25 * * *"}, {"timeZone": "Mars/Olympus"}, {"duration": "soon"}):
        with pytest.raises(
            Unreadable, match=next(iter(wrong.values())).split("/")[0].replace("*", ".")
        ):
            resource_of(pool(schedules=[{**schedule, **wrong}]))

    assert seconds("1h30m") == 5400


@pytest.mark.parametrize(
    ("value", "paused"),
    [
        ("true", True),
        ("True", True),
        ("yes", True),
        ("false", False),
        ("", False),
        ("False", False),
    ],
)
def test_whatever_is_not_false_pauses(value: str, paused: bool) -> None:
    body = pool()
    body["metadata"]["annotations"] = {"ocrplus.io/paused": value}

    assert resource_of(body).pause == Pause(all=paused)


@pytest.mark.parametrize(
    ("text", "number"),
    [("4", 4), ("500m", 0.5), ("2Gi", 2**31), ("1k", 1000), ("1e3", 1000), ("1E", 1e18)],
)
def test_quantities(text: str, number: float) -> None:
    assert quantity(text) == pytest.approx(number)


def test_a_quota_leaves_as_many_replicas_as_fit_beside_those_that_are() -> None:
    gpu = {"limits": {"nvidia.com/gpu": "2"}, "requests": {"memory": "1Gi"}}
    template = {"spec": {"containers": [{"resources": gpu}]}}
    quota = {
        "spec": {},
        "status": {
            "hard": {"requests.nvidia.com/gpu": "12", "pods": "50", "requests.memory": "64Gi"},
            "used": {"requests.nvidia.com/gpu": "5", "pods": "3", "requests.memory": "2Gi"},
        },
    }

    assert quota_replicas([quota], template, present=2) == 5
    assert quota_replicas([], template, present=2) is None
    assert quota_replicas([{**quota, "spec": {"scopes": ["BestEffort"]}}], template, 2) is None
    used_up = {"spec": {}, "status": {"hard": {"pods": "2"}, "used": {"pods": "9"}}}
    assert quota_replicas([used_up], template, present=2) == 2


def rival(name: str, created: str, **spec: Any) -> dict[str, Any]:
    body = pool(**spec)
    body["metadata"] |= {"name": name, "uid": name, "creationTimestamp": created}
    return body


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, "WorkerPool/elder"),
        (
            {"source": {"redis": {"secretRef": {"name": "s"}}, "pool": "caption"}},
            "WorkerPool/elder",
        ),
        ({"targetRef": {"name": "other"}}, "WorkerPool/elder"),
        (
            {
                "targetRef": {"name": "other"},
                "source": {"redis": {"secretRef": {"name": "s"}}, "pool": "caption"},
            },
            "",
        ),
        (
            {
                "targetRef": {"name": "other"},
                "source": {"redis": {"secretRef": {"name": "s"}, "keyPrefix": "b:"}},
            },
            "",
        ),
    ],
)
def test_the_younger_of_two_pools_with_one_target_or_one_work_yields(
    spec: dict[str, Any], found: str
) -> None:
    elder = rival("elder", "2026-01-01T00:00:00Z")
    younger = rival("younger", "2026-01-02T00:00:00Z", **spec)

    assert elder_rival(resource_of(younger), [younger, elder]) == found
    assert elder_rival(resource_of(elder), [younger, elder]) == ""


def test_the_page_names_every_condition_and_metric() -> None:
    for condition in (*ConditionType, "GracePeriodShort"):
        assert f"| `{condition}` |" in PAGE
    OperatorMetrics()
    source = (ROOT / "operator/src/ocrplus_operator/metrics.py").read_text()
    for metric in re.findall(r'"(ocrplus_operator_[a-z_]+)"', source):
        assert f"`{metric}" in PAGE, metric


def test_the_schema_names_every_reason_of_a_decision() -> None:
    text = SCHEMA["properties"]["status"]["properties"]["lastDecision"]["properties"]["reason"]
    assert set(re.findall(r"[A-Z][A-Za-z]+", text["description"])) == {str(r) for r in Reason}


def test_the_operators_pod_is_safe_and_gets_only_known_variables() -> None:
    from ocrplus_operator.settings import known_variables

    deployment = yaml.safe_load((MANIFESTS / "deployment.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]

    assert deployment["spec"]["replicas"] == 2
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {e["name"] for e in container["env"]} <= known_variables()
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_the_role_lets_write_only_what_acting_needs() -> None:
    documents = list(yaml.safe_load_all((MANIFESTS / "rbac.yaml").read_text()))
    role = next(d for d in documents if d["kind"] == "Role")
    written = {
        (resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if verb not in ("get", "list", "watch")
    }

    assert written == {
        ("workerpools/status", "patch"),
        ("events", "create"),
        ("deployments/scale", "patch"),
        ("pods", "patch"),
        ("leases", "create"),
        ("leases", "update"),
    }
    assert not any("*" in rule["resources"] + rule["verbs"] for rule in role["rules"])
