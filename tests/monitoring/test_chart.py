"""The chart carries the same rules and dashboards, as its values say."""

import json

import chart_render
import promql
import yaml
from chart_render import all_of, of

ON = {"enabled": True}
URL = "https://wiki.example/ocrplus"


def test_the_chart_carries_every_rule() -> None:
    rule = of(chart_render.render(values={"monitoring": ON}), "PrometheusRule", "ocrplus-alerts")

    sources = [yaml.safe_load(file.read_text())["groups"] for file in promql.RULE_FILES]
    assert rule["spec"]["groups"] == [group for groups in sources for group in groups]


def test_alerts_lead_to_where_the_runbooks_are_read() -> None:
    monitoring = {**ON, "alerts": {"runbooksUrl": f"{URL}/"}, "labels": {"release": "stack"}}
    rule = of(
        chart_render.render(values={"monitoring": monitoring}), "PrometheusRule", "ocrplus-alerts"
    )

    alerts = [r for group in rule["spec"]["groups"] for r in group["rules"] if "alert" in r]
    assert {a["annotations"]["runbook_url"] for a in alerts} == {
        f"{URL}/{alert['alert']}.md" for alert in promql.ALERTS
    }
    assert rule["metadata"]["labels"]["release"] == "stack"


def test_the_chart_carries_every_dashboard_for_the_sidecar() -> None:
    shown = {**ON, "dashboards": {"annotations": {"grafana_folder": "OcrPlus"}}}
    carried = of(
        chart_render.render(values={"monitoring": shown}), "ConfigMap", "ocrplus-dashboards"
    )

    assert carried["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert carried["metadata"]["annotations"] == {"grafana_folder": "OcrPlus"}
    assert {name: json.loads(text) for name, text in carried["data"].items()} == {
        file.name: json.loads(file.read_text()) for file in promql.DASHBOARD_FILES
    }


def test_nothing_of_it_is_there_unless_it_is_asked_for() -> None:
    off = {**ON, "alerts": {"enabled": False}, "dashboards": {"enabled": False}}
    for monitoring in ({}, off):
        objects = chart_render.render(values={"monitoring": monitoring})
        assert all_of(objects, "PrometheusRule") == []
        assert "ocrplus-dashboards" not in {o["metadata"]["name"] for o in objects}
