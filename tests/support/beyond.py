"""What lies beyond a release: a vision-language endpoint and a bucket, as pods beside it.

Their namespace is their own. Each can be gone for a while: its Service stays, its pod does not.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import s3_server
import vlm_server
from botocore.exceptions import EndpointConnectionError
from release import IMAGE_TAG, Object, apply, kubectl, until

NAMESPACE = "ocrplus-beyond"
BUCKET = s3_server.BUCKET
VERSITYGW = "ocrplus-tests/versitygw:1"
VLM_PORT, S3_PORT = 8000, 7070
_KEY, _SECRET = "first", "first-secret-of-tests"
_VLM_KEY = "key-of-the-played-model"


@dataclass(frozen=True)
class Beyond:
    """Both servers, as their users reach them and as the tests do."""

    vlm: vlm_server.Vlm
    bucket: s3_server.Server

    @property
    def settings(self) -> tuple[str, ...]:
        """The chart's values that lead there; the Secrets are those of `secrets`."""
        return (
            f"captions.baseUrl=http://vlm.{NAMESPACE}:{VLM_PORT}/v1",
            "captions.existingSecret=vlm",
            "blobs.type=s3",
            f"blobs.s3.bucket={BUCKET}",
            "blobs.s3.prefix=e2e",
            f"blobs.s3.endpoint=http://s3.{NAMESPACE}.svc:{S3_PORT}",
            "blobs.s3.allowHttp=true",
            "blobs.s3.existingSecret=bucket",
        )

    @contextlib.contextmanager
    def without(self, name: str) -> Iterator[float]:
        """One of them is gone for the block, its pod deleted; since when."""
        _scale(name, 0)
        until(lambda: not _pods(name), 60, f"{name} is gone")
        try:
            yield time.monotonic()
        finally:
            _scale(name, 1)
            _wait(name)

    def age(self, prefix: str, minutes: int) -> None:
        """Make the bucket's objects under a prefix older, by their files."""
        folder = f"/data/{BUCKET}/{prefix}"
        touch = ("touch", "-d", f"-{minutes} minutes", "{}", "+")
        find = ("find", folder, "-type", "f", "-exec", *touch)
        kubectl("-n", NAMESPACE, "exec", "deployment/s3", "--", *find)


def secrets(namespace: str) -> None:
    """The namespace of a release under *restricted*, with the keys of both servers."""
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": _named(namespace, enforced)})
    keys = {"access-key-id": _KEY, "secret-access-key": _SECRET}
    apply(_secret("vlm", {"api-key": _VLM_KEY}), _secret("bucket", keys), namespace=namespace)


@contextlib.contextmanager
def running() -> Iterator[Beyond]:
    """Both servers and an empty bucket, for as long as the block lasts."""
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": _named(NAMESPACE)})
    try:
        apply(*_vlm(), *_s3(), namespace=NAMESPACE)
        for name in ("vlm", "s3"):
            _wait(name)
        stranger = ("", "")
        bucket = s3_server.Server(
            "versitygw", S3_PORT, _KEY, _SECRET, stranger, host=_address("s3")
        )
        until(lambda: _made(bucket), 30, "the bucket is made")
        yield Beyond(vlm_server.Vlm(f"http://{_address('vlm')}:{VLM_PORT}"), bucket)
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--timeout=90s", seconds=120)


def _made(bucket: s3_server.Server) -> bool:
    """Whether the server was reached: a Service takes a second to know its new pod."""
    with bucket.client() as client:
        try:
            client.create_bucket(Bucket=BUCKET)
        except EndpointConnectionError:
            return False
    return True


def _scale(name: str, replicas: int) -> None:
    kubectl("-n", NAMESPACE, "scale", "deployment", name, f"--replicas={replicas}")


def _pods(name: str) -> list[Object]:
    found: list[Object] = json.loads(
        kubectl("-n", NAMESPACE, "get", "pods", "-l", f"app={name}", "-o", "json")
    )["items"]
    return found


def _wait(name: str) -> None:
    rollout = ("rollout", "status", f"deployment/{name}", "--timeout=120s")
    kubectl("-n", NAMESPACE, *rollout, seconds=130)


def _address(name: str) -> str:
    return kubectl("-n", NAMESPACE, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}")


def _vlm() -> list[Object]:
    source = Path(vlm_server.__file__).read_text()
    container = {
        "image": f"ocrplus/caption-worker:{IMAGE_TAG}",
        "command": ["python", "/played/vlm_server.py", "--host=0.0.0.0", f"--port={VLM_PORT}"],
        "volumeMounts": [{"name": "played", "mountPath": "/played"}],
    }
    volume = {"name": "played", "configMap": {"name": "vlm"}}
    script = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _named("vlm"),
        "data": {"vlm_server.py": source},
    }
    return [script, *_served("vlm", VLM_PORT, container, volume)]


def _s3() -> list[Object]:
    """versitygw on a volume, so that what it holds outlives its pod."""
    container = {
        "image": VERSITYGW,
        "args": ["--port", f":{S3_PORT}", "--quiet", "posix", "/data"],
        "env": [
            {"name": "ROOT_ACCESS_KEY", "value": _KEY},
            {"name": "ROOT_SECRET_KEY", "value": _SECRET},
        ],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _named("s3"),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "s3"}}
    return [claim, *_served("s3", S3_PORT, container, volume)]


def _served(name: str, port: int, container: Object, volume: Object) -> list[Object]:
    """A Deployment of one pod and its Service."""
    labels = {"app": name}
    container |= {
        "name": name,
        "imagePullPolicy": "IfNotPresent",
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
    }
    pod = {
        "terminationGracePeriodSeconds": 1,
        "enableServiceLinks": False,
        "containers": [container],
        "volumes": [volume],
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _named(name),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _named(name),
        "spec": {"selector": labels, "ports": [{"port": port}]},
    }
    return [deployment, service]


def _secret(name: str, data: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _named(name), "stringData": data}


def _named(name: str, labels: dict[str, str] | None = None) -> Object:
    return {"name": name, "labels": labels or {}}
