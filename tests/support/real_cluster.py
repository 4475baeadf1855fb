"""A namespace of a real cluster that may be thrown away, with the CRD and the operator's rights.

Any cluster of which three things are true: `KUBECONFIG` names it, its current context is the one in
`KUBE_E2E`, and its namespace `default` carries the annotation `ocrplus.io/throw-away: "true"`.
"""

import base64
import contextlib
import os
import ssl
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import kube_api
import yaml
from clusters import ROOT, Cluster, until

Object = dict[str, Any]
MARK = "ocrplus.io/throw-away"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# The manifests' names → those of the tests.
_NAMES = {
    "ocrplus-ocr-worker": "worker",
    "ocrplus-caption-worker": "captions",
    "ocrplus-redis": "redis",
}


@contextmanager
def connected(kubeconfig: Path, context: str) -> Iterator[Cluster]:
    """The cluster's namespace `default`; refuses one that was not marked to be thrown away."""
    config = yaml.safe_load(kubeconfig.read_text())
    current = config.get("current-context")
    assert current == context, f"the current context is {current}, not {context}"
    named = _named(config["contexts"], current)["context"]
    cluster = _named(config["clusters"], named["cluster"])["cluster"]
    user = _named(config["users"], named["user"])["user"]
    server = cluster["server"]
    tls = _tls(cluster, user) if server.startswith("https") else True
    with httpx.Client(base_url=server, verify=tls, timeout=30) as http:
        yield Cluster("real", http, kubeconfig, "default")


@contextmanager
def namespace() -> Iterator[Cluster]:
    """A fresh namespace; the cluster's kubeconfig there is the operator's own."""
    kubeconfig = Path(os.environ["KUBECONFIG"])
    with connected(kubeconfig, os.environ["KUBE_E2E"]) as found:
        marks = found.request("GET", "/api/v1/namespaces/default")["metadata"].get("annotations")
        assert (marks or {}).get(MARK) == "true", f"namespace default has no {MARK}: not touched"
        found.namespace = f"op-{uuid.uuid4().hex[:8]}"
        apply_crd(found, yaml.safe_load(kube_api.CRD.read_text()))
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": found.namespace}}
        found.request("POST", "/api/v1/namespaces", body)
        until(lambda: found.request("GET", found.path("serviceaccounts"))["items"], 20)
        try:
            with tempfile.TemporaryDirectory() as folder:
                found.kubeconfig = _least_rights(found, kubeconfig, Path(folder))
                yield found
        finally:
            found.request("DELETE", f"/api/v1/namespaces/{found.namespace}")


def mark(kubeconfig: Path, context: str) -> None:
    """Say that a cluster may be thrown away; for who has just made it."""
    with connected(kubeconfig, context) as cluster:
        body = {"metadata": {"annotations": {MARK: "true"}}}
        cluster.request("PATCH", "/api/v1/namespaces/default", body)


def _named(entries: list[Object], name: str) -> Object:
    return next(entry for entry in entries if entry["name"] == name)


def _least_rights(cluster: Cluster, kubeconfig: Path, folder: Path) -> Path:
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
    config = yaml.safe_load(kubeconfig.read_text())
    current = _named(config["contexts"], config["current-context"])["context"]
    mine = {
        **config,
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [
            {"name": "operator", "context": {"cluster": current["cluster"], "user": "operator"}}
        ],
        "current-context": "operator",
    }
    own = folder / "kubeconfig"
    own.write_text(yaml.safe_dump(mine))
    return own


def apply_crd(cluster: Cluster, body: Object) -> None:
    """Create or replace a CRD and wait until it is served."""
    name = body["metadata"]["name"]
    try:
        old = cluster.request("GET", f"{CRDS}/{name}")
        body["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        cluster.request("PUT", f"{CRDS}/{name}", body)
    except httpx.HTTPStatusError:
        cluster.request("POST", CRDS, body)

    def established() -> bool:
        status = cluster.request("GET", f"{CRDS}/{name}").get("status", {})
        return any(
            c["type"] == "Established" and c["status"] == "True"
            for c in status.get("conditions") or ()
        )

    until(established, 20)


def keda_crd(cluster: Cluster) -> None:
    """Where KEDA is not installed: a kind ScaledObject that nobody looks after."""
    with contextlib.suppress(httpx.HTTPStatusError):
        cluster.request("GET", f"{CRDS}/scaledobjects.keda.sh")
        return
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True}
    names = {"kind": "ScaledObject", "plural": "scaledobjects", "singular": "scaledobject"}
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "scaledobjects.keda.sh"},
        "spec": {
            "group": "keda.sh",
            "scope": "Namespaced",
            "names": names,
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    apply_crd(cluster, body)


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
