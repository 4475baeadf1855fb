"""Every values file on a real control plane whose nodes are played: what its admission says.

The namespace enforces the restricted pod security standard, so a pod that broke it would not be
made. Pods become ready by themselves; what runs in them is the other tests' matter.
"""

import base64
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from release import CHART, CommandFailed, Object, Release, apply, kubectl, note

VALUES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*.yaml"))
# Kinds that a chart may make and that other projects define: here only their names.
FOREIGN = {
    "scaledobjects.keda.sh/v1alpha1": "ScaledObject",
    "triggerauthentications.keda.sh/v1alpha1": "TriggerAuthentication",
    "httproutes.gateway.networking.k8s.io/v1": "HTTPRoute",
    "servicemonitors.monitoring.coreos.com/v1": "ServiceMonitor",
    "podmonitors.monitoring.coreos.com/v1": "PodMonitor",
    "prometheusrules.monitoring.coreos.com/v1": "PrometheusRule",
}

pytestmark = pytest.mark.skipif(
    os.environ.get("KUBE_E2E_NODES") != "played", reason="its nodes are played: make e2e-control"
)


@pytest.fixture(scope="module")
def ready(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Foreign kinds, and volumes for claims."""
    apply(*(_definition(name, kind) for name, kind in FOREIGN.items()))
    folder = tmp_path_factory.getbasetemp()
    # A claim takes its volume with it: one for every installation, and for those in two classes.
    classes = ("",) * (len(VALUES) + 8) + ("nfs", "fast")
    apply(*(_volume(number, name, folder) for number, name in enumerate(classes)))
    apply(
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            **_named("nvidia"),
            "handler": "x",
        },
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            **_named("gpu-batch"),
            "value": 1,
        },
    )
    played = ("-l", "ocrplus.io/fake=true")
    kubectl("label", "nodes", *played, "nvidia.com/gpu.present=true")
    kubectl("taint", "nodes", *played, "ocrplus.io/fake-")  # nothing else is on this cluster
    definitions = [f"crd/{name.partition('/')[0]}" for name in FOREIGN]
    kubectl("wait", "--for=condition=Established", "--timeout=30s", *definitions)


@pytest.fixture(params=VALUES)
def installed(ready: None, request: pytest.FixtureRequest) -> Iterator[tuple[str, Release]]:
    """The chart with one values file, in a restricted namespace."""
    name: str = request.param
    release = Release(f"ocrplus-{name}")
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": release.namespace, "labels": enforce},
        }
    )
    if wanted := _wanted(name):
        apply(*wanted, namespace=release.namespace)
    # `everything` asks for zones and classes that no cluster has all at once: it is only admitted.
    flags = "--no-hooks" if name == "everything" else "--wait"
    seconds = release.install(name, seconds=120, flags=flags)
    note("control", **{f"install_{name}_seconds": round(seconds, 1)})
    yield name, release
    release.uninstall()
    kubectl("delete", "namespace", release.namespace, "--wait=false")


def test_values_install_upgrade_and_roll_back(installed: tuple[str, Release]) -> None:
    name, release = installed
    selectors = _selectors(release)

    # Played pods never end, so a hook's Job would not either.
    release.upgrade(name, settings=["settings.logLevel=debug"], seconds=120, flags="--no-hooks")
    release.helm("rollback", release.name, "--no-hooks", "--timeout=120s", seconds=150)

    assert _selectors(release) == selectors
    events = json.loads(release.kubectl("get", "events", "-o", "json"))["items"]
    refused = [e["message"] for e in events if e["reason"] == "FailedCreate"]
    assert refused == [], name


# A hook's Job would not end on a played node.
PLAYED = ("operator.crdUpgrade.enabled=false",)


def test_a_token_added_by_hand_outlives_the_release(ready: None) -> None:
    release = Release("ocrplus-tokens", settings=list(PLAYED))
    release.install("cpu", seconds=120)
    made = release.token()
    both = f"{made} *\nadded-by-hand alice\n"
    patch = json.dumps({"stringData": {"tokens": both}})
    release.kubectl("patch", "secret", "ocrplus-auth", "-p", patch)

    release.upgrade("cpu", settings=["settings.logLevel=debug"], seconds=120)
    assert _tokens(release) == both, "after an upgrade"
    release.upgrade("cpu", settings=["auth.mode=none"], seconds=120)
    assert _tokens(release) == both, "after an upgrade to other means"
    for revision in ("2", "1"):
        release.helm("rollback", release.name, revision, "--wait", "--timeout=120s", seconds=150)
        assert _tokens(release) == both, f"after a rollback to {revision}"
    release.uninstall()
    assert _tokens(release) == both, "after it is gone"
    release.install("cpu", seconds=120)
    assert _tokens(release) == both, "after it came back"

    release.kubectl("delete", "secret", "ocrplus-auth")
    release.upgrade("cpu", seconds=120)
    assert _tokens(release).endswith(" *\n") and made not in _tokens(release)
    release.uninstall()
    kubectl("delete", "namespace", release.namespace, "--wait=false")


def _tokens(release: Release) -> str:
    secret = json.loads(release.kubectl("get", "secret", "ocrplus-auth", "-o", "json"))
    return base64.b64decode(secret["data"]["tokens"]).decode()


def test_no_right_beyond_the_namespace_is_needed(ready: None) -> None:
    release = Release("ocrplus-tenant")
    kubectl("create", "namespace", release.namespace)
    kubectl("apply", "--server-side", "-f", str(CHART / "crds"))
    pools = "--resource=workerpools.ocrplus.io,workerpools.ocrplus.io/status,scaledobjects.keda.sh"
    release.kubectl("create", "role", "pools", "--verb=*", pools)
    release.kubectl("create", "rolebinding", "pools", "--role=pools", "--user=tina")
    release.kubectl("create", "rolebinding", "admin", "--clusterrole=admin", "--user=tina")

    # As docs/deploy.md says; GPUs included, whose nodes tina may not look at.
    as_tina = ["--skip-crds", "--kube-as-user=tina", f"--set={PLAYED[0]}"]
    release.helm("install", release.name, str(CHART), *as_tina)

    release.uninstall()
    kubectl("delete", "namespace", release.namespace, "--wait=false")


def test_two_namespaces_may_hold_releases_of_one_name(ready: None) -> None:
    settings = [*PLAYED, "priorityClasses.create=true"]
    releases = [Release(f"ocrplus-team-{team}", settings=settings) for team in "ab"]
    for release in releases:
        release.install("cpu", seconds=120)

    releases[0].uninstall()

    left = kubectl("get", "priorityclasses", "-o", "name")
    assert "ocrplus-team-b.ocrplus-work" in left and "ocrplus-team-a" not in left
    releases[1].upgrade("cpu", seconds=120)
    releases[1].uninstall()
    for release in releases:
        kubectl("delete", "namespace", release.namespace, "--wait=false")


def test_what_is_missing_is_named_before_and_after(ready: None) -> None:
    release = Release("ocrplus-missing", settings=list(PLAYED))
    kubectl("create", "namespace", release.namespace)
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    apply(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **_named("once"), "spec": claim},
        {"apiVersion": "v1", "kind": "Secret", **_named("vlm"), "stringData": {"token": "x"}},
        namespace=release.namespace,
    )
    volume = ["blobs.type=pvc", "blobs.pvc.existingClaim=once"]
    with pytest.raises(CommandFailed, match="claim once offers ReadWriteOnce"):
        release.install("cpu", settings=volume, flags="--no-hooks")

    more = ["blobs.pvc.accessMode=ReadWriteOnce", "captions.existingSecret=vlm"]
    more += ["ocrWorker.models.volume.persistentVolumeClaim.claimName=models"]
    more += ["auth.existingSecret=keys"]
    release.install("cpu", settings=[*volume, *more], flags="--no-hooks")
    notes = release.helm("get", "notes", release.name)

    assert "Secret keys does not exist" in notes
    assert "Secret vlm in ocrplus-missing has no key api-key" in notes
    assert "PersistentVolumeClaim models does not exist" in notes
    assert "PersistentVolumeClaim once" not in notes
    release.uninstall()
    kubectl("delete", "namespace", release.namespace, "--wait=false")


def _selectors(release: Release) -> dict[str, Object]:
    found = release.objects("deployments") + release.objects("statefulsets")
    return {one["metadata"]["name"]: one["spec"]["selector"]["matchLabels"] for one in found}


def _wanted(name: str) -> list[Object]:
    """The Secrets and claims that a values file asks for by name."""
    text = (CHART / "ci" / f"{name}-values.yaml").read_text()
    names = set(re.findall(r"(?:existing|ca)Secret: *([\w-]+)", text))
    keys = ("tokens", "secret", "url", "password", "api-key", "access-key-id")
    data = dict.fromkeys((*keys, "secret-access-key", "ca.crt"), "made-up")
    claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    return [
        {"apiVersion": "v1", "kind": "Secret", **_named(each), "stringData": data}
        for each in sorted(names)
    ] + [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **_named(each), "spec": claim}
        for each in sorted(set(re.findall(r"claimName: *([\w-]+)", text)))
    ]


def _definition(name: str, kind: str) -> Object:
    path, _, version = name.partition("/")
    plural, _, group = path.partition(".")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    metadata: Object = {"name": path}
    if group.endswith("k8s.io"):
        approved = "https://github.com/kubernetes-sigs/gateway-api"
        metadata["annotations"] = {"api-approved.kubernetes.io": approved}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def _named(name: str) -> Object:
    return {"metadata": {"name": name}}


def _volume(number: int, storage_class: str, folder: Path) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"played-{number}"},
        "spec": {
            "storageClassName": storage_class,
            "capacity": {"storage": "500Gi"},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": str(folder / str(number))},
        },
    }
