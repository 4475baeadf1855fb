"""A server that is killed and comes back from its log."""

import shutil
import time
from pathlib import Path

import pytest
import redis_server
from ledger_steps import KEYS, LEDGER, admit, commit, finish, take

from ocrplus_contract.ledger import run
from ocrplus_contract.names import Pool, UserId

USER = UserId("u")


@pytest.mark.parametrize("kind", ["valkey", "redis7"])
def test_nothing_is_lost_and_the_lag_is_right_again(kind: str, tmp_path: Path) -> None:
    if redis_server.binary(kind) is None:
        pytest.skip("Debian's redis-server is not installed: apt-get install redis-server")
    with redis_server.running(kind, tmp_path) as server, server.client as client:
        admit(client, "u", "t", [(n, n) for n in range(1, 11)])
        done = take(client)
        commit(client, done, done.first)
        finish(client, done)
        held = take(client)

    with redis_server.running(kind, tmp_path) as server, server.client as client:
        run(client, LEDGER.resync(Pool.OCR))
        group = client.xinfo_groups("work:ocr")[0]
        assert (group["lag"], group["pending"]) == (8, 1)
        assert commit(client, held, held.first), "the lease outlives the server"
        assert finish(client, held)
        pages = set()
        while (lease := take(client)) is not None:
            commit(client, lease, lease.first)
            pages.add(lease.first)
            finish(client, lease)
        assert len(pages) == 8
        assert client.hget("job:u:t", "state") == b"ok"


@pytest.mark.parametrize("kind", ["valkey", "redis7"])
def test_a_position_that_the_server_has_lost_is_not_taken_for_a_later_one(
    kind: str, tmp_path: Path
) -> None:
    """A power cut under `everysec`: the last events are gone, and their numbers used again."""
    if redis_server.binary(kind) is None:
        pytest.skip("Debian's redis-server is not installed: apt-get install redis-server")
    disk, cut = tmp_path / "disk", tmp_path / "cut"
    disk.mkdir()
    with redis_server.running(kind, disk) as server, server.client as client:
        for n in range(3):
            admit(client, USER, f"kept{n}", [(1, 1)])
        time.sleep(2.1)  # its start is known to the second
        shutil.copytree(disk, cut)
        for n in range(2):
            admit(client, USER, f"lost{n}", [(1, 1)])
        epoch = client.hget(KEYS.events(USER), "epoch").decode()

        def at(seq: int) -> str | None:
            return run(client, LEDGER.locate(USER, epoch, seq)).lost

        assert [at(seq) for seq in range(6)] == [None] * 6

    with redis_server.running(kind, cut) as server, server.client as client:
        early = [at(seq) for seq in (2, 3, 5)]
        for n in range(3):
            admit(client, USER, f"new{n}", [(1, 1)])
        known = at(3)
        lost = run(client, LEDGER.locate(USER, epoch, 5))
        others = at(3)
        admit(client, USER, "after", [(1, 1)])
        now = run(client, LEDGER.locate(USER, lost.epoch, 1))

    assert early == [None, None, "future_position"]
    assert known is None, "what it has is replayed"
    assert (lost.lost, lost.seq, lost.oldest_seq) == ("epoch", 0, 0)
    assert lost.epoch != epoch and others == "epoch"
    assert (now.lost, now.seq) == (None, 1)


def test_an_heir_that_ran_beside_its_master_knows_no_positions(tmp_path: Path) -> None:
    with redis_server.running("valkey") as server, server.client as client:
        time.sleep(2.1)
        admit(client, USER, "t", [(1, 1)])
        epoch = client.hget(KEYS.events(USER), "epoch").decode()
        assert run(client, LEDGER.locate(USER, epoch, 1)).lost is None
        client.hset(KEYS.events(USER), "server", "another")

        assert run(client, LEDGER.locate(USER, epoch, 0)).lost is None
        assert run(client, LEDGER.locate(USER, epoch, 1)).lost == "epoch"
