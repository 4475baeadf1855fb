"""skaffold.yaml names what exists: Dockerfiles, targets, sources, values keys, the port."""

import copy
import re
from pathlib import Path
from typing import Any

import chart_render
import chart_values
import pytest
import yaml
from chart_render import all_of, of

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "skaffold.yaml").read_text("utf-8"))
ARTIFACTS = {entry["image"]: entry for entry in CONFIG["build"]["artifacts"]}
(RELEASE,) = CONFIG["deploy"]["helm"]["releases"]
VALUES = {".".join(value.path): value for value in chart_values.values(chart_render.TEXT)}


def _patched(name: str | None) -> dict[str, Any]:
    """The configuration of a profile, as JSON patches make it."""
    config = copy.deepcopy(CONFIG)
    profile = next((entry for entry in CONFIG["profiles"] if entry["name"] == name), {})
    for patch in profile.get("patches", []):
        *way, last = patch["path"].strip("/").split("/")
        place: Any = config
        for step in way:
            place = place[int(step) if isinstance(place, list) else step]
        if patch["op"] == "remove":
            del place[last]
        else:
            assert (last in place) == (patch["op"] == "replace"), patch
            place[last] = patch["value"]
    return config


def test_the_profiles_are_the_agreed_ones() -> None:
    assert [entry["name"] for entry in CONFIG["profiles"]] == ["cpu", "gpu", "ci"]


@pytest.mark.parametrize("profile", [None, "cpu", "gpu", "ci"])
def test_every_artifact_is_built_from_a_dockerfile_and_target_that_exist(
    profile: str | None,
) -> None:
    for artifact in _patched(profile)["build"]["artifacts"]:
        assert artifact["context"] == "."
        dockerfile = (ROOT / artifact["docker"]["dockerfile"]).read_text("utf-8")
        target = artifact["docker"].get("target")
        if target is not None:
            assert re.search(rf"^FROM .* AS {re.escape(target)}$", dockerfile, re.MULTILINE)


def test_the_artifacts_are_the_images_of_the_chart() -> None:
    repositories = {
        value.default for path, value in VALUES.items() if path.endswith("image.repository")
    }

    assert set(ARTIFACTS) == repositories - {"valkey/valkey"}


@pytest.mark.parametrize("image", ARTIFACTS)
def test_synchronised_files_exist_and_land_as_packages(image: str) -> None:
    for rule in ARTIFACTS[image]["sync"]["manual"]:
        files = [path for path in ROOT.glob(rule["src"]) if path.is_file()]
        assert len(files) > 5, rule["src"]
        for path in files:
            landed = path.relative_to(ROOT).as_posix().removeprefix(rule["strip"]).lstrip("/")
            assert landed.startswith("ocrplus_"), landed
        assert rule["dest"] == "/tmp/src"


def test_pods_run_from_the_folder_that_is_synchronised() -> None:
    values = {"development": {"reload": True}, "captions": {"baseUrl": "http://model"}}
    objects = chart_render.render(values=values)

    for deployment in all_of(objects, "Deployment"):
        (inside,) = deployment["spec"]["template"]["spec"]["containers"]
        *command, module = inside["command"]
        assert command == ["python", "-m", "ocrplus_contract.reload"]
        assert list(ROOT.glob(f"**/src/{module}/__main__.py"))
        assert {"name": "scratch", "mountPath": "/tmp"} in inside["volumeMounts"]


def test_pods_run_what_the_image_runs_otherwise() -> None:
    for deployment in all_of(chart_render.render("air-gapped-values.yaml"), "Deployment"):
        (inside,) = deployment["spec"]["template"]["spec"]["containers"]
        assert "command" not in inside


def test_every_key_that_it_sets_is_a_value_of_the_chart() -> None:
    for key in [*RELEASE["setValues"], *RELEASE["setValueTemplates"]]:
        assert key in VALUES, key


def test_each_component_gets_its_own_image() -> None:
    templates = RELEASE["setValueTemplates"]
    for component in ("gateway", "ocrWorker", "captionWorker", "operator"):
        image = VALUES[f"{component}.image.repository"].default
        name = re.sub(r"[^A-Za-z0-9]", "_", image)
        assert templates[f"{component}.image.repository"] == "{{.IMAGE_REPO_" + name + "}}"
        assert templates[f"{component}.image.tag"] == "{{.IMAGE_TAG_" + name + "}}"


def test_the_forwarded_port_is_that_of_the_gateways_service() -> None:
    (forward,) = CONFIG["portForward"]
    objects = chart_render.render("cpu-values.yaml", release=RELEASE["name"])
    service = of(objects, "Service", forward["resourceName"])

    assert forward["port"] in [port["port"] for port in service["spec"]["ports"]]
    assert forward["namespace"] == RELEASE["namespace"]


@pytest.mark.parametrize("profile", ["cpu", "gpu", "ci"])
def test_values_files_of_a_profile_fit_the_target_that_it_builds(profile: str) -> None:
    config = _patched(profile)
    (release,) = config["deploy"]["helm"]["releases"]
    (file,) = release["valuesFiles"]
    objects = chart_render.render(Path(file).name)
    image = chart_render.container(objects, "Deployment", "ocrplus-ocr-worker")["image"]

    assert (ROOT / file).is_file()
    assert image.endswith("-" + config["build"]["artifacts"][1]["docker"]["target"])


def test_the_ci_profile_runs_what_is_installed() -> None:
    config = _patched("ci")

    assert config["deploy"]["helm"]["releases"][0]["setValues"] == {"development.reload": False}
    assert all("sync" not in artifact for artifact in config["build"]["artifacts"])
