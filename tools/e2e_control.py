"""The chart on a real control plane with played nodes: `make e2e-control`, two minutes.

KUBE_TOOLS and KUBE_ROOT are those of `e2e_operator.py`, and it is skipped where that is.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from e2e_node import keep
from e2e_operator import KUBE, ROOT, TOOLS, control_plane, missing, scratch

TEST_SECONDS = 1200


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=Path, default=TOOLS)
    parser.add_argument("--root", type=Path, default=KUBE)
    arguments, more = parser.parse_known_args()
    if why := missing(arguments.tools, arguments.root, "helm"):
        print(f"skipped: no real control plane: {why} (build.sh of the shared tools makes it)")
        return 0
    with control_plane(arguments.tools, arguments.root) as env, scratch() as figures:
        env["PATH"] = f"{arguments.root / 'bin'}:{env['PATH']}"
        env |= {"KUBE_E2E_CONTEXT": "default", "KUBE_E2E_NODES": "played"}
        env["KUBE_E2E_FIGURES"] = str(figures)
        mark = ["kubectl", "annotate", "namespace", "kube-system", "ocrplus.io/throw-away=true"]
        subprocess.run(mark, env=env, check=True, timeout=60)
        command = [sys.executable, "-m", "pytest", "tests/e2e/test_control.py", *more]
        outcome = subprocess.run(
            command, env=env, cwd=ROOT, check=False, timeout=TEST_SECONDS
        ).returncode
        if outcome == 0:
            keep(figures)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
