"""A cluster for the operator's tests: the small API server, or a real one (`real_cluster.py`).

The same bodies run on both; `make e2e-operator` sets `KUBE_E2E`.
"""

import asyncio
import atexit
import base64
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import kube_api
import yaml
from kube_controllers import Controllers

Object = dict[str, Any]
ROOT = Path(__file__).parents[2]
MERGE = {"Content-Type": "application/merge-patch+json"}
FAKE_NODE = "ocrplus.io/fake"  # label and taint of the fake kubelet's nodes


def until(what: Callable[[], Any], seconds: float = 20, why: str = "") -> Any:
    """Poll until something is true; its value."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, f"did not come to pass in {seconds} s: {why}"
        time.sleep(0.03)
    return value


def note(**figures: object) -> None:
    """Keep what was measured, where KUBE_E2E_FIGURES names a file for it."""
    path = os.environ.get("KUBE_E2E_FIGURES")
    if path:
        with Path(path).open("a") as file:
            file.write(json.dumps(figures) + "\n")


@dataclass
class Cluster:
    """One namespace of a cluster."""

    kind: str
    http: httpx.Client
    kubeconfig: Path
    namespace: str
    api: kube_api.KubeApi | None = None

    def request(self, method: str, path: str, body: Any = None, **params: str) -> Object:
        headers = MERGE if method == "PATCH" else {"Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        answer = self.http.request(method, path, content=content, headers=headers, params=params)
        if answer.status_code >= 400:
            raise httpx.HTTPStatusError(
                f"{answer.status_code} {answer.text[:500]}", request=answer.request, response=answer
            )
        found: Object = answer.json()
        return found

    def path(self, plural: str, name: str = "", *, sub: str = "") -> str:
        group = {
            "deployments": "/apis/apps/v1",
            "horizontalpodautoscalers": "/apis/autoscaling/v2",
            "leases": "/apis/coordination.k8s.io/v1",
            "scaledobjects": "/apis/keda.sh/v1alpha1",
            "workerpools": "/apis/ocrplus.io/v1alpha1",
        }.get(plural, "/api/v1")
        parts = [group, "namespaces", self.namespace, plural, name, sub]
        return "/".join(part for part in parts if part)

    def get(self, plural: str, name: str) -> Object:
        return self.request("GET", self.path(plural, name))

    def items(self, plural: str, **params: str) -> list[Object]:
        items: list[Object] = self.request("GET", self.path(plural), **params)["items"]
        return items

    def create(self, plural: str, body: Object) -> Object:
        return self.request("POST", self.path(plural), body)

    def patch(self, plural: str, name: str, body: Object, *, sub: str = "") -> Object:
        return self.request("PATCH", self.path(plural, name, sub=sub), body)

    def delete(self, plural: str, name: str) -> None:
        self.request("DELETE", self.path(plural, name))

    def api_groups(self) -> list[str]:
        return [group["name"] for group in self.request("GET", "/apis")["groups"]]

    # ------------------------------------------------------------------ the pool's parts

    def secret(self, url: str, name: str = "redis") -> None:
        data = {"url": base64.b64encode(url.encode()).decode()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
        self.create("secrets", body)

    def deployment(self, name: str = "worker", *, replicas: int = 0, **options: Any) -> Object:
        """A target; `annotations` (delays of the fake kubelet), `gpus`, `grace`."""
        container: Object = {"name": "worker", "image": "none"}
        if options.get("gpus"):
            container["resources"] = {"limits": {"nvidia.com/gpu": str(options["gpus"])}}
        return self.create(
            "deployments",
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": name}},
                    "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                    "template": {
                        "metadata": {
                            "labels": {"app": name},
                            "annotations": options.get("annotations", {}),
                        },
                        "spec": {
                            "terminationGracePeriodSeconds": options.get("grace", 60),
                            "containers": [container],
                            "nodeSelector": {FAKE_NODE: "true"},
                            "tolerations": [{"key": FAKE_NODE, "operator": "Exists"}],
                        },
                    },
                },
            },
        )

    def pool(self, name: str = "pool", *, target: str = "worker", **spec: Any) -> Object:
        """A WorkerPool with short times; `spec` is laid over them."""
        short: Object = {
            "targetRef": {"name": target},
            "source": {"redis": {"secretRef": {"name": "redis"}}, "leaseSeconds": 4},
            "scaleDown": {"windowSeconds": 1, "maxPercent": 100, "drainTimeoutSeconds": 30},
            "scaleToZero": {"afterSeconds": 2},
            "startup": {"coldStartSeconds": 1, "learn": False},
            "objective": {"targetDrainSeconds": 2, "minUsefulSeconds": 1},
        }
        body = {
            "apiVersion": "ocrplus.io/v1alpha1",
            "kind": "WorkerPool",
            "metadata": {"name": name},
            "spec": kube_api.merged(short, spec),
        }
        return self.create("workerpools", body)

    def replicas(self, name: str = "worker") -> int:
        return int(self.get("deployments", name)["spec"]["replicas"])

    def condition(self, kind: str, pool: str = "pool") -> Object:
        status = self.get("workerpools", pool).get("status") or {}
        found: Object = next((c for c in status.get("conditions", ()) if c["type"] == kind), {})
        return found

    def pods(self, name: str = "worker") -> list[Object]:
        return self.items("pods", labelSelector=f"app={name}")


@contextmanager
def fake(gpus: int = 1000) -> Iterator[Cluster]:
    """The small API server with its controllers."""
    with kube_api.serving() as api, tempfile.TemporaryDirectory() as folder:
        moving = asyncio.run_coroutine_threadsafe(Controllers(api, gpus).run(), api.loop)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": api.url}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        with httpx.Client(base_url=api.url, timeout=10) as http:
            yield Cluster("fake", http, kubeconfig, "test", api)
        moving.cancel()
        with contextlib.suppress(BaseException):
            moving.result(5)


KIND = "real" if os.environ.get("KUBE_E2E") else "fake"


@contextmanager
def at_hand() -> Iterator[Cluster]:
    """A namespace of the cluster that this run of the tests is about."""
    if KIND == "fake":
        with fake() as cluster:
            yield cluster
        return
    import real_cluster

    with real_cluster.namespace() as cluster:
        yield cluster


@dataclass
class Operator:
    """A running operator process."""

    pid: int
    http: str

    def metrics(self) -> str:
        return httpx.get(f"{self.http}/metrics", timeout=5).text

    def kill(self) -> None:
        _end(self.pid, signal.SIGKILL)


def _end(pid: int, how: signal.Signals) -> None:
    """Send a signal and wait until the process is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        raise TimeoutError(f"operator {pid} did not end")


@functools.cache
def _zygote() -> "subprocess.Popen[str]":
    """Forks operators; ends with this process, whose pipe it reads."""
    program = Path(__file__).parent / "operator_zygote.py"
    command = [sys.executable, str(program)]
    env = {k: v for k, v in os.environ.items() if not k.startswith("OCRPLUS_")}
    zygote = subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(zygote.__exit__, None, None, None)
    return zygote


@contextmanager
def operator(cluster: Cluster, **env: str) -> Iterator[Operator]:
    """Run the operator against a cluster, with short times."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("OCRPLUS_")},
        "KUBECONFIG": str(cluster.kubeconfig),
        "OCRPLUS_METRICS_PORT": "0",
        "OCRPLUS_LOG_LEVEL": "info",
        "OCRPLUS_OPERATOR__NAMESPACE": cluster.namespace,
        "OCRPLUS_OPERATOR__TICK_SECONDS": "0.3",
        "OCRPLUS_OPERATOR__STATUS_SECONDS": "0.3",
        "OCRPLUS_OPERATOR__SURVEY_SECONDS": "1",
        "OCRPLUS_OPERATOR__LEASE_SECONDS": "3",
        "OCRPLUS_OPERATOR__IDENTITY": f"test-{uuid.uuid4().hex[:6]}",
        **env,
    }
    with tempfile.TemporaryDirectory(prefix="operator-") as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        order = {"env": environment, "out": str(out), "err": str(err)}
        zygote = _zygote()
        assert zygote.stdin is not None and zygote.stdout is not None
        zygote.stdin.write(json.dumps(order) + "\n")
        zygote.stdin.flush()
        pid = int(zygote.stdout.readline())
        try:
            until(lambda: out.exists() and out.read_text().endswith("\n"), 30, "operator's start")
            ready = json.loads(out.read_text())
            yield Operator(pid, ready["metrics"].removesuffix("/metrics"))
        except BaseException:
            sys.stderr.write(err.read_text()[-6000:] if err.exists() else "")  # pytest shows it
            raise
        finally:
            _end(pid, signal.SIGTERM)
