"""Dashboards show what the code counts, all of it, and say what one looks at."""

import json
from pathlib import Path

import promql
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from jsonschema_rs import Draft7Validator

SCHEMAS = Path(__file__).parent / "schemas"
UNITS = {"short", "s", "bytes", "percentunit", "reqps", "ops"}


@pytest.mark.parametrize("file", promql.DASHBOARD_FILES, ids=lambda file: file.stem)
def test_every_panel_says_what_it_shows_in_which_unit(file: Path) -> None:
    dashboard = json.loads(file.read_text())

    assert dashboard["uid"] == file.stem and dashboard["description"]
    found = promql.panels(dashboard)
    assert len(found) >= 8
    for panel in found:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        for target in panel["targets"]:
            assert target["legendFormat"] and 'namespace=~"$namespace"' in target["expr"]


@pytest.mark.parametrize("file", promql.DASHBOARD_FILES, ids=lambda file: file.stem)
def test_a_dashboard_is_valid_by_grafanas_own_schemas(file: Path) -> None:
    written = json.loads(file.read_text())

    valid("dashboard", "Dashboard", written)
    for panel in promql.panels(written):
        valid(panel["type"], "Options", panel["options"])
        if panel["type"] == "timeseries":
            valid("timeseries", "FieldConfig", panel["fieldConfig"]["defaults"]["custom"])
        for target in panel["targets"]:
            valid("prometheus", "Dataquery", target)


def valid(kind: str, name: str, value: object) -> None:
    schema = json.loads((SCHEMAS / f"{kind}.json").read_text())
    Draft7Validator({**schema, "$ref": f"#/definitions/{name}"}).validate(value)


@pytest.mark.parametrize("file", promql.DASHBOARD_FILES, ids=lambda file: file.stem)
def test_a_dashboard_is_what_grafanas_own_types_read_and_write(file: Path) -> None:
    written = json.loads(file.read_text())

    read = json.loads(JSONEncoder().encode(Dashboard.from_json(written)))

    assert read == written


@pytest.mark.parametrize("file", promql.DASHBOARD_FILES, ids=lambda file: file.stem)
def test_panels_do_not_lie_over_each_other(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(file.read_text())["panels"]:
        at = panel["gridPos"]
        columns = range(at["x"], at["x"] + at["w"])
        cells = {(x, y) for x in columns for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and max(columns) < 24, panel["title"]
        taken |= cells


def test_every_query_asks_for_what_is_there() -> None:
    asked = {name for expr in promql.dashboard_queries() for name in promql.named(expr)}

    assert asked - promql.queryable() == set()


def test_every_metric_is_on_a_dashboard_or_in_an_alert() -> None:
    exprs = [*promql.dashboard_queries(), *(rule["expr"] for rule in promql.rules())]
    used = {name for expr in exprs for name in promql.named(expr)}

    unused = {metric.name for metric in promql.METRICS if not used & set(metric.names)}

    assert unused == set()
