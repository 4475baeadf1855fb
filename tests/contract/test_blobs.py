"""Every blob store keeps the same promises."""

import os
from pathlib import Path

import pytest
import redis_server
import s3_server

from ocrplus_contract.blobs import BlobStore, figure_blob, job_prefix, open_store
from ocrplus_contract.errors import BlobMissing
from ocrplus_contract.names import Permit, TaskId, UserId
from ocrplus_contract.server import connect
from ocrplus_contract.settings import CommonSettings

USER, TASK = UserId("ann@example.org"), TaskId("t-1.a")
NAME = job_prefix(USER, TASK) + figure_blob("p1-f1", Permit("1732381200123-0"))
MIB = 1 << 20


def opened(monkeypatch: pytest.MonkeyPatch, **env: str) -> BlobStore:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    settings = CommonSettings()
    return open_store(settings, connect(settings))


@pytest.fixture(params=["directory", "redis", *s3_server.KINDS])
def store(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    valkey: redis_server.Server,
    monkeypatch: pytest.MonkeyPatch,
) -> BlobStore:
    """Each store in turn, empty."""
    if request.param == "directory":
        return opened(monkeypatch, OCRPLUS_BLOB_URL=(tmp_path / "blobs").as_uri())
    if request.param == "redis":
        valkey.client.flushall()
        return opened(monkeypatch, OCRPLUS_BLOB_URL="redis://", OCRPLUS_REDIS_URL=valkey.url)
    server = request.getfixturevalue("s3_servers")(request.param)
    return opened(monkeypatch, **server.env("some/where"))


def test_what_was_put_is_got_and_lent_whole(store: BlobStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(9 * MIB + 17))  # more than one part

    store.put_file("u/t/doc.pdf", source)
    store.put(NAME, b"picture")
    store.put("u/t/empty", b"")

    assert store.get("u/t/doc.pdf") == source.read_bytes()
    with store.local("u/t/doc.pdf") as lent:
        assert lent.read_bytes() == source.read_bytes()
    with store.local("u/t/empty") as lent:
        assert lent.read_bytes() == b""
    assert (store.get(NAME), store.get("u/t/empty")) == (b"picture", b"")


def test_a_second_put_replaces_the_first(store: BlobStore) -> None:
    store.put(NAME, b"long before")
    store.put(NAME, b"after")

    assert store.get(NAME) == b"after"


def test_what_is_not_there_is_missing(store: BlobStore) -> None:
    with pytest.raises(BlobMissing):
        store.get(NAME)
    with pytest.raises(BlobMissing), store.local(NAME):
        pass
    store.delete(NAME)
    store.delete_all(job_prefix(USER, TASK))


def test_deletion_takes_what_is_named_and_nothing_else(store: BlobStore) -> None:
    for name in ("u/t/a", "u/t/figures/b", "u/t-2/a", "u/t2/a", "u/tt/a", "u2/t/a"):
        store.put(name, name.encode())

    store.delete_all("u/t/")
    store.delete("u/t2/a")

    for gone in ("u/t/a", "u/t/figures/b", "u/t2/a"):
        with pytest.raises(BlobMissing):
            store.get(gone)
    for kept in ("u/t-2/a", "u/tt/a", "u2/t/a"):
        assert store.get(kept) == kept.encode()


def test_the_jobs_that_have_blobs_are_listed_unless_each_has_its_lifetime(
    store: BlobStore, request: pytest.FixtureRequest
) -> None:
    for name in ("u/t/a", "u/t/figures/b", "u/t-2/a", "v/t/a"):
        store.put(name, b"x")

    found = {(job.user, job.task): job.age_seconds for job in store.jobs()}

    if request.node.callspec.params["store"] == "redis":
        assert found == {}
    else:
        assert set(found) == {("u", "t"), ("u", "t-2"), ("v", "t")}
        assert all(-2 < age < 30 for age in found.values())


def test_there_is_room_and_the_check_leaves_nothing(store: BlobStore) -> None:
    store.check()
    store.check(writing=False)

    assert store.room_bytes() > MIB
    assert list(store.jobs()) == []


def test_no_name_leads_out_of_the_store(store: BlobStore, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["store"] == "redis":
        store.put("../x", b"x")  # a key is a key: there is nowhere to get out
        return
    with pytest.raises(ValueError):
        store.put("u/../../x", b"x")
