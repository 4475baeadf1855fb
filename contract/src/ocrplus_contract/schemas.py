"""JSON Schemas of models as they stand on the wire; the documents in docs/ are made from them."""

from collections.abc import Sequence
from typing import Any, Literal  # Any: JSON Schema

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

Side = Literal["validation", "serialization"]
"""validation: what clients may send; serialization: what servers do send."""


class _AsSent(GenerateJsonSchema):
    """A server sends every field, also those that have a default."""

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        if self.mode == "serialization":
            return not field.get("serialization_exclude")
        return super().field_is_required(field, total)


def definitions(models: Sequence[tuple[type[BaseModel], Side]], refs: str) -> dict[str, Any]:
    """Schemas (draft 2020-12) by name, of the models and what they are made of.

    References begin with `refs`, such as "#/$defs/".
    """
    _, schema = models_json_schema(models, ref_template=refs + "{model}", schema_generator=_AsSent)
    found: dict[str, Any] = schema["$defs"]
    return found
