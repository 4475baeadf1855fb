"""What PromQL names, and where rules and dashboards stand."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import metric_catalogue
import yaml

ROOT = Path(__file__).parents[2]
FILES = ROOT / "charts" / "ocrplus" / "files"
RULE_FILES = sorted((FILES / "alerts").glob("*.yaml"))
DASHBOARD_FILES = sorted((FILES / "dashboards").glob("*.json"))
METRICS = metric_catalogue.metrics()
_STRING = re.compile(r'"[^"]*"')
_NAME = re.compile(r"\bocrplus(?:_[a-z0-9_]+|:[a-z0-9_:]+)")


def named(expr: str) -> set[str]:
    """Metrics and recorded series that an expression asks for."""
    return set(_NAME.findall(_STRING.sub('""', expr)))


def rules(*files: Path) -> Iterator[dict[str, Any]]:
    """Every rule of these files, or of all."""
    for file in files or RULE_FILES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


ALERTS = [rule for rule in rules() if "alert" in rule]
RECORDED = {rule["record"] for rule in rules() if "record" in rule}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """A dashboard's panels without its rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def dashboard_queries() -> Iterator[str]:
    """Every expression of every panel."""
    for file in DASHBOARD_FILES:
        for panel in panels(json.loads(file.read_text())):
            yield from (target["expr"] for target in panel["targets"])


def queryable() -> set[str]:
    """Every name that a query may have."""
    return {name for metric in METRICS for name in metric.names} | RECORDED
