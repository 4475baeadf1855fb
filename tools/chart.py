"""`make chart`: bring the chart's generated files up to date, then lint and render it.

Generated are values.schema.json, files/defaults.json (templates cannot read values.yaml, and NOTES
tell what was set), the copy of the operator's CRD, and by helm-docs, where it is on PATH,
README.md; tests hold all four to their sources. Linting needs helm.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import chart_values

ROOT: Final = Path(__file__).parents[1]
CHART: Final = chart_values.CHART
CRD_SOURCE: Final = ROOT / "operator" / "manifests" / "workerpools.yaml"
CRD_COPY: Final = CHART / "crds" / "workerpools.yaml"
HELM_DOCS: Final = (
    "helm-docs",
    f"--chart-search-root={CHART}",
    "--sort-values-order=file",
    "--log-level=warning",
)
SECONDS: Final = 120


def main() -> int:
    """0 when everything is clean."""
    (CHART / "values.schema.json").write_text(chart_values.rendered(), "utf-8")
    (CHART / "files" / "defaults.json").write_text(chart_values.defaults(), "utf-8")
    shutil.copyfile(CRD_SOURCE, CRD_COPY)
    documented = _documented()
    return _linted() or documented


def _documented() -> int:
    if shutil.which("helm-docs") is None:
        print("README.md is not made anew: helm-docs is not on PATH")
        return 0
    return subprocess.run(HELM_DOCS, timeout=SECONDS, check=False).returncode


def _linted() -> int:
    if shutil.which("helm") is None:
        print("not linted: helm is not on PATH (the tests render by helm-python-sdk)")
        return 0
    for values in sorted(CHART.glob("ci/*-values.yaml")):
        lint = ["helm", "lint", "--strict", "--quiet", str(CHART), "-f", str(values)]
        code = subprocess.run(lint, timeout=SECONDS, check=False).returncode
        print(f"{values.name}: {'clean' if code == 0 else 'not clean'}")
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
