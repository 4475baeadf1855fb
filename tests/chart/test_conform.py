"""The schemas that `make chart-conform` makes of OpenAPI refuse what a server does not know."""

import json
from pathlib import Path
from typing import Any

import chart_conform
import jsonschema_rs
import pytest

PORT = {"x-kubernetes-int-or-string": True, "type": "string"}
DOCUMENT: dict[str, Any] = {
    "components": {
        "schemas": {
            "org.Thing": {
                "type": "object",
                "x-kubernetes-group-version-kind": [
                    {"group": "org.example", "kind": "Thing", "version": "v1"}
                ],
                "properties": {
                    "kind": {"type": "string"},
                    "spec": {"allOf": [{"$ref": "#/components/schemas/org.Spec"}], "default": {}},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                },
            },
            "org.Spec": {"type": "object", "properties": {"port": PORT}},
            "org.Other": {"type": "object", "properties": {}},
        }
    }
}


@pytest.fixture
def schema(tmp_path: Path) -> dict[str, Any]:
    assert chart_conform.write_schemas(iter([DOCUMENT]), tmp_path) == 1
    made: dict[str, Any] = json.loads((tmp_path / "thing-org-v1.json").read_text())
    return made


@pytest.mark.parametrize("port", [80, "http"])
def test_what_the_server_knows_conforms(schema: dict[str, Any], port: object) -> None:
    thing = {"kind": "Thing", "spec": {"port": port}, "free": {"any": 1}}

    jsonschema_rs.validator_for(schema).validate(thing)


@pytest.mark.parametrize(
    "thing", [{"kind": "Thing", "spce": {}}, {"spec": {"prot": 1}}, {"spec": {"port": [80]}}]
)
def test_a_field_that_it_does_not_know_or_of_another_type_is_refused(
    schema: dict[str, Any], thing: dict[str, Any]
) -> None:
    assert not jsonschema_rs.validator_for(schema).is_valid(thing)


@pytest.mark.parametrize(("ci", "outcome"), [("true", 1), ("", 0)])
def test_without_its_programs_it_passes_on_a_laptop_only(
    ci: str, outcome: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["chart_conform"])
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", ci)

    assert chart_conform.main() == outcome
    assert "helm is not on PATH" in capsys.readouterr().err


@pytest.mark.parametrize(("ci", "outcome"), [("true", 1), ("", 0)])
def test_without_a_cluster_it_passes_on_a_laptop_only(
    ci: str, outcome: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for program in ("helm", "kubectl", "kubeconform"):
        (tmp_path / program).touch(0o755)
    monkeypatch.setattr("sys.argv", ["chart_conform", f"--tools={tmp_path}"])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("CI", ci)

    assert chart_conform.main() == outcome


def test_a_schema_carries_what_it_refers_to_and_no_more(schema: dict[str, Any]) -> None:
    assert set(schema["definitions"]) == {"org.Thing", "org.Spec"}
