"""Who waits, who gives way, and when the doorbells of those who gave way ring."""

import asyncio
from contextlib import ExitStack

import pytest

from ocrplus_caption.crowd import Crowd, Crowded, Desks
from ocrplus_contract.names import Permit


def test_a_crowd_has_a_size() -> None:
    crowd = Crowd(2, lambda count: None)

    with ExitStack() as stack:
        stack.enter_context(crowd.joined())
        stack.enter_context(crowd.joined())
        with pytest.raises(Crowded), crowd.joined():
            pass
    with crowd.joined():
        pass


def rung(steps: "list[tuple[str, int]]") -> list[int]:
    """What rings within 0.8 s of some steps."""
    heard: list[int] = []

    async def walk() -> None:
        crowd = Crowd(1, heard.append)
        for step, count in steps:
            if step == "owe":
                crowd.owe(count)
            else:
                crowd.turn_ended()
        await asyncio.sleep(0.8)

    asyncio.run(walk())
    return heard


def test_a_turn_s_end_rings_for_all_who_gave_way() -> None:
    assert rung([("owe", 2), ("owe", 3), ("end", 0)]) == [5]


def test_without_an_end_they_ring_after_a_while() -> None:
    assert rung([("owe", 2), ("owe", 1)]) == [3]


def test_nobody_gave_way_nothing_rings() -> None:
    assert rung([("owe", 0), ("end", 0)]) == []


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
