"""Each value of values.yaml refuses what it cannot mean, and Helm says which one it was."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import chart_render
import chart_shapes
import chart_values
import jsonschema_rs
import pytest
import yaml
from chart_render import ChartRefused

VALUES = [value for value in chart_values.values(chart_render.TEXT)]
DEFAULTS = yaml.safe_load(chart_render.TEXT)
SCHEMA = chart_values.schema(chart_render.TEXT)
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)
NO_WORD = "\t a typo \n"  # no name, number, path, URL or list of Kubernetes looks like this
WRONG: tuple[Any, ...] = (7.5, NO_WORD, True, [7.5], {"no such key": {}})
# What a text, a number, … may be written as; anything else is of the wrong type.
RIGHT: dict[type, tuple[type, ...]] = {bool: (bool,), str: (), list: (), dict: (), int: ()}


def _with(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The defaults with one value in the place of another, as Helm merges them."""
    merged = copy.deepcopy(DEFAULTS)
    group = merged
    for key in path[:-1]:
        group = group[key]
    if value is None:
        del group[path[-1]]  # `null` takes a default away
    else:
        group[path[-1]] = value
    return merged


def _wrong(value: chart_values.Value) -> Iterator[Any]:
    for each in WRONG:
        fraction = each == 7.5 and value.says.get("type") == "number"
        if not fraction and not isinstance(each, RIGHT.get(type(value.default), ())):
            yield each
    if value.default is not None:
        yield None


@pytest.mark.parametrize("value", VALUES, ids=lambda value: ".".join(value.path))
def test_a_value_of_another_type_is_refused(value: chart_values.Value) -> None:
    assert VALIDATOR.is_valid(DEFAULTS)

    taken = [each for each in _wrong(value) if VALIDATOR.is_valid(_with(value.path, each))]

    assert taken == []


def test_every_text_says_what_it_may_look_like() -> None:
    shapeless = [
        ".".join(value.path)
        for value in VALUES
        if isinstance(value.default, str) and not {"enum", "pattern", "shape"} & value.says.keys()
    ]

    assert shapeless == []


def test_every_number_says_how_small_it_may_be() -> None:
    unbounded = [
        ".".join(value.path)
        for value in VALUES
        if type(value.default) in (int, float) and "minimum" not in value.says
    ]

    assert unbounded == []


def test_the_examples_below_empty_maps_and_lists_are_right() -> None:
    lines = chart_render.TEXT.splitlines()
    empty = [value for value in VALUES if value.default in ({}, []) and not value.is_group]
    assert len(empty) > 20
    for value in empty:
        example = lines[value.node.start_mark.line + 1].strip().removeprefix("# ")
        VALIDATOR.validate(_with(value.path, yaml.safe_load(example)))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"gateway": None}, "missing property 'gateway'"),
        ({"networkPolicy": None}, "missing property 'networkPolicy'"),
        ({"ocrWorker": {"autoscaling": None}}, "'/ocrWorker': missing property 'autoscaling'"),
        ({"redis": {"persistence": {"size": None}}}, "missing property 'size'"),
        ({"captions": {"existingSecretKey": ""}}, "/captions/existingSecretKey"),
        ({"externalRedis": {"existingSecretKey": ""}}, "/externalRedis/existingSecretKey"),
        ({"gateway": {"scratchSize": 4}}, "/gateway/scratchSize.*want string"),
        ({"ocrWorker": {"scratchSize": "4 GB"}}, "/ocrWorker/scratchSize"),
        ({"redis": {"persistence": {"size": "8"}}}, "/redis/persistence/size"),
        ({"blobs": {"pvc": {"size": "big"}}}, "/blobs/pvc/size"),
        ({"monitoring": {"interval": 15}}, "/monitoring/interval.*want string"),
        ({"monitoring": {"interval": "15 s"}}, "/monitoring/interval"),
        ({"ocrWorker": {"models": {"path": "models"}}}, "/ocrWorker/models/path"),
        ({"networkPolicy": {"apiServerPorts": ["https"]}}, "/apiServerPorts/0.*want integer"),
        ({"networkPolicy": {"redisPorts": [70000]}}, "/redisPorts/0.*70,?000"),
        ({"auth": {"jwt": {"jwksUrl": "login.example.org"}}}, "/auth/jwt/jwksUrl"),
        ({"gatewayApi": {"parentRefs": ["contour"]}}, "/parentRefs/0.*want object"),
        ({"gatewayApi": {"parentRefs": [{"namespace": "a"}]}}, "/parentRefs/0.*'name'"),
        ({"ingress": {"hosts": ["https://a.test"]}}, "/ingress/hosts/0"),
        ({"gateway": {"tolerations": {"key": "a"}}}, "/gateway/tolerations.*want array"),
        ({"gateway": {"resources": {"limit": {}}}}, "/gateway/resources.*'limit'"),
        ({"gateway": {"extraEnv": [{"A": "b"}]}}, "/gateway/extraEnv/0.*'name'"),
        ({"gateway": {"nodeSelector": {"gpu": True}}}, "/gateway/nodeSelector/gpu"),
        ({"gateway": {"config": {"OCRPLUS_MAX_USER_TASKS": "many"}}}, "OCRPLUS_MAX_USER_TASKS"),
    ],
)
def test_helm_names_the_value_that_it_refuses(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ChartRefused, match=f"(?s){named}"):
        chart_render.render(values=values)


def test_shapes_are_json_schemas() -> None:
    for shape in (*chart_shapes.STRINGS.values(), *chart_shapes.ITEMS.values()):
        jsonschema_rs.meta.validate({"$schema": SCHEMA["$schema"], **shape})
    jsonschema_rs.meta.validate(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
