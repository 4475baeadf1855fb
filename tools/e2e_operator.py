"""The operator's tests on a real control plane with fake GPU nodes: `make e2e-operator`.

KUBE_TOOLS is a folder with up.sh, down.sh and fakekubelet.py; KUBE_ROOT holds the programs that its
build.sh made. Where either is missing this says so and succeeds: the same tests have run on the
project's own small API server.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
TESTS: Final = ("tests/integration/test_operator.py", "tests/integration/test_operator_drain.py")
TOOLS: Final = ROOT.parent / "shared" / "tools" / "kube"
KUBE: Final = Path.home() / ".cache" / "ocrplus-kube"
NODES: Final = ("--node", "gpu-a:nvidia.com/gpu=64", "--node", "gpu-b:nvidia.com/gpu=64")


def missing(tools: Path, root: Path, *programs: str) -> str:
    """What is missing of a control plane and more programs; empty when all is there."""
    needed = [root / "bin" / name for name in ("kube-apiserver", "etcd", "kubectl", *programs)]
    for path in (tools / "up.sh", tools / "fakekubelet.py", *needed):
        if not path.exists():
            return f"{path.name} is missing"
    return ""


@contextmanager
def control_plane(tools: Path, root: Path) -> Iterator[dict[str, str]]:
    """Run a fresh control plane with two GPU nodes; the environment to use it with."""
    env = {**os.environ, "KUBE_ROOT": str(root), "KUBECONFIG": str(root / "kubeconfig")}
    subprocess.run(["bash", str(tools / "up.sh"), "--fresh"], env=env, check=True)
    log = (root / "run" / "fakekubelet.log").open("w")
    command = [sys.executable, str(tools / "fakekubelet.py"), *NODES]
    with log, subprocess.Popen(command, env=env, stdout=log, stderr=log) as kubelet:
        try:
            yield env
        finally:
            kubelet.terminate()
            subprocess.run(["bash", str(tools / "down.sh"), "--wipe"], env=env, check=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=Path, default=TOOLS)
    parser.add_argument("--root", type=Path, default=KUBE)
    parser.add_argument("pytest", nargs="*", help="what to run instead of all of them")
    arguments = parser.parse_args()
    if why := missing(arguments.tools, arguments.root):
        print(f"skipped: no real control plane: {why} (build.sh of the shared tools makes it)")
        return 0
    with control_plane(arguments.tools, arguments.root) as env, scratch() as figures:
        chosen = arguments.pytest or TESTS
        command = [sys.executable, "-m", "pytest", *chosen]
        env |= {"KUBE_E2E": "1", "KUBE_E2E_FIGURES": str(figures)}
        outcome = subprocess.run(command, env=env, cwd=ROOT, check=False).returncode
        if outcome == 0 and not arguments.pytest:
            keep(figures)
    return outcome


@contextmanager
def scratch() -> Iterator[Path]:
    """A file for figures that the tests note."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures"
        path.touch()
        yield path


def keep(figures: Path) -> None:
    """Write what the tests noted among the benchmarks' results."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import results

    noted: dict[str, object] = {}
    for line in figures.read_text().splitlines():
        noted |= json.loads(line)
    results.write("operator", noted)


if __name__ == "__main__":
    sys.exit(main())
