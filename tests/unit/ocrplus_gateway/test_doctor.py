"""What the gateway's doctor says of who is let in, and the whole command over real parts."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt.algorithms
import pytest
import redis_server
from cryptography.hazmat.primitives.asymmetric import rsa
from gateway_process import gateway

from ocrplus_contract.doctor import Finding
from ocrplus_contract.settings import AuthSettings, GatewaySettings
from ocrplus_gateway.doctor import Auth

CANARY = "canary-5f0c-and-more-characters"
JWT = {"mode": "jwt", "issuer": "i", "audience": "a"}


def auth(host: str = "0.0.0.0", **given: Any) -> Finding:
    settings = GatewaySettings(auth=AuthSettings(**given), host=host)
    (finding,) = Auth(settings).look()
    assert CANARY not in repr(finding)
    return finding


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", "ok"), ("0.0.0.0", "warn")])
def test_no_authentication_is_for_one_machine(host: str, status: str) -> None:
    assert auth(host, mode="none").status == status


@pytest.mark.parametrize(
    ("text", "mode", "status", "says"),
    [
        (f"{CANARY} ada\n# a remark\n{CANARY}x *\n", 0o640, "ok", "2 tokens"),
        (f"{CANARY} ada\n", 0o644, "warn", "everybody on this host may read"),
        ("short ada\n", 0o600, "warn", "fewer than 20 characters"),
        ("# none yet\n", 0o600, "fail", "nobody is let in"),
        (f"{CANARY} ada too\n", 0o600, "fail", "line 1"),
        (None, 0, "fail", "cannot be read"),
    ],
)
def test_a_file_of_tokens(
    tmp_path: Path, text: str | None, mode: int, status: str, says: str
) -> None:
    file = tmp_path / "tokens"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)

    finding = auth(mode="token", tokens_file=file)

    assert finding.status == status and says in finding.reason


@contextmanager
def provider(document: Any) -> Iterator[str]:
    """An identity provider that serves this document; None: it never answers."""
    never = threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if document is None:
                never.wait(20)
                return
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/keys"
        finally:
            never.set()
            server.shutdown()
            thread.join(10)


def public_key() -> dict[str, Any]:
    key = rsa.generate_private_key(65537, 2048).public_key()
    return {**jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True), "kid": "1", "alg": "RS256"}


@pytest.mark.parametrize(
    ("document", "status"),
    [({"keys": [public_key()]}, "ok"), ({"keys": []}, "fail"), ([], "fail"), (None, "fail")],
    ids=["keys", "empty", "shapeless", "hangs"],
)
def test_the_keys_of_an_identity_provider(document: Any, status: str) -> None:
    began = time.monotonic()
    with provider(document) as url:
        finding = auth(**JWT, jwks_url=url)

        assert finding.status == status
        assert time.monotonic() - began < 4


def test_a_provider_that_is_not_there_and_a_shared_secret() -> None:
    assert auth(**JWT, jwks_url="http://127.0.0.1:1/keys").status == "fail"
    assert auth(**JWT, jwt_secret=CANARY + "x" * 32).status == "ok"


def doctor(module: str, env: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert CANARY not in ended.stdout + ended.stderr
    assert ended.stderr == ""
    return ended


def test_the_command_beside_a_gateway_that_runs(
    valkey: redis_server.Server, tmp_path: Path
) -> None:
    valkey.client.flushall()
    env = {"OCRPLUS_REDIS_URL": valkey.url, "OCRPLUS_BLOB_URL": tmp_path.as_uri()}
    with gateway(valkey.url, tmp_path) as running:
        ended = doctor("ocrplus_gateway.doctor", env, "--json")
        assert running.process.poll() is None

    told = json.loads(ended.stdout)
    found = {check["name"]: check for check in told["checks"]}
    assert found["gateways"]["status"] == found["versions"]["status"] == "ok"
    assert found["workers.ocr"]["status"] == "warn"
    # The test's server keeps nothing on disk, and says so.
    assert {n for n, c in found.items() if c["status"] == "fail"} == {"redis.persistence"}
    assert (told["status"], ended.returncode) == ("fail", 2)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("OCRPLUS_PORT", CANARY, "port: Input should be a valid integer"),
        ("OCRPLUS_NO_SUCH", CANARY, "unknown variables OCRPLUS_NO_SUCH"),
        ("OCRPLUS_REDIS_URL_FILE", "/no/such/file", "/no/such/file cannot be read"),
    ],
)
def test_settings_that_are_none_are_told_without_their_values(
    variable: str, value: str, says: str
) -> None:
    ended = doctor("ocrplus_gateway.doctor", {variable: value})

    assert ended.returncode == 2
    assert says in ended.stdout and "do: " in ended.stdout
