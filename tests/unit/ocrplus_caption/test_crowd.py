"""Who waits, who gives way, and when the doorbells of those who gave way ring."""

import asyncio
from contextlib import ExitStack

import pytest

from ocrplus_caption.crowd import Crowd, Crowded, Desks
from ocrplus_contract.names import Permit


def test_a_crowd_has_a_size() -> None:
    crowd = Crowd(2, lambda count: None)

    with ExitStack() as stack:
        stack.enter_context(crowd.joined("logo"))
        stack.enter_context(crowd.joined("seal"))
        with pytest.raises(Crowded, match="logo"), crowd.joined("logo"):
            pass
    with crowd.joined("logo"):
        pass


def test_a_turn_s_end_rings_once_for_each_who_gave_way_to_it() -> None:
    heard: list[int] = []

    async def walk() -> None:
        crowd = Crowd(1, heard.append)
        for figure in ("t/1", "t/2", "t/1"):  # taken and given back again meanwhile
            crowd.owe("logo", figure)
        crowd.owe("seal", "t/3")
        for _ in range(2):
            crowd.turn_ended("logo")
            await asyncio.sleep(0.05)
        assert heard == [2], "the seal's figure waits on"
        crowd.scatter()
        await asyncio.sleep(0.05)

    asyncio.run(walk())
    assert heard == [2, 1]


def test_turns_that_end_elsewhere_fill_no_memory(monkeypatch) -> None:
    monkeypatch.setattr("ocrplus_caption.crowd._MOST_OWED", 3)
    heard: list[int] = []

    async def walk() -> None:
        crowd = Crowd(1, heard.append)
        for number in range(7):
            crowd.owe(f"picture {number}", f"t/{number}")
        await asyncio.sleep(0.05)
        assert sum(heard) == 6, "no more than three are kept"
        crowd.scatter()
        await asyncio.sleep(0.05)

    asyncio.run(walk())
    assert sum(heard) == 7, "nobody is forgotten"


def test_who_gave_way_is_turned_away_while_it_is_crowded() -> None:
    async def walk() -> None:
        crowd = Crowd(1, lambda count: None)
        with crowd.joined("logo"):
            crowd.turn_away("u:t/1")
            crowd.owe("logo", "u:t/1")
            with pytest.raises(Crowded):
                crowd.turn_away("u:t/1")
            crowd.turn_ended("logo")
            crowd.turn_away("u:t/1")
        crowd.owe("logo", "u:t/1")
        crowd.turn_away("u:t/1")  # there is room to wait

    asyncio.run(walk())


def test_who_leaves_a_desk_gives_it_to_the_next_once() -> None:
    async def walk() -> list[str]:
        desks, seated = Desks(1), []

        async def sit(name: str) -> None:
            await desks.sit_down(Permit(name))
            seated.append(name)

        others = [asyncio.create_task(sit(name)) for name in ("a", "b", "c")]
        await asyncio.sleep(0)
        for _ in range(3):  # leaves for a call, and again when it has ended
            desks.leave(Permit("a"))
        await asyncio.sleep(0.01)
        others[2].cancel()
        return seated

    assert asyncio.run(walk()) == ["a", "b"]
