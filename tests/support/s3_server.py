"""Real S3 servers for tests: moto, and versitygw where it was built; both ask for keys."""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from ocrplus_local.broker import free_port

KINDS = ("moto", "versitygw")
BUCKET = "documents"
VIRTUAL_DOMAIN = "s3.example"  # versitygw must know it
_PR_SET_PDEATHSIG = 1
_FIRST_KEY = "first", "first-secret-of-tests"
_SET_UP_CALLS = 5  # what moto lets pass before it asks for keys


@dataclass(frozen=True)
class Server:
    """A running server with one bucket."""

    kind: str
    port: int
    key: str
    secret: str
    stranger: tuple[str, str]  # a key that is known and has no rights
    pid: int = 0
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def env(self, prefix: str = "") -> dict[str, str]:
        """What a process needs to keep its documents here."""
        return {
            "OCRPLUS_BLOB_URL": f"s3://{BUCKET}/{prefix}",
            "OCRPLUS_S3__ALLOW_HTTP": "true",
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It answers nobody for a while."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def client(self) -> AbstractContextManager[Any]:
        """Another client than the product's, to look from outside."""
        return _client("s3", self.url, self.key, self.secret)

    def names(self, prefix: str = "") -> list[str]:
        """What there is in the bucket."""
        with self.client() as client:
            found = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for entry in found.get("Contents", [])]

    def clear(self) -> None:
        """Empty the bucket."""
        with self.client() as client:
            for name in self.names():
                client.delete_object(Bucket=BUCKET, Key=name)


def child_env(env: dict[str, str]) -> dict[str, str]:
    """The environment of a child process."""
    return {**os.environ, **env}


def missing(kind: str) -> str | None:
    """Why a server cannot be run here."""
    if kind == "versitygw" and _versitygw() is None:
        return "versitygw is neither on PATH nor in $KUBE_ROOT/bin (a Go module: see CONTRIBUTING)"
    return None


def _versitygw() -> str | None:
    root = Path(os.environ.get("KUBE_ROOT", "~/.cache/ocrplus-kube")).expanduser() / "bin"
    return shutil.which("versitygw", path=os.pathsep.join([os.environ["PATH"], str(root)]))


@contextmanager
def running(kind: str) -> Iterator[Server]:
    """Run a server that dies with the test process."""
    port, folder = free_port(), tempfile.mkdtemp(prefix="ocrplus-test-s3-")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    if kind == "versitygw":
        program = _versitygw()
        assert program is not None
        access = ["--access", _FIRST_KEY[0], "--secret", _FIRST_KEY[1]]
        command = [program, *access, "--port", f"127.0.0.1:{port}"]
        command += ["--virtual-domain", VIRTUAL_DOMAIN]
        command += ["--iam-dir", f"{folder}/users", "--quiet", "posix", f"{folder}/data"]
        for part in ("users", "data"):
            (Path(folder) / part).mkdir()
    process = subprocess.Popen(
        command,
        env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(_SET_UP_CALLS)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
    )
    try:
        _wait_for(port)
        if kind == "moto":
            key, stranger = _moto_keys(f"http://127.0.0.1:{port}")
        else:
            key, stranger = _FIRST_KEY, _versitygw_user(command[0], port)
        server = Server(kind, port, *key, stranger, process.pid)
        with server.client() as client:
            client.create_bucket(Bucket=BUCKET)
        yield server
    finally:
        process.kill()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _moto_keys(url: str) -> tuple[tuple[str, str], tuple[str, str]]:
    rights = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rights]})
    keys = []
    with _client("iam", url, *_FIRST_KEY) as iam:
        for name in ("ocrplus", "stranger"):
            iam.create_user(UserName=name)
            made = iam.create_access_key(UserName=name)["AccessKey"]
            keys.append((made["AccessKeyId"], made["SecretAccessKey"]))
        iam.put_user_policy(UserName="ocrplus", PolicyName="all", PolicyDocument=policy)
    return keys[0], keys[1]


def _versitygw_user(program: str, port: int) -> tuple[str, str]:
    key, secret = "stranger", "stranger-secret-of-tests"
    subprocess.run(
        [
            *(program, "admin", "--access", _FIRST_KEY[0], "--secret", _FIRST_KEY[1]),
            *("--endpoint-url", f"http://127.0.0.1:{port}", "create-user"),
            *("--access", key, "--secret", secret, "--role", "user"),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return key, secret


@contextmanager
def _client(service: str, url: str, key: str, secret: str) -> Iterator[Any]:
    client = boto3.client(
        service,
        endpoint_url=url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 1}),
    )
    try:
        yield client
    finally:
        client.close()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("the S3 server did not answer")
