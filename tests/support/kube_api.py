"""A small API server over HTTP: what the operator, kopf and the tests ask of a real one.

Objects with resourceVersion, uid and generation; conflicts; merge patches; the status and scale
subresources; label selectors; watches that replay from a version, with bookmarks and 410;
finalizers; the CRD's defaults. No authentication, no CEL: what those decide is tested on a real
server by the same bodies (`make e2e-operator`).
"""

import asyncio
import copy
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

CRD = Path(__file__).parents[2] / "operator" / "manifests" / "workerpools.yaml"
Object = dict[str, Any]

# group/version, plural, kind, subresources
_KINDS = (
    ("v1", "pods", "Pod", ("status",)),
    ("v1", "secrets", "Secret", ()),
    ("v1", "events", "Event", ()),
    ("v1", "resourcequotas", "ResourceQuota", ("status",)),
    ("v1", "namespaces", "Namespace", ()),
    ("apps/v1", "deployments", "Deployment", ("status", "scale")),
    ("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", ()),
    ("coordination.k8s.io/v1", "leases", "Lease", ()),
    ("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", ()),
    ("keda.sh/v1alpha1", "scaledobjects", "ScaledObject", ("status",)),
    ("ocrplus.io/v1alpha1", "workerpools", "WorkerPool", ("status", "scale")),
)
_CLUSTERWIDE = {"namespaces", "customresourcedefinitions"}


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass
class Store:
    """Every object, and every change in order."""

    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    log: list[tuple[int, str, str, Object]] = field(default_factory=list)
    version: int = 1000
    oldest: int = 0
    listeners: set[asyncio.Event] = field(default_factory=set)

    def record(self, kind: str, plural: str, obj: Object) -> Object:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.log.append((self.version, kind, plural, copy.deepcopy(obj)))
        for listener in self.listeners:
            listener.set()
        return obj

    def create(self, plural: str, namespace: str, obj: Object) -> Object:
        meta = obj.setdefault("metadata", {})
        if "generateName" in meta and "name" not in meta:
            meta["name"] = meta["generateName"] + uuid.uuid4().hex[:5]
        key = (plural, namespace, meta["name"])
        if key in self.objects:
            raise Refused(409, f"{plural} {meta['name']} already exists")
        meta.update(uid=str(uuid.uuid4()), creationTimestamp=now(), generation=1)
        if plural not in _CLUSTERWIDE:
            meta["namespace"] = namespace
        self.objects[key] = obj
        return self.record("ADDED", plural, obj)

    def get(self, plural: str, namespace: str, name: str) -> Object:
        try:
            return self.objects[plural, namespace, name]
        except KeyError:
            raise Refused(404, f'{plural} "{name}" not found') from None

    def update(self, plural: str, old: Object, new: Object) -> Object:
        """Replace `old`; a resourceVersion in `new` that is not the present one conflicts."""
        meta, given = old["metadata"], new["metadata"].get("resourceVersion")
        if given not in (None, "", meta["resourceVersion"]):
            raise Refused(409, f"the object has been modified: {given} is not current")
        for name in ("uid", "creationTimestamp", "generation", "namespace", "name"):
            if name in meta:
                new["metadata"][name] = meta[name]
        if "deletionTimestamp" in meta:
            new["metadata"]["deletionTimestamp"] = meta["deletionTimestamp"]
        new["metadata"]["resourceVersion"] = meta["resourceVersion"]
        if new == old:
            return old
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = meta["generation"] + 1
        key = (plural, meta.get("namespace", ""), meta["name"])
        if "deletionTimestamp" in meta and not new["metadata"].get("finalizers"):
            return self.remove(key)
        self.objects[key] = new
        return self.record("MODIFIED", plural, new)

    def delete(self, plural: str, namespace: str, name: str, *, grace: int | None = None) -> Object:
        obj = copy.deepcopy(self.get(plural, namespace, name))
        held = obj["metadata"].get("finalizers") or (plural == "pods" and grace != 0)
        if not held:
            return self.remove((plural, namespace, name))
        if "deletionTimestamp" not in obj["metadata"]:
            obj["metadata"]["deletionTimestamp"] = now()
            self.objects[plural, namespace, name] = obj
            self.record("MODIFIED", plural, obj)
        return obj

    def remove(self, key: tuple[str, str, str]) -> Object:
        obj = self.objects.pop(key)
        return self.record("DELETED", key[0], copy.deepcopy(obj))

    def listed(self, plural: str, namespace: str) -> list[Object]:
        return [o for (p, n, _), o in self.objects.items() if p == plural and namespace in ("", n)]


def merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def matches(obj: Object, selector: str) -> bool:
    labels = obj["metadata"].get("labels") or {}
    for part in filter(None, selector.split(",")):
        name, _, value = part.partition("=")
        if labels.get(name) != value:
            return False
    return True


def with_defaults(schema: Object, value: Any) -> Any:
    """Structural defaulting, as a real server does it for a CRD."""
    if isinstance(value, dict):
        for name, inner in (schema.get("properties") or {}).items():
            if name not in value and "default" in inner:
                value[name] = copy.deepcopy(inner["default"])
            if name in value:
                with_defaults(inner, value[name])
    elif isinstance(value, list):
        for item in value:
            with_defaults(schema.get("items") or {}, item)
    return value


@dataclass
class Fault:
    """Requests that match are answered by this, as often as `times` says."""

    method: str
    path: str
    status: int
    times: int


class KubeApi:
    """The server; runs in a thread of its own."""

    def __init__(self) -> None:
        self.store = Store()
        self.faults: list[Fault] = []
        self.requests: list[tuple[float, str, str, Any]] = []
        self.bookmark_seconds = 1.0
        self.loop = asyncio.new_event_loop()
        self.port = 0
        self.stopping = asyncio.Event()
        version = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]
        self._schema = version["schema"]["openAPIV3Schema"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run something in the server's own thread."""

        async def run() -> Any:
            return function(*args, **kwargs)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def fail(self, method: str, path: str, status: int, times: int = 1) -> None:
        """Let the next requests of a method to paths that match a pattern fail."""
        self.call(self.faults.append, Fault(method, path, status, times))

    def forget_history(self) -> None:
        """Watches from before now are answered 410 Gone."""

        def forget() -> None:
            self.store.log.clear()
            self.store.oldest = self.store.version

        self.call(forget)

    # ------------------------------------------------------------------ requests

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw else None
        at = self.loop.time()
        self.requests.append((at, request.method, request.path, body))
        for fault in self.faults:
            if (
                fault.times > 0
                and fault.method == request.method
                and re.search(fault.path, request.path)
            ):
                fault.times -= 1
                return _status(fault.status, "told to fail")
        try:
            return await self._route(request, body)
        except Refused as refusal:
            return _status(refusal.code, str(refusal))

    async def _route(self, request: web.Request, body: Any) -> web.StreamResponse:
        path = request.path.strip("/")
        if path in ("version", "api", "apis") or re.fullmatch(r"(api/v1|apis/[^/]+/[^/]+)", path):
            return web.json_response(_discovery(path))
        found = re.fullmatch(
            r"(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/(?P<ns>[^/]+))?"
            r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>status|scale))?",
            path,
        )
        if found is None or found["plural"] not in {k[1] for k in _KINDS}:
            return _status(404, f"no such path: {path}")
        where = (found["plural"], found["ns"] or "", found["name"] or "")
        if found["name"] is None:
            return await self._collection(request, where, body)
        return self._object(request, where, found["sub"], body)

    async def _collection(
        self, request: web.Request, where: tuple[str, str, str], body: Any
    ) -> web.StreamResponse:
        plural, namespace, _ = where
        if request.method == "POST":
            body = copy.deepcopy(body)
            if plural == "workerpools":
                with_defaults(self._schema, body)
            if plural in ("workerpools", "deployments"):
                body.pop("status", None)
            return web.json_response(self.store.create(plural, namespace, body), status=201)
        if request.query.get("watch") in ("1", "true"):
            return await self._watch(request, plural, namespace)
        selector = request.query.get("labelSelector", "")
        items = [o for o in self.store.listed(plural, namespace) if matches(o, selector)]
        kind = next(k for k in _KINDS if k[1] == plural)
        return web.json_response(
            {
                "apiVersion": kind[0],
                "kind": f"{kind[2]}List",
                "metadata": {"resourceVersion": str(self.store.version)},
                "items": items,
            }
        )

    def _object(
        self, request: web.Request, where: tuple[str, str, str], sub: str | None, body: Any
    ) -> web.Response:
        plural, namespace, name = where
        old = self.store.get(*where)
        if request.method == "DELETE":
            grace = (body or {}).get("gracePeriodSeconds")
            return web.json_response(self.store.delete(plural, namespace, name, grace=grace))
        if sub == "scale":
            return web.json_response(self._scale(request.method, plural, old, body))
        if request.method == "GET":
            return web.json_response(old)
        new = copy.deepcopy(old)
        if request.method == "PATCH":
            given = merged(old, body)
            if "resourceVersion" not in (body.get("metadata") or {}):
                given["metadata"] = {**given["metadata"], "resourceVersion": ""}
        else:
            given = body
        if sub == "status":
            new["status"] = given.get("status", {})
            new["metadata"] = {
                **new["metadata"],
                "resourceVersion": given["metadata"].get("resourceVersion", ""),
            }
        else:
            status = old.get("status")
            new = copy.deepcopy(given)
            if any(k[1] == plural and "status" in k[3] for k in _KINDS):
                new.pop("status", None)
                if status is not None:
                    new["status"] = status
            if plural == "workerpools":
                with_defaults(self._schema, new)
        return web.json_response(self.store.update(plural, old, new))

    def _scale(self, method: str, plural: str, old: Object, body: Any) -> Object:
        status = old.get("status") or {}
        if plural == "workerpools" and "replicas" not in old["spec"]:
            raise Refused(500, 'the spec replicas field ".spec.replicas" does not exist')
        if method in ("PATCH", "PUT"):
            new = copy.deepcopy(old)
            new["spec"]["replicas"] = body["spec"]["replicas"]
            given = (body.get("metadata") or {}).get("resourceVersion", "")
            new["metadata"]["resourceVersion"] = given
            old = self.store.update(plural, old, new)
        return {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {
                k: old["metadata"][k] for k in ("name", "namespace", "uid", "resourceVersion")
            },
            "spec": {"replicas": old["spec"].get("replicas", 1)},
            "status": {
                "replicas": status.get("replicas", 0),
                "selector": status.get("selector", ""),
            },
        }

    async def _watch(self, request: web.Request, plural: str, namespace: str) -> web.StreamResponse:
        since = int(request.query.get("resourceVersion") or self.store.version)
        selector = request.query.get("labelSelector", "")
        if since < self.store.oldest:
            return _status(410, "too old resource version")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        listener = asyncio.Event()
        self.store.listeners.add(listener)
        until = self.loop.time() + float(request.query.get("timeoutSeconds") or 300)
        try:
            while self.loop.time() < until and not self.stopping.is_set():
                for version, kind, of, obj in self.store.log:
                    if version <= since or of != plural:
                        continue
                    if namespace in ("", obj["metadata"].get("namespace")) and matches(
                        obj, selector
                    ):
                        await _send(response, {"type": kind, "object": obj})
                since = self.store.version
                listener.clear()
                try:
                    await asyncio.wait_for(listener.wait(), self.bookmark_seconds)
                except TimeoutError:
                    meta = {"resourceVersion": str(since)}
                    kind = next(k[2] for k in _KINDS if k[1] == plural)
                    await _send(
                        response, {"type": "BOOKMARK", "object": {"kind": kind, "metadata": meta}}
                    )
        except (ConnectionResetError, asyncio.CancelledError):
            pass
        finally:
            self.store.listeners.discard(listener)
        return response


async def _send(response: web.StreamResponse, event: Object) -> None:
    await response.write(json.dumps(event).encode() + b"\n")


def _status(code: int, message: str) -> web.Response:
    reasons = {404: "NotFound", 409: "Conflict", 403: "Forbidden", 410: "Expired"}
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reasons.get(code, "InternalError"),
        "code": code,
    }
    return web.json_response(body, status=code)


def _discovery(path: str) -> Object:
    if path == "version":
        return {"major": "1", "minor": "36", "gitVersion": "v1.36.0-test"}
    if path == "api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "apis":
        groups = sorted({k[0] for k in _KINDS if "/" in k[0]})
        return {
            "kind": "APIGroupList",
            "groups": [
                {
                    "name": group.split("/")[0],
                    "versions": [{"groupVersion": group, "version": group.split("/")[1]}],
                    "preferredVersion": {"groupVersion": group, "version": group.split("/")[1]},
                }
                for group in groups
            ],
        }
    group = path.removeprefix("apis/").removeprefix("api/")
    resources: list[Object] = []
    for of, plural, kind, subs in _KINDS:
        if of != group:
            continue
        for name in (plural, *(f"{plural}/{sub}" for sub in subs)):
            resources.append(
                {
                    "name": name,
                    "singularName": kind.lower(),
                    "kind": kind,
                    "namespaced": plural not in _CLUSTERWIDE,
                    "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
                }
            )
    return {"kind": "APIResourceList", "groupVersion": group, "resources": resources}


@contextmanager
def serving() -> Iterator[KubeApi]:
    """Run the server on a free port until the end."""
    api = KubeApi()
    started = threading.Event()

    async def main() -> None:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", api.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        api.port = runner.addresses[0][1]
        started.set()
        await api.stopping.wait()
        for listener in list(api.store.listeners):
            listener.set()  # watches look up and see that it is over
        await runner.cleanup()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=lambda: api.loop.run_until_complete(main()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield api
    finally:
        api.loop.call_soon_threadsafe(api.stopping.set)
        thread.join(10)
        api.loop.close()
