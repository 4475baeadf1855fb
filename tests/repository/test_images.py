"""Every image keeps the rules of a restricted cluster, before anything is built."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import images
import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = sorted({image.folder for image in images.IMAGES})


def dockerfile(folder: str) -> str:
    return (ROOT / folder / "Dockerfile").read_text()


def copied(text: str) -> list[str]:
    """Paths that are copied from the context."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", text, re.M)
    return [path for line in lines for path in line.split()[:-1]]


def test_every_dockerfile_is_of_an_image_that_is_built() -> None:
    found = {str(path.parent.relative_to(ROOT)) for path in ROOT.glob("services/*/Dockerfile")}
    assert found | {"operator"} == set(FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_python_image_is_the_only_base(folder: str) -> None:
    text = dockerfile(folder)
    stages = set(re.findall(r"^FROM .+ AS (\S+)$", text, re.M))
    bases = {base for base in re.findall(r"^FROM (\S+)", text, re.M)} - stages
    assert bases - {"scratch"} == {"${PYTHON_IMAGE}"}
    assert "ARG PYTHON_IMAGE=python:3.11-slim-bookworm" in text


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_numeric_user_runs_one_process_with_a_health_command(folder: str) -> None:
    text = dockerfile(folder)
    assert re.findall(r"^USER (.+)$", text, re.M) == ["10001:10001"]
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", text, re.M)
    program, flag, module = json.loads(entry)  # no shell: SIGTERM reaches the process itself
    assert (program, flag) == ("python", "-m")
    assert (ROOT / folder / "src" / module / "__main__.py").is_file()
    (health,) = re.findall(r"^HEALTHCHECK .+ CMD (\[.+\])$", text, re.M)
    if (command := json.loads(health))[1] == "-m":
        assert (ROOT / folder / "src" / Path(*command[2].split("."))).with_suffix(".py").is_file()


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_copied_exists_and_passes_the_ignore_file(folder: str) -> None:
    ignore = (ROOT / folder / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in ignore if line and not line.startswith("#")]
    allowed = [rule[1:].split("*")[0] for rule in rules if rule.startswith("!")]
    assert rules[0] == "*"
    for path in copied(dockerfile(folder)):
        assert (ROOT / path).exists(), path
        assert any(path.startswith(start) for start in allowed), f"{path} is ignored"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_image_says_what_it_is(folder: str) -> None:
    text = dockerfile(folder)
    for label in ("title", "description", "licenses"):
        assert f"org.opencontainers.image.{label}=" in text


def test_a_target_is_a_stage_of_its_dockerfile() -> None:
    for image in images.IMAGES:
        if image.target:
            assert re.search(rf"^FROM \S+ AS {image.target}$", dockerfile(image.folder), re.M)


def test_the_bill_of_materials_has_the_systems_packages(tmp_path: Path) -> None:
    bill = tmp_path / "bill.json"
    bill.write_text(json.dumps({"components": [{"name": "redis"}], "specVersion": "1.6"}))
    command = [sys.executable, str(ROOT / "tools" / "image_sbom.py"), str(bill)]
    subprocess.run(command, check=True, timeout=60)

    parts = json.loads(bill.read_text())["components"]
    assert parts[0] == {"name": "redis"}
    references = [part["bom-ref"] for part in parts[1:]]
    assert len(references) == len(set(references))
    if shutil.which("dpkg-query"):  # a developer's machine may be another system
        (dpkg,) = [part for part in parts if part["name"] == "dpkg"]
        asked = ["dpkg-query", "--show", "--showformat=${Version}", "dpkg"]
        version = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)
        assert dpkg["version"] == version.stdout
        assert dpkg["purl"].startswith("pkg:deb/") and "&upstream=dpkg" in dpkg["purl"]
