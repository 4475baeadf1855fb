"""NetworkPolicies on the real node of `make e2e-node`: from the API to nftables, twice a second.

The node's network plugin is a plain bridge: it accepts policies and lets everything pass. This
stands in for a plugin that enforces them, so that the chart's policies meet real packets. As such
plugins do, it judges what a pod sends after a Service's address became a pod's, lets in what the
node itself sends (kubelet, a proxy in the host's network), and lets open connections be. Unlike
them it leaves a new pod open until it has seen its address. IPv4 only.

It runs in the node's network namespace, speaks with the cluster of KUBECONFIG, says `enforced` once
the first rules hold, and takes them away when it is told to stop or its parent is gone. Packets
that it denied are counted: `nft list table inet network_policies`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import Any, Final

Object = dict[str, Any]  # of the API: its shape is Kubernetes' affair
Labels = Mapping[str, str]
ANYWHERE: Final = IPv4Network("0.0.0.0/0")
ANY_PROTOCOL: Final = ""
LAST_PORT: Final = 65535
TABLE: Final = "network_policies"
ALIVE: Final = ("Pending", "Running")
COMMAND_SECONDS: Final = 20
PAUSE_SECONDS: Final = 0.5
COMMENT_CHARACTERS: Final = 120  # nft takes 128


class Direction(StrEnum):
    """Which packets of a pod a rule is about."""

    INGRESS = "ingress"
    EGRESS = "egress"


@dataclass(frozen=True)
class NamedPort:
    """A container's port that policies may call by its name."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True)
class Pod:
    """A pod with an address of its own."""

    namespace: str
    name: str
    labels: Labels
    address: IPv4Address
    ports: tuple[NamedPort, ...] = ()

    @property
    def network(self) -> IPv4Network:
        return IPv4Network(self.address)


@dataclass(frozen=True)
class Objects:
    """What the API has: the pods that can be judged, namespaces' labels, policies."""

    pods: tuple[Pod, ...]
    namespaces: Mapping[str, Labels]
    policies: tuple[Object, ...]


@dataclass(frozen=True, order=True)
class Allowed:
    """Packets that may pass: the other side's network, the protocol, the ports they go to."""

    network: IPv4Network
    protocol: str = ANY_PROTOCOL
    first_port: int = 0
    last_port: int = LAST_PORT


@dataclass(frozen=True)
class Isolation:
    """A pod that policies isolate in one direction: all but what is allowed is dropped."""

    pod: Pod
    direction: Direction
    allowed: tuple[Allowed, ...]


# ---------------------------------------------------------------------- reading the objects


def sorted_out(items: Iterable[Object]) -> Objects:
    """The objects of a list of pods, namespaces and policies."""
    kinds: dict[str, list[Object]] = {"Pod": [], "Namespace": [], "NetworkPolicy": []}
    for item in items:
        kinds[item["kind"]].append(item)
    namespaces = {one["metadata"]["name"]: _labels(one) for one in kinds["Namespace"]}
    pods = (_pod(one) for one in kinds["Pod"] if _has_own_address(one))
    return Objects(tuple(pods), namespaces, tuple(kinds["NetworkPolicy"]))


def _labels(item: Object) -> Labels:
    labels: Labels = item["metadata"].get("labels") or {}
    return labels


def _has_own_address(pod: Object) -> bool:
    """Ended pods have given their address back; pods of the host's network have the node's."""
    status = pod.get("status") or {}
    host = pod["spec"].get("hostNetwork", False)
    return bool(status.get("podIP")) and status.get("phase") in ALIVE and not host


def _pod(item: Object) -> Pod:
    beside = [
        one
        for one in item["spec"].get("initContainers", ())
        if one.get("restartPolicy") == "Always"
    ]
    ports = tuple(
        NamedPort(port["name"], port.get("protocol", "TCP").lower(), port["containerPort"])
        for container in [*item["spec"]["containers"], *beside]
        for port in container.get("ports", ())
        if "name" in port
    )
    metadata, address = item["metadata"], IPv4Address(item["status"]["podIP"])
    return Pod(metadata["namespace"], metadata["name"], _labels(item), address, ports)


# ---------------------------------------------------------------------- judging


def isolations(objects: Objects) -> tuple[Isolation, ...]:
    """What the policies make of the pods; a pod that no policy selects is not among them."""
    both = ((pod, direction) for pod in objects.pods for direction in Direction)
    return tuple(found for pod, way in both if (found := _isolation(objects, pod, way)))


def _isolation(objects: Objects, pod: Pod, direction: Direction) -> Isolation | None:
    policies = [one for one in objects.policies if _isolates(one, pod, direction)]
    if not policies:
        return None
    allowed = {
        one
        for policy in policies
        for rule in policy["spec"].get(direction) or ()
        for one in _allowed(objects, pod, direction, rule)
    }
    return Isolation(pod, direction, tuple(sorted(allowed)))


def _isolates(policy: Object, pod: Pod, direction: Direction) -> bool:
    spec = policy["spec"]
    of_old = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    return (
        policy["metadata"]["namespace"] == pod.namespace
        and direction.capitalize() in (spec.get("policyTypes") or of_old)
        and matches(spec.get("podSelector") or {}, pod.labels)
    )


def matches(selector: Object, labels: Labels) -> bool:
    """Whether a label selector selects; an empty one selects everything."""
    wanted: Labels = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(one, labels) for one in selector.get("matchExpressions") or ()
    )


def _holds(expression: Object, labels: Labels) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise ValueError(f"no operator of a label selector: {other}")


def _allowed(objects: Objects, pod: Pod, direction: Direction, rule: Object) -> Iterator[Allowed]:
    """What one rule of a policy lets through to or from a pod."""
    peers = rule.get("from" if direction is Direction.INGRESS else "to")
    networks = [ANYWHERE]
    if peers:
        networks = [one for peer in peers for one in _networks(objects, pod.namespace, peer)]
    for network in networks:
        if not rule.get("ports"):
            yield Allowed(network)
            continue
        receivers = [(network, pod)]
        if direction is Direction.EGRESS:
            receivers = [(one.network, one) for one in objects.pods if one.address in network]
        for port in rule["ports"]:
            yield from _through_port(network, port, receivers)


def _networks(objects: Objects, namespace: str, peer: Object) -> list[IPv4Network]:
    """Where the peers are that a policy of a namespace describes."""
    if "ipBlock" in peer:
        return _block(peer["ipBlock"])
    return [
        pod.network
        for pod in objects.pods
        if matches(peer.get("podSelector") or {}, pod.labels)
        and (
            matches(peer["namespaceSelector"], objects.namespaces.get(pod.namespace, {}))
            if "namespaceSelector" in peer
            else pod.namespace == namespace
        )
    ]


def _block(block: Object) -> list[IPv4Network]:
    """The networks that are left of an ipBlock without its exceptions."""
    whole = ip_network(block["cidr"], strict=False)
    networks = [whole] if isinstance(whole, IPv4Network) else []
    for text in block.get("except") or ():
        hole = IPv4Network(text, strict=False)
        networks = [piece for one in networks for piece in _without(one, hole)]
    return networks


def _without(network: IPv4Network, hole: IPv4Network) -> Sequence[IPv4Network]:
    if not network.overlaps(hole):
        return [network]
    return [] if network.subnet_of(hole) else list(network.address_exclude(hole))


def _through_port(
    network: IPv4Network, port: Object, receivers: Sequence[tuple[IPv4Network, Pod]]
) -> Iterator[Allowed]:
    """What one port of a rule lets through; a name is looked up at the pods that receive."""
    protocol, asked = port.get("protocol", "TCP").lower(), port.get("port")
    if asked is None:
        yield Allowed(network, protocol)
    elif isinstance(asked, int):
        yield Allowed(network, protocol, asked, port.get("endPort") or asked)
    else:
        for place, pod in receivers:
            for one in pod.ports:
                if (one.name, one.protocol) == (asked, protocol):
                    yield Allowed(place, protocol, one.number, one.number)


# ---------------------------------------------------------------------- nftables


def nft_text(isolated: Sequence[Isolation]) -> str:
    """The table that isolates pods, in the place of the one before, in one transaction."""
    jumps = {way: [_jump(one) for one in isolated if one.direction is way] for way in Direction}
    chains = [_chain(one) for one in isolated]
    chains.append(_hook("forward", [*jumps[Direction.EGRESS], *jumps[Direction.INGRESS]]))
    chains.append(_hook("input", jumps[Direction.EGRESS]))  # from a pod to the node
    body = "\n".join(chains)
    return (
        f"table inet {TABLE} {{}}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n{body}\n}}\n"
    )


def _hook(hook: str, jumps: Sequence[str]) -> str:
    head = f"type filter hook {hook} priority 0; policy accept;"
    return _braced(hook, [head, "ct state established,related accept", *jumps])


def _chain(isolation: Isolation) -> str:
    pod, direction = isolation.pod, isolation.direction
    comment = f"{direction} {pod.namespace}/{pod.name}"[:COMMENT_CHARACTERS]
    lines = [_rule(one, direction) for one in isolation.allowed]
    return _braced(_chain_name(isolation), [*lines, f'counter drop comment "{comment}"'])


def _chain_name(isolation: Isolation) -> str:
    return f"{isolation.direction}-{isolation.pod.address}".replace(".", "-")


def _jump(isolation: Isolation) -> str:
    own = "daddr" if isolation.direction is Direction.INGRESS else "saddr"
    return f"ip {own} {isolation.pod.address} jump {_chain_name(isolation)}"


def _rule(allowed: Allowed, direction: Direction) -> str:
    """Back to the hook: the other side's isolation is yet to be asked."""
    other = "saddr" if direction is Direction.INGRESS else "daddr"
    first, last = allowed.first_port, allowed.last_port
    words = [] if allowed.network == ANYWHERE else [f"ip {other} {allowed.network}"]
    if (first, last) != (0, LAST_PORT):
        words.append(f"{allowed.protocol} dport {first}-{last}")
    elif allowed.protocol != ANY_PROTOCOL:
        words.append(f"meta l4proto {allowed.protocol}")
    return " ".join([*words, "return"])


def _braced(name: str, lines: Sequence[str]) -> str:
    return "\n".join([f"chain {name} {{", *(f"  {line}" for line in lines), "}"])


# ---------------------------------------------------------------------- the loop


def observed() -> Objects:
    """What the cluster has now."""
    command = ["kubectl", "get", "pods,namespaces,networkpolicies", "-A", "-o", "json"]
    answer = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, timeout=COMMAND_SECONDS
    )
    return sorted_out(json.loads(answer.stdout)["items"])


def enforce(text: str) -> None:
    """Let the rules hold."""
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True, timeout=COMMAND_SECONDS)


def follow(before: str) -> None:
    """Enforce what the policies have become, as long as the parent lives."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(PAUSE_SECONDS)
        try:
            now = nft_text(isolations(observed()))
            if now != before:
                enforce(now)
                before = now
        # The API server is away in some tests: the rules stay as they are until it is back.
        except (subprocess.SubprocessError, OSError, LookupError, ValueError) as error:
            print(f"NetworkPolicies stay as they were: {error}", file=sys.stderr, flush=True)


def main() -> None:
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: sys.exit(0))
    first = nft_text(isolations(observed()))
    try:
        enforce(first)
        print("enforced", flush=True)
        follow(first)
    finally:
        removal = ["nft", "delete", "table", "inet", TABLE]
        subprocess.run(removal, check=False, timeout=COMMAND_SECONDS)


if __name__ == "__main__":
    main()
