"""The chart on a real node: `make e2e-node` builds the images, starts a cluster, runs tests/e2e.

KUBE_TOOLS is a folder with up.sh, node-up.sh, ingress-up.sh, image.sh and down.sh; KUBE_ROOT holds
the programs that its build.sh made. Where either is missing this says so and succeeds. The tests
run in the cluster's own network namespace, where Services have addresses.

With --context: the cluster of KUBECONFIG, which has the images, an ingress and KEDA already and
whose Services can be reached; KUBE_E2E_HTTP, KUBE_E2E_INGRESS and KUBE_E2E_KEDA say how. So does
the workflow on kind.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import images
from e2e_operator import CONTEXT, KUBE, ROOT, TOOLS, missing

NODE_PROGRAMS: Final = (
    "kubelet",
    "kube-proxy",
    "contour",
    "helm",
    "keda",
    "keda-adapter",
    "versitygw",
)
MACHINE_PROGRAMS: Final = ("containerd", "runc", "buildah", "socat", "nsenter", "nginx", "nft")
SCRIPTS: Final = ("node-up.sh", "ingress-up.sh", "keda-up.sh", "image.sh", "base-image.sh")
# The first document comes to an empty cluster; the others as they like.
PARTS: Final = (
    "first_document",
    "rollouts",
    "scaling",
    "routes",
    "keda",
    "captions_s3",
    "deaths",
    "missing",
    "uninstall",
)
IMAGES: Final = ("gateway", "operator", "caption-worker", "ocr-worker-cpu")
VALKEY: Final = "valkey/valkey:9.1"
VERSITYGW: Final = "ocrplus-tests/versitygw:1"
SCRIPT_SECONDS: Final = 600
TEST_SECONDS: Final = 5400
# A socket idles for six minutes, and pods are killed for five: longer than any other test.
ONE_TEST_SECONDS: Final = 1500


class Cluster:
    """The scripts of the tools folder, with the environment they share."""

    def __init__(self, tools: Path, root: Path, namespace: str) -> None:
        self.tools, self.root, self.namespace = tools, root, namespace
        self.env = {
            **os.environ,
            "KUBE_ROOT": str(root),
            "KUBE_NETNS": namespace,
            "KUBECONFIG": str(root / "kubeconfig"),
            "PATH": f"{root / 'bin'}:{os.environ['PATH']}",
        }

    def script(self, name: str, *arguments: str) -> None:
        """Run one of the scripts."""
        command = ["bash", str(self.tools / name), *arguments]
        subprocess.run(command, env=self.env, check=True, timeout=SCRIPT_SECONDS)

    def kubectl(self, *arguments: str, stdin: str = "") -> None:
        """Run kubectl."""
        command = ["kubectl", *arguments]
        subprocess.run(command, env=self.env, input=stdin, text=True, check=True, timeout=60)

    def build(self, tag: str, *, record: bool) -> None:
        """Build the images that the tests install, Valkey's stand-in and the S3 server."""
        self.script("base-image.sh")
        command = [sys.executable, str(ROOT / "tools" / "images.py"), "--tag", tag]
        command += ["--record"] if record else []
        command += ["--builder", str(self.tools / "image.sh"), "--only", *IMAGES]
        subprocess.run(command, env=self.env, check=True, timeout=3600)
        folder = ROOT / "tests" / "e2e" / "stand-ins"
        self.script("image.sh", VALKEY, "-f", str(folder / "valkey.Dockerfile"), str(folder))
        with tempfile.TemporaryDirectory() as context:
            shutil.copy(self.root / "bin" / "versitygw", context)
            described = str(folder / "versitygw.Dockerfile")
            self.script("image.sh", VERSITYGW, "-f", described, context)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """A fresh cluster with one real node, an ingress and room for its volumes."""
        try:
            self.script("up.sh", "--fresh")
            self.script("node-up.sh")
            self.script("ingress-up.sh")
            self.kubectl("annotate", "namespace", "default", "ocrplus.io/throw-away=true")
            with self.policies(), self._volumes(6):
                yield
        finally:
            self.script("down.sh", "--wipe")

    @contextlib.contextmanager
    def policies(self) -> Iterator[None]:
        """Enforce NetworkPolicies: the node's network plugin does not."""
        program = [sys.executable, str(ROOT / "tools" / "node_policies.py")]
        command = ["nsenter", f"--net=/run/netns/{self.namespace}", *program]
        with subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE) as process:
            try:
                # It answers or ends: what it runs is bounded in time.
                if process.stdout is None or not process.stdout.readline():
                    raise RuntimeError("NetworkPolicies cannot be enforced")
                yield
                if process.poll() is not None:
                    raise RuntimeError("NetworkPolicies were not enforced to the end")
            finally:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()

    @contextlib.contextmanager
    def _volumes(self, count: int) -> Iterator[None]:
        """Folders of this machine as volumes: the node has no provisioner."""
        folder = self.root / "volumes"
        shutil.rmtree(folder, ignore_errors=True)
        for number in range(count):
            path = folder / str(number)
            path.mkdir(parents=True)
            os.chown(path, 999, 999)  # a hostPath volume takes no fsGroup
            self.kubectl("apply", "-f", "-", stdin=json.dumps(_volume(number, path)))
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def tested(self, asked: argparse.Namespace, more: list[str]) -> int:
        """Run the tests in the cluster's network namespace; their exit code."""
        host = f"nsenter --net=/proc/{os.getpid()}/ns/net"
        env = {
            "KUBE_E2E": CONTEXT,
            "KUBE_E2E_HTTP": "http://127.0.0.1:8080",
            "KUBE_E2E_INGRESS": f"{host} bash {self.tools / 'ingress-up.sh'}",
            "KUBE_E2E_KEDA": f"{host} bash {self.tools / 'keda-up.sh'}",
        }
        inside = ["nsenter", f"--net=/run/netns/{self.namespace}"]
        return tested(inside, self.env | env, asked, more)


def _volume(number: int, path: Path) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"folder-{number}"},
        "spec": {
            "capacity": {"storage": "64Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(path)},
        },
    }


def why_not(tools: Path, root: Path) -> str:
    """What this machine lacks; empty when all is there."""
    if why := missing(tools, root, *NODE_PROGRAMS):
        return why
    absent = [name for name in SCRIPTS if not (tools / name).exists()]
    absent += [name for name in MACHINE_PROGRAMS if shutil.which(name) is None]
    return f"{absent[0]} is missing" if absent else ""


def tested(
    inside: list[str], env: dict[str, str], asked: argparse.Namespace, more: list[str]
) -> int:
    """Run the tests; with --record keep what they noted if all ran well. Their exit code."""
    builder = (images.found_builder() or "docker") if asked.context else "buildah"
    built = built_from(images.Builder(builder), asked.tag)
    chosen = asked.pytest or [f"tests/e2e/test_{part}.py" for part in PARTS]
    longer = ("-o", f"faulthandler_timeout={ONE_TEST_SECONDS}")
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures"
        figures.touch()
        env |= {"KUBE_E2E_TAG": asked.tag, "KUBE_E2E_FIGURES": str(figures)}
        command = [*inside, sys.executable, "-m", "pytest", *longer, *chosen, *more]
        outcome = subprocess.run(
            command, env=env, cwd=ROOT, check=False, timeout=TEST_SECONDS
        ).returncode
        if outcome == 0 and asked.record:
            keep(figures, f"images {asked.tag} of {built}")
    return outcome


def built_from(builder: images.Builder, tag: str) -> str:
    """The commits that the images were built from: one, if they were built together."""
    names = [image.tag(tag) for image in images.IMAGES if image.name in IMAGES]
    return " and ".join(sorted({builder.revision(name)[:10] for name in names}))


def keep(figures: Path, what: str) -> None:
    """Put what the tests noted among the benchmarks' results, each group with its origin.

    A group that was measured replaces the former one wholly; the others stay as they were.
    """
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import results

    groups: dict[str, dict[str, object]] = {}
    for line in figures.read_text().splitlines():
        for group, noted in json.loads(line).items():
            groups.setdefault(group, {}).update(noted)
    origin = {"measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, `{results.command()}`, {what}"}
    measured = {name: origin | noted for name, noted in groups.items()}
    results.write("cluster", results.read("cluster") | measured)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--context", help="use the cluster of KUBECONFIG with this context")
    parser.add_argument("--tools", type=Path, default=TOOLS)
    parser.add_argument("--root", type=Path, default=KUBE)
    parser.add_argument("--netns", default="k8s", help="network namespace of the cluster")
    parser.add_argument("--tag", default="dev", help="tag of the images")
    parser.add_argument("--built", action="store_true", help="the images are there already")
    parser.add_argument("--record", action="store_true", help="write the figures to the results")
    parser.add_argument("pytest", nargs="*", help="what to run instead of all of tests/e2e")
    asked, more = parser.parse_known_args()
    if asked.context:
        return tested([], os.environ | {"KUBE_E2E": asked.context}, asked, more)
    if why := why_not(asked.tools, asked.root):
        print(f"skipped: no real node: {why} (build.sh of the shared tools and apt-get make it)")
        return 0
    cluster = Cluster(asked.tools, asked.root, asked.netns)
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # the cluster is taken down all the same
    if not asked.built:
        cluster.build(asked.tag, record=asked.record)
    with cluster.running():
        return cluster.tested(asked, more)


if __name__ == "__main__":
    sys.exit(main())
