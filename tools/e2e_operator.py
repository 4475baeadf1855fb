"""The operator's tests on a real cluster with fake GPU nodes: `make e2e-operator`.

With --context: the cluster of KUBECONFIG, if that is its current context and its namespace
`default` is annotated `ocrplus.io/throw-away=true` (the workflow makes one with kind). Else a
control plane of its own: --tools is a folder with its up.sh and down.sh, --root the programs that
its build.sh made. Where neither is, this says so and succeeds: the same tests have run on the
project's own small API server.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
TESTS: Final = (
    "tests/integration/test_operator.py",
    "tests/integration/test_operator_faults.py",
    "tests/integration/test_operator_drain.py",
    "tests/unit/ocrplus_operator/test_drains_in_virtual_time.py",
)
SUPPORT: Final = ROOT / "tests" / "support"
TOOLS: Final = ROOT.parent / "shared" / "tools" / "kube"
KUBE: Final = Path(os.environ.get("KUBE_ROOT") or Path.home() / ".cache" / "ocrplus-kube")
NODES: Final = ("--node", "gpu-a:nvidia.com/gpu=64", "--node", "gpu-b:nvidia.com/gpu=64")
CONTEXT: Final = "default"  # what up.sh calls its own
LONGEST_SECONDS: Final = 1800


def missing(tools: Path, root: Path, *programs: str) -> str:
    """What is missing of a control plane and more programs; empty when all is there."""
    needed = [root / "bin" / name for name in ("kube-apiserver", "etcd", "kubectl", *programs)]
    for path in (tools / "up.sh", *needed):
        if not path.exists():
            return f"{path.name} is missing"
    return ""


@contextmanager
def nodes(env: dict[str, str]) -> Iterator[None]:
    """Two GPU nodes on which nothing runs."""
    command = [sys.executable, str(SUPPORT / "fake_kubelet.py"), *NODES]
    with subprocess.Popen(command, env=env) as kubelet:
        try:
            yield
        finally:
            kubelet.send_signal(signal.SIGTERM)
            try:
                kubelet.wait(20)
            except subprocess.TimeoutExpired:
                kubelet.kill()


@contextmanager
def control_plane(tools: Path, root: Path) -> Iterator[dict[str, str]]:
    """Run a fresh control plane with two GPU nodes; the environment to use it with."""
    kubeconfig = root / "kubeconfig"
    env = {**os.environ, "KUBE_ROOT": str(root), "KUBECONFIG": str(kubeconfig)}
    env["KUBE_E2E"] = CONTEXT
    try:
        subprocess.run(["bash", str(tools / "up.sh"), "--fresh"], env=env, check=True, timeout=180)
        sys.path.insert(0, str(SUPPORT))
        import real_cluster

        real_cluster.mark(kubeconfig, CONTEXT)
        with nodes(env):
            yield env
    finally:
        down = ["bash", str(tools / "down.sh"), "--wipe"]
        subprocess.run(down, env=env, check=False, timeout=180)


@contextmanager
def somebody_elses(context: str) -> Iterator[dict[str, str]]:
    """The cluster of KUBECONFIG with two GPU nodes more; the tests look whether they may."""
    default = Path.home() / ".kube" / "config"
    env = {**os.environ, "KUBECONFIG": os.environ.get("KUBECONFIG") or str(default)}
    env["KUBE_E2E"] = context
    with nodes(env):
        yield env


def keda(tools: Path, root: Path, env: dict[str, str]) -> None:
    """Real KEDA beside, where it was built: conflicts are then with its real ScaledObjects."""
    if missing(tools, root, "keda", "keda-adapter"):
        return
    for left in (2, 1, 0):  # on a busy machine it asks for conditions that a CRD has not yet
        up = ["bash", str(tools / "keda-up.sh")]
        if subprocess.run(up, env=env, check=left == 0, timeout=180).returncode == 0:
            return
        time.sleep(2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--context", help="use the cluster of KUBECONFIG with this context")
    parser.add_argument("--tools", type=Path, default=TOOLS)
    parser.add_argument("--root", type=Path, default=KUBE)
    parser.add_argument("pytest", nargs="*", help="what to run instead of all of them")
    asked = parser.parse_args()
    if asked.context:
        with somebody_elses(asked.context) as env:
            return tested(asked.pytest, env)
    if why := missing(asked.tools, asked.root):
        print(f"skipped: no real control plane: {why} (build.sh of the shared tools makes it)")
        return 0
    with control_plane(asked.tools, asked.root) as env:
        keda(asked.tools, asked.root, env)
        return tested(asked.pytest, env)


def tested(chosen: list[str], env: dict[str, str]) -> int:
    """Run the tests, and keep what they noted if all of them ran well."""
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures"
        figures.touch()
        # Fifty scale-downs take longer than any default test may hang.
        longest = ("-o", f"faulthandler_timeout={LONGEST_SECONDS // 2}")
        command = [sys.executable, "-m", "pytest", *longest, *(chosen or TESTS)]
        env = {**env, "KUBE_E2E_FIGURES": str(figures)}
        outcome = subprocess.run(
            command, env=env, cwd=ROOT, check=False, timeout=LONGEST_SECONDS
        ).returncode
        if outcome == 0 and not chosen:
            keep(figures)
    return outcome


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
