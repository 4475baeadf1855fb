"""Alerts are about what is there, lead to a runbook, fire when they should and else do not."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import promql
import pytest
import runbook_commands
import yaml

from ocrplus_contract.settings import known_variables

CASES = yaml.safe_load((Path(__file__).parent / "cases.yaml").read_text())
RUNBOOKS = promql.ROOT / "docs" / "runbooks"
NAMES = sorted({alert["alert"] for alert in promql.ALERTS})
FINDINGS = set(
    re.findall(
        r"`([a-z.-]+)`",
        "".join(
            line.split("|")[1]
            for line in (promql.ROOT / "docs" / "doctor.md").read_text().splitlines()
            if line.startswith("| `")
        ),
    )
)
"""What the doctor may find, by its page."""
SECONDS = 120
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is missing (Debian's package prometheus)"
)


def promtool(*arguments: str | Path) -> str:
    command = ["promtool", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@needs_promtool
def test_the_rules_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "rules", *promql.RULE_FILES)


@needs_promtool
@pytest.mark.parametrize("rules", promql.RULE_FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("every", ["1m", "5m"])
def test_the_alerts_do_what_their_cases_say(rules: Path, every: str, tmp_path: Path) -> None:
    """Days are looked at every five minutes: promtool evaluates each rule at each step."""
    here = {rule["alert"] for rule in promql.rules(rules) if "alert" in rule}
    tests = [
        promtool_test(case, kind)
        for case in CASES
        for kind in ("fires", "quiet")
        if case["alert"] in here and case[kind].get("every", "1m") == every
    ]
    groups = [group["name"] for group in yaml.safe_load(rules.read_text())["groups"]]
    whole = {
        "rule_files": [str(rules)],
        "evaluation_interval": every,
        "group_eval_order": groups,  # else by chance, and burn rates come a step late
        "tests": tests,
    }
    file = tmp_path / "cases.yaml"
    file.write_text(yaml.safe_dump(whole))

    assert "SUCCESS" in promtool("test", "rules", file)


def promtool_test(case: dict, kind: str) -> dict:
    """A case in promtool's words."""
    told, name = case[kind], case["alert"]
    expected = []
    if kind == "fires":
        rule = next(
            alert
            for alert in promql.ALERTS
            if (alert["alert"], alert["labels"]["severity"]) == (name, case["severity"])
        )
        annotations = {**rule["annotations"], "description": told["says"]}
        labels = {**told["labels"], "severity": case["severity"]}
        expected.append({"exp_labels": labels, "exp_annotations": annotations})
    at = {"alertname": name, "eval_time": told["at"], "exp_alerts": expected}
    return {
        "name": f"{name} {case['severity']} {kind}",
        "interval": told.get("every", "1m"),
        "input_series": [{"series": s, "values": v} for s, v in told["series"].items()],
        "alert_rule_test": [at],
    }


def test_every_alert_and_severity_has_a_case_that_fires_and_one_that_does_not() -> None:
    pairs = [(alert["alert"], alert["labels"]["severity"]) for alert in promql.ALERTS]

    assert [(case["alert"], case["severity"]) for case in CASES] == pairs
    assert all(case["fires"]["series"] and case["quiet"]["series"] for case in CASES)


def test_an_alert_asks_for_what_is_there() -> None:
    for rule in promql.rules():
        assert promql.named(rule["expr"]) <= promql.queryable()


@pytest.mark.parametrize("alert", promql.ALERTS, ids=lambda a: a["alert"] + a["labels"]["severity"])
def test_an_alert_says_how_bad_it_is_and_where_to_read_on(alert: dict) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_says_what_it_means_how_to_check_and_what_to_do(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()

    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", page, re.M) == ["Meaning", "Check", "Fix"]
    meaning, check, fix = (part.strip() for part in re.split(r"^## \w+$", page, flags=re.M)[1:])
    assert meaning and "```sh" in check and fix.startswith("- ")


@pytest.mark.parametrize("name", NAMES)
def test_the_first_command_is_of_a_form_that_works_with_kubectl_and_without(name: str) -> None:
    command = runbook_commands.first_command(name)

    if command.module:
        assert importlib.util.find_spec(command.module) is not None
        room = {"ocrplus_gateway": "gateway", "ocrplus_ocr": "ocr-worker"}
        room["ocrplus_caption"] = "caption-worker"
        assert command.target == f"deploy/ocrplus-{room[command.module.partition('.')[0]]}"


@needs_promtool
def test_what_runbooks_ask_prometheus_can_be_asked(tmp_path: Path) -> None:
    texts = [(RUNBOOKS / f"{name}.md").read_text() for name in NAMES]
    queries = [query for text in texts for query in re.findall(r"'query=([^']+)'", text)]
    rules = [{"record": f"asked:{number}", "expr": q} for number, q in enumerate(queries)]
    file = tmp_path / "asked.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))

    assert len(queries) >= 20
    assert "SUCCESS" in promtool("check", "rules", file)


def test_there_is_no_runbook_without_its_alert() -> None:
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_a_runbook_names_is_there(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()

    for link in re.findall(r"\]\((?!http)([^)#]+)\)", page):
        assert (RUNBOOKS / link).resolve().exists(), link
    assert set(re.findall(r"OCRPLUS_[A-Z_]+[A-Z]", page)) <= known_variables()
    modules = {"ocrplus_gateway", "ocrplus_ocr", "ocrplus_caption", "ocrplus_operator"}
    assert promql.named(page) - modules <= promql.queryable()
    values = yaml.safe_load((promql.ROOT / "charts" / "ocrplus" / "values.yaml").read_text())
    for path in re.findall(r"`((?:[a-z]+[A-Za-z]*\.)+[a-zA-Z]+)(?:[:=][^`]*)?`", page):
        if path in FINDINGS:
            continue
        at = values
        for key in path.split("."):
            assert isinstance(at, dict) and key in at, path
            at = at[key]
