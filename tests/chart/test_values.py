"""values.yaml, its schema, its README and the CRD's copy say the same; wrong values are refused."""

import json
import re
import shutil
import subprocess
from typing import Any

import chart
import chart_render
import chart_values
import jsonschema_rs
import pytest
import yaml
from chart_render import CHART, FILES, ChartRefused

TEXT = chart_render.TEXT
VALUES = list(chart_values.values(TEXT))
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))


@pytest.mark.parametrize("file", FILES)
def test_every_values_file_lints_strictly_and_renders(file: str) -> None:
    assert chart_render.lint(file) == []
    assert len(chart_render.render(file)) > 10


def test_the_ready_values_files_are_there() -> None:
    names = "air-gapped cpu everything external-redis gpu gpu-onnx keda openshift s3"

    assert sorted(FILES) == sorted(f"{name}-values.yaml" for name in names.split())


def test_helm_and_the_wheel_render_the_same() -> None:
    if not (chart_render.have_helm() and chart_render.have_wheel()):
        pytest.skip("needs helm on PATH and helm-python-sdk to compare them")

    for file in ("cpu-values.yaml", "everything-values.yaml"):
        program, wheel = (_without_chance(found) for found in chart_render.render_both(file))
        assert program == wheel


def _without_chance(objects: chart_render.Objects) -> chart_render.Objects:
    for entry in objects:
        if entry["kind"] == "Secret":
            entry["data"] = sorted(entry["data"])
    return objects


def test_the_schema_is_made_from_the_comments() -> None:
    made = chart_values.rendered()

    assert (CHART / "values.schema.json").read_text("utf-8") == made, "run `make chart`"


def test_every_value_is_described() -> None:
    undescribed = [".".join(v.path) for v in VALUES if not v.is_group and not v.description]

    assert undescribed == []


def test_every_empty_map_and_list_has_an_example_below_it() -> None:
    lines = TEXT.splitlines()
    bare = []
    for value in VALUES:
        if value.default in ({}, []) and not value.is_group:
            below = lines[value.node.start_mark.line + 1].strip()
            if not re.match(r"# [^-@]|# - ", below):
                bare.append(".".join(value.path))

    assert bare == []


def test_every_value_stands_in_the_readme() -> None:
    readme = (CHART / "README.md").read_text("utf-8")
    rows = set(re.findall(r"^\| ([A-Za-z0-9.]+) \|", readme, re.MULTILINE))
    leaves = {".".join(v.path) for v in VALUES if not v.is_group and not _default_items(v)}

    assert leaves <= rows, "run `make chart`"
    for value in VALUES:
        if not value.is_group and ".".join(value.path) in rows:
            assert value.description in readme, value.path


def _default_items(value: chart_values.Value) -> bool:
    """A free map with a default: helm-docs shows what is in it."""
    free = {"kubernetes", "map"} & value.says.keys()
    return bool(free) and isinstance(value.default, dict) and bool(value.default)


def test_the_readme_is_what_helm_docs_makes() -> None:
    if shutil.which("helm-docs") is None:
        pytest.skip("helm-docs is not on PATH")
    done = subprocess.run(
        [*chart.HELM_DOCS, "--dry-run"], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == (CHART / "README.md").read_text("utf-8").strip()


def test_the_schema_is_closed_save_where_kubernetes_defines_what_may_stand_there() -> None:
    free = {v.path for v in VALUES if {"kubernetes", "map"} & v.says.keys()} | {("global",)}
    open_ones = [path for path, part in _objects(SCHEMA, ()) if _is_open(part)]

    assert [path for path in open_ones if not any(path[: len(own)] == own for own in free)] == []


def _objects(part: dict[str, Any], path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = (
        [(path, part)] if part.get("type") == "object" else []
    )
    for name, below in part.get("properties", {}).items():
        found += _objects(below, (*path, name))
    return found


def _is_open(part: dict[str, Any]) -> bool:
    return part.get("additionalProperties") is not False


def test_the_defaults_satisfy_the_schema() -> None:
    jsonschema_rs.validator_for(SCHEMA).validate(yaml.safe_load(TEXT))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"gatway": {}}, "gatway"),
        ({"gateway": {"replica": 3}}, "replica"),
        ({"gateway": {"config": {"OCRPLUS_MAX_PAGE": 5}}}, "OCRPLUS_MAX_PAGE"),
        ({"ocrWorker": {"config": {"OCRPLUS_PORT": 5}}}, "OCRPLUS_PORT"),
        ({"ocrWorker": {"gpu": {"count": 0}}}, "count"),
        ({"auth": {"mode": "basic"}}, "mode"),
        ({"externalRedis": {"url": "redis://:secret@host:6379"}}, "url"),
        ({"settings": {"keyPrefix": "a b"}}, "keyPrefix"),
        ({"captions": {"baseUrl": "https://user:secret@host/v1"}}, "baseUrl"),
        ({"blobs": {"s3": {"endpoint": "https://user:secret@host"}}}, "endpoint"),
        ({"gateway": {"podDisruptionBudget": {"maxUnavailable": 0}}}, "maxUnavailable"),
        ({"fullnameOverride": "Foo_Bar"}, "fullnameOverride"),
        ({"nameOverride": "foo bar"}, "nameOverride"),
    ],
)
def test_a_value_that_is_not_known_is_refused_by_its_name(
    values: dict[str, Any], named: str
) -> None:
    with pytest.raises(ChartRefused, match=named):
        chart_render.render(values=values)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"keda": {"enabled": True}}, "exclude each other"),
    ({"externalRedis": {"existingSecret": "x"}}, "redis.enabled=false"),
    ({"redis": {"enabled": False}}, "externalRedis.existingSecret"),
    (
        {"redis": {"enabled": False}, "externalRedis": {"url": "redis://h", "existingSecret": "x"}},
        "keep one",
    ),
    (
        {
            "redis": {"enabled": False},
            "externalRedis": {"url": "redis://h", "brokerSecretKey": "broker"},
        },
        "externalRedis.existingSecret",
    ),
    ({"commonLabels": {"app.kubernetes.io/name": "x"}}, "commonLabels may not set"),
    ({"ocrWorker": {"podLabels": {"app.kubernetes.io/component": "x"}}}, "ocrWorker.podLabels"),
    ({"redis": {"maxmemoryMegabytes": 1100}}, "one and a half times"),
    ({"blobs": {"type": "s3"}}, "blobs.s3.bucket"),
    (
        {"blobs": {"type": "s3", "s3": {"bucket": "b", "endpoint": "http://minio:9000"}}},
        "blobs.s3.allowHttp=true",
    ),
    ({"auth": {"mode": "jwt"}}, "auth.jwt.jwksUrl"),
    ({"auth": {"mode": "jwt", "jwt": {"jwksUrl": "https://x"}}}, "auth.jwt.issuer"),
    ({"ocrWorker": {"profile": "cpu"}}, "ocrWorker.gpu.enabled=false"),
    ({"ocrWorker": {"profile": "gpu-onnx", "gpu": {"enabled": False}}}, "needs a GPU"),
    ({"ocrWorker": {"profile": "gpu"}}, "ocrWorker.models.volume"),
    ({"ocrWorker": {"rollingUpdate": {"maxUnavailable": 0}}}, "no upgrade could begin"),
    (
        {"ocrWorker": {"models": {"path": "/tmp", "volume": {"emptyDir": {}}}}},
        "where another volume is mounted",
    ),
    (
        {"operator": {"enabled": False}, "keda": {"enabled": True, "redisTls": True}},
        "keda.redisUsernameKey are for an external Redis",
    ),
    ({"ocrWorker": {"autoscaling": {"minReplicas": 20}}}, "minReplicas is above maxReplicas"),
    ({"captionWorker": {"autoscaling": {"mode": "Manual"}}}, "needs captionWorker.autoscaling"),
    ({"ocrWorker": {"terminationGracePeriodSeconds": 100}}, "drainTimeoutSeconds"),
    ({"gateway": {"terminationGracePeriodSeconds": 20}}, "gateway.shutdownSeconds"),
    ({"gateway": {"autoscaling": {"minReplicas": 11}}}, "gateway.autoscaling.minReplicas"),
    ({"ingress": {"enabled": True}}, "ingress.hosts"),
    ({"gatewayApi": {"enabled": True}}, "gatewayApi.parentRefs"),
    (
        {
            "operator": {"enabled": False},
            "keda": {"enabled": True},
            "redis": {"enabled": False},
            "externalRedis": {"existingSecret": "x"},
        },
        "keda.redisAddress",
    ),
    (
        {
            "operator": {"enabled": False},
            "keda": {"enabled": True, "redisAddress": "h:6379"},
            "redis": {"enabled": False},
            "externalRedis": {"url": "redis://h:6379"},
        },
        "keda.redisPasswordKey",
    ),
]


@pytest.mark.parametrize(("values", "says"), REFUSED)
def test_values_that_contradict_each_other_are_refused_with_what_to_do(
    values: dict[str, Any], says: str
) -> None:
    with pytest.raises(ChartRefused, match=re.escape(says)):
        chart_render.render(values=values)


def test_the_crd_of_the_chart_is_the_operators() -> None:
    assert chart.CRD_COPY.read_text("utf-8") == chart.CRD_SOURCE.read_text("utf-8"), "`make chart`"
