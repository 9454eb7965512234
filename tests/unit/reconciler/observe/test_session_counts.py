"""Sessions of every storage are counted once a minute; one that fails, hangs or goes holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from reconciler.credentials.login import Login
from reconciler.observe import session_counts
from reconciler.observe.session_counts import AT_ONCE, PERIOD_SECONDS, SessionCounts
from shared import errors
from shared.consumers.identity import Consumer, Usage
from shared.objects.resources import Key
from tests.support.background import beside

LOGIN = Login("default", "a" * 32)
SERVER = Consumer("MCPServer", "team", "srv")


class World:
    """Storages, and the answers of their instances."""

    def __init__(self) -> None:
        self.storages: dict[Key, tuple[str, int, Login] | None] = {}
        self.noted: asyncio.Queue[tuple[Key, Mapping[tuple[str, str], int]]] = asyncio.Queue()
        self.asked: list[str] = []
        self.hanging: set[str] = set()
        self.failing: dict[str, Exception] = {}
        self.at_once = 0
        self.most = 0

    def add(self, name: str) -> Key:
        self.storages["team", name] = (name, 6379, LOGIN)
        return "team", name

    def countable(self) -> list[Key]:
        return [key for key, place in self.storages.items() if place is not None]

    def counts_at(self, storage: Key) -> tuple[str, int, Login] | None:
        return self.storages.get(storage)

    def note_sessions(self, storage: Key, sessions: Mapping[tuple[str, str], int]) -> None:
        self.noted.put_nowait((storage, sessions))

    async def count(self, host: str, port: int, login: Login, own: int, prefixes: Sequence[str]) -> Mapping[int, int]:
        assert (port, login, own, len(prefixes)) == (6379, LOGIN, 1, 1)
        self.asked.append(host)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(0)
            if host in self.hanging:
                await asyncio.Event().wait()
            if host in self.failing:
                raise self.failing[host]
            return {1: 4}
        finally:
            self.at_once -= 1


@pytest.fixture(name="world")
def world_fixture(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(session_counts, "count_sessions", world.count)
    monkeypatch.setattr(session_counts, "TICK_SECONDS", 0.0)
    return world


def counts_of(world: World) -> SessionCounts:
    return SessionCounts(world, lambda key: [Usage(SERVER, key)])


async def noted(world: World) -> Key:
    async with asyncio.timeout(10):
        key, sessions = await world.noted.get()
    assert sessions == {("team", "srv"): 4}
    return key


async def test_a_new_storage_is_counted_at_once_and_again_only_after_a_minute(world: World) -> None:
    key, counts = world.add("mine"), counts_of(world)
    async with beside(counts.run()):
        assert await noted(world) == key
        other = world.add("other")
        assert await noted(world) == other
        now = asyncio.get_running_loop().time()
        assert counts.due(now + PERIOD_SECONDS / 2) == []
        assert counts.due(now + PERIOD_SECONDS) == [key, other]
    assert world.asked == ["mine", "other"]


async def test_a_server_that_hangs_holds_up_no_other(world: World) -> None:
    world.hanging.add(world.add("stuck")[1])
    async with beside(counts_of(world).run()):
        for number in range(3 * AT_ONCE):
            key = world.add(f"storage-{number}")
            assert await noted(world) == key
    assert world.asked.count("stuck") == 1


async def test_a_storage_that_waits_for_its_turn_waits_once(world: World) -> None:
    for number in range(AT_ONCE + 1):
        world.hanging.add(world.add(f"storage-{number}")[1])
    counts = counts_of(world)
    async with beside(counts.run()), asyncio.timeout(10):
        while True:
            await asyncio.sleep(0)
            if len(world.asked) == AT_ONCE:
                break
        assert counts.due(asyncio.get_running_loop().time()) == []


async def test_only_so_many_are_counted_at_once(world: World) -> None:
    for number in range(10 * AT_ONCE):
        world.add(f"storage-{number}")
    async with beside(counts_of(world).run()):
        for _ in range(10 * AT_ONCE):
            await noted(world)
    assert world.most == AT_ONCE


@pytest.mark.parametrize("error", [errors.StoreRefused("as default: WRONGPASS"), TimeoutError()])
async def test_a_count_that_fails_is_told_and_leaves_the_former_one(
    world: World, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    caplog.set_level("INFO")
    key, counts = world.add("mine"), counts_of(world)
    world.failing["mine"] = error
    await counts.count(key)
    assert world.noted.empty()
    assert type(error).__name__ in str(vars(caplog.records[-1])["error"])
    assert "a" * 32 not in caplog.text + str(vars(caplog.records[-1]))


async def test_a_bug_with_one_storage_stops_the_counts_of_no_other(world: World) -> None:
    world.hanging.add(world.add("slow")[1])
    world.failing[world.add("odd")[1]] = ValueError("a reply that nobody expected")
    async with beside(counts_of(world).run()):
        for name in ("first", "second"):
            key = world.add(name)
            assert await noted(world) == key
    assert world.asked == ["slow", "odd", "first", "second"]


async def test_a_storage_is_counted_as_soon_as_an_instance_can_be_asked(world: World) -> None:
    key: Key = ("team", "mine")
    world.storages[key] = None
    counts = counts_of(world)
    async with beside(counts.run()):
        assert counts.due(asyncio.get_running_loop().time()) == []
        await counts.count(key)
        assert world.asked == []
        world.add("mine")
        assert await noted(world) == key


async def test_a_storage_whose_instances_come_and_go_is_not_counted_more_often(world: World) -> None:
    key, counts = world.add("mine"), counts_of(world)
    async with beside(counts.run()):
        assert await noted(world) == key
    now, place = asyncio.get_running_loop().time(), world.storages[key]
    world.storages[key] = None
    assert counts.due(now + 1) == []
    world.storages[key] = place
    assert counts.due(now + 2) == []
    assert counts.due(now + PERIOD_SECONDS + 1) == [key]


async def test_a_storage_that_is_gone_is_forgotten(world: World) -> None:
    key, counts = world.add("mine"), counts_of(world)
    async with beside(counts.run()):
        assert await noted(world) == key
    world.storages.clear()
    assert counts.due(asyncio.get_running_loop().time() + PERIOD_SECONDS + 1) == []
    assert counts._due == {}
