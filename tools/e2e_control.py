"""The chart on a real control plane with played nodes: `make e2e-control`, three minutes.

The tools and programs are those of `e2e_operator.py`, and it is skipped where that is.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from e2e_node import keep
from e2e_operator import KUBE, ROOT, TOOLS, control_plane, missing

TEST_SECONDS: Final = 1200


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=Path, default=TOOLS)
    parser.add_argument("--root", type=Path, default=KUBE)
    arguments, more = parser.parse_known_args()
    if why := missing(arguments.tools, arguments.root, "helm"):
        print(f"skipped: no real control plane: {why} (build.sh of the shared tools makes it)")
        return 0
    with (
        control_plane(arguments.tools, arguments.root) as env,
        tempfile.TemporaryDirectory() as folder,
    ):
        figures = Path(folder) / "figures"
        figures.touch()
        env |= {"KUBE_E2E_NODES": "played", "KUBE_E2E_FIGURES": str(figures)}
        env["PATH"] = f"{arguments.root / 'bin'}:{env['PATH']}"
        command = [sys.executable, "-m", "pytest", "tests/e2e/test_control.py", *more]
        outcome = subprocess.run(
            command, env=env, cwd=ROOT, check=False, timeout=TEST_SECONDS
        ).returncode
        if outcome == 0:
            keep(figures)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
