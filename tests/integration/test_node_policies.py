"""The stand-in that enforces NetworkPolicies, with real packets between namespaces as pods.

kubectl is played: it answers with the objects that a test wrote down.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import e2e_node
import pytest
from clusters import until
from node_policies import TABLE

Object = dict[str, Any]
NEEDED = ("nft", "ip", "nsenter", "sysctl")
WEB, OPEN = 8080, 9090
POD_2, NODE = "10.9.2.2", "10.9.1.1"
LISTEN = f"""
import socket, threading
listeners = [socket.create_server(("0.0.0.0", port)) for port in ({WEB}, {OPEN})]
print("listening", flush=True)
threading.Event().wait()
"""
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.4)"


def ran(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def run(*command: str) -> None:
    done = ran(*command)
    assert done.returncode == 0, done.stderr


@dataclass
class Node:
    """A network namespace that routes between two others, which play the pods."""

    name: str
    folder: Path

    def pod(self, number: int) -> str:
        return f"{self.name}-{number}"

    def connect(self, number: int) -> None:
        link, pod = f"pod{number}", self.pod(number)
        run("ip", "netns", "add", pod)
        run("ip", "-n", self.name, "link", "add", link, "type", "veth",
            "peer", "name", "eth0", "netns", pod)  # fmt: skip
        for place, device, address in ((self.name, link, 1), (pod, "eth0", 2)):
            run("ip", "-n", place, "address", "add", f"10.9.{number}.{address}/24", "dev", device)
            run("ip", "-n", place, "link", "set", device, "up")
        run("ip", "-n", pod, "route", "add", "default", "via", f"10.9.{number}.1")

    def reaches(self, place: str, port: int, *, address: str = POD_2) -> bool:
        """Whether a namespace gets a connection."""
        connect = [sys.executable, "-c", CONNECT, address, str(port)]
        return ran("ip", "netns", "exec", place, *connect).returncode == 0

    def has(self, *policies: Object) -> None:
        """What the API has from now on, beside the two pods."""
        items = [*map(_pod, (1, 2)), *policies]
        before = self.folder / "new.json"
        before.write_text(json.dumps({"items": items}))
        before.rename(self.folder / "objects.json")

    def table(self) -> str:
        return ran("ip", "netns", "exec", self.name, "nft", "list", "table", "inet", TABLE).stdout


def _pod(number: int) -> Object:
    ports = [{"name": "web", "containerPort": WEB}]
    name = f"pod-{number}"
    return {
        "kind": "Pod",
        "metadata": {"namespace": "own", "name": name, "labels": {"app": name}},
        "spec": {"containers": [{"ports": ports}]},
        "status": {"podIP": f"10.9.{number}.2", "phase": "Running"},
    }


def _policy(app: str, kind: str, rules: list[Object]) -> Object:
    selector = {"matchLabels": {"app": app}}
    spec = {"podSelector": selector, "policyTypes": [kind], kind.lower(): rules}
    return {"kind": "NetworkPolicy", "metadata": {"namespace": "own", "name": app}, "spec": spec}


WEB_FROM_POD_1 = _policy(
    "pod-2",
    "Ingress",
    [{"from": [{"podSelector": {"matchLabels": {"app": "pod-1"}}}], "ports": [{"port": "web"}]}],
)
POD_1_TO_NOBODY = _policy("pod-1", "Egress", [])


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Two pods on a node; the second and the node listen."""
    if absent := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"{absent[0]} is missing")
    node = Node(f"node-{uuid.uuid4().hex[:8]}", tmp_path)
    with ExitStack() as stack:
        for name in (node.name, node.pod(1), node.pod(2)):
            stack.callback(ran, "ip", "netns", "delete", name)
        if why := ran("ip", "netns", "add", node.name).stderr.strip():
            pytest.skip(f"no network namespace can be made here: {why}")
        run("ip", "netns", "exec", node.name, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        node.connect(1)
        node.connect(2)
        kubectl = tmp_path / "bin" / "kubectl"
        kubectl.parent.mkdir()
        kubectl.write_text(f"#!/bin/sh\nexec cat {tmp_path}/objects.json\n")
        kubectl.chmod(0o755)
        for place in (node.name, node.pod(2)):
            command = ["ip", "netns", "exec", place, sys.executable, "-c", LISTEN]
            server = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            stack.callback(server.kill)
            assert server.stdout is not None and server.stdout.readline() == b"listening\n"
        yield node


def test_policies_hold_while_they_are_enforced_and_follow_the_api(node: Node) -> None:
    cluster = e2e_node.Cluster(node.folder, node.folder, node.name)
    node.has(WEB_FROM_POD_1)
    assert node.reaches(node.pod(1), OPEN)

    with cluster.policies():
        assert node.reaches(node.pod(1), WEB)
        assert not node.reaches(node.pod(1), OPEN)
        assert node.reaches(node.name, OPEN), "the node itself comes in"
        assert node.reaches(node.pod(1), OPEN, address=NODE)
        assert 'comment "ingress own/pod-2"' in node.table()

        node.has(WEB_FROM_POD_1, POD_1_TO_NOBODY)
        until(lambda: "egress own/pod-1" in node.table())
        assert not node.reaches(node.pod(1), WEB)
        assert not node.reaches(node.pod(1), OPEN, address=NODE)

        node.has()
        until(lambda: "own/pod" not in node.table())
        assert node.reaches(node.pod(1), OPEN)

    assert node.table() == ""


def test_rules_stay_while_the_api_is_away(node: Node, capfd: pytest.CaptureFixture[str]) -> None:
    cluster = e2e_node.Cluster(node.folder, node.folder, node.name)
    node.has(POD_1_TO_NOBODY)

    with cluster.policies():
        (node.folder / "objects.json").write_text("no answer")
        until(lambda: "NetworkPolicies stay as they were" in capfd.readouterr().err)
        assert not node.reaches(node.pod(1), WEB)
        node.has()
        until(lambda: "own/pod" not in node.table())
        assert node.reaches(node.pod(1), WEB)


def test_a_run_without_enforcement_does_not_begin(node: Node) -> None:
    cluster = e2e_node.Cluster(node.folder, node.folder, node.name)

    with pytest.raises(RuntimeError, match="cannot be enforced"), cluster.policies():
        pytest.fail("there is no answer of the API")

    assert node.table() == ""


def test_a_run_whose_enforcement_ended_is_no_success(node: Node) -> None:
    cluster = e2e_node.Cluster(node.folder, node.folder, node.name)
    node.has(POD_1_TO_NOBODY)

    with pytest.raises(RuntimeError, match="not enforced to the end"), cluster.policies():
        for pid in ran("ip", "netns", "pids", node.name).stdout.split():
            os.kill(int(pid), signal.SIGTERM)
        until(lambda: ran("ip", "netns", "pids", node.name).stdout == "")
