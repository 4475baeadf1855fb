"""A server that is killed and comes back from its log."""

from pathlib import Path

import pytest
import redis_server
from ledger_steps import LEDGER, admit, commit, finish, take

from ocrplus_contract.ledger import run
from ocrplus_contract.names import Pool


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
