"""A Helm release on a throw-away cluster, as somebody with kubectl and helm sees it.

Every call has an end: a command that hangs is killed and fails the test.
"""

import base64
import functools
import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Object = dict[str, Any]
ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "ocrplus"
THROW_AWAY = "ocrplus.io/throw-away"
# The ingress.
BASE = os.environ.get("KUBE_E2E_HTTP", "")
IMAGE_TAG = os.environ.get("KUBE_E2E_TAG", "dev")
SAMPLES = sorted((ROOT / "examples" / "samples").glob("*.pdf"))
# The settings that put the release behind Contour's Gateway.
_PARENT = {"name": "contour", "namespace": "projectcontour"}
ROUTED = (
    "gatewayApi.enabled=true",
    f"gatewayApi.parentRefs=[{json.dumps(_PARENT)}]",
    'gatewayApi.hostnames=["ocr.test"]',
)


class CommandFailed(AssertionError):
    """kubectl or helm ended badly; what it said."""


def until(what: Callable[[], Any], seconds: float, why: str, pause: float = 0.2) -> Any:
    """Poll until something is true; its value."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, f"did not come to pass in {seconds} s: {why}"
        time.sleep(pause)
    return value


def note(group: str, **figures: object) -> None:
    """Keep what was measured, where KUBE_E2E_FIGURES names a file for it."""
    if path := os.environ.get("KUBE_E2E_FIGURES"):
        with Path(path).open("a") as file:
            file.write(json.dumps({group: figures}) + "\n")


def said(*command: str, stdin: str = "", seconds: float = 60) -> str:
    """Output of a command that must succeed."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(f"{' '.join(command)}: not done after {seconds} s") from late
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def kubectl(*arguments: str, stdin: str = "", seconds: float = 60) -> str:
    """Output of kubectl."""
    return said("kubectl", *arguments, stdin=stdin, seconds=seconds)


def apply(*objects: Object, namespace: str = "") -> None:
    """Create or change objects."""
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    within = ("-n", namespace) if namespace else ()
    kubectl(*within, "apply", "-f", "-", stdin=listed)


@dataclass
class Release:
    """One release in a namespace of its own."""

    namespace: str
    name: str = "ocrplus"
    settings: list[str] = field(default_factory=list)
    install_seconds: float = 0.0

    def helm(self, *arguments: str, seconds: float = 120) -> str:
        """Output of helm in the release's namespace."""
        return said("helm", *arguments, "-n", self.namespace, seconds=seconds)

    def install(
        self, *values: str, settings: Sequence[str] = (), seconds: int = 300, flags: str = "--wait"
    ) -> float:
        """`helm install` with files of `ci/`; seconds that it took."""
        verb = ["install", "--create-namespace", flags]
        self.install_seconds = self._deploy(verb, values, settings, seconds)
        return self.install_seconds

    def upgrade(
        self, *values: str, settings: Sequence[str] = (), seconds: int = 300, flags: str = "--wait"
    ) -> float:
        """`helm upgrade`; seconds that it took."""
        return self._deploy(["upgrade", flags], values, settings, seconds)

    def _deploy(
        self, verb: list[str], values: Sequence[str], settings: Sequence[str], seconds: int
    ) -> float:
        arguments = [*verb, self.name, str(CHART), f"--timeout={seconds}s"]
        for name in values:
            arguments += ["-f", str(CHART / "ci" / f"{name}-values.yaml")]
        for setting in (*_api_server(), *self.settings, *settings):
            arguments += ["--set-json" if "=[" in setting or "={" in setting else "--set", setting]
        began = time.monotonic()
        try:
            self.helm(*arguments, seconds=seconds + 30)
        except CommandFailed as failed:
            raise CommandFailed(f"{failed}\n{self.trouble()}") from failed
        return time.monotonic() - began

    def trouble(self) -> str:
        """What the pods that are not ready, and the latest Events, say."""
        lines = []
        for pod in self.objects("pods"):
            if not _is_ready(pod):
                status = {k: pod["status"].get(k) for k in ("conditions", "containerStatuses")}
                lines.append(f"{pod['metadata']['name']}: {json.dumps(status)}")
        events = self.kubectl("get", "events", "--sort-by=.lastTimestamp").splitlines()
        return "\n".join([*lines, *events[-20:]])

    def uninstall(self) -> float:
        """`helm uninstall --wait`; seconds that it took."""
        began = time.monotonic()
        self.helm("uninstall", self.name, "--wait", "--timeout=300s", seconds=330)
        return time.monotonic() - began

    def leftovers(self) -> set[str]:
        """Everything in its namespace, save what every namespace has."""
        kinds = kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
        ignored = {"events", "events.events.k8s.io", "pods.metrics.k8s.io"}
        listed = ",".join(kind for kind in kinds if kind not in ignored)
        found = json.loads(self.kubectl("get", listed, "-o", "json"))["items"]
        return {f"{one['kind']}/{one['metadata']['name']}" for one in found if not _of_all(one)}

    def kubectl(self, *arguments: str, stdin: str = "", seconds: float = 60) -> str:
        """Output of kubectl in the release's namespace."""
        return kubectl("-n", self.namespace, *arguments, stdin=stdin, seconds=seconds)

    def objects(self, kind: str, component: str = "") -> list[Object]:
        """Objects of a kind, of one component or of the whole namespace."""
        chosen = ["-l", f"app.kubernetes.io/component={component}"] if component else []
        found: list[Object] = json.loads(self.kubectl("get", kind, *chosen, "-o", "json"))["items"]
        return found

    def pods(self, component: str) -> list[Object]:
        """Pods of a component that are not on their way out."""
        pods = self.objects("pods", component)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, component: str) -> int:
        """How many pods of a component are ready."""
        return sum(_is_ready(pod) for pod in self.pods(component))

    def restarts(self) -> dict[str, int]:
        """Container restarts of every pod that had some."""
        found = {}
        for pod in self.objects("pods"):
            statuses = pod["status"].get("containerStatuses", [])
            if count := sum(status["restartCount"] for status in statuses):
                found[pod["metadata"]["name"]] = count
        return found

    def token(self) -> str:
        """A token for every user, from the Secret that the chart made."""
        secret = json.loads(self.kubectl("get", "secret", f"{self.name}-auth", "-o", "json"))
        return base64.b64decode(secret["data"]["tokens"]).decode().split()[0]

    def pool(self, name: str) -> Object:
        """A WorkerPool."""
        found: Object = json.loads(self.kubectl("get", "workerpool", name, "-o", "json"))
        return found

    def redis(self, *command: str) -> str:
        """Answer of the release's own server."""
        pod = f"{self.name}-redis-0"
        return self.kubectl("exec", pod, "-c", "redis", "--", "valkey-cli", *command).strip()


@functools.cache
def _api_server() -> tuple[str, ...]:
    """The ports of this cluster's API server, which the operator's policy must let through; none
    where no pod reaches it: a control plane without nodes has no endpoint."""
    slices = ("endpointslices", "-l", "kubernetes.io/service-name=kubernetes")
    path = "jsonpath={.items[*].ports[0].port}"
    ports = kubectl("-n", "default", "get", *slices, "-o", path).split()
    return (f"networkPolicy.apiServerPorts=[443, {', '.join(ports)}]",) if ports else ()


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _of_all(found: Object) -> bool:
    made = ("kube-root-ca.crt", "default")
    return found["metadata"]["name"] in made or found["kind"] in ("EndpointSlice", "Endpoints")
