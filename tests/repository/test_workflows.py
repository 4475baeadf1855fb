"""The workflows run what a developer runs, with the fewest rights and an end in sight."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
E2E = ROOT / ".github" / "workflows" / "e2e.yaml"
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["jobs"]
    return found


def commands(path: Path) -> list[str]:
    return [step["run"] for job in jobs(path).values() for step in job["steps"] if "run" in step]


def test_there_are_workflows() -> None:
    assert {"check", "test", "e2e-operator"} <= set(jobs(ROOT / ".github/workflows/ci.yaml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_may_only_read_and_ends_in_time(path: Path) -> None:
    body = yaml.safe_load(path.read_text())

    assert set(body["permissions"].values()) <= {"read"}
    assert all("timeout-minutes" in job for job in body["jobs"].values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_target_of_make_that_a_workflow_runs_is_there(path: Path) -> None:
    wanted = {
        name for command in commands(path) for name in re.findall(r"\bmake ([a-z0-9-]+)", command)
    }

    assert wanted <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_has_a_version(path: Path) -> None:
    used = [s["uses"] for job in jobs(path).values() for s in job["steps"] if "uses" in s]

    assert all(re.fullmatch(r"[\w.-]+/[\w./-]+@(v\d[\w.]*|[0-9a-f]{40})", one) for one in used)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_is_fetched_has_a_version_and_a_checksum(path: Path) -> None:
    for command in commands(path):
        assert not re.search(r"[@/]latest\b", command), command
        for fetched in re.findall(r"curl \S+ (?:-o|--output|-\w*O\w*) (\S+)", command):
            assert "sha256sum --check" in command, fetched


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_packages_are_listed_before_they_are_installed(path: Path) -> None:
    for command in commands(path):
        before, found, _ = command.partition("apt-get install")
        assert not found or "apt-get update" in before, command


def test_every_step_of_the_kind_cluster_is_one_of_its_script() -> None:
    script = (ROOT / "tools" / "kind.sh").read_text()
    steps = set(re.findall(r"^(\w+)\(\) \{", script, re.M))
    used = re.findall(r": tools/kind\.sh (\w+)$", E2E.read_text(), re.M)

    assert set(used) <= steps
    assert set(re.findall(r"^#   kind\.sh (\w+)", script, re.M)) <= steps
    assert {"bucket", "contour", "gateway", "keda", "services"} <= set(used)
    assert re.search(r"^NODE=kindest/node:v[\d.]+@sha256:[0-9a-f]{64}$", script, re.M)
    modules = re.findall(r"[\w.-]+\.(?:io|com)/[\w/-]+@(\S+?)\"", script)
    assert modules and set(modules) <= {"$KIND", "$CONTOUR", "$KEDA", "$VERSITYGW"}
    assert re.search(r"^KIND=v[\d.]+ CONTOUR=v[\d.]+ KEDA=v[\d.]+ VERSITYGW=v[\d.]+$", script, re.M)


def test_the_kind_cluster_has_all_that_its_tests_ask_for() -> None:
    sources = [*ROOT.glob("tests/e2e/*.py"), ROOT / "tests" / "support" / "release.py"]
    text = "".join(path.read_text() for path in sources)
    asked = set(re.findall(r'environ\.get\("(KUBE_E2E\w*)"(?:, "")?\)', text))
    given = E2E.read_text() + "".join(path.read_text() for path in ROOT.glob("tools/e2e_*.py"))

    assert {"KUBE_E2E_HTTP", "KUBE_E2E_INGRESS", "KUBE_E2E_KEDA", "KUBE_E2E_NODES"} <= asked
    while_writing = {"KUBE_E2E_REUSE"}
    assert asked - while_writing <= set(re.findall(r"KUBE_E2E\w*", given))


def test_a_skip_on_a_cluster_is_a_failure() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "tests/e2e/test_control.py"]
    environment = {**os.environ, "KUBE_E2E": "kind", "KUBE_E2E_NODES": "real"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1, done.stdout
    assert "skipped on a cluster" in done.stdout and "passed" not in done.stdout


@pytest.mark.parametrize("target", ["e2e-control", "e2e-node"])
def test_the_tests_on_clusters_say_what_they_lack(target: str, tmp_path: Path) -> None:
    command = ["make", target, f"KUBE_ROOT={tmp_path}", f"BIN={Path(sys.executable).parent}"]
    done = subprocess.run(
        [*command, "-o", ".venv/.dev"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "skipped: no real " in done.stdout and " is missing" in done.stdout


def test_a_control_plane_is_not_started_beside_another(tmp_path: Path) -> None:
    programs = ("etcd", "kube-apiserver", "kubectl", "helm")
    for path in (tmp_path / "up.sh", *(tmp_path / "bin" / name for name in programs)):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    command = [sys.executable, "tools/e2e_control.py", f"--tools={tmp_path}", f"--root={tmp_path}"]
    with socket.create_server(("127.0.0.1", 0)) as other:
        environment = {**os.environ, "KUBE_ETCD_PORT": str(other.getsockname()[1])}
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**environment, "PYTHONPATH": "tools"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert "somebody else listens on port" in done.stdout
