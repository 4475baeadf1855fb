"""How one connection takes a user's events: at once where it waits, in order always."""

import asyncio
import json

import pytest

from ocrplus_contract.names import UserId
from ocrplus_gateway.events import START, Event, Gap, Lost, Subscription


def event(seq: int) -> Event:
    body = {"epoch": "a", "seq": seq, "type": "progress", "task_id": "t"}
    return Event.parse(f"1-{seq}", json.dumps(body, separators=(",", ":")).encode())


class Client:
    """Takes what it is given at once, or refuses."""

    def __init__(self) -> None:
        self.takes = True
        self.asked: list[int] = []

    def __call__(self, event: Event) -> bool:
        self.asked.append(event.seq)
        return self.takes


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def subscription(client: Client) -> Subscription:
    made = Subscription(UserId("u"), START, "a", 0)
    made.at_once = client
    return made


async def awaited(subscription: Subscription) -> "asyncio.Task[Event | Lost]":
    task = asyncio.create_task(subscription.next())
    await asyncio.sleep(0)
    return task


async def test_who_waits_is_given_the_next_event_at_once(
    subscription: Subscription, client: Client
) -> None:
    task = await awaited(subscription)
    for seq in (1, 2, 3):
        subscription.offer(event(seq))
    await asyncio.sleep(0)

    assert client.asked == [1, 2, 3] and subscription.seq == 3
    assert subscription.empty and not task.done()
    task.cancel()


async def test_what_is_refused_at_once_is_queued_and_nothing_overtakes_it(
    subscription: Subscription, client: Client
) -> None:
    task = await awaited(subscription)
    client.takes = False
    subscription.offer(event(1))
    client.takes = True
    for seq in (2, 3):  # the task was woken, but has not run
        subscription.offer(event(seq))

    taken = [await task, await subscription.next(), await subscription.next()]
    assert [item.seq for item in taken] == [1, 2, 3]
    assert client.asked == [1]


async def test_who_is_busy_with_an_event_is_not_given_another(
    subscription: Subscription, client: Client
) -> None:
    subscription.offer(event(1))
    assert (await subscription.next()).seq == 1
    subscription.offer(event(2))  # the first may still be on its way

    assert client.asked == [] and (await subscription.next()).seq == 2


async def test_a_gap_and_an_old_event_are_not_given_at_once(
    subscription: Subscription, client: Client
) -> None:
    task = await awaited(subscription)
    subscription.offer(event(3))
    subscription.offer(event(2))

    assert await task == Lost("trimmed", "a", 2)
    assert (await subscription.next()).seq == 3
    assert subscription.empty and client.asked == []


async def test_who_cannot_be_given_an_event_has_to_resume_and_hears_no_other(
    subscription: Subscription, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Event) -> bool:
        raise RuntimeError("the handler is closed")

    subscription.at_once = broken
    task = await awaited(subscription)
    for seq in (1, 2):
        subscription.offer(event(seq))

    with pytest.raises(Gap):
        await task
    assert subscription.ends and subscription.empty
    assert "the handler is closed" in caplog.text


async def test_a_replay_queues_so_that_what_is_behind_is_known(
    subscription: Subscription, client: Client
) -> None:
    task = await awaited(subscription)
    subscription.replaying = True
    subscription.offer(event(1))
    subscription.offer(event(2))

    assert (await task).seq == 1 and not subscription.empty  # a client may skip what is outdated
    assert client.asked == []
