"""values.schema.json of the chart, from the comments of its values.yaml (`make chart`).

One source, so that values, schema and README cannot part: helm-docs makes the README from the same
comments. `# @schema key: value; key: value` above a key's `# -- ` line states what a JSON schema
says of it; five words are our own:

    kubernetes: env     what Kubernetes itself defines, as chart_shapes.py outlines it
    map: string         an object of arbitrary keys; `label`: its values are labels' values
    items: port         a list of these; chart_shapes.py has the kinds
    shape: quantity     a string that looks so; chart_shapes.py has the patterns
    variables: gateway  an object of the variables of that room's settings

and `type` stands instead of the type of the default. Every key is required: Helm fills in the
defaults, so one is only missing where somebody wrote `null`, which takes a default away.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final  # Any: JSON schemas

import chart_shapes
import yaml
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from ocrplus_contract.settings import (
    PREFIX,
    CaptionWorkerSettings,
    GatewaySettings,
    OcrSettings,
)
from ocrplus_operator.settings import OperatorSettings

CHART: Final = Path(__file__).parents[1] / "charts" / "ocrplus"
ROOMS: Final[dict[str, type[BaseModel]]] = {
    "gateway": GatewaySettings,
    "ocrWorker": OcrSettings,
    "captionWorker": CaptionWorkerSettings,
    "operator": OperatorSettings,
}
_SCHEMA: Final = "# @schema "
_TEXT: Final = "# -- "
_TYPES: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


@dataclass(frozen=True, slots=True)
class Value:
    """One key of values.yaml: where it stands, its default and what its comment says."""

    path: tuple[str, ...]
    node: yaml.Node
    description: str
    says: dict[str, Any]

    @property
    def default(self) -> Any:
        """The default, as Helm reads it."""
        return _constructed(self.node)

    @property
    def is_group(self) -> bool:
        """Whether the keys below it are values of their own."""
        nested = isinstance(self.node, yaml.MappingNode) and bool(self.node.value)
        return nested and not {"kubernetes", "map"} & self.says.keys()


def _constructed(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    return loader.construct_object(node, deep=True)


def values(text: str) -> Iterator[Value]:
    """Every key, groups before what they hold."""
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    yield from _below(root, (), text.splitlines())


def _below(group: yaml.MappingNode, path: tuple[str, ...], lines: list[str]) -> Iterator[Value]:
    for key, node in group.value:
        description, says = _comment(lines, key.start_mark.line)
        value = Value((*path, key.value), node, description, says)
        yield value
        if value.is_group:
            assert isinstance(node, yaml.MappingNode)
            yield from _below(node, value.path, lines)


def _comment(lines: list[str], line: int) -> tuple[str, dict[str, Any]]:
    """What the comment above a line says: its text, and what it states of the schema."""
    description, says = "", {}
    for above in reversed(lines[:line]):
        text = above.strip()
        if text.startswith(_SCHEMA):
            for pair in text.removeprefix(_SCHEMA).split("; "):
                says.update(yaml.safe_load(pair))
        elif text.startswith(_TEXT) and not description:
            description = text.removeprefix(_TEXT)
        else:
            break
    return description, says


def schema(text: str) -> dict[str, Any]:
    """The JSON schema of values.yaml: closed, save where Kubernetes says what may stand there."""
    root = _group("Values of the chart ocrplus.")
    groups: dict[tuple[str, ...], dict[str, Any]] = {(): root}
    for value in values(text):
        built = _group(value.description) if value.is_group else _leaf(value)
        group = groups[value.path[:-1]]
        group["properties"][value.path[-1]] = built
        if "null" not in built["type"]:
            group["required"].append(value.path[-1])
        if value.is_group:
            groups[value.path] = built
    root["properties"]["global"] = {
        "type": "object",
        "description": "What a parent chart hands to all of its charts; used here: imageRegistry.",
    }
    return {"$schema": "http://json-schema.org/draft-07/schema#", **root}


def _group(description: str) -> dict[str, Any]:
    head = {"description": description} if description else {}
    return {
        "type": "object",
        **head,
        "additionalProperties": False,
        "required": [],
        "properties": {},
    }


def _leaf(value: Value) -> dict[str, Any]:
    says = dict(value.says)
    head = {"description": value.description}
    if "variables" in says:
        known = {name: _variable(field) for name, field in variables(says["variables"])}
        return {"type": "object", **head, "additionalProperties": False, "properties": known}
    kind = _TYPES.get(type(value.default).__name__)
    return {"type": kind, **head, **chart_shapes.of(says, value.default)}


def variables(room: str) -> Iterator[tuple[str, FieldInfo]]:
    """Variables of a room that a user may set: neither secrets nor what the templates set."""
    ours = {name for file in CHART.glob("templates/**/*") for name in _set_by(file)}
    for name, field in _fields(ROOMS[room], PREFIX):
        given = name in ours or f"{name}_FILE" in ours or not name.startswith(PREFIX)
        if not given and "SecretStr" not in str(field.annotation):
            yield name, field


def _set_by(template: Path) -> list[str]:
    if not template.is_file():
        return []
    return re.findall(r"name: ((?:OCRPLUS|OPENAI|AWS)_[A-Z0-9_]+)", template.read_text("utf-8"))


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        variable = str(field.validation_alias or prefix + name.upper())
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, variable + "__")
        else:
            yield variable, field


def _variable(field: FieldInfo) -> dict[str, Any]:
    """Of a variable: as a number or truth of YAML, or as the text that a process reads."""
    assert not isinstance(field.default, SecretStr), "secrets do not belong into values"
    looks = {
        bool: {"type": ["boolean", "string"], "pattern": "^(true|false)$"},
        int: {"type": ["integer", "string"], "pattern": "^-?[0-9]+$"},
        float: {"type": ["number", "string"], "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
    }
    kind = field.annotation if isinstance(field.annotation, type) else str
    return {
        **looks.get(kind, {"type": ["string", "number", "boolean"]}),
        "description": field.description,
    }


def rendered() -> str:
    """values.schema.json as it should be."""
    text = (CHART / "values.yaml").read_text("utf-8")
    return json.dumps(schema(text), indent=2, ensure_ascii=False) + "\n"


def defaults() -> str:
    """files/defaults.json as it should be."""
    found = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"
