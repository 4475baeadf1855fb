"""The doctor's findings about real servers, stores and machines: well, and wrong in each way."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import redis_proxy
import redis_server
import s3_server
from ledger_steps import admit, take

from ocrplus_contract.doctor import Check, Finding, Status, examine
from ocrplus_contract.doctor.findings import ok
from ocrplus_contract.doctor.machine import Machine
from ocrplus_contract.doctor.server import JUDGEMENTS, Server, ServerReading
from ocrplus_contract.doctor.storage import Storage
from ocrplus_contract.doctor.work import Work
from ocrplus_contract.heartbeat import own_version, queue_record
from ocrplus_contract.keys import Keys
from ocrplus_contract.names import Pool
from ocrplus_contract.records import WorkerRecord
from ocrplus_contract.settings import CommonSettings
from ocrplus_contract.states import WorkerState

CANARY = "canary-5f0c"
KEYS = Keys()


def about(url: str, **options: object) -> dict[str, Finding]:
    """What is found of a server; nothing of it may show the canary."""
    return named(Server(url, KEYS, **options).look())  # type: ignore[arg-type]


def named(findings: Iterator[Finding]) -> dict[str, Finding]:
    found = {finding.name: finding for finding in findings}
    assert CANARY not in repr(found)
    for finding in found.values():
        assert (finding.status is Status.OK) == (finding.do == "")
    return found


def bad(found: dict[str, Finding]) -> dict[str, Status]:
    return {name: f.status for name, f in found.items() if f.status is not Status.OK}


@pytest.fixture
def persistent(client: redis.Redis) -> Iterator[redis.Redis]:
    """A server as it should be, with its settings put back."""
    client.config_set("appendonly", "yes")
    client.config_set("appendfsync", "everysec")
    yield client
    for name, value in (
        ("maxmemory-policy", "noeviction"),
        ("maxmemory", "0"),
        ("appendfsync", "everysec"),
        ("appendonly", "no"),
        ("requirepass", ""),
        ("save", ""),
    ):
        client.config_set(name, value)


def test_a_healthy_server_has_nothing_wrong(
    persistent: redis.Redis, any_server: redis_server.Server
) -> None:
    found = about(any_server.url)

    assert bad(found) == {}
    assert len(found) == 1 + len(JUDGEMENTS)
    assert "7.0" in found["redis"].reason or "Valkey 9" in found["redis"].reason
    assert persistent.keys() == []


@pytest.mark.parametrize(
    ("name", "value", "wrong", "says"),
    [
        ("maxmemory-policy", "allkeys-lru", {"redis.eviction": "fail"}, "allkeys-lru"),
        ("appendonly", "no", {"redis.persistence": "fail"}, "nothing is written to disk"),
        ("appendfsync", "no", {"redis.persistence": "warn"}, "appendfsync is no"),
        (
            "maxmemory",
            "1000000",
            {"redis.memory": "fail", "redis.writing": "fail"},
            "every write is refused",
        ),
    ],
)
def test_each_wrong_setting_is_named(
    persistent: redis.Redis,
    any_server: redis_server.Server,
    name: str,
    value: str,
    wrong: dict[str, str],
    says: str,
) -> None:
    persistent.config_set(name, value)

    found = about(any_server.url)

    assert bad(found) == wrong
    assert says in found[next(iter(wrong))].reason


def test_snapshots_alone_are_a_warning(
    persistent: redis.Redis, any_server: redis_server.Server
) -> None:
    persistent.config_set("appendonly", "no")
    persistent.config_set("save", "60 1")

    assert bad(about(any_server.url)) == {"redis.persistence": "warn"}


def test_a_wrong_password_is_told_and_not_shown(
    persistent: redis.Redis, any_server: redis_server.Server
) -> None:
    persistent.config_set("requirepass", "right")
    try:
        wrong = about(f"redis://:{CANARY}@127.0.0.1:{any_server.port}/0")
        none = about(any_server.url)
        right = about(f"redis://:right@127.0.0.1:{any_server.port}/0")
    finally:
        persistent.execute_command("AUTH", "right")
        persistent.config_set("requirepass", "")

    assert [found["redis"].status for found in (wrong, none, right)] == ["fail", "fail", "ok"]
    assert "does not accept the password" in wrong["redis"].reason
    assert "does not accept the password" in none["redis"].reason


def test_a_user_who_may_not_write_is_told(
    persistent: redis.Redis, any_server: redis_server.Server
) -> None:
    persistent.execute_command("ACL", "SETUSER", "reader", "on", f">{CANARY}", "~*", "+@read",
                               "+info", "+ping", "+time")  # fmt: skip
    try:
        found = about(f"redis://reader:{CANARY}@127.0.0.1:{any_server.port}/0")
    finally:
        persistent.execute_command("ACL", "DELUSER", "reader")

    assert bad(found) == {"redis.writing": "fail"}
    assert "does not tell appendfsync" in found["redis.persistence"].reason


def test_a_replica_is_no_place_to_write(valkey: redis_server.Server, tmp_path: Path) -> None:
    with redis_server.running("valkey", tmp_path) as second:
        second.client.replicaof("127.0.0.1", str(valkey.port))
        found = about(second.url)

    assert {"redis.role", "redis.writing"} <= bad(found).keys()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"redis://:{CANARY}@127.0.0.1:1/0", "nobody listens there"),
        (f"redis://:{CANARY}@no-such-host.invalid:6379/0", "the name is not known"),
        (f"redis://:{CANARY}@127.0.0.1:six/0", "is no URL"),
        (f"redis://:1/{CANARY}@127.0.0.1:6379/0", "localhost:1: nobody listens there"),
        (f"http://:{CANARY}@127.0.0.1:1", "is no URL"),
        (f"redis+sentinel://:{CANARY}@127.0.0.1:1/master/0", "no Sentinel knows"),
        (f"redis+sentinel://:{CANARY}@127.0.0.1:1", "is no URL"),
    ],
)
def test_a_dead_end_says_why(url: str, says: str) -> None:
    found = about(url)

    assert bad(found) == {"redis": "fail"}
    assert says in found["redis"].reason


@contextmanager
def silent_port() -> Iterator[int]:
    """A socket that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_server_that_hangs_is_given_up_in_time() -> None:
    with silent_port() as port:
        server = Server(f"redis://127.0.0.1:{port}/0", KEYS)
        began = time.monotonic()
        (finding,) = examine([Check("redis", server.look)])

    assert finding.status == "fail" and "does not answer" in finding.reason
    assert time.monotonic() - began < 4


def test_a_check_that_hangs_costs_its_time_and_no_other_its_findings() -> None:
    never = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield ok("half", "found before")
        never.wait()

    def breaks() -> Iterator[Finding]:
        raise ZeroDivisionError
        yield

    began = time.monotonic()
    found = examine(
        [
            Check("hangs", hangs),
            Check("breaks", breaks),
            Check("well", lambda: [ok("well", "yes")]),
            Check("later", lambda: [ok("later", "no")], after="breaks"),
        ],
        seconds=0.3,
    )
    never.set()

    assert time.monotonic() - began < 2
    assert [(f.name, f.status) for f in found] == [
        ("half", "ok"),
        ("hangs", "fail"),
        ("breaks", "fail"),
        ("well", "ok"),
    ]
    assert "ZeroDivisionError" in found[2].reason


def test_a_check_that_needs_longer_has_its_own_time() -> None:
    def slow() -> Iterator[Finding]:
        time.sleep(0.3)
        yield ok("slow", "at last")

    (found,) = examine([Check("slow", slow, seconds=10)], seconds=0.01)

    assert found == ok("slow", "at last")


def test_an_old_server_is_told(valkey: redis_server.Server) -> None:
    with redis_proxy.wire(valkey.port) as wire:
        wire.rewrite = lambda answer: re.sub(rb"redis_version:\d", b"redis_version:6", answer)
        found = about(wire.url)

    assert found["redis.version"].status == "fail"


@pytest.mark.parametrize(
    ("seconds", "status"), [(0, "ok"), (5, "warn"), (-5, "warn"), (60, "fail")]
)
def test_a_clock_that_goes_wrong_is_told(
    valkey: redis_server.Server, seconds: int, status: str
) -> None:
    def skewed(answer: bytes) -> bytes:
        return re.sub(
            rb"\*2\r\n\$10\r\n(\d{10})\r\n",
            lambda found: b"*2\r\n$10\r\n%d\r\n" % (int(found[1]) + seconds),
            answer,
        )

    with redis_proxy.wire(valkey.port) as wire:
        wire.rewrite = skewed
        found = about(wire.url)["redis.clock"]

    assert found.status == status
    if seconds:
        assert ("behind" if seconds > 0 else "ahead of") in found.reason


@pytest.mark.parametrize(
    ("info", "name", "status"),
    [
        ({"cluster_enabled": 1}, "redis.role", "fail"),
        ({"aof_enabled": 1, "aof_last_write_status": "err"}, "redis.persistence", "fail"),
        ({"connected_clients": 90, "maxclients": 100}, "redis.clients", "warn"),
        ({"maxmemory": 100, "used_memory": 85}, "redis.memory", "warn"),
        ({"total_system_memory": 100, "used_memory": 10}, "redis.memory", "warn"),
    ],
)
def test_what_cannot_be_had_here_is_judged_all_the_same(
    info: dict[str, object], name: str, status: str
) -> None:
    reading = ServerReading("redis.example:6379", {"redis_version": "7.2.4", **info})

    found = {judge("redis", reading).name: judge("redis", reading) for judge in JUDGEMENTS}

    assert found[name].status == status


# The work, and who does it.


def work(server: redis_server.Server, lease_seconds: float = 60) -> dict[str, Finding]:
    place = Server(server.url, KEYS)
    return named(Work(place, place, lease_seconds).look())


def beats(client: redis.Redis, state: WorkerState, version: str = "") -> None:
    record = WorkerRecord(pod="pod", pid=1, state=state)
    queue_record(client, KEYS, Pool.OCR, "pod.0", record)
    client.zadd(KEYS.workers(Pool.OCR), {"pod.0": time.time()})
    if version:
        client.set(KEYS.worker_version(Pool.OCR, "pod.0"), version)


def gateway_beats(client: redis.Redis) -> None:
    client.zadd(KEYS.gateways(), {"g": time.time(), "gone": time.time()})
    client.set(KEYS.gateway("g"), own_version())


def test_a_fleet_at_work_has_nothing_wrong(
    client: redis.Redis, any_server: redis_server.Server
) -> None:
    gateway_beats(client)
    beats(client, WorkerState.BUSY)
    admit(client, "u", "t", [(1, 2), (3, 4)])
    take(client)

    found = work(any_server)

    assert bad(found) == {}
    assert found["queue.ocr"].reason == "1 wait, 1 in hand"
    assert found["gateways"].reason == "1 beat"


def test_work_without_workers_or_gateways_is_told(
    client: redis.Redis, any_server: redis_server.Server
) -> None:
    admit(client, "u", "t", [(1, 2)])

    found = work(any_server)

    assert bad(found) == {"workers.ocr": "fail", "gateways": "fail"}
    assert "1 chunks wait" in found["workers.ocr"].reason


def test_versions_that_differ_are_told(
    client: redis.Redis, any_server: redis_server.Server
) -> None:
    gateway_beats(client)
    beats(client, WorkerState.IDLE, version="0.0.9")

    found = work(any_server)

    assert bad(found) == {"versions": "warn"}
    assert "0.0.9: worker pod.0" in found["versions"].reason


def test_idle_workers_beside_unrung_work_are_told(
    client: redis.Redis, any_server: redis_server.Server
) -> None:
    gateway_beats(client)
    beats(client, WorkerState.IDLE)
    admit(client, "u", "t", [(1, 2)])

    assert bad(work(any_server)) == {"queue.ocr": "warn"}


def test_a_lag_of_null_and_a_group_that_is_gone_are_told(
    client: redis.Redis, any_server: redis_server.Server
) -> None:
    gateway_beats(client)
    beats(client, WorkerState.BUSY)
    admit(client, "u", "t", [(1, 1), (2, 2), (3, 3)])
    take(client)
    first = client.xrange(KEYS.work(Pool.OCR), count=2)[1][0]
    client.xdel(KEYS.work(Pool.OCR), first)

    unknown = work(any_server)["queue.ocr"]
    client.xgroup_destroy(KEYS.work(Pool.OCR), "workers")
    missing = work(any_server)["queue.ocr"]

    assert unknown.status == "fail" and "NULL" in unknown.reason
    assert missing.status == "fail" and "no consumer group" in missing.reason


def test_chunks_of_silent_workers_are_told(
    client: redis.Redis, any_server: redis_server.Server
) -> None:
    gateway_beats(client)
    beats(client, WorkerState.BUSY)
    admit(client, "u", "t", [(1, 2)])
    take(client)
    time.sleep(0.05)

    found = work(any_server, lease_seconds=-30)["queue.ocr"]

    assert (
        found.status == "fail" and "1 chunks are held by workers that went silent" in found.reason
    )


# Documents, this machine, and the page that lists all findings.


def storage(server: redis_server.Server, url: str, **options: object) -> dict[str, Finding]:
    settings = CommonSettings(redis_url=server.url, blob_url=url)
    return named(Storage(settings, Server(server.url, KEYS).client, **options).look())  # type: ignore[arg-type]


def test_a_folder_that_takes_documents_is_well_and_left_as_it_was(
    valkey: redis_server.Server, tmp_path: Path
) -> None:
    found = storage(valkey, tmp_path.as_uri())

    assert bad(found) == {} and {"blobs", "blobs.room", "blobs.clock"} == found.keys()
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_another_time_is_told(valkey: redis_server.Server, tmp_path: Path) -> None:
    an_hour_on = storage(valkey, tmp_path.as_uri(), clock=lambda: time.time() + 3600)

    assert bad(an_hour_on) == {"blobs.clock": "fail"}


@pytest.mark.parametrize("url", ["file:///proc/none", "ftp://somewhere", "s3://"])
def test_a_store_that_is_none_is_told(valkey: redis_server.Server, url: str) -> None:
    assert bad(storage(valkey, url)) == {"blobs": "fail"}


@pytest.mark.parametrize(
    ("change", "clock", "wrong", "says"),
    [
        ({}, 0, {}, ""),
        ({}, 1200, {"blobs.clock": "fail"}, " s ahead of it"),
        ({"AWS_SECRET_ACCESS_KEY": CANARY}, 0, {"blobs": "fail"}, "the key is not accepted"),
        ({"OCRPLUS_BLOB_URL": "s3://nowhere"}, 0, {"blobs": "fail"}, "there is no bucket"),
    ],
    ids=["well", "clock", "key", "bucket"],
)
def test_a_bucket_and_what_may_be_wrong_with_it(
    s3: s3_server.Server,
    valkey: redis_server.Server,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    clock: int,
    wrong: dict[str, str],
    says: str,
) -> None:
    for name, value in {**s3.env(), **change}.items():
        monkeypatch.setenv(name, value)
    client = Server(valkey.url, KEYS).client
    found = named(Storage(CommonSettings(), client, clock=lambda: time.time() + clock).look())

    assert bad(found) == wrong
    assert says in " ".join(finding.reason for finding in found.values())
    assert s3.names() == []


def test_redis_takes_documents(client: redis.Redis, any_server: redis_server.Server) -> None:
    assert bad(storage(any_server, "redis://")) == {}
    assert client.keys() == []


def test_the_machine_has_what_is_needed_or_says_what_not(tmp_path: Path) -> None:
    enough = named(Machine(files=100, scratch_bytes=1000).look())
    little = named(Machine(10**9, 1 << 60, tmp_path / "none").look())

    assert bad(enough) == {}
    assert set(bad(little)) == {"machine.files", "machine.scratch", "machine.shared-memory"}


def test_every_finding_is_on_its_page(valkey: redis_server.Server, tmp_path: Path) -> None:
    valkey.client.flushall()
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    found = {
        **about(valkey.url),
        **work(valkey),
        **storage(valkey, tmp_path.as_uri()),
        **named(Machine().look()),
    }

    assert {name for name in found if f"`{name}`" not in page} == set()
