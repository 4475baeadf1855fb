"""The chart on a real control plane with played nodes: `make e2e-control`, three minutes.

With --context: the cluster of KUBECONFIG, whose own nodes take no pods and which has no class of
storage; so does the workflow on kind. Else the tools and programs are those of `e2e_operator.py`.
Where they are missing, or somebody else has one of their ports, this says so and succeeds.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from e2e_node import keep
from e2e_operator import KUBE, ROOT, TOOLS, control_plane, missing, somebody_elses

TEST_SECONDS: Final = 1200
_ETCD: Final = int(os.environ.get("KUBE_ETCD_PORT", "23790"))
# Of the API server, etcd and its peers, the controllers and the scheduler.
PORTS: Final = (int(os.environ.get("KUBE_PORT", "6443")), _ETCD, _ETCD + 1, 10257, 10259)


def why_not(tools: Path, root: Path) -> str:
    """Why no control plane can be started here; empty when one can."""
    if why := missing(tools, root, "helm"):
        return f"{why} (build.sh of the shared tools makes it)"
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return f"somebody else listens on port {port}"
    return ""


def tested(env: dict[str, str], more: list[str], *, record: bool) -> int:
    """Run the tests; with `record` keep what they noted if all ran well. Their exit code."""
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures"
        figures.touch()
        env |= {"KUBE_E2E_NODES": "played", "KUBE_E2E_FIGURES": str(figures)}
        command = [sys.executable, "-m", "pytest", "tests/e2e/test_control.py", *more]
        outcome = subprocess.run(
            command, env=env, cwd=ROOT, check=False, timeout=TEST_SECONDS
        ).returncode
        if outcome == 0 and record:
            look = ["git", "describe", "--always", "--dirty"]
            tree = subprocess.run(look, cwd=ROOT, capture_output=True, text=True, check=True)
            keep(figures, f"no images, chart of {tree.stdout.strip()}")
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--context", help="use the cluster of KUBECONFIG with this context")
    parser.add_argument("--tools", type=Path, default=TOOLS)
    parser.add_argument("--root", type=Path, default=KUBE)
    parser.add_argument("--record", action="store_true", help="write the figures to the results")
    asked, more = parser.parse_known_args()
    if asked.context:
        with somebody_elses(asked.context) as env:
            return tested(env, more, record=asked.record)
    if why := why_not(asked.tools, asked.root):
        print(f"skipped: no real control plane: {why}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # it is taken down all the same
    with control_plane(asked.tools, asked.root) as env:
        env["PATH"] = f"{asked.root / 'bin'}:{env['PATH']}"
        return tested(env, more, record=asked.record)


if __name__ == "__main__":
    sys.exit(main())
