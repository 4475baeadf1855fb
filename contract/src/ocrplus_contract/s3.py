"""Blobs as objects of an S3-compatible bucket: for deployments of many machines.

The one module that imports obstore (extra `s3`). Its errors carry the server's whole answer, the
name of the key and the string that was signed included: none of it goes on from here, only which
of the known reasons it was. A missing bucket looks like a missing object to the client; here the
two are apart, because one ends a document and the other is waited for.
"""

import itertools
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError, InvalidPathError
from obstore.store import S3Store as Bucket

from ocrplus_contract.blobs import ROOM_UNKNOWN_BYTES, StoredJob
from ocrplus_contract.errors import BlobMissing, BlobsUnavailable
from ocrplus_contract.names import TaskId, UserId
from ocrplus_contract.s3_settings import S3Environment, S3Settings

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

_PART_BYTES: Final = 8 << 20  # a part's least is 5 MiB
_PARTS_AT_ONCE: Final = 2  # so an upload holds 16 MiB at most
_CHECK_SECONDS: Final = 3.0
_COUNTED_SECONDS: Final = 60.0
_PROBE: Final = ".ready"  # no user's name begins with a dot
_BULK: Final = 1000  # what one request of the protocol deletes

_EMPTY: Final = ("InvalidRange", "416")  # there is no first part

_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_STATUS: Final = re.compile(r"status code: (\d{3})")
_KEY_WRONG: Final = (
    "the key is not accepted: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION"
)
_KEY_OVER: Final = "the key has expired: renew AWS_SESSION_TOKEN and the key it belongs to"
_DENIED: Final = (
    "access is denied: the key needs s3:ListBucket on the bucket and s3:GetObject, s3:PutObject "
    "and s3:DeleteObject on what is in it"
)
_CLOCKS: Final = "this machine's clock is too far from the server's: set it right (NTP)"
_REGION: Final = "the bucket is in another region, or elsewhere: check AWS_REGION and the endpoint"
_FULL: Final = "the server is full, or the bucket's quota is used up"
_REASONS: Final[dict[str, str]] = {
    "AccessDenied": _DENIED,
    "403": _DENIED,
    "401": _KEY_WRONG,
    "InvalidAccessKeyId": _KEY_WRONG,
    "SignatureDoesNotMatch": _KEY_WRONG,
    "AuthorizationHeaderMalformed": _KEY_WRONG,
    "InvalidToken": _KEY_OVER,
    "ExpiredToken": _KEY_OVER,
    "RequestTimeTooSkewed": _CLOCKS,
    "PermanentRedirect": _REGION,
    "301": _REGION,
}
_PASSING_REASONS: Final[dict[str, str]] = {
    "QuotaExceeded": _FULL,
    "XMinioStorageFull": _FULL,
    "507": _FULL,
    "SlowDown": "the server asks for patience",
    "503": "the server asks for patience",
}


class S3Store:
    """Blobs as objects below a prefix of one bucket."""

    def __init__(self, bucket: str, prefix: str, environment: S3Environment) -> None:
        """Connect to nothing yet.

        Raises:
            ValueError: the endpoint is one of http:// and nobody asked for that, or half a key.
        """
        s3 = environment.s3
        endpoint = environment.aws_endpoint_url_s3 or environment.aws_endpoint_url
        if endpoint and endpoint.startswith("http://") and not s3.allow_http:
            raise ValueError(
                "the S3 endpoint is not encrypted: use https://, or set OCRPLUS_S3__ALLOW_HTTP "
                "for a server on the same machine or network"
            )
        if (environment.aws_access_key_id is None) != (environment.aws_secret_access_key is None):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together")
        self._name = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._capacity = s3.capacity_bytes
        self._bucket = _bucket(bucket, environment, s3.request_seconds, s3.retries)
        self._impatient = _bucket(bucket, environment, _CHECK_SECONDS, retries=0)
        self._may_write = False
        self._counting = threading.Lock()
        self._counted_at = -_COUNTED_SECONDS
        self._used = 0

    def put_file(self, name: str, source: Path) -> None:
        size = source.stat().st_size
        with self._answering():
            obstore.put(
                self._bucket,
                self._prefix + name,
                source,
                use_multipart=size > _PART_BYTES,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        self._used += size

    def put(self, name: str, data: bytes) -> None:
        with self._answering():
            obstore.put(self._bucket, self._prefix + name, data, use_multipart=False)
        self._used += len(data)

    def get(self, name: str) -> bytes:
        with self._answering(name):
            return bytes(obstore.get(self._bucket, self._prefix + name).bytes())

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="ocrplus-blob-") as folder:
            path = Path(folder) / "blob"
            with path.open("wb") as target:
                for block in self._blocks(name):
                    target.write(block)
            yield path

    def _blocks(self, name: str) -> Iterator[memoryview]:
        """The blob in parts: each is a request that ends, or is tried again, in bounded time."""
        at, size = 0, 1
        while at < size:
            with self._answering(name):  # not around the yield: the caller's errors are its own
                try:
                    part = obstore.get(
                        self._bucket,
                        self._prefix + name,
                        options={"range": (at, at + _PART_BYTES)},
                    )
                    block = memoryview(part.bytes())
                except BaseError as error:
                    if at == 0 and _code(error) in _EMPTY:
                        return
                    raise
            at, size = at + len(block), part.meta["size"]
            yield block

    def delete(self, name: str) -> None:
        with self._answering():
            self._remove([self._prefix + name])

    def delete_all(self, prefix: str) -> None:
        with self._answering():
            names = (entry["path"] for entry in self._listed(self._prefix + prefix))
            while batch := list(itertools.islice(names, _BULK)):
                self._remove(batch)

    def _remove(self, paths: list[str]) -> None:
        try:
            obstore.delete(self._bucket, paths)
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":
                raise

    def jobs(self) -> Iterator[StoredJob]:
        """Whose blobs there are, by one listing; a job's age is that of its newest blob."""
        now = datetime.now(UTC)
        with self._answering():
            objects = self._listed(self._prefix)
            named = ((entry["path"].removeprefix(self._prefix), entry) for entry in objects)
            ours = ((name.split("/"), entry) for name, entry in named if name.count("/") > 1)
            # A listing is in the order of names: what has a prefix in common comes together.
            for (user, task), entries in itertools.groupby(ours, lambda found: found[0][:2]):
                newest = max(entry["last_modified"] for _, entry in entries)
                yield StoredJob(UserId(user), TaskId(task), (now - newest).total_seconds())

    def _listed(self, prefix: str) -> "Iterator[obstore.ObjectMeta]":
        return itertools.chain.from_iterable(obstore.list(self._bucket, prefix or None))

    def stored_at(self, name: str) -> float | None:
        with self._answering(name):
            return obstore.head(self._bucket, self._prefix + name)["last_modified"].timestamp()

    def room_bytes(self) -> int:
        """What is left of the capacity, where one is set; the server itself would not say."""
        if not self._capacity:
            return ROOM_UNKNOWN_BYTES
        with self._counting, self._answering():
            if time.monotonic() - self._counted_at > _COUNTED_SECONDS:
                self._used = sum(entry["size"] for entry in self._listed(self._prefix))
                self._counted_at = time.monotonic()
        return max(0, self._capacity - self._used)

    def check(self, *, writing: bool = True) -> None:
        path = self._prefix + _PROBE
        with self._answering():
            if writing and not self._may_write:
                obstore.put(self._impatient, path, b"", use_multipart=False)
                obstore.delete(self._impatient, path)
                self._may_write = True
            for _ in obstore.list(self._impatient, path):
                pass

    @contextmanager
    def _answering(self, name: str | None = None) -> Iterator[None]:
        """Translate the client's errors; `name` is the blob that may be missing."""
        try:
            yield
        except InvalidPathError:
            raise ValueError("a blob's name may not leave its store") from None
        except FileNotFoundError as error:
            if name is not None and _code(error) != "NoSuchBucket":
                raise BlobMissing(name) from None
            raise self._unavailable(error) from None
        except BaseError as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> BlobsUnavailable:
        code = _code(error)
        if _asks_for_a_role(error):
            reason = "no key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a role"
            return BlobsUnavailable(reason)
        if code == "NoSuchBucket":
            reason = f"there is no bucket {self._name}: create it, or check OCRPLUS_BLOB_URL"
            return BlobsUnavailable(reason, lasting=True)
        if code in _REASONS:
            return BlobsUnavailable(_REASONS[code], lasting=True)
        if code in _PASSING_REASONS:
            return BlobsUnavailable(_PASSING_REASONS[code])
        if code:
            return BlobsUnavailable(f"the server answers {code}")
        if "InvalidCertificate" in str(error):
            reason = "the server's certificate is not trusted: set OCRPLUS_S3__CA_FILE"
            return BlobsUnavailable(reason, lasting=True)
        return BlobsUnavailable("no answer: check AWS_ENDPOINT_URL and the way there")


def _code(error: Exception) -> str:
    """The server's code, else its HTTP status, else nothing: it did not answer."""
    text = str(error)
    found = _CODE.search(text) or _STATUS.search(text)
    return found[1] if found else ""


def _asks_for_a_role(error: Exception) -> bool:
    return "/latest/api/token" in str(error) or "/latest/meta-data" in str(error)


def endpoint_of(bucket: str, endpoint: str, *, virtual: bool) -> str:
    """Where requests go: the client wants the bucket in the host's name where it stands there."""
    scheme, _, rest = endpoint.rstrip("/").partition("://")
    return f"{scheme}://{bucket}.{rest}" if virtual else f"{scheme}://{rest}"


def _bucket(name: str, environment: S3Environment, request_seconds: float, retries: int) -> Bucket:
    s3 = environment.s3
    options: ClientConfig = {
        "allow_http": s3.allow_http,
        "connect_timeout": timedelta(seconds=min(s3.connect_seconds, request_seconds)),
        "timeout": timedelta(seconds=request_seconds),
    }
    if s3.ca is not None:
        options["root_certificate"] = s3.ca.encode()
    retrying: RetryConfig = {
        "max_retries": retries,
        "retry_timeout": timedelta(seconds=s3.retry_seconds),
    }
    return Bucket(
        name, config=_config(name, environment, s3), client_options=options, retry_config=retrying
    )


def _config(name: str, environment: S3Environment, s3: S3Settings) -> "S3Config":
    endpoint = environment.aws_endpoint_url_s3 or environment.aws_endpoint_url
    virtual = s3.addressing == "virtual" or (s3.addressing == "auto" and not endpoint)
    config: S3Config = {
        "region": environment.aws_region or environment.aws_default_region,
        "virtual_hosted_style_request": virtual,
        "disable_bulk_delete": not s3.bulk_delete,
    }
    if endpoint:  # by both names: the client reads the environment too, and prefers the second
        config["endpoint"] = endpoint_of(name, endpoint, virtual=virtual)
        config["aws_endpoint_url_s3"] = config["endpoint"]
    if environment.aws_access_key_id and environment.aws_secret_access_key:
        config["access_key_id"] = environment.aws_access_key_id.get_secret_value()
        config["secret_access_key"] = environment.aws_secret_access_key.get_secret_value()
    if environment.aws_session_token:
        config["session_token"] = environment.aws_session_token.get_secret_value()
    return config
