"""`make chart-conform`: every object of every values file against a real API server's own schemas.

Two judges. kubeconform, strictly, with JSON schemas made from what the server serves as /openapi/v3
(its own kinds and the CRDs that are installed); and the server itself, by a server-side dry run in
a namespace of the pod security standard "restricted", whose warnings count as errors. The cluster
is the one of KUBECONFIG, else a fresh control plane of the folder KUBE_TOOLS. Where the programs or
a cluster are missing it says so: on a laptop that is all, where CI is set it fails.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final  # Any: OpenAPI documents, Kubernetes objects

import chart_values
import e2e_operator
import yaml

NAMESPACE: Final = "chart-conform"
NEEDED: Final = ("ServiceAccount", "PriorityClass")  # a pod is refused without them
SECONDS: Final = 120
Object = dict[str, Any]


class NotConforming(Exception):
    """An object that a judge refuses; the message holds all of them."""


def main() -> int:
    """0 when all conform or a person has no cluster, 1 when not, or when CI has none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", type=Path, default=e2e_operator.TOOLS)
    parser.add_argument("--crds", type=Path, action="append", default=[], help="of other projects")
    arguments = parser.parse_args()
    for program in ("helm", "kubectl", "kubeconform"):
        if shutil.which(program) is None:
            return unchecked(f"{program} is not on PATH")
    reachable = bool(os.environ.get("KUBECONFIG"))
    if not reachable and (why := e2e_operator.missing(arguments.tools, e2e_operator.KUBE)):
        return unchecked(f"no cluster in KUBECONFIG, and {why}")
    try:
        with _cluster(arguments.tools):
            _install([chart_values.CHART / "crds", *arguments.crds])
            with tempfile.TemporaryDirectory() as folder:
                kinds = write_schemas(_openapi(), Path(folder))
                print(f"{kinds} kinds from the server's OpenAPI")
                for values in sorted(chart_values.CHART.glob("ci/*-values.yaml")):
                    _judge(values, Path(folder))
    except NotConforming as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def unchecked(why: str) -> int:
    """Say that nothing was checked: 1 where CI is set, whose check would else pass by accident."""
    print(f"not checked: {why}", file=sys.stderr)
    return int(bool(os.environ.get("CI")))


@contextmanager
def _cluster(tools: Path) -> Iterator[None]:
    if os.environ.get("KUBECONFIG"):
        yield
        return
    with e2e_operator.control_plane(tools, e2e_operator.KUBE) as env:
        os.environ["KUBECONFIG"] = env["KUBECONFIG"]
        yield


def _run(command: Sequence[str], text: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def _kubectl(*arguments: str, text: str = "") -> str:
    done = _run(["kubectl", *arguments], text)
    if done.returncode:
        raise NotConforming(f"kubectl {' '.join(arguments[:3])}: {done.stderr}")
    return done.stdout


def _install(folders: Sequence[Path]) -> None:
    """CRDs of this chart and of others, and the restricted namespace."""
    for folder in folders:
        for path in sorted(folder.glob("*.yaml")):
            if "kind: CustomResourceDefinition" in path.read_text("utf-8"):
                _kubectl("apply", "--server-side", "--force-conflicts", "-f", str(path))
    _kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    labels |= {"pod-security.kubernetes.io/warn": "restricted"}
    namespace = {"metadata": {"name": NAMESPACE, "labels": labels}}
    body = json.dumps({"apiVersion": "v1", "kind": "Namespace", **namespace})
    _kubectl("apply", "-f", "-", text=body)


def _openapi() -> Iterator[Object]:
    for path in json.loads(_kubectl("get", "--raw", "/openapi/v3"))["paths"].values():
        yield json.loads(_kubectl("get", "--raw", path["serverRelativeURL"]))


def write_schemas(documents: Iterator[Object], folder: Path) -> int:
    """One strict JSON schema a kind, named as kubeconform looks for it; how many."""
    written = set()
    for document in documents:
        schemas = document.get("components", {}).get("schemas", {})
        for name, schema in schemas.items():
            for kind in schema.get("x-kubernetes-group-version-kind", []):
                group = kind["group"].split(".")[0]
                parts = [kind["kind"], group, kind["version"]]
                file = "-".join(part for part in parts if part).lower() + ".json"
                (folder / file).write_text(json.dumps(_standalone(name, schemas)))
                written.add(file)
    return len(written)


def _standalone(name: str, schemas: dict[str, Object]) -> Object:
    needed, waiting = {}, [name]
    while waiting:
        current = waiting.pop()
        if current not in needed:
            needed[current] = strict(schemas[current])
            text = json.dumps(needed[current])
            waiting += [other for other in schemas if f'#/definitions/{other}"' in text]
    return {"$ref": f"#/definitions/{name}", "definitions": needed}


def strict(schema: Any) -> Any:
    """An OpenAPI schema as JSON schema that knows no other fields."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items() if key not in ("default", "format")}
    if isinstance(made.get("$ref"), str):
        made["$ref"] = made["$ref"].replace("#/components/schemas/", "#/definitions/")
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and not open_ended:
        made.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return made


def _judge(values: Path, schemas: Path) -> None:
    """Both judges on one values file.

    Raises:
        NotConforming: with what they say.
    """
    command = ["helm", "template", "ocrplus", str(chart_values.CHART), "-n", NAMESPACE]
    rendered = _run([*command, "-f", str(values)])
    if rendered.returncode:
        raise NotConforming(rendered.stderr)
    location = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    report = _run(
        ["kubeconform", "-strict", "-summary", "-output=json", "-schema-location", location, "-"],
        rendered.stdout,
    )
    found = json.loads(report.stdout)
    if report.returncode:
        raise NotConforming(f"{values.name}: {json.dumps(found.get('resources'), indent=1)}")
    objects = [entry for entry in yaml.safe_load_all(rendered.stdout) if entry]
    if warnings := _dry_run(objects):
        raise NotConforming(f"{values.name}: {warnings}")
    kinds = Counter(entry["kind"] for entry in objects)
    print(f"{values.name}: {found['summary']['valid']} objects of {len(kinds)} kinds conform")


def _dry_run(objects: list[Object]) -> str:
    """What the server says against objects that it would be given; empty when nothing."""
    there = [entry for entry in objects if entry["kind"] in NEEDED]
    others = [entry for entry in objects if entry["kind"] not in NEEDED]
    _kubectl("apply", "-f", "-", text=_documents(there))
    options = ["--dry-run=server", "--validate=strict", "--output=name"]
    said = _run(["kubectl", "create", *options, "-f", "-"], _documents(others)).stderr
    _kubectl("delete", "--wait=false", "-f", "-", text=_documents(there))
    return said


def _documents(objects: list[Object]) -> str:
    return "---\n".join(json.dumps(entry) + "\n" for entry in objects)


if __name__ == "__main__":
    sys.exit(main())
