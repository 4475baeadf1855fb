"""The schemas in docs/ are whole, and what is really said is valid against them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import asyncapi
import catalogue
import golden
import pytest
from jsonschema_rs import Draft7Validator, Draft202012Validator

from ocrplus_contract import messages, wire
from ocrplus_gateway import session

DOCS = Path(__file__).parents[2] / "docs"
ASYNCAPI = json.loads((DOCS / "asyncapi.json").read_text())
OPENAPI = json.loads((DOCS / "openapi.json").read_text())
SCHEMAS = json.loads((DOCS / "schemas.json").read_text())
MESSAGES = [*catalogue.ORIGINAL, *catalogue.V2]
OPERATIONS = {
    f"{method} {path}": operation
    for path, operations in OPENAPI["paths"].items()
    for method, operation in operations.items()
}


def resolved(document: dict[str, Any], ref: str) -> Any:
    node: Any = document
    for step in ref.removeprefix("#/").split("/"):
        node = node[step.replace("~1", "/")]
    return node


def refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from refs(value)
    elif isinstance(node, list):
        for item in node:
            yield from refs(item)


def inside(document: dict[str, Any], ref: str) -> dict[str, Any]:
    """A schema of a document, with all that it refers to."""
    return {**document, "$ref": ref}


@pytest.mark.parametrize("document", [ASYNCAPI, OPENAPI, SCHEMAS], ids=["async", "open", "json"])
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = list(refs(document))

    assert found
    for ref in found:
        assert resolved(document, ref), ref


def test_the_catalogue_has_every_message_of_the_contract() -> None:
    delivered = get_args(get_args(wire.Delivered)[0])
    original = (
        messages.OriginalSubmit,
        messages.Submitted,
        messages.Finished,
        messages.Failed,
    )

    told = {message.model for message in catalogue.V2}
    assert told == {*wire.COMMANDS.values(), *wire.ANSWERS, *delivered}
    assert {message.model for message in catalogue.ORIGINAL} == set(original)
    assert len({message.name for message in MESSAGES}) == len(MESSAGES)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_every_message_is_described_and_its_example_valid(message: catalogue.Message) -> None:
    Draft202012Validator(inside(SCHEMAS, f"#/$defs/{message.name}")).validate(message.example)
    payload = inside(ASYNCAPI, f"#/components/schemas/{message.name}")
    payload.pop("components")
    Draft7Validator({"components": ASYNCAPI["components"], "allOf": [payload]}).validate(
        message.example
    )
    assert message.description.endswith((".", "`."))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_a_schema_refuses_what_is_not_its_message(message: catalogue.Message) -> None:
    schema = Draft202012Validator(inside(SCHEMAS, f"#/$defs/{message.name}"))

    for required in SCHEMAS["$defs"][message.name]["required"]:
        assert not schema.is_valid({k: v for k, v in message.example.items() if k != required})


@pytest.mark.parametrize("protocol", golden.PROTOCOLS)
def test_recorded_transcripts_are_valid(protocol: str) -> None:
    said = golden.transcript(protocol)

    assert len(said) >= 3
    for entry in said:
        side = inside(SCHEMAS, f"#/$defs/{protocol}.{entry['from']}")
        Draft202012Validator(side).validate(entry["message"])


def test_the_asyncapi_document_has_its_parts() -> None:
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    assert {"title", "version", "description"} <= set(ASYNCAPI["info"])
    for server in ASYNCAPI["servers"].values():
        assert server["host"] and server["protocol"] == "ws"
    for channel in ASYNCAPI["channels"].values():
        assert channel["address"] == "/ws/{user_id}" and "user_id" in channel["parameters"]
        assert channel["messages"]
    for message in ASYNCAPI["components"]["messages"].values():
        assert message["summary"] and message["payload"] and message["examples"]


def test_every_operation_uses_messages_of_its_own_channel() -> None:
    used = set()
    for operation in ASYNCAPI["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = operation["channel"]["$ref"]
        listed = [*operation["messages"], *operation.get("reply", {}).get("messages", [])]
        assert all(ref["$ref"].startswith(f"{channel}/messages/") for ref in listed)
        used |= {ref["$ref"] for ref in listed}

    assert len(used) == len(MESSAGES), "a message that nobody sends"


def test_every_close_code_of_the_gateway_is_described() -> None:
    codes = {value for name, value in vars(session).items() if name.startswith("CLOSE_")}

    assert codes <= set(asyncapi.CLOSE_CODES)
    page = (DOCS / "websocket.md").read_text()
    for code in asyncapi.CLOSE_CODES:
        assert str(code) in ASYNCAPI["info"]["description"]
        assert f"| {code} |" in page


def test_the_page_for_client_authors_names_every_message_type() -> None:
    page = (DOCS / "websocket.md").read_text()

    for message in catalogue.V2:
        assert f"`{message.example['type']}`" in page or f'"{message.example["type"]}"' in page


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_route_is_described_whole(name: str) -> None:
    operation = OPERATIONS[name]

    assert operation["summary"] and operation["description"] and operation["tags"]
    assert operation.get("security") == ([{"bearer": []}] if "/v1/" in name else None)
    for parameter in operation.get("parameters", []):
        assert parameter["description"], parameter["name"]
    for status, response in operation["responses"].items():
        assert response["description"]
        assert ("content" in response) == (status != "204")
        for media, content in response.get("content", {}).items():
            if content["schema"].get("format") != "binary":
                schema = {**content["schema"], "components": OPENAPI["components"]}
                Draft202012Validator(schema).validate(content["example"])
                assert content["example"], media


def test_nothing_of_the_frameworks_own_errors_is_told() -> None:
    assert "HTTPValidationError" not in json.dumps(OPENAPI)
    assert set(OPENAPI["components"]["securitySchemes"]) == {"bearer"}
