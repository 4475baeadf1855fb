"""Every metric is described, its labels are closed, and a deployment's series are few."""

import re
import shutil
import subprocess

import metric_catalogue
import promql
import pytest
from prometheus_client import generate_latest

from ocrplus_contract import metrics as names

METRICS = promql.METRICS
OPERATOR = promql.ROOT / "operator" / "src"
FLEET = {"gateway": 3, "ocr-worker": 10, "caption-worker": 2, "operator": 2}
"""What serves 1,000 users: no label knows them, so their number adds nothing."""
MOST_SERIES = 2000
PROMETHEUS_OWN = 5
"""`up` and the four `scrape_…` of every target."""


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: f"{m.component}:{m.name}")
def test_a_metric_says_what_it_is_in_one_sentence(metric: metric_catalogue.Metric) -> None:
    assert metric.sentence.endswith(".") and len(metric.sentence) > 6
    assert (metric.kind == "counter") == metric.name.endswith("_total")


def test_every_name_of_the_contract_is_counted_somewhere() -> None:
    spelled = {
        value for key, value in vars(names).items() if isinstance(value, str) and key.isupper()
    }

    assert spelled <= {metric.name for metric in METRICS}


def test_series_of_ten_workers_and_a_thousand_users_are_few() -> None:
    series = sum(metric.series * FLEET[metric.component] for metric in METRICS)
    series += sum(FLEET.values()) * PROMETHEUS_OWN + len(list(promql.rules()))

    assert series <= MOST_SERIES


def test_what_a_registry_holds_from_the_start_is_within_the_closed_sets() -> None:
    known = {(metric.component, metric.name): metric for metric in METRICS}
    seen = 0
    for component, registry in metric_catalogue.registries().items():
        for family in registry.collect():
            for sample in family.samples:
                if not family.name.startswith("ocrplus_"):
                    continue
                suffix = "_total" if family.type == "counter" else ""
                metric = known[component, family.name + suffix]
                for label, value in sample.labels.items():
                    if label not in ("le", "version"):
                        assert value in metric.labels[label], sample
                        seen += 1

    assert seen > 100


def test_no_process_tells_when_a_counter_was_made() -> None:
    for registry in metric_catalogue.registries().values():
        names_told = [s.name for family in registry.collect() for s in family.samples]
        assert [name for name in names_told if name.endswith("_created")] == []


def test_the_operator_has_no_reason_for_an_unknown_reading_that_is_not_listed() -> None:
    """Its reasons are words in its code: one that is new would be a new series unseen."""
    sources = "".join(file.read_text() for file in OPERATOR.rglob("*.py"))
    raised = re.findall(r"(?:Unreadable|Unknown)\(\s*\"([A-Za-z]+)\"", sources)

    assert len(set(raised)) >= 10
    assert set(raised) <= set(metric_catalogue.UNKNOWN_READINGS)


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is missing (Debian's package prometheus)"
)
@pytest.mark.parametrize("component", sorted(metric_catalogue.registries()))
def test_names_and_units_are_as_prometheus_wants_them(component: str) -> None:
    told = generate_latest(metric_catalogue.registries()[component])

    linted = subprocess.run(
        ["promtool", "check", "metrics"], input=told, capture_output=True, timeout=30, check=False
    )

    assert (linted.returncode, linted.stdout, linted.stderr) == (0, b"", b"")
