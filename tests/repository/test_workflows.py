"""The workflows run what a developer runs, with the fewest rights and an end in sight."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["jobs"]
    return found


def test_there_are_workflows() -> None:
    assert {"check", "test", "e2e-operator"} <= set(jobs(ROOT / ".github/workflows/ci.yaml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_may_only_read_and_ends_in_time(path: Path) -> None:
    body = yaml.safe_load(path.read_text())

    assert set(body["permissions"].values()) <= {"read"}
    assert all("timeout-minutes" in job for job in body["jobs"].values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_target_of_make_that_a_workflow_runs_is_there(path: Path) -> None:
    commands = [s["run"] for job in jobs(path).values() for s in job["steps"] if "run" in s]
    wanted = {name for command in commands for name in re.findall(r"\bmake ([a-z0-9-]+)", command)}

    assert wanted <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_has_a_version(path: Path) -> None:
    used = [s["uses"] for job in jobs(path).values() for s in job["steps"] if "uses" in s]

    assert all(re.fullmatch(r"[\w.-]+/[\w./-]+@(v\d[\w.]*|[0-9a-f]{40})", one) for one in used)
