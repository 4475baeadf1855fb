"""Every pod of every values file: restricted, limited, probed, configured as its room reads it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chart_render
import pytest
from chart_render import FILES, Object, container, environment, of, pod_templates
from pydantic_settings import BaseSettings

from ocrplus_contract.keys import Keys
from ocrplus_contract.names import GROUP, Pool
from ocrplus_contract.settings import CaptionWorkerSettings, GatewaySettings, OcrSettings
from ocrplus_operator.settings import OperatorSettings

ROOMS: dict[str, type[BaseSettings]] = {
    "gateway": GatewaySettings,
    "ocr-worker": OcrSettings,
    "caption-worker": CaptionWorkerSettings,
    "operator": OperatorSettings,
}
SECRETS = {
    "OCRPLUS_REDIS_URL": "rediss://:secret@server:6380/0",
    "OCRPLUS_AUTH__JWT_SECRET": "0123456789abcdef0123456789abcdef",
}
VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
MOST_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def _pods(file: str) -> Iterator[tuple[str, Object, Object]]:
    for owner, pod in pod_templates(chart_render.render(file)):
        assert len(pod["spec"]["containers"]) == 1
        name = f"{owner['kind']} {owner['metadata']['name']}"
        yield name, pod["spec"], pod["spec"]["containers"][0]


@pytest.mark.parametrize("file", FILES)
def test_every_pod_meets_the_restricted_standard(file: str) -> None:
    for name, pod, inside in _pods(file):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, name
        # OpenShift gives a user of its own; elsewhere it is stated.
        assert security.get("runAsUser", 0) > 0 or file == "openshift-values.yaml", name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for each in [inside, *pod.get("initContainers", [])]:
            assert each["securityContext"] == MOST_RESTRICTED, name
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}, name
        for volume in pod["volumes"]:
            assert volume.keys() - {"name"} <= VOLUMES, name


@pytest.mark.parametrize("file", FILES)
def test_no_pod_is_given_the_variables_of_services(file: str) -> None:
    assert all(pod["enableServiceLinks"] is False for _, pod, _ in _pods(file))


@pytest.mark.parametrize("file", FILES)
def test_only_what_speaks_to_the_api_server_has_a_token(file: str) -> None:
    with_token = {
        inside["name"] for _, pod, inside in _pods(file) if pod["automountServiceAccountToken"]
    }

    assert with_token <= {"operator", "crd-upgrade"}
    accounts = chart_render.all_of(chart_render.render(file), "ServiceAccount")
    assert all(account["automountServiceAccountToken"] is False for account in accounts)


@pytest.mark.parametrize("file", FILES)
def test_every_container_has_requests_a_memory_limit_and_probes(file: str) -> None:
    for name, _, inside in _pods(file):
        resources = inside["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys(), name
        assert "memory" in resources["limits"], name
        if inside["name"] not in ("smoke", "crd-upgrade"):
            assert "livenessProbe" in inside, name
            assert {"startupProbe", "readinessProbe"} & inside.keys(), name


@pytest.mark.parametrize("file", FILES)
def test_every_volume_is_mounted_and_every_mount_has_a_volume(file: str) -> None:
    for entry, pod in pod_templates(chart_render.render(file)):
        volumes = [volume["name"] for volume in pod["spec"]["volumes"]]
        claims = entry["spec"].get("volumeClaimTemplates", [])
        volumes += [claim["metadata"]["name"] for claim in claims]
        mounts = [mount["name"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]
        assert sorted(volumes) == sorted(mounts), entry["metadata"]["name"]


@pytest.mark.parametrize("file", FILES)
def test_no_secret_stands_outside_a_secret(file: str) -> None:
    objects = chart_render.render(file)
    secrets = [
        word
        for secret in chart_render.all_of(objects, "Secret")
        for word in secret["data"].values()
        if len(word) > 16
    ]
    others = str([entry for entry in objects if entry["kind"] != "Secret"])

    assert not [word for word in secrets if word in others]
    for name, _, inside in _pods(file):
        for entry in inside.get("env", []):
            secret = re.search(r"PASSWORD|SECRET|API_KEY|ACCESS_KEY|_URL$|AUTH$", entry["name"])
            if secret and "value" in entry:
                assert "@" not in entry["value"], f"{name} {entry['name']}"
                assert entry["name"].endswith("URL"), f"{name} {entry['name']}"


@pytest.mark.parametrize("file", FILES)
def test_every_room_reads_the_variables_that_its_pods_are_given(
    file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text("secret *")
    (tmp_path / "ca.crt").write_text("a certificate")
    for name in [name for name in os.environ if name.startswith(("OCRPLUS_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    for name, _, inside in _pods(file):
        room = ROOMS.get(inside["name"])
        if room is None:
            continue
        variables = [entry["name"] for entry in inside["env"]]
        assert len(variables) == len(set(variables)), f"{name} gives a variable twice"
        with pytest.MonkeyPatch.context() as patch:
            for entry in inside["env"]:
                value = re.sub("/etc/ocrplus/(auth|s3-ca)", str(tmp_path), _value(entry))
                patch.setenv(entry["name"], value)
            settings = room()  # an unknown variable or a wrong value raises
        assert settings.metrics_port == _port(inside, "metrics")  # type: ignore[attr-defined]


def _value(entry: Object) -> str:
    if "value" in entry:
        assert isinstance(entry["value"], str)
        return entry["value"]
    source = entry["valueFrom"]
    if "resourceFieldRef" in source:
        return "4"
    if "fieldRef" in source:
        return "pod-1"
    return SECRETS.get(entry["name"], "secret")


def _port(inside: Object, name: str) -> int:
    return next(port["containerPort"] for port in inside["ports"] if port["name"] == name)


@pytest.mark.parametrize("file", FILES)
def test_images_have_a_tag_or_digest_and_come_from_the_registry(file: str) -> None:
    registry = {
        "air-gapped-values.yaml": "registry.internal.example:5000/",
        "everything-values.yaml": "registry.example.org/",
    }.get(file, "")

    for name, pod, inside in _pods(file):
        image = inside["image"]
        assert image.startswith(registry), name
        assert re.search(r":[^/:]+$", image) and not image.endswith(":latest"), name
        assert bool(registry) == bool(pod.get("imagePullSecrets")), name


def test_a_parent_charts_registry_wins() -> None:
    values = {"global": {"imageRegistry": "mirror.test:5000"}, "image": {"registry": "other"}}

    for _, pod in pod_templates(chart_render.render(values=values)):
        assert pod["spec"]["containers"][0]["image"].startswith("mirror.test:5000/")


def test_names_of_images_are_the_agreed_ones() -> None:
    images = {inside["name"]: inside["image"] for _, _, inside in _pods("s3-values.yaml")}
    cpu = {inside["name"]: inside["image"] for _, _, inside in _pods("cpu-values.yaml")}
    paddle = {inside["name"]: inside["image"] for _, _, inside in _pods("gpu-values.yaml")}

    assert images["gateway"] == "ocrplus/gateway:0.1.0"
    assert images["operator"] == "ocrplus/operator:0.1.0"
    assert images["ocr-worker"] == "ocrplus/ocr-worker:0.1.0-gpu-onnx"
    assert cpu["ocr-worker"] == "ocrplus/ocr-worker:0.1.0-cpu"
    assert paddle["ocr-worker"] == "ocrplus/ocr-worker:0.1.0-gpu"


def test_an_ocr_worker_asks_for_one_gpu_by_default_and_tolerates_its_taint() -> None:
    pod = of(chart_render.render(), "Deployment", "ocrplus-ocr-worker")["spec"]["template"]["spec"]
    resources = pod["containers"][0]["resources"]

    assert resources["limits"]["nvidia.com/gpu"] == 1
    assert resources["requests"]["nvidia.com/gpu"] == 1
    assert pod["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]


def test_an_upgrade_needs_no_gpu_to_spare() -> None:
    strategy = of(chart_render.render(), "Deployment", "ocrplus-ocr-worker")["spec"]["strategy"]

    assert strategy == {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


def test_the_cpu_values_name_no_gpu_anywhere() -> None:
    text = str(chart_render.render("cpu-values.yaml")).lower()

    assert "nvidia" not in text
    assert "'device': 'gpu" not in text


def test_a_busy_pod_never_turns_not_ready() -> None:
    for name in ("ocr-worker", "caption-worker"):
        objects = chart_render.render("everything-values.yaml")
        worker = container(objects, "Deployment", f"everything-{name}")

        assert "readinessProbe" not in worker, (
            "the ReplicaSet removes pods that are not ready first"
        )
        assert "startupProbe" in worker


def test_an_ocr_worker_may_end_its_longest_chunk() -> None:
    objects = chart_render.render()
    spec = of(objects, "Deployment", "ocrplus-ocr-worker")["spec"]["template"]["spec"]
    gateway = environment(container(objects, "Deployment", "ocrplus-gateway"))
    worker = environment(spec["containers"][0])
    longest = int(gateway["OCRPLUS_CHUNK_PAGES"]["value"]) * int(
        worker["OCRPLUS_PAGE_DEADLINE_SECONDS"]["value"]
    )

    assert spec["terminationGracePeriodSeconds"] > longest
    assert longest == GatewaySettings().chunk_pages * OcrSettings().page_deadline_seconds


@pytest.mark.parametrize("file", FILES)
def test_whoever_scales_is_the_only_one_that_writes_replicas(file: str) -> None:
    objects = chart_render.render(file)
    scaled = {
        target["spec"].get("targetRef", target["spec"].get("scaleTargetRef"))["name"]
        for kind in ("WorkerPool", "ScaledObject", "HorizontalPodAutoscaler")
        for target in chart_render.all_of(objects, kind)
    }

    assert len(scaled) >= 1
    for deployment in chart_render.all_of(objects, "Deployment"):
        name = deployment["metadata"]["name"]
        assert ("replicas" in deployment["spec"]) == (name not in scaled), name


def test_without_operator_and_keda_the_chart_writes_the_replicas() -> None:
    objects = chart_render.render(
        values={"operator": {"enabled": False}, "captions": {"baseUrl": "http://model"}}
    )

    for name in ("ocr-worker", "caption-worker"):
        assert of(objects, "Deployment", f"ocrplus-{name}")["spec"]["replicas"] == 1
    assert not chart_render.all_of(objects, "WorkerPool")


def test_without_a_model_to_ask_there_is_no_caption_worker() -> None:
    off = chart_render.render("cpu-values.yaml")
    on = chart_render.render("air-gapped-values.yaml")

    assert "ocrplus-caption-worker" not in str(off)
    gateway = environment(container(off, "Deployment", "ocrplus-gateway"))
    assert gateway["OCRPLUS_CAPTION__ENABLED"]["value"] == "off"
    assert environment(container(on, "Deployment", "ocrplus-gateway"))[
        "OCRPLUS_CAPTION__ENABLED"
    ] == {"name": "OCRPLUS_CAPTION__ENABLED", "value": "on"}
    assert of(on, "Deployment", "ocrplus-caption-worker")


def test_one_engine_uses_the_pods_cores_and_several_are_told_how_many() -> None:
    def threads(file: str = "cpu-values.yaml", **worker: Any) -> Object | None:
        objects = chart_render.render(file, {"ocrWorker": worker})
        found = environment(container(objects, "Deployment", "ocrplus-ocr-worker"))
        return found.get("OCRPLUS_ENGINE_THREADS")

    alone = threads()
    assert alone is not None and "resourceFieldRef" in alone["valueFrom"]
    assert threads(workersPerReplica=2) is None
    assert threads("gpu-onnx-values.yaml") is None
    assert threads(workersPerReplica=2, engineThreads=3) == {
        "name": "OCRPLUS_ENGINE_THREADS",
        "value": "3",
    }


@pytest.mark.parametrize("file", FILES)
def test_pools_and_scalers_count_the_streams_that_the_contract_names(file: str) -> None:
    objects = chart_render.render(file)
    prefix = "blue:" if file.startswith("everything") else ""
    keys = Keys(prefix)

    for pool in chart_render.all_of(objects, "WorkerPool"):
        source = pool["spec"]["source"]
        assert source["pool"] == Pool(source["celeryQueue"])
        assert source["redis"].get("keyPrefix", "") == prefix
        assert pool["spec"]["targetRef"]["name"].endswith(f"{source['pool']}-worker")
    for scaled in chart_render.all_of(objects, "ScaledObject"):
        metadata = [trigger["metadata"] for trigger in scaled["spec"]["triggers"]]
        pool_name = scaled["metadata"]["name"].split("-")[1]
        assert {entry["stream"] for entry in metadata} == {keys.work(Pool(pool_name))}
        assert {entry["consumerGroup"] for entry in metadata} == {GROUP}
        assert len(metadata) == 2
        assert [("lagCount" in m, "pendingEntriesCount" in m) for m in metadata] == [
            (True, False),
            (False, True),
        ]
