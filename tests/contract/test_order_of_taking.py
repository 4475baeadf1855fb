"""The simulator's arm "shipped order" takes as the shipped script does."""

import random

import pytest
import redis
from autoscaling_queue import Chunk, Fair
from autoscaling_traces import Document
from ledger_steps import admit, take


def ranges(luck: random.Random) -> list[tuple[int, int]]:
    cut, first = [], 1
    for _ in range(luck.choice([1, 1, 2, 5])):
        last = first + luck.randrange(0, 16)
        cut.append((first, last))
        first = last + 1
    return cut


@pytest.mark.parametrize("seed", range(2))
def test_the_simulated_order_is_that_of_the_script(client: redis.Redis, seed: int) -> None:
    luck, queue, taken = random.Random(seed), Fair(), []
    for number in range(60):
        user = luck.randrange(6)
        chunks = ranges(luck)
        admit(client, f"u{user}", f"t{number}", chunks)
        parts = [Chunk(number, last - first + 1, float(first)) for first, last in chunks]
        sizes = tuple((c.pages, c.seconds) for c in parts)
        queue.admit(Document(0.0, sum(c.pages for c in parts), sizes, user), parts)
        for _ in range(luck.randrange(0, 5)):
            lease = take(client)
            if lease is None:
                assert len(queue) == 0
                break
            chunk = queue.take()
            taken.append(chunk)
            assert (lease.task, lease.first) == (f"t{chunk.document}", int(chunk.seconds))

    assert len(taken) > 60
