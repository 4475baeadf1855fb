"""Of two replicas one leads, by a Lease on an API server; each has a clock of its own."""

import asyncio
from collections.abc import Callable

import pytest

from ocrplus_operator.errors import NotFound
from ocrplus_operator.kube import Kube
from ocrplus_operator.leader import Candidacy, Leader
from ocrplus_operator.pool import ended


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stand(kube: Kube) -> Callable[[str, Clock], Leader]:
    return lambda name, clock: Leader(kube, Candidacy("n", "lease", name, 15), clock)


async def test_the_second_waits_until_it_has_seen_the_lease_unrenewed_for_its_duration(
    stand: Callable[[str, Clock], Leader],
) -> None:
    clock = Clock()
    first, second = stand("a", clock), stand("b", clock)
    await first.once()
    await second.once()
    assert (first.leads, second.leads) == (True, False)

    clock.now = 10.0
    await second.once()
    assert not second.leads  # it counts from when it first saw this lease
    assert not first.leads  # its own hold is no longer certain: it stops before others begin
    clock.now = 15.5
    await second.once()

    assert second.leads
    await first.once()
    assert not first.leads


async def test_a_renewed_lease_is_not_taken(stand: Callable[[str, Clock], Leader]) -> None:
    clock = Clock()
    first, second = stand("a", clock), stand("b", clock)
    for _ in range(10):
        await first.once()
        await second.once()
        clock.now += 5

    assert first.leads and not second.leads


async def test_a_lease_that_is_given_up_is_free_at_once(
    stand: Callable[[str, Clock], Leader],
) -> None:
    clock = Clock()
    first, second = stand("a", clock), stand("b", clock)
    await first.once()
    await second.once()
    await first.release()
    await second.once()

    assert second.leads and not first.leads


async def test_a_replica_that_returns_under_its_name_leads_at_once(
    stand: Callable[[str, Clock], Leader],
) -> None:
    await stand("a", Clock()).once()
    again = stand("a", Clock())
    await again.once()

    assert again.leads


async def test_an_empty_lease_of_the_chart_is_taken_at_once(
    kube: Kube, stand: Callable[[str, Clock], Leader]
) -> None:
    stood = stand("a", Clock())
    await kube.create(
        "/apis/coordination.k8s.io/v1/namespaces/n/leases",
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "lease"},
            "spec": {},
        },
    )
    await stood.once()

    assert stood.leads


async def test_a_lease_that_was_deleted_is_made_again_only_when_nobody_ends_this_process(
    kube: Kube, stand: Callable[[str, Clock], Leader]
) -> None:
    path, clock = "/apis/coordination.k8s.io/v1/namespaces/n/leases/lease", Clock()
    stood = stand("a", clock)
    await stood.once()
    await kube.request("DELETE", path)

    clock.now = 12.0  # an uninstallation would have ended it by now
    await stood.once()
    with pytest.raises(NotFound):
        await kube.get(path)
    assert not stood.leads
    clock.now = 16.0
    await stood.once()

    assert stood.leads


async def test_a_lease_that_nobody_foresaw_does_not_end_the_standing_for_it(
    kube: Kube, stand: Callable[[str, Clock], Leader]
) -> None:
    leader = stand("a", Clock())
    lease = {
        "metadata": {"name": "lease"},
        "spec": {"holderIdentity": "b", "leaseDurationSeconds": "x"},
    }
    await kube.create("/apis/coordination.k8s.io/v1/namespaces/n/leases", lease)
    standing = asyncio.create_task(leader.run())
    await asyncio.sleep(0.3)

    assert not standing.done()
    await ended(standing)


async def test_a_lease_without_a_time_is_renewed(
    kube: Kube, stand: Callable[[str, Clock], Leader]
) -> None:
    leader = stand("a", Clock())
    lease = {"metadata": {"name": "lease"}, "spec": {"holderIdentity": "a"}}
    await kube.create("/apis/coordination.k8s.io/v1/namespaces/n/leases", lease)
    await leader.once()

    assert leader.leads
