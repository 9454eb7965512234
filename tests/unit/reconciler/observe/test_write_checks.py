"""The primary of a storage at rest is asked every few seconds whether it takes writes; one that refuses is told."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from reconciler.observe.write_checks import PERIOD_SECONDS, WriteChecks
from reconciler.state.instance import Instance, InstanceFacts
from shared import errors
from tests.support.background import beside
from tests.support.virtual_time import in_virtual_time

REDUNDANT = 1
"""The fence of a storage with replicas."""


def primary(name: str, facts: InstanceFacts | None) -> Instance:
    pod = {"metadata": {"name": name}, "status": {"phase": "Running", "podIP": f"address of {name}"}}
    return Instance(0, pod, facts=facts)


class World:
    """Primaries, and the storages that were reported."""

    def __init__(self) -> None:
        self.asked = Counter[str]()
        self.hanging: set[str] = set()
        self.refusing: set[str] = set()
        self.closed: set[str] = set()
        self.failing: dict[str, Exception] = {}
        self.reported: list[str] = []
        self.checks = WriteChecks(self.takes_writes, lambda key: self.reported.append(key[1]))

    def look(self, name: str, *, is_at_rest: bool = True) -> None:
        found = primary(name, InstanceFacts("master", is_loading=False, fence=REDUNDANT))
        self.checks.note_look(("team", name), found if is_at_rest else None)

    async def takes_writes(self, host: str, port: int, fence: int) -> bool | None:
        assert (port, fence) == (6379, REDUNDANT)
        name = host.removeprefix("address of ")
        self.asked[name] += 1
        if name in self.hanging:
            await asyncio.Event().wait()
        if name in self.failing:
            raise self.failing[name]
        return None if name in self.closed else name not in self.refusing

    async def pass_periods(self, count: float) -> None:
        await asyncio.sleep(count * PERIOD_SECONDS)


@in_virtual_time
async def test_each_primary_is_asked_once_a_period_and_one_that_takes_writes_is_left_alone() -> None:
    world = World()
    for number in range(50):
        world.look(f"storage-{number}")
    async with beside(world.checks.run()):
        await world.pass_periods(9.99)
    assert set(world.asked.values()) == {10}
    assert len(world.asked) == 50
    assert not world.reported


@in_virtual_time
async def test_a_primary_that_refuses_writes_is_reported_within_a_period_and_once_until_the_next_look() -> None:
    world = World()
    world.look("mine")
    async with beside(world.checks.run()):
        await world.pass_periods(3)
        world.refusing.add("mine")
        await world.pass_periods(1)
        assert world.reported == ["mine"]
        await world.pass_periods(3)
        assert world.reported == ["mine"]
        world.look("mine")
        await world.pass_periods(1)
        assert world.reported == ["mine"] * 2


@in_virtual_time
async def test_a_storage_that_is_not_at_rest_is_not_asked() -> None:
    world = World()
    world.look("mine", is_at_rest=False)
    world.look("other")
    async with beside(world.checks.run()):
        await world.pass_periods(2)
        world.look("other", is_at_rest=False)
        world.asked.clear()
        await world.pass_periods(2)
    assert not world.asked


@in_virtual_time
async def test_a_storage_that_is_gone_is_not_asked() -> None:
    world = World()
    world.look("mine")
    world.checks.forget(("team", "mine"))
    world.checks.forget(("team", "unknown"))
    async with beside(world.checks.run()):
        await world.pass_periods(2)
    assert not world.asked


@in_virtual_time
async def test_a_primary_that_hangs_holds_up_no_other() -> None:
    world = World()
    world.hanging |= {f"storage-{number}" for number in range(49)}
    for number in range(50):
        world.look(f"storage-{number}")
    async with beside(world.checks.run()):
        await world.pass_periods(0.99)
        world.refusing.add("storage-49")
        await world.pass_periods(1)
    assert world.reported == ["storage-49"]


@pytest.mark.parametrize("error", [errors.StoreHungUp("closed"), errors.StoreUnreachable("no answer")])
@in_virtual_time
async def test_a_primary_that_does_not_answer_is_left_to_the_heartbeat_and_asked_again(error: Exception) -> None:
    world = World()
    world.look("mine")
    world.failing["mine"] = error
    async with beside(world.checks.run()):
        await world.pass_periods(2.5)
        assert world.asked["mine"] >= 2
        assert not world.reported


@in_virtual_time
async def test_a_primary_with_which_no_session_is_kept_is_no_news() -> None:
    world = World()
    world.look("mine")
    world.closed.add("mine")
    async with beside(world.checks.run()):
        await world.pass_periods(3)
    assert not world.reported


@in_virtual_time
async def test_a_look_that_ends_before_the_answer_comes_knows_more() -> None:
    world = World()
    world.look("mine")
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def refuse_slowly(*_: object) -> bool:
        is_asked.set()
        await may_answer.wait()
        return False

    checks = WriteChecks(refuse_slowly, lambda key: world.reported.append(key[1]))
    world.checks = checks
    world.look("mine")
    async with beside(checks.run()):
        await is_asked.wait()
        world.look("mine", is_at_rest=False)
        may_answer.set()
        await world.pass_periods(1)
    assert not world.reported


@in_virtual_time
async def test_nobody_is_asked_once_the_process_no_longer_leads() -> None:
    world = World()
    world.look("mine")
    async with beside(world.checks.run()):
        await world.pass_periods(1)
    world.asked.clear()
    await world.pass_periods(2)
    assert not world.asked


def test_a_storage_whose_primary_says_nothing_of_itself_is_not_asked() -> None:
    world = World()
    world.checks.note_look(("team", "mine"), primary("mine", None))
    assert len(world.checks) == 0
