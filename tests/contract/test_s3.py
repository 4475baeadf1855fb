"""What only a bucket can do wrong has a reason in an operator's words, and tells no secret."""

import http.server
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest
import s3_server
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from s3_server import BUCKET, Server

from ocrplus_contract.blobs import BlobStore, open_store, store_problem
from ocrplus_contract.errors import BlobMissing, BlobsUnavailable
from ocrplus_contract.settings import CommonSettings

MIB = 1 << 20


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[..., BlobStore]:
    """A store from the environment."""

    def opening(env: dict[str, str], **more: str) -> BlobStore:
        for name, value in {**env, **more}.items():
            monkeypatch.setenv(name, value)
        return open_store(CommonSettings(), None)

    return opening


Opened = Callable[..., BlobStore]


def test_a_key_that_is_not_accepted_is_said(s3: Server, opened: Opened) -> None:
    wrong = opened(s3.env(), AWS_SECRET_ACCESS_KEY="wrong-and-secret")
    unknown = opened(s3.env(), AWS_ACCESS_KEY_ID="unknown")

    for store in (wrong, unknown):
        with pytest.raises(BlobsUnavailable, match="key is not accepted") as caught:
            store.check()
        assert caught.value.lasting


def test_a_key_without_rights_is_told_which_it_needs(s3: Server, opened: Opened) -> None:
    key, secret = s3.stranger
    store = opened(s3.env(), AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret)

    with pytest.raises(BlobsUnavailable, match="s3:PutObject") as caught:
        store.check()

    assert caught.value.lasting
    assert str(store_problem(CommonSettings())).startswith("blob store: access is denied")


def test_a_missing_bucket_is_no_missing_document(
    s3: Server, opened: Opened, tmp_path: Path
) -> None:
    store = opened(s3.env(), OCRPLUS_BLOB_URL="s3://nowhere/a")
    (tmp_path / "pdf").write_bytes(b"%PDF")

    def lend() -> None:
        with store.local("u/t/x"):
            pass

    for use in (
        store.check,
        lend,
        lambda: store.get("u/t/x"),
        lambda: store.put("u/t/x", b""),
        lambda: store.put_file("u/t/x", tmp_path / "pdf"),
        lambda: store.delete_all("u/t/"),
        lambda: list(store.jobs()),
    ):
        with pytest.raises(BlobsUnavailable, match="there is no bucket nowhere"):
            use()


def test_a_server_that_is_not_there_is_waited_for_by_workers(opened: Opened) -> None:
    gone = Server("gone", 9, "key", "secret", ("", ""))
    store = opened(gone.env(), OCRPLUS_S3__RETRIES="1")

    with pytest.raises(BlobsUnavailable, match="no answer"):
        store.check()
    assert store_problem(CommonSettings()) is None


def test_a_prefix_is_a_store_of_its_own(s3: Server, opened: Opened) -> None:
    one, two = opened(s3.env("a")), opened(s3.env("a/b"))
    whole = opened(s3.env())
    two.put("u/t/x", b"two")
    one.put("u/t/x", b"one")
    assert s3.names() == ["a/b/u/t/x", "a/u/t/x"]

    one.delete_all("u/t/")

    assert two.get("u/t/x") == b"two"
    assert s3.names() == ["a/b/u/t/x"]
    assert [(job.user, job.task) for job in two.jobs()] == [("u", "t")]
    whole.check()
    assert s3.names() == ["a/b/u/t/x"]


def test_more_than_one_request_can_delete_goes_too(
    s3_servers: Callable[[str], Server], opened: Opened
) -> None:
    s3 = s3_servers("versitygw")  # moto takes long to store so many
    store = opened(s3.env())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: store.put(f"u/t/figures/{n}", b""), range(1005)))
    assert [job.task for job in store.jobs()] == ["t"]

    store.delete_all("u/t/")

    assert s3.names() == []


def test_objects_go_one_by_one_where_a_server_cannot_delete_many(
    s3: Server, opened: Opened
) -> None:
    store = opened(s3.env(), OCRPLUS_S3__BULK_DELETE="false")
    for n in range(3):
        store.put(f"u/t/{n}", b"")

    store.delete_all("u/t/")

    assert s3.names() == []


def test_the_bucket_may_stand_in_the_hosts_name(
    s3: Server, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", s3.url)  # there is no DNS here: the server is asked as a proxy
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    store = opened(
        s3.env(),
        OCRPLUS_S3__ADDRESSING="virtual",
        AWS_ENDPOINT_URL_S3=f"http://{s3_server.VIRTUAL_DOMAIN}",
    )

    store.put("u/t/x", b"by name")

    assert store.get("u/t/x") == b"by name"
    assert s3.names() == ["u/t/x"]


def test_keys_may_come_from_files(s3: Server, opened: Opened, tmp_path: Path) -> None:
    env = s3.env()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        (tmp_path / name).write_text(env.pop(name) + "\n")
        env[f"{name}_FILE"] = str(tmp_path / name)

    opened(env).check()


def test_a_capacity_bounds_what_is_stored(s3: Server, opened: Opened) -> None:
    opened(s3.env("x")).put("u/t/before", bytes(3000))
    opened(s3.env("other")).put("u/t/elsewhere", bytes(5000))
    store = opened(s3.env("x"), OCRPLUS_S3__CAPACITY_BYTES="10000")

    assert store.room_bytes() == 7000
    store.put("u/t/now", bytes(2000))
    assert store.room_bytes() == 5000
    store.put("u/t/more", bytes(6000))
    assert store.room_bytes() == 0


_STREAMS = """
import sys
from pathlib import Path
from ocrplus_contract.blobs import open_store
from ocrplus_contract.settings import CommonSettings
def peak():
    status = Path("/proc/self/status").read_text()  # getrusage would tell the parent's
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
store = open_store(CommonSettings(), None)
store.check()
before = peak()
store.put_file("u/t/large", Path(sys.argv[1]))
stored = peak()
with store.local("u/t/large") as lent:
    assert lent.stat().st_size == Path(sys.argv[1]).stat().st_size
print(stored - before, peak() - before)
"""


def test_a_large_document_is_never_whole_in_memory(s3: Server, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as target:
        for n in range(64):
            target.write(bytes([n]) * MIB)
    run = subprocess.run(
        [sys.executable, "-c", _STREAMS, str(large)],
        env=s3_server.child_env(s3.env()),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    stored, lent = map(int, run.stdout.split())

    assert max(stored, lent) < 48, run.stdout


def test_an_endpoint_without_encryption_must_be_asked_for(opened: Opened) -> None:
    server = Server("none", 9, "key", "secret", ("", ""))

    with pytest.raises(ValueError, match="OCRPLUS_S3__ALLOW_HTTP"):
        opened(server.env(), OCRPLUS_S3__ALLOW_HTTP="false")
    assert "not encrypted" in str(store_problem(CommonSettings()))


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///a", "s3://key:secret@bucket/a", "s3://bucket:80/a", "s3://bucket?x=1"]
)
def test_a_url_that_is_no_bucket_is_refused_and_not_repeated(url: str, opened: Opened) -> None:
    with pytest.raises(ValueError, match="s3://bucket/prefix") as caught:
        opened({"OCRPLUS_BLOB_URL": url})

    assert "secret" not in str(caught.value)


def test_half_a_key_is_refused(opened: Opened) -> None:
    with pytest.raises(ValueError, match="belong together"):
        opened({"OCRPLUS_BLOB_URL": "s3://bucket", "AWS_ACCESS_KEY_ID": "half"})


def test_the_extra_is_named_where_it_is_missing(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ocrplus_contract.s3", None)

    with pytest.raises(ValueError, match=r"ocrplus\[s3\]"):
        opened({"OCRPLUS_BLOB_URL": "s3://bucket"})


class _Scripted(http.server.BaseHTTPRequestHandler):
    """Answers what real servers answer only in hours of need."""

    status, code, refusals = 403, "", 1 << 30
    answered: ClassVar[list[int]]
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        cls = type(self)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        cls.refusals -= 1
        refused = cls.refusals >= 0
        signed = self.headers.get("Authorization", "")
        body = f"<Error><Code>{cls.code}</Code><StringToSign>{signed}</StringToSign></Error>"
        cls.answered.append(cls.status if refused else 200)
        self.send_response(cls.answered[-1])
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body) if refused else 0))
        self.end_headers()
        if refused:
            self.wfile.write(body.encode())

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # the library's names

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def scripted(
    status: int,
    code: str,
    refusals: int = 1 << 30,
    tls: ssl.SSLContext | None = None,
    answered: list[int] | None = None,
) -> Iterator[Server]:
    """`answered` takes down every status that is sent."""
    taken_down = [] if answered is None else answered
    answer = {"status": status, "code": code, "refusals": refusals, "answered": taken_down}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("A", (_Scripted,), answer)) as at:
        if tls is not None:
            at.socket = tls.wrap_socket(at.socket, server_side=True)
        thread = threading.Thread(target=at.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield Server("scripted", at.server_port, "KEYNAME", "very-secret", ("", ""))
        finally:
            at.shutdown()
            thread.join(10)


@pytest.mark.parametrize(
    ("status", "code", "words", "lasting"),
    [
        (403, "RequestTimeTooSkewed", "clock is too far", True),
        (400, "ExpiredToken", "has expired", True),
        (403, "AccessDenied", "access is denied", True),
        (507, "XMinioStorageFull", "full", False),
        (403, "QuotaExceeded", "full", False),
        (503, "SlowDown", "patience", False),
        (501, "NotImplemented", "answers NotImplemented", False),
    ],
)
def test_what_a_server_refuses_has_a_reason_without_a_secret(
    status: int,
    code: str,
    words: str,
    lasting: bool,
    opened: Opened,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with scripted(status, code) as server:
        store = opened(server.env(), OCRPLUS_S3__RETRIES="0")
        with pytest.raises(BlobsUnavailable, match=words) as caught:
            store.put("u/t/x", b"data")

    shown = "".join(_chain(caught.value)) + caplog.text
    assert caught.value.lasting == lasting
    assert not any(secret in shown for secret in ("KEYNAME", "very-secret", "Signature"))


def _chain(error: BaseException) -> Iterator[str]:
    yield from traceback.format_exception(error)


def test_a_private_authority_is_believed_only_when_it_is_given(
    opened: Opened, tmp_path: Path
) -> None:
    ca, tls = private_authority(tmp_path)
    with scripted(200, "", refusals=0, tls=tls) as server:
        env = {**server.env(), "AWS_ENDPOINT_URL_S3": f"https://localhost:{server.port}"}
        env |= {"OCRPLUS_S3__ALLOW_HTTP": "false", "OCRPLUS_S3__RETRIES": "0"}
        with pytest.raises(BlobsUnavailable, match="not trusted: set OCRPLUS_S3__CA_FILE"):
            opened(env).put("u/t/x", b"data")
        opened(env, OCRPLUS_S3__CA_FILE=str(ca)).put("u/t/x", b"data")


def private_authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate file, and what a server on localhost needs to be signed by it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "ca.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *plain))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return folder / "ca.pem", tls


def test_who_has_neither_key_nor_role_is_told(opened: Opened) -> None:
    with scripted(403, "") as metadata:
        store = opened(
            {"OCRPLUS_BLOB_URL": "s3://bucket"},
            AWS_METADATA_ENDPOINT=metadata.url,
            OCRPLUS_S3__ALLOW_HTTP="true",
            OCRPLUS_S3__RETRIES="0",
        )
        with pytest.raises(BlobsUnavailable, match="no key"):
            store.put("u/t/x", b"data")


def test_a_server_that_asks_for_patience_is_asked_again(opened: Opened) -> None:
    answered: list[int] = []
    with scripted(503, "SlowDown", refusals=2, answered=answered) as server:
        opened(server.env()).put("u/t/x", b"data")

    assert answered == [503, 503, 200]


def test_retries_end_in_time(opened: Opened) -> None:
    with scripted(503, "SlowDown") as server:
        store = opened(server.env(), OCRPLUS_S3__RETRY_SECONDS="1", OCRPLUS_S3__RETRIES="100")
        began = time.monotonic()
        with pytest.raises(BlobsUnavailable):
            store.get("u/t/x")

    assert time.monotonic() - began < 10


def test_a_server_that_hangs_is_left(opened: Opened) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server("mute", listener.getsockname()[1], "key", "secret", ("", ""))
        store = opened(server.env(), OCRPLUS_S3__REQUEST_SECONDS="0.5", OCRPLUS_S3__RETRIES="1")
        began = time.monotonic()
        with pytest.raises(BlobsUnavailable, match="no answer"):
            store.get("u/t/x")
        with pytest.raises(BlobsUnavailable, match="no answer"):
            store.check()

    assert time.monotonic() - began < 12


def test_a_blob_that_goes_while_it_is_lent_is_missing(s3: Server, opened: Opened) -> None:
    store = opened(s3.env())
    with s3.client() as client:
        client.put_object(Bucket=BUCKET, Key="u/t/x", Body=b"x")
    assert store.get("u/t/x") == b"x"
    store.delete("u/t/x")

    with pytest.raises(BlobMissing), store.local("u/t/x"):
        pass
