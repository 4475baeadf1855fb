"""What the objects of a release say to each other, and to the operator and the contract."""

import json
import re
from pathlib import Path
from typing import Any

import chart_render
import jsonschema_rs
import pytest
import yaml
from chart_render import CHART, FILES, Objects, all_of, container, environment, of

from ocrplus_contract.settings import CaptionWorkerSettings, GatewaySettings, OcrSettings
from ocrplus_operator.settings import OperatorSettings

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden" / "selectors.json"
CRD = yaml.safe_load((CHART / "crds" / "workerpools.yaml").read_text("utf-8"))
POOL_SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
ALL = "everything-values.yaml"
JWT = {
    "mode": "jwt",
    "jwt": {
        "jwksUrl": "https://login.test/keys",
        "issuer": "https://login.test",
        "audience": "ocr",
    },
}
CLUSTER_WIDE = {"PriorityClass", "ClusterRole", "ClusterRoleBinding"}


def _selected(objects: Objects, selector: dict[str, str]) -> list[str]:
    """Names of what runs pods that carry these labels."""
    return [
        owner["metadata"]["name"]
        for owner, pod in chart_render.pod_templates(objects)
        if selector.items() <= pod["metadata"]["labels"].items()
    ]


@pytest.mark.parametrize("file", FILES)
def test_every_object_is_in_the_releases_namespace_with_the_recommended_labels(file: str) -> None:
    for entry in chart_render.render(file):
        metadata = entry["metadata"]
        assert entry["kind"] in CLUSTER_WIDE or metadata["namespace"] == chart_render.NAMESPACE
        labels = metadata["labels"]
        assert labels["app.kubernetes.io/instance"] == chart_render.RELEASE
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        if file == ALL:
            assert labels["team"] == "documents"
            assert metadata["annotations"]["example.org/owner"] == "platform"


def test_components_have_the_agreed_names() -> None:
    objects = chart_render.render(values={"captions": {"baseUrl": "http://model"}})
    names = {entry["metadata"]["name"] for entry in all_of(objects, "Deployment")}
    names |= {entry["metadata"]["name"] for entry in all_of(objects, "StatefulSet")}

    assert names == {
        f"ocrplus-{part}"
        for part in ("gateway", "ocr-worker", "caption-worker", "operator", "redis")
    }
    assert of(objects, "Secret", "ocrplus-auth")["data"].keys() == {"tokens"}
    assert of(objects, "Service", "ocrplus-gateway")["spec"]["ports"][0]["port"] == 8080


def test_another_release_has_other_names_throughout() -> None:
    objects = chart_render.render("cpu-values.yaml", release="blue")

    for entry in objects:
        name = entry["metadata"]["name"].removeprefix(f"{chart_render.NAMESPACE}.")
        assert name.startswith("blue-ocrplus-")


def test_releases_of_one_name_in_two_namespaces_share_no_object() -> None:
    values = {"priorityClasses": {"create": True}}
    named = [
        {_identity(entry) for entry in chart_render.render(values=values, namespace=namespace)}
        for namespace in ("team-a", "team-b")
    ]

    assert not named[0] & named[1]
    assert {kind for kind, _, where in named[0] if not where} == CLUSTER_WIDE


def _identity(entry: dict[str, Any]) -> tuple[str, str, str]:
    metadata = entry["metadata"]
    return entry["kind"], metadata["name"], metadata.get("namespace", "")


def test_a_release_and_a_namespace_may_be_called_by_a_number() -> None:
    for entry in chart_render.render("cpu-values.yaml", release="7", namespace="8"):
        assert entry["metadata"].get("namespace", "8") == "8"
        assert entry["metadata"]["labels"]["app.kubernetes.io/instance"] == "7"


def test_a_components_label_wins_over_the_common_one() -> None:
    common = {"commonLabels": {"team": "a", "tier": "b"}, "gateway": {"podLabels": {"team": "c"}}}
    objects = chart_render.render(values=common)
    pods = of(objects, "Deployment", "ocrplus-gateway")["spec"]["template"]["metadata"]["labels"]

    assert (pods["team"], pods["tier"]) == ("c", "b")
    assert of(objects, "Service", "ocrplus-gateway")["metadata"]["labels"]["team"] == "a"
    assert of(objects, "Pod", "ocrplus-test")["metadata"]["labels"]["team"] == "c"


def test_ports_are_those_that_the_rooms_listen_on_by_themselves() -> None:
    objects = chart_render.render(values={"captions": {"baseUrl": "http://model"}})
    rooms = {
        "gateway": GatewaySettings().metrics_port,
        "ocr-worker": OcrSettings().metrics_port,
        "caption-worker": CaptionWorkerSettings().metrics_port,
        "operator": OperatorSettings().metrics_port,
    }

    for name, port in rooms.items():
        inside = container(objects, "Deployment", f"ocrplus-{name}")
        ports = {entry["name"]: entry["containerPort"] for entry in inside["ports"]}
        assert ports["metrics"] == port
    gateway = environment(container(objects, "Deployment", "ocrplus-gateway"))
    assert int(gateway["OCRPLUS_PORT"]["value"]) == GatewaySettings().port == 8080


@pytest.mark.parametrize("file", FILES)
def test_everything_that_selects_pods_selects_those_of_one_component(file: str) -> None:
    objects = chart_render.render(file)
    for entry in objects:
        spec = entry.get("spec", {})
        if entry["kind"] == "Service":
            assert len(_selected(objects, spec["selector"])) == 1, entry["metadata"]["name"]
        if entry["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget", "PodMonitor"):
            selector = (spec.get("selector") or {})["matchLabels"]
            assert len(_selected(objects, selector)) == 1, entry["metadata"]["name"]


def test_selectors_are_those_of_the_first_version() -> None:
    found = {}
    for release in ("ocrplus", "blue"):
        objects = chart_render.render(
            "s3-values.yaml", {"captions": {"baseUrl": "http://model"}}, release
        )
        for kind in ("Deployment", "StatefulSet", "Service"):
            for entry in all_of(objects, kind):
                selector = entry["spec"]["selector"]
                found[f"{kind}/{entry['metadata']['name']}"] = selector.get("matchLabels", selector)
    golden = json.loads(GOLDEN.read_text("utf-8"))

    assert found == golden, "an upgrade cannot change selectors: every installation would break"


def test_selectors_carry_no_version() -> None:
    golden = json.loads(GOLDEN.read_text("utf-8"))

    keys = {key for selector in golden.values() for key in selector}
    assert keys == {f"app.kubernetes.io/{name}" for name in ("name", "instance", "component")}


def test_a_new_version_of_the_chart_alone_restarts_no_pod() -> None:
    for _, pod in chart_render.pod_templates(chart_render.render("gpu-values.yaml")):
        labels = pod["metadata"]["labels"]
        if "test" not in str(labels):
            assert not {"helm.sh/chart", "app.kubernetes.io/version"} & labels.keys()


@pytest.mark.parametrize("file", FILES)
def test_worker_pools_satisfy_the_crd_and_name_what_exists(file: str) -> None:
    objects = chart_render.render(file)
    deployments = {entry["metadata"]["name"]: entry for entry in all_of(objects, "Deployment")}

    for pool in all_of(objects, "WorkerPool"):
        spec = pool["spec"]
        jsonschema_rs.validator_for(_closed(POOL_SCHEMA)).validate(pool)
        target = deployments[spec["targetRef"]["name"]]["spec"]["template"]["spec"]
        variables = environment(target["containers"][0])
        grace = target["terminationGracePeriodSeconds"]
        assert grace >= spec["scaleDown"]["drainTimeoutSeconds"]
        lease = variables["OCRPLUS_LEASE_SECONDS"]["value"]
        assert spec["source"]["leaseSeconds"] == int(lease)
        secret = variables["OCRPLUS_REDIS_URL"]["valueFrom"]["secretKeyRef"]
        assert spec["source"]["redis"]["secretRef"] == secret
        pod = variables["OCRPLUS_POD_NAME"]["valueFrom"]["fieldRef"]["fieldPath"]
        assert pod == "metadata.name", "workers and operator must call a pod alike"
        if "OCRPLUS_WORKERS_PER_REPLICA" in variables:
            workers = int(variables["OCRPLUS_WORKERS_PER_REPLICA"]["value"])
            assert spec["limits"]["workersPerReplica"] == workers


def _closed(part: Any) -> Any:
    """A CRD's schema as JSON schema: unknown fields would be pruned, here they fail."""
    if isinstance(part, list):
        return [_closed(entry) for entry in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(value) for key, value in part.items() if key != "format"}
    if "properties" in part and "spec" not in part["properties"]:
        closed["additionalProperties"] = False
    return closed


def test_the_defaults_of_the_gpu_pool_are_those_of_the_crd() -> None:
    spec = of(chart_render.render(), "WorkerPool", "ocrplus-ocr-worker")["spec"]
    fields = POOL_SCHEMA["properties"]["spec"]["properties"]

    for group in ("objective", "scaleDown", "scaleToZero", "startup", "limits"):
        for name, value in spec[group].items():
            assert value == fields[group]["properties"][name]["default"], f"{group}.{name}"


def test_the_operators_rights_are_those_of_its_own_manifest() -> None:
    documents = yaml.safe_load_all((ROOT / "operator/manifests/rbac.yaml").read_text("utf-8"))
    own = next(entry for entry in documents if entry["kind"] == "Role")
    objects = chart_render.render(values={"captions": {"baseUrl": "http://model"}})

    assert of(objects, "Role", "ocrplus-operator")["rules"] == own["rules"]


def test_an_operator_without_captions_may_not_touch_a_caption_worker() -> None:
    role = of(chart_render.render("cpu-values.yaml"), "Role", "ocrplus-operator")

    assert "caption" not in str(role)


def test_the_operator_may_read_the_secret_and_scale_the_targets_of_its_pools_only() -> None:
    objects = chart_render.render(ALL)
    role = of(objects, "Role", "everything-operator")
    named = {
        (rule["resources"][0], name)
        for rule in role["rules"]
        for name in rule.get("resourceNames", [])
    }
    pools = all_of(objects, "WorkerPool")

    targets = {pool["spec"]["targetRef"]["name"] for pool in pools}
    secrets = {pool["spec"]["source"]["redis"]["secretRef"]["name"] for pool in pools}
    assert {name for kind, name in named if kind == "deployments/scale"} == targets
    assert {name for kind, name in named if kind == "secrets"} == secrets
    lease = environment(container(objects, "Deployment", "everything-operator"))
    assert ("leases", lease["OCRPLUS_OPERATOR__LEASE_NAME"]["value"]) in named


def test_the_crd_is_brought_up_to_date_before_an_upgrade_with_the_right_to_it_alone() -> None:
    objects = chart_render.render()
    hooks = [entry for entry in objects if "crd-upgrade" in entry["metadata"]["name"]]
    applied = of(objects, "ConfigMap", "ocrplus-crd-upgrade")["data"]["workerpools.yaml"]

    assert yaml.safe_load(applied) == CRD
    for entry in hooks:
        if entry["kind"] != "NetworkPolicy":
            assert entry["metadata"]["annotations"]["helm.sh/hook"] == "pre-upgrade"
    assert len(hooks) == 6
    role = of(objects, "ClusterRole")
    binding = of(objects, "ClusterRoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    (rule,) = role["rules"]
    assert rule["resourceNames"] == ["workerpools.ocrplus.io"]
    assert set(rule["verbs"]) == {"get", "patch"}
    off = chart_render.render(values={"operator": {"crdUpgrade": {"enabled": False}}})
    assert not all_of(off, "ClusterRole") and not all_of(off, "Job")


def test_the_test_runs_the_gateways_own_client_with_the_token() -> None:
    objects = chart_render.render("cpu-values.yaml")
    pod = of(objects, "Pod", "ocrplus-test")
    (smoke,) = pod["spec"]["containers"]

    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert smoke["command"] == ["python", "-m", "ocrplus_gateway.smoke"]
    assert smoke["image"] == container(objects, "Deployment", "ocrplus-gateway")["image"]
    assert smoke["args"][0] == "ws://ocrplus-gateway:8080"
    assert "--tokens-file=/etc/ocrplus/auth/tokens" in smoke["args"]
    logged = pod["metadata"]["annotations"]["helm.sh/hook-output-log-policy"]
    assert logged == "hook-succeeded,hook-failed", "the pod is gone when --logs looks for it"
    assert pod["spec"]["volumes"][1]["secret"]["secretName"] == "ocrplus-auth"


# Redis and blobs


def test_the_server_appends_evicts_nothing_and_keeps_its_password_out_of_arguments() -> None:
    objects = chart_render.render("cpu-values.yaml")
    config = of(objects, "ConfigMap", "ocrplus-redis")["data"]["server.conf"].splitlines()
    server = container(objects, "StatefulSet", "ocrplus-redis")

    assert {"appendonly yes", "maxmemory-policy noeviction", "maxmemory 512mb"} <= set(config)
    assert environment(server)["PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == "ocrplus-redis"
    assert "$PASSWORD" in server["args"][0] and "requirepass" not in str(config)
    assert of(objects, "Secret", "ocrplus-redis")["data"].keys() == {"password", "url"}


def test_an_external_server_is_named_by_its_secret_and_trusted_by_its_authority() -> None:
    objects = chart_render.render("external-redis-values.yaml")

    assert not all_of(objects, "StatefulSet")
    for name in ("gateway", "ocr-worker"):
        inside = container(objects, "Deployment", f"ocrplus-{name}")
        source = environment(inside)["OCRPLUS_REDIS_URL"]["valueFrom"]["secretKeyRef"]
        assert source == {"name": "company-redis", "key": "url"}
        assert {"name": "redis-ca", "mountPath": "/etc/ocrplus/redis-ca", "readOnly": True} in (
            inside["volumeMounts"]
        )
    operator = container(objects, "Deployment", "ocrplus-operator")
    assert "redis-ca" in str(operator["volumeMounts"])


def test_keys_of_a_bucket_come_from_a_secret_and_all_services_see_the_same_bucket() -> None:
    objects = chart_render.render("s3-values.yaml", {"captions": {"baseUrl": "http://model"}})

    for name in ("gateway", "ocr-worker", "caption-worker"):
        found = environment(container(objects, "Deployment", f"ocrplus-{name}"))
        assert found["OCRPLUS_BLOB_URL"]["value"] == "s3://ocrplus/production"
        assert found["AWS_ENDPOINT_URL"]["value"] == "http://minio.storage.svc:9000"
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            source = found[variable]["valueFrom"]["secretKeyRef"]
            assert source["name"] == "ocrplus-bucket"


def test_a_volume_of_blobs_is_shared_by_all_services_and_kept() -> None:
    objects = chart_render.render("air-gapped-values.yaml")
    claim = of(objects, "PersistentVolumeClaim")

    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    for name in ("gateway", "ocr-worker", "caption-worker"):
        inside = container(objects, "Deployment", f"ocrplus-{name}")
        assert environment(inside)["OCRPLUS_BLOB_URL"]["value"] == "file:///blobs"
        assert {"name": "blobs", "mountPath": "/blobs"} in inside["volumeMounts"]


# Authentication


def test_the_generated_token_is_made_once_and_never_written_again() -> None:
    annotations = of(chart_render.render(), "Secret", "ocrplus-auth")["metadata"]["annotations"]

    # As a hook it is no part of the release: neither upgrade nor rollback nor uninstall touches it.
    assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
    # Without a policy of its own a hook is deleted before it is made.
    assert annotations["helm.sh/hook-delete-policy"] == "hook-failed"
    assert annotations["helm.sh/resource-policy"] == "keep"


def test_a_named_secret_is_used_and_none_is_made() -> None:
    objects = chart_render.render("air-gapped-values.yaml")
    pod = of(objects, "Deployment", "ocrplus-gateway")["spec"]["template"]["spec"]

    assert "ocrplus-auth" not in str(objects)
    assert "ocrplus-tokens" in str(pod["volumes"])


# Routes


def test_an_ingress_names_the_websocket_path_apart() -> None:
    rules = of(chart_render.render(ALL), "Ingress")["spec"]["rules"]
    paths = [path["path"] for rule in rules for path in rule["http"]["paths"]]

    assert paths == ["/ws", "/"]


def test_contour_lets_websockets_through_and_waits_for_answers() -> None:
    annotations = of(chart_render.render(ALL), "Ingress")["metadata"]["annotations"]

    assert annotations["projectcontour.io/websocket-routes"] == "/ws"
    assert annotations["projectcontour.io/response-timeout"] == "infinity"
    assert annotations["cert-manager.io/cluster-issuer"] == "letsencrypt"


def test_nginx_lets_pass_what_the_gateway_itself_must_judge() -> None:
    ingress = {"enabled": True, "controller": "nginx", "hosts": ["a.test"]}
    annotations = of(chart_render.render(values={"ingress": ingress}), "Ingress")["metadata"][
        "annotations"
    ]
    megabytes = int(annotations["nginx.ingress.kubernetes.io/proxy-body-size"].removesuffix("m"))

    assert megabytes * 2**20 > GatewaySettings().max_frame_bytes
    assert megabytes >= 120
    assert annotations["nginx.ingress.kubernetes.io/proxy-request-buffering"] == "off"
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) >= 3600


def test_a_users_own_annotation_wins() -> None:
    own = {"nginx.ingress.kubernetes.io/proxy-body-size": "1g"}
    ingress = {"enabled": True, "controller": "nginx", "hosts": ["a.test"], "annotations": own}
    objects = chart_render.render(values={"ingress": ingress})

    assert own.items() <= of(objects, "Ingress")["metadata"]["annotations"].items()


def test_an_http_route_sets_no_limit_to_a_request() -> None:
    (rule,) = of(chart_render.render(ALL), "HTTPRoute")["spec"]["rules"]

    assert rule["timeouts"] == {"request": "0s"}
    assert rule["backendRefs"] == [{"name": "everything-gateway", "port": 80}]


# Monitors and scalers


def test_monitors_scrape_ports_that_exist() -> None:
    objects = chart_render.render(ALL)
    monitor = of(objects, "ServiceMonitor")
    labels = monitor["spec"]["selector"]["matchLabels"]
    services = [
        entry
        for entry in all_of(objects, "Service")
        if labels.items() <= entry["metadata"]["labels"].items()
    ]

    assert [port["name"] for port in services[0]["spec"]["ports"]] == ["metrics"]
    assert len(services) == 1
    assert len(all_of(objects, "PodMonitor")) == 3
    for entry in [monitor, *all_of(objects, "PodMonitor")]:
        assert entry["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_keda_adds_up_what_waits_and_what_is_in_hand() -> None:
    objects = chart_render.render("keda-values.yaml")
    scaled = of(objects, "ScaledObject", "ocrplus-ocr-worker")["spec"]

    names = [trigger["name"] for trigger in scaled["triggers"]]
    assert scaled["advanced"]["scalingModifiers"]["formula"] == " + ".join(names)
    address = {trigger["metadata"]["address"] for trigger in scaled["triggers"]}
    assert address == {f"ocrplus-redis.{chart_render.NAMESPACE}.svc:6379"}
    reference = {trigger["authenticationRef"]["name"] for trigger in scaled["triggers"]}
    assert reference == {of(objects, "TriggerAuthentication")["metadata"]["name"]}
    assert not all_of(objects, "WorkerPool") and "ocrplus-operator" not in str(objects)


def test_priority_classes_are_used_where_none_is_named() -> None:
    objects = chart_render.render(ALL)
    used = {
        owner["metadata"]["name"]: pod["spec"].get("priorityClassName")
        for owner, pod in chart_render.pod_templates(objects)
    }

    control = "documents.everything-control"
    assert used["everything-gateway"] == used["everything-operator"] == control
    assert used["everything-caption-worker"] == "documents.everything-work"
    assert used["everything-ocr-worker"] == "gpu-batch"
    classes = {entry["metadata"]["name"] for entry in all_of(objects, "PriorityClass")}
    assert classes == {control, "documents.everything-work"}


def test_the_hook_before_an_upgrade_needs_no_priority_class_that_comes_with_it() -> None:
    objects = chart_render.render(values={"priorityClasses": {"create": True}})
    own = {"operator": {"priorityClassName": "mine"}}
    named = chart_render.render(values=own)

    assert "priorityClassName" not in of(objects, "Job")["spec"]["template"]["spec"]
    assert of(named, "Job")["spec"]["template"]["spec"]["priorityClassName"] == "mine"


# Network


@pytest.mark.parametrize("file", FILES)
def test_every_pod_is_shut_off_and_has_a_policy_of_its_own(file: str) -> None:
    objects = chart_render.render(file)
    policies = all_of(objects, "NetworkPolicy")
    deny = of(objects, "NetworkPolicy", _full(file) + "-default-deny")["spec"]

    assert deny.keys() == {"podSelector", "policyTypes"}
    owners = {owner["metadata"]["name"] for owner, _ in chart_render.pod_templates(objects)}
    assert set(_selected(objects, deny["podSelector"]["matchLabels"])) == owners
    for policy in policies:
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    # The hook's stands in every release: an upgrade that switches the operator on runs it at once.
    hook = _full(file) + "-crd-upgrade"
    assert {policy["metadata"]["name"] for policy in policies} - {
        _full(file) + "-default-deny"
    } == owners | {hook}


def _full(file: str) -> str:
    return "everything" if file == ALL else "ocrplus"


def test_redis_is_reached_by_those_that_need_it_and_by_nobody_else() -> None:
    objects = chart_render.render("cpu-values.yaml")
    (rule,) = of(objects, "NetworkPolicy", "ocrplus-redis")["spec"]["ingress"]
    (peer,) = rule["from"]

    (chosen,) = peer["podSelector"]["matchExpressions"]
    assert chosen["values"] == ["gateway", "ocr-worker", "caption-worker", "operator"]
    assert "egress" not in of(objects, "NetworkPolicy", "ocrplus-redis")["spec"]


def test_without_a_bucket_or_provider_gateway_and_workers_reach_names_and_redis_only() -> None:
    objects = chart_render.render("cpu-values.yaml")

    for name in ("gateway", "ocr-worker"):
        rules = of(objects, "NetworkPolicy", f"ocrplus-{name}")["spec"]["egress"]
        ports = {port["port"] for rule in rules for port in rule["ports"]}
        assert ports == {53, 6379}


def test_ports_of_the_bucket_and_the_model_are_let_through() -> None:
    bucket = chart_render.render("s3-values.yaml")
    model = chart_render.render("air-gapped-values.yaml")

    assert "9000" in str(of(bucket, "NetworkPolicy", "ocrplus-ocr-worker")["spec"]["egress"])
    captions = of(model, "NetworkPolicy", "ocrplus-caption-worker")["spec"]["egress"]
    (beyond,) = [rule for rule in captions if "ipBlock" in str(rule)]
    assert beyond["ports"] == [{"port": 8000, "protocol": "TCP"}]


@pytest.mark.parametrize("file", FILES)
def test_no_rule_is_open_because_a_list_came_out_empty(file: str) -> None:
    for policy in all_of(chart_render.render(file), "NetworkPolicy"):
        for way in ("ingress", "egress"):
            for rule in policy["spec"].get(way, []):
                assert rule and all(value for value in rule.values()), policy["metadata"]["name"]


def test_a_url_without_a_port_lets_its_schemes_own_through() -> None:
    captions = {"captions": {"baseUrl": "https://model.example.org/v1"}}
    plain = {"captions": {"baseUrl": "http://model/v1"}}
    bucket = {"blobs": {"type": "s3", "s3": {"bucket": "b"}}}

    def ports(values: dict[str, Any], name: str) -> set[int]:
        rules = of(chart_render.render(values=values), "NetworkPolicy", name)["spec"]["egress"]
        return {port["port"] for rule in rules for port in rule["ports"]} - {53, 6379}

    assert ports(captions, "ocrplus-caption-worker") == {443}
    assert ports(plain, "ocrplus-caption-worker") == {80}
    assert ports(bucket, "ocrplus-ocr-worker") == {443}


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("redis://h:7000/0", {7000}),
        ("redis://h", set()),
        ("rediss://[fd00::1]:7001/0?a=b:9", {7001}),
        ("redis+sentinel://a:26380,b:26381/main/0", {26380, 26381}),
    ],
)
def test_the_ports_of_an_external_servers_url_are_let_through(url: str, more: set[int]) -> None:
    values = {"redis": {"enabled": False}, "externalRedis": {"url": url}}
    objects = chart_render.render(values=values)

    for name in ("gateway", "ocr-worker", "operator"):
        rules = of(objects, "NetworkPolicy", f"ocrplus-{name}")["spec"]["egress"]
        ports = [port["port"] for rule in rules for port in rule["ports"]]
        assert {6379, 6380, 26379} | more <= set(ports)
        assert set(ports) <= {53, 443, 6443, 6379, 6380, 26379} | more


def test_spans_are_sent_where_a_collector_is_named_and_its_port_is_let_through() -> None:
    values = {
        "tracing": {
            "endpoint": "http://collector.observability:4318",
            "sampleRatio": 0.05,
            "resourceAttributes": {"deployment.environment.name": "blue, west"},
        }
    }
    off, on = chart_render.render(), chart_render.render(values=values)

    def variables(objects: Any, name: str) -> dict[str, Any]:
        (container,) = of(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"]
        found = {one["name"]: one.get("value") for one in container["env"]}
        return {name: value for name, value in found.items() if name.startswith("OTEL_")}

    for name in ("ocrplus-gateway", "ocrplus-ocr-worker"):
        assert variables(off, name) == {}
        assert variables(on, name) == {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.observability:4318",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.05",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=blue%2C%20west",
        }
        rules = of(on, "NetworkPolicy", name)["spec"]["egress"]
        assert {"ports": [{"port": 4318, "protocol": "TCP"}]} in rules
        assert "4318" not in str(of(off, "NetworkPolicy", name))


def test_policies_may_be_left_out() -> None:
    objects = chart_render.render(values={"networkPolicy": {"enabled": False}})

    assert not all_of(objects, "NetworkPolicy")


# Notes


@pytest.mark.parametrize("file", FILES)
def test_notes_say_what_to_do_next(file: str) -> None:
    text = chart_render.notes(file)

    assert "helm test ocrplus" in text
    assert not re.search(r"<no value>|%!|\n\n\n\n", text)


def test_notes_name_the_way_in_that_was_made() -> None:
    assert "https://ocr.example.org/v1/tasks" in chart_render.notes(ALL)
    assert "http://127.0.0.1:8080/v1/tasks" in chart_render.notes("cpu-values.yaml")


def test_notes_warn_of_what_is_open_or_lost() -> None:
    text = chart_render.notes(
        values={
            "auth": {"mode": "none"},
            "redis": {"persistence": {"enabled": False}},
            "ocrWorker": {"terminationGracePeriodSeconds": 600},
        }
    )

    assert "auth.mode is none" in text
    assert "loses every job" in text
    assert "below the longest chunk (1920 s)" in text
    assert "Captions are off" in text


def test_notes_say_how_a_provider_gives_the_token() -> None:
    text = chart_render.notes(values={"auth": JWT})

    assert "a token of https://login.test for the audience ocr" in text
    assert "TOKEN=…" in text and "Bearer $TOKEN" in text
    assert "only asks whether the gateway is ready" in text
    with_token = {"auth": JWT, "test": {"tokenSecret": "mine"}}
    assert "only asks" not in chart_render.notes(values=with_token)


# Other clusters


def test_openshift_chooses_the_users_and_its_name_servers_are_reached() -> None:
    objects = chart_render.render("openshift-values.yaml")

    for _, pod in chart_render.pod_templates(objects):
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert not security.keys() & {"runAsUser", "runAsGroup", "fsGroup"}
    for name in ("gateway", "ocr-worker", "operator", "crd-upgrade", "test"):
        first = of(objects, "NetworkPolicy", f"ocrplus-{name}")["spec"]["egress"][0]
        assert {(port["port"], port["protocol"]) for port in first["ports"]} == {
            (53, "UDP"),
            (53, "TCP"),
            (5353, "UDP"),
            (5353, "TCP"),
        }


def test_pods_that_share_a_volume_of_one_node_are_kept_on_it() -> None:
    own = {
        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "z"}]}
    }
    values = {
        "blobs": {"type": "pvc", "pvc": {"accessMode": "ReadWriteOnce"}},
        "captions": {"baseUrl": "http://model"},
        "gateway": {"affinity": own},
    }
    objects = chart_render.render(values=values)
    (mode,) = of(objects, "PersistentVolumeClaim", "ocrplus-blobs")["spec"]["accessModes"]

    assert mode == "ReadWriteOnce"
    for name in ("gateway", "ocr-worker", "caption-worker"):
        pod = of(objects, "Deployment", f"ocrplus-{name}")["spec"]["template"]
        rules = pod["spec"]["affinity"]["podAffinity"]
        *given, rule = rules["requiredDuringSchedulingIgnoredDuringExecution"]
        assert given == ([{"topologyKey": "z"}] if name == "gateway" else [])
        assert rule["topologyKey"] == "kubernetes.io/hostname"
        labels = pod["metadata"]["labels"]
        assert rule["labelSelector"]["matchLabels"].items() <= labels.items()
        (among,) = rule["labelSelector"]["matchExpressions"]
        assert labels[among["key"]] in among["values"], "the first pod must match itself"
    assert (
        "affinity" not in of(objects, "Deployment", "ocrplus-operator")["spec"]["template"]["spec"]
    )
    assert "one node" in chart_render.notes(values=values)


def test_keda_trusts_the_authority_of_an_external_server() -> None:
    values = {
        "redis": {"enabled": False},
        "externalRedis": {
            "existingSecret": "server",
            "caSecret": "own-ca",
            "caSecretKey": "ca.pem",
        },
        "keda": {"redisAddress": "a.test:6380", "redisTls": True, "redisUsernameKey": "user"},
    }
    objects = chart_render.render("keda-values.yaml", values)
    secrets = of(objects, "TriggerAuthentication")["spec"]["secretTargetRef"]

    assert secrets == [
        {"parameter": "username", "name": "server", "key": "user"},
        {"parameter": "password", "name": "server", "key": "password"},
        {"parameter": "ca", "name": "own-ca", "key": "ca.pem"},
    ]
    for trigger in of(objects, "ScaledObject", "ocrplus-ocr-worker")["spec"]["triggers"]:
        assert trigger["metadata"]["enableTLS"] == "true"
        assert trigger["authenticationRef"]["name"] == "ocrplus-redis"


def test_a_load_balancer_is_told_who_may_come_in() -> None:
    service = {
        "type": "LoadBalancer",
        "loadBalancerClass": "internal",
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "externalTrafficPolicy": "Local",
        "nodePort": 30080,
    }
    spec = of(
        chart_render.render(values={"gateway": {"service": service}}), "Service", "ocrplus-gateway"
    )["spec"]
    inside = of(chart_render.render(), "Service", "ocrplus-gateway")["spec"]

    assert spec["ports"][0].pop("nodePort") == service.pop("nodePort")
    assert service.items() <= spec.items()
    assert inside.keys() == {"type", "selector", "ports"}


def test_a_clouds_role_is_given_to_those_that_reach_the_bucket_alone() -> None:
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/ocrplus"}
    values = {"serviceAccount": {"annotations": role}, "captions": {"baseUrl": "http://model"}}
    accounts = all_of(chart_render.render(values=values), "ServiceAccount")

    given = {
        entry["metadata"]["name"]
        for entry in accounts
        if role == entry["metadata"].get("annotations")
    }
    assert given == {f"ocrplus-{name}" for name in ("gateway", "ocr-worker", "caption-worker")}
