"""Whether a packet passes, by the rules that policies become; and that nft takes their text."""

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

import pytest
from node_policies import (
    ANY_PROTOCOL,
    Allowed,
    Direction,
    Isolation,
    isolations,
    matches,
    nft_text,
    sorted_out,
)

Object = dict[str, Any]
WEB, DATA, FAR, OUTSIDE = "10.0.0.1", "10.0.0.2", "10.0.0.3", "192.168.7.9"
EVERYTHING: Object = {}


def pod(name: str, address: str, *, namespace: str = "own", **more: Any) -> Object:
    status = {"podIP": address, "phase": more.pop("phase", "Running")}
    ports = [
        {"name": "web", "containerPort": 8080, "protocol": "TCP"},
        {"name": "dns", "containerPort": 53, "protocol": "UDP"},
        {"containerPort": 7000},
    ]
    spec = {"containers": [{"name": "one"}, {"name": "two", "ports": more.pop("ports", ports)}]}
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {"kind": "Pod", "metadata": metadata, "spec": spec | more, "status": status}


def namespace(name: str, **labels: str) -> Object:
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def policy(selector: Object, *, namespace: str = "own", **spec: Any) -> Object:
    metadata = {"name": "some", "namespace": namespace}
    return {"kind": "NetworkPolicy", "metadata": metadata, "spec": {"podSelector": selector} | spec}


def app(name: str) -> Object:
    return {"matchLabels": {"app": name}}


def ingress(selector: Object, *rules: Object, namespace: str = "own") -> Object:
    return policy(selector, namespace=namespace, policyTypes=["Ingress"], ingress=list(rules))


def egress(selector: Object, *rules: Object) -> Object:
    return policy(selector, policyTypes=["Egress"], egress=list(rules))


CLUSTER = (
    namespace("own", team="a"),
    namespace("other", team="b"),
    pod("web", WEB),
    pod("data", DATA),
    pod("far", FAR, namespace="other"),
)


def isolated(*policies: Object, cluster: tuple[Object, ...] = CLUSTER) -> tuple[Isolation, ...]:
    return isolations(sorted_out([*cluster, *policies]))


def passes(
    rules: tuple[Isolation, ...], source: str, target: str, port: int = 80, protocol: str = "tcp"
) -> bool:
    """Whether a packet passes: both ends have to let it."""
    ends = {
        (source, Direction.EGRESS): IPv4Address(target),
        (target, Direction.INGRESS): IPv4Address(source),
    }
    return all(
        any(_meets(allowed, other, port, protocol) for allowed in one.allowed)
        for one in rules
        if (other := ends.get((str(one.pod.address), one.direction)))
    )


def _meets(allowed: Allowed, other: IPv4Address, port: int, protocol: str) -> bool:
    return (
        other in allowed.network
        and allowed.protocol in (ANY_PROTOCOL, protocol)
        and allowed.first_port <= port <= allowed.last_port
    )


def test_without_policies_everything_passes() -> None:
    assert isolated() == ()
    assert passes((), WEB, DATA)


def test_default_deny_isolates_every_pod_of_its_namespace_both_ways() -> None:
    rules = isolated(policy(EVERYTHING, policyTypes=["Ingress", "Egress"]))

    assert len(rules) == 4
    assert not passes(rules, WEB, DATA)
    assert not passes(rules, WEB, OUTSIDE)
    assert not passes(rules, OUTSIDE, WEB)
    assert not passes(rules, FAR, WEB)
    assert passes(rules, FAR, OUTSIDE)


def test_one_direction_leaves_the_other_open() -> None:
    rules = isolated(ingress(app("web")))

    assert not passes(rules, DATA, WEB)
    assert passes(rules, WEB, DATA)


@pytest.mark.parametrize(
    ("spec", "out"), [({}, True), ({"egress": [{"to": [{"podSelector": {}}]}]}, False)]
)
def test_types_that_are_not_said_follow_from_the_rules(spec: Object, out: bool) -> None:
    rules = isolated(policy(app("web"), **spec))

    assert not passes(rules, DATA, WEB)
    assert passes(rules, WEB, OUTSIDE) is out


def test_a_pod_selector_means_pods_of_the_policys_namespace() -> None:
    rules = isolated(ingress(app("web"), {"from": [{"podSelector": EVERYTHING}]}))

    assert passes(rules, DATA, WEB)
    assert not passes(rules, FAR, WEB)
    assert not passes(rules, OUTSIDE, WEB)


def test_a_namespace_selector_means_all_pods_of_such_namespaces() -> None:
    rules = isolated(
        ingress(app("web"), {"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}]})
    )

    assert passes(rules, FAR, WEB)
    assert not passes(rules, DATA, WEB)


def test_both_selectors_of_one_peer_have_to_select() -> None:
    everywhere = {"namespaceSelector": EVERYTHING, "podSelector": app("data")}
    rules = isolated(ingress(app("web"), {"from": [everywhere]}))

    assert passes(rules, DATA, WEB)
    assert not passes(rules, FAR, WEB)


def test_peers_and_policies_add_up() -> None:
    rules = isolated(
        ingress(
            app("web"),
            {"from": [{"podSelector": app("data")}, {"ipBlock": {"cidr": f"{OUTSIDE}/32"}}]},
        ),
        ingress(EVERYTHING, {"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}]}),
    )

    assert all(passes(rules, source, WEB) for source in (DATA, OUTSIDE, FAR))
    assert not passes(rules, "192.168.7.10", WEB)
    assert passes(rules, FAR, DATA) and not passes(rules, WEB, DATA)


@pytest.mark.parametrize(
    ("holes", "address", "through"),
    [
        ((), "192.168.7.9", True),
        ((), "192.169.0.1", False),
        (("192.168.7.0/24",), "192.168.7.9", False),
        (("192.168.7.0/24",), "192.168.8.9", True),
        (("192.168.7.0/25", "192.168.7.0/24"), "192.168.7.200", False),
        (("192.168.0.0/16",), "192.168.0.1", False),
    ],
)
def test_an_ip_block_is_a_network_without_its_exceptions(
    holes: tuple[str, ...], address: str, through: bool
) -> None:
    block = {"ipBlock": {"cidr": "192.168.0.0/16", "except": list(holes)}}
    rules = isolated(egress(app("web"), {"to": [block]}))

    assert passes(rules, WEB, address) is through


def test_a_block_of_ipv6_lets_nothing_through() -> None:
    rules = isolated(egress(app("web"), {"to": [{"ipBlock": {"cidr": "::/0"}}]}))

    assert not passes(rules, WEB, OUTSIDE)


@pytest.mark.parametrize("rule", [{}, {"from": []}, {"from": [], "ports": []}])
def test_an_empty_list_of_peers_means_anywhere(rule: Object) -> None:
    rules = isolated(ingress(app("web"), rule))

    assert len(rules) == 1
    assert passes(rules, OUTSIDE, WEB) and passes(rules, FAR, WEB, 53, "udp")


@pytest.mark.parametrize(
    ("asked", "packet", "through"),
    [
        ({"port": 80}, (80, "tcp"), True),
        ({"port": 80}, (81, "tcp"), False),
        ({"port": 80}, (80, "udp"), False),
        ({"port": 80, "protocol": "UDP"}, (80, "udp"), True),
        ({"protocol": "UDP"}, (5, "udp"), True),
        ({"protocol": "UDP"}, (5, "tcp"), False),
        ({"port": 8000, "endPort": 8002}, (7999, "tcp"), False),
        ({"port": 8000, "endPort": 8002}, (8000, "tcp"), True),
        ({"port": 8000, "endPort": 8002}, (8002, "tcp"), True),
        ({"port": 8000, "endPort": 8002}, (8003, "tcp"), False),
        ({"port": "web"}, (8080, "tcp"), True),
        ({"port": "web"}, (80, "tcp"), False),
        ({"port": "dns", "protocol": "UDP"}, (53, "udp"), True),
        ({"port": "dns"}, (53, "tcp"), False),
        ({"port": "nobody's"}, (8080, "tcp"), False),
    ],
)
@pytest.mark.parametrize(
    "peer", [{"podSelector": EVERYTHING}, {"ipBlock": {"cidr": "10.0.0.0/8"}}, None]
)
def test_ports_are_numbers_ranges_and_names_on_both_sides(
    asked: Object, packet: tuple[int, str], through: bool, peer: Object | None
) -> None:
    peers = [peer] if peer else []

    inwards = isolated(ingress(app("web"), {"from": peers, "ports": [asked]}))
    assert passes(inwards, DATA, WEB, *packet) is through
    outwards = isolated(egress(app("web"), {"to": peers, "ports": [asked]}))
    assert passes(outwards, WEB, DATA, *packet) is through


def test_a_name_means_the_port_that_each_receiver_gives_it() -> None:
    ports = [{"name": "web", "containerPort": 9999}]
    sidecar = {
        "name": "s",
        "restartPolicy": "Always",
        "ports": [{"name": "side", "containerPort": 6}],
    }
    once = {"name": "i", "ports": [{"name": "once", "containerPort": 7}]}
    odd = pod("odd", "10.0.0.4", ports=ports, initContainers=[sidecar, once])
    named = [{"port": name} for name in ("web", "side", "once")]
    rules = isolated(egress(app("web"), {"ports": named}), cluster=(*CLUSTER, odd))

    assert passes(rules, WEB, DATA, 8080) and not passes(rules, WEB, DATA, 9999)
    assert passes(rules, WEB, "10.0.0.4", 9999) and not passes(rules, WEB, "10.0.0.4", 8080)
    assert passes(rules, WEB, "10.0.0.4", 6) and not passes(rules, WEB, "10.0.0.4", 7)


def test_a_name_towards_a_block_opens_no_pod_outside_it() -> None:
    block = {"ipBlock": {"cidr": f"{DATA}/32"}}
    rules = isolated(egress(app("web"), {"to": [block], "ports": [{"port": "web"}]}))

    assert passes(rules, WEB, DATA, 8080)
    assert not passes(rules, WEB, FAR, 8080)


def test_a_policy_of_another_namespace_has_no_effect() -> None:
    rules = isolated(ingress(EVERYTHING, namespace="other"))

    assert passes(rules, DATA, WEB)
    assert not passes(rules, WEB, FAR)


@pytest.mark.parametrize(
    ("operator", "values", "labels", "selects"),
    [
        ("In", ["a", "b"], {"app": "b"}, True),
        ("In", ["a", "b"], {"app": "c"}, False),
        ("In", ["a"], {}, False),
        ("NotIn", ["a"], {"app": "c"}, True),
        ("NotIn", ["a"], {"app": "a"}, False),
        ("NotIn", ["a"], {}, True),
        ("Exists", None, {"app": ""}, True),
        ("Exists", None, {}, False),
        ("DoesNotExist", None, {}, True),
        ("DoesNotExist", None, {"app": "a"}, False),
    ],
)
def test_expressions_select_by_labels(
    operator: str, values: list[str] | None, labels: dict[str, str], selects: bool
) -> None:
    expression = {"key": "app", "operator": operator} | ({"values": values} if values else {})

    assert matches({"matchExpressions": [expression]}, labels) is selects


def test_labels_and_expressions_have_to_hold_together() -> None:
    selector = app("a") | {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}

    assert matches(selector, {"app": "a", "tier": ""})
    assert not matches(selector, {"app": "a"})
    assert not matches(selector, {"app": "b", "tier": ""})


@pytest.mark.parametrize(
    "more", [{"hostNetwork": True}, {"phase": "Succeeded"}, {"phase": "Failed"}, {"address": ""}]
)
def test_pods_of_the_hosts_network_and_ended_ones_are_left_out(more: Object) -> None:
    stranger = pod("stranger", **{"address": OUTSIDE} | more)
    to_strangers = egress(app("web"), {"to": [{"podSelector": app("stranger")}]})
    denied = policy(EVERYTHING, policyTypes=["Ingress", "Egress"])
    rules = isolated(denied, to_strangers, cluster=(*CLUSTER, stranger))

    assert {str(one.pod.address) for one in rules} == {WEB, DATA}
    assert not passes(rules, WEB, OUTSIDE)


def test_the_same_objects_in_another_order_give_the_same_text() -> None:
    policies = [
        ingress(app("web"), {"from": [{"podSelector": {}}, {"namespaceSelector": {}}]}),
        ingress(app("web"), {"ports": [{"port": 1}, {"port": "web"}]}),
    ]

    assert nft_text(isolated(*policies)) == nft_text(isolated(*reversed(policies)))


@pytest.fixture
def network_namespace() -> Iterator[str]:
    """One of our own, so that rules meet a kernel and nobody's packets."""
    if shutil.which("nft") is None or shutil.which("ip") is None:
        pytest.skip("nft or ip is missing")
    name = f"policies-{uuid.uuid4().hex[:8]}"
    command = ["ip", "netns", "add", name]
    made = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if made.returncode:
        pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True, timeout=20)


def test_nft_takes_every_form_of_a_rule(network_namespace: str) -> None:
    ports = [
        {"port": 80},
        {"port": 8000, "endPort": 8100},
        {"port": "web"},
        {"protocol": "SCTP"},
        {"port": 53, "protocol": "UDP"},
    ]
    peers = [{"podSelector": {}}, {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]
    long = pod("a" * 200, "10.0.0.9")
    rules = isolated(
        ingress(EVERYTHING, {}, {"from": peers}, {"ports": ports}, {"from": peers, "ports": ports}),
        egress(EVERYTHING, {"to": peers, "ports": ports}),
        cluster=(*CLUSTER, long),
    )

    for text in (nft_text(rules), nft_text(())):
        done = subprocess.run(
            ["ip", "netns", "exec", network_namespace, "nft", "-c", "-f", "-"],
            input=text,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
