"""A cluster for the operator's tests: the small API server, or the real control plane.

The same bodies run on both. `KUBE_ROOT` and `KUBE_TOOLS` say where the real one's programs and
scripts are (`make e2e-operator` sets them).
"""

import asyncio
import atexit
import base64
import contextlib
import functools
import json
import os
import signal
import ssl
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


def why_no_real_one() -> str:
    """Why there is no real control plane here; empty where one runs."""
    root = os.environ.get("KUBE_ROOT", "")
    if not root:
        return "KUBE_ROOT is not set: `make e2e-operator` starts a real control plane"
    if not (Path(root) / "kubeconfig").exists():
        return f"no control plane in {root}: build it with the shared tools' build.sh"
    return ""


@contextmanager
def real() -> Iterator[Cluster]:
    """A fresh namespace of the control plane that runs in KUBE_ROOT, with the CRD."""
    kubeconfig = Path(os.environ["KUBE_ROOT"]) / "kubeconfig"
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    server = cluster["server"]
    assert "127.0.0.1" in server, "tests touch a throw-away cluster on this machine only"
    with httpx.Client(base_url=server, verify=_tls(cluster, user), timeout=30) as http:
        namespace = f"op-{uuid.uuid4().hex[:8]}"
        found = Cluster("real", http, kubeconfig, namespace)
        _apply_crd(found)
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        found.request("POST", "/api/v1/namespaces", body)
        until(lambda: found.request("GET", found.path("serviceaccounts"))["items"], 20)
        try:
            with tempfile.TemporaryDirectory() as folder:
                found.kubeconfig = _least_rights(found, config, Path(folder))
                yield found
        finally:
            found.request("DELETE", f"/api/v1/namespaces/{namespace}")


# The manifests' names → those of the tests.
_NAMES = {"ocrplus-ocr-worker": "worker", "ocrplus-caption-worker": "captions"}
_NAMES["ocrplus-redis"] = "redis"


def _least_rights(cluster: Cluster, config: Object, folder: Path) -> Path:
    """A kubeconfig of the operator's ServiceAccount: it has the rights of the manifests only."""
    text = (ROOT / "operator" / "manifests" / "rbac.yaml").read_text()
    for name, here in _NAMES.items():
        text = text.replace(name, here)
    rights = "/apis/rbac.authorization.k8s.io/v1"
    for body in yaml.safe_load_all(text):
        plural = body["kind"].lower() + "s"
        group = rights if "rbac" in body["apiVersion"] else "/api/v1"
        if body["kind"] == "RoleBinding":
            body["subjects"][0]["namespace"] = cluster.namespace
        cluster.request("POST", f"{group}/namespaces/{cluster.namespace}/{plural}", body)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = cluster.path("serviceaccounts", "ocrplus-operator", sub="token")
    token = cluster.request("POST", path, request)["status"]["token"]
    user = {"name": "operator", "user": {"token": token}}
    context = {"cluster": config["clusters"][0]["name"], "user": "operator"}
    mine = {
        **config,
        "users": [user],
        "contexts": [{"name": "operator", "context": context}],
        "current-context": "operator",
    }
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(mine))
    return kubeconfig


def _apply_crd(cluster: Cluster) -> None:
    body = yaml.safe_load(kube_api.CRD.read_text())
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    name = body["metadata"]["name"]
    try:
        old = cluster.request("GET", f"{path}/{name}")
        body["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        cluster.request("PUT", f"{path}/{name}", body)
    except httpx.HTTPStatusError:
        cluster.request("POST", path, body)

    def established() -> bool:
        status = cluster.request("GET", f"{path}/{name}").get("status", {})
        return any(
            c["type"] == "Established" and c["status"] == "True"
            for c in status.get("conditions") or ()
        )

    until(established, 20)


def _tls(cluster: Object, user: Object) -> ssl.SSLContext:
    def pem(name: str, of: Object) -> str:
        return base64.b64decode(of[name]).decode()

    context = ssl.create_default_context(cadata=pem("certificate-authority-data", cluster))
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder) / "crt", Path(folder) / "key"
        certificate.write_text(pem("client-certificate-data", user))
        key.write_text(pem("client-key-data", user))
        context.load_cert_chain(certificate, key)
    return context


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
