"""Where document bytes lie: uploads and figures, in a directory, in Redis or in a bucket (`s3`).

A blob's name is `user/task/…`, so that everything of a job goes with one prefix; PDF bytes never
travel in a Celery message or a stream entry. All calls block: an event loop uses a thread.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import redis

from ocrplus_contract.errors import BlobMissing, BlobsUnavailable
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Permit, TaskId, UserId
from ocrplus_contract.records import FigureRecord
from ocrplus_contract.server import connect
from ocrplus_contract.settings import CommonSettings

ROOM_UNKNOWN_BYTES: Final = 1 << 40


def job_prefix(user: UserId, task: TaskId) -> str:
    """Every blob of a job begins with this."""
    return f"{user}/{task}/"


def source_name(user: UserId, task: TaskId, fingerprint: str) -> str:
    """The uploaded PDF; a conflicting upload (other bytes or options) has another name."""
    return f"{job_prefix(user, task)}{fingerprint.replace(':', '-')}.pdf"


def figure_blob(figure_id: str, permit: Permit) -> str:
    """The name of a figure's picture within its job, as the holder of a permit stores it."""
    return f"figures/{permit}/{figure_id}.png"


def figure_name(user: UserId, task: TaskId, figure: FigureRecord) -> str:
    """The picture of one figure of a job."""
    return job_prefix(user, task) + (figure.blob or f"figures/{figure.id}.png")


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job of which there are blobs, and how long ago the first of them came."""

    user: UserId
    task: TaskId
    age_seconds: float


class BlobStore(Protocol):
    """Stores named bytes for a while."""

    def put_file(self, name: str, source: Path) -> None:
        """Store a file's bytes under `name`, whole or not at all."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Store bytes under `name`, whole or not at all."""
        ...

    def get(self, name: str) -> bytes:
        """Return the bytes, or raise BlobMissing."""
        ...

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """Lend a file with the bytes, read only, or raise BlobMissing."""
        ...

    def delete(self, name: str) -> None:
        """Forget one blob; unknown ones are fine."""
        ...

    def delete_all(self, prefix: str) -> None:
        """Forget every blob below a prefix that ends in a slash."""
        ...

    def jobs(self) -> Iterator[StoredJob]:
        """Whose blobs there are, where they do not expire by themselves."""
        ...

    def stored_at(self, name: str) -> float | None:
        """When a blob was stored (unix seconds), by a clock of the store's own; None without."""
        ...

    def room_bytes(self) -> int:
        """How many more bytes can be stored now; the gateway refuses uploads above."""
        ...

    def check(self, *, writing: bool = True) -> None:
        """Raise, within seconds, what keeps blobs from being read now, or stored."""
        ...


class DirectoryStore:
    """Blobs as files below one directory, shared by all processes of a machine or by a volume."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _path(self, name: str) -> Path:
        path = self._root / name
        if ".." in path.parts or not path.is_relative_to(self._root):
            raise ValueError("a blob's name may not leave its store")
        return path

    def put_file(self, name: str, source: Path) -> None:
        with self._writing(name) as target:
            shutil.copyfile(source, target.name)  # in the kernel: no bytes pass through here

    def put(self, name: str, data: bytes) -> None:
        with self._writing(name) as target:
            target.write(data)

    @contextmanager
    def _writing(self, name: str):  # type: ignore[no-untyped-def]  # tempfile's wrapper has no public type
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as target:
            try:
                yield target
                target.flush()
                os.fsync(target.fileno())
                Path(target.name).replace(path)
            except BaseException:
                Path(target.name).unlink(missing_ok=True)
                raise

    def get(self, name: str) -> bytes:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError as missing:
            raise BlobMissing(name) from missing

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        path = self._path(name)
        if not path.is_file():
            raise BlobMissing(name)
        yield path

    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def delete_all(self, prefix: str) -> None:
        folder = self._path(prefix)
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # other jobs of this user
            folder.parent.rmdir()

    def jobs(self) -> Iterator[StoredJob]:
        for folder in self._root.glob("*/*"):
            with suppress(OSError):  # deleted meanwhile
                age = time.time() - folder.stat().st_mtime
                yield StoredJob(UserId(folder.parent.name), TaskId(folder.name), age)

    def stored_at(self, name: str) -> float | None:
        return self._path(name).stat().st_mtime  # a network volume's is its server's

    def room_bytes(self) -> int:
        self._root.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._root).free

    def check(self, *, writing: bool = True) -> None:
        if not writing:
            return  # it may not be there yet
        self.room_bytes()
        if not os.access(self._root, os.R_OK | os.W_OK | os.X_OK):
            raise BlobsUnavailable(f"{self._root} cannot be written to", lasting=True)


class RedisStore:
    """Blobs as Redis strings with a lifetime: for small installs without a shared volume."""

    def __init__(self, client: "redis.Redis", keys: Keys, ttl_seconds: int) -> None:
        self._client = client
        self._keys = keys
        self._ttl = ttl_seconds

    def put_file(self, name: str, source: Path) -> None:
        self.put(name, source.read_bytes())

    def put(self, name: str, data: bytes) -> None:
        self._client.set(self._keys.blob(name), data, ex=self._ttl)

    def get(self, name: str) -> bytes:
        data = self._client.get(self._keys.blob(name))
        if data is None:
            raise BlobMissing(name)
        assert isinstance(data, bytes)  # the client does not decode
        return data

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        data = self.get(name)
        with tempfile.TemporaryDirectory(prefix="ocrplus-blob-") as folder:
            path = Path(folder) / "blob"
            path.write_bytes(data)
            yield path

    def delete(self, name: str) -> None:
        self._client.delete(self._keys.blob(name))

    def delete_all(self, prefix: str) -> None:
        pattern = self._keys.blob(prefix).replace("[", r"\[").replace("*", r"\*") + "*"
        for batch in _batches(self._client.scan_iter(match=pattern, count=500), 200):
            self._client.delete(*batch)

    def jobs(self) -> Iterator[StoredJob]:
        return iter(())  # each has its lifetime

    def stored_at(self, name: str) -> float | None:
        return None

    def room_bytes(self) -> int:
        memory = self._client.info("memory")
        assert isinstance(memory, dict)  # redis-py types sync and async replies as one union
        limit = int(memory.get("maxmemory") or memory.get("total_system_memory") or 0)
        if not limit:
            return ROOM_UNKNOWN_BYTES
        return max(0, int(limit * 0.9) - int(memory["used_memory"]))

    def check(self, *, writing: bool = True) -> None:
        self.room_bytes()


def _batches(items: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def open_store(settings: CommonSettings, client: "redis.Redis | None") -> BlobStore:
    """Open the store of `OCRPLUS_BLOB_URL`; `client` is that of the deployment's own server.

    Raises:
        ValueError: the URL is of none of the known kinds, or what it needs is not there.
    """
    parts = urlsplit(settings.blob_url)
    if parts.scheme == "file":
        return DirectoryStore(Path(unquote(parts.path)))
    if parts.scheme in ("redis", "rediss") and client is not None:
        return RedisStore(client, Keys(settings.key_prefix), settings.blob_ttl_seconds)
    if parts.scheme == "s3":
        return _open_bucket(parts, settings)
    raise ValueError(
        f"no blob store for '{parts.scheme}://': use file:///dir, redis:// or s3://bucket/prefix"
    )


def _open_bucket(parts: SplitResult, settings: CommonSettings) -> BlobStore:
    if not parts.hostname or parts.netloc != parts.hostname or parts.query or parts.fragment:
        raise ValueError(
            "OCRPLUS_BLOB_URL must be s3://bucket/prefix; endpoint and keys are given by AWS_…"
        )
    try:
        from ocrplus_contract.s3 import S3Store
    except ModuleNotFoundError as missing:
        raise ValueError("s3:// needs obstore: install ocrplus[s3]") from missing
    return S3Store(parts.hostname, unquote(parts.path).strip("/"), settings)


def store_problem(settings: CommonSettings, *, writing: bool = True) -> str | None:
    """Why the blob store cannot be used until somebody mends it; what may pass is waited for."""
    try:
        store = open_store(settings, client=connect(settings))
        if not isinstance(store, RedisStore):  # the server is looked at by itself
            store.check(writing=writing)
    except ValueError as wrong:
        return str(wrong)
    except BlobsUnavailable as unavailable:
        return f"blob store: {unavailable}" if unavailable.lasting else None
    except OSError as error:
        return f"blob store: {error.strerror}: check OCRPLUS_BLOB_URL"
    return None
