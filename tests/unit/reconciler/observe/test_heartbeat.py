"""The heartbeat reports an instance that dies at once, and one that hangs within a second or two."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from reconciler.observe import heartbeat
from reconciler.observe.heartbeat import Heartbeats
from shared import names
from shared.objects.resources import Key
from shared.process import survival

KEY = ("team", "mine")
UID = "uid-1"


class Server:
    """Answers like a Valkey that asks for a password, unless it hangs."""

    def __init__(self) -> None:
        self.is_hanging = False
        self.pings = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while await reader.readline():
                self.pings += 1
                if not self.is_hanging:
                    writer.write(b"-NOAUTH Authentication required.\r\n")


class World:
    def __init__(self, port: int) -> None:
        self.port = port
        self.silent: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.answers: list[tuple[Key, int, float, float]] = []
        self.heartbeats = Heartbeats(self.silent.put_nowait, lambda *answer: self.answers.append(answer))
        self.server = Server()

    async def hear(self) -> None:
        async with asyncio.timeout(10):
            assert await self.silent.get() == KEY


def pod(address: str = "127.0.0.1", name: str = "mine-valkey-0-0") -> dict[str, Any]:
    labels = {names.LABEL_INSTANCE: "0", names.LABEL_STORAGE: "mine"}
    status = {"phase": "Running", "podIP": address} if address else {}
    return {
        "metadata": {"name": name, "namespace": "team", "uid": UID, "labels": labels},
        "status": status,
    }


@pytest.fixture(name="world")
async def world_fixture(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        world = World(found.getsockname()[1])
    monkeypatch.setattr(names, "VALKEY_PORT", world.port)
    monkeypatch.setattr(heartbeat, "PERIOD_SECONDS", 0.05)
    monkeypatch.setattr(heartbeat, "TIMEOUT_SECONDS", 0.05)
    task = asyncio.ensure_future(world.heartbeats.run([]))
    await asyncio.sleep(0)
    yield world
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@contextlib.asynccontextmanager
async def serving(world: World) -> AsyncIterator[None]:
    server = await asyncio.start_server(world.server.serve, "127.0.0.1", world.port)
    try:
        yield
    finally:
        server.close()
        for writer in world.server.writers:
            writer.transport.abort()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            if holds():
                return
            await asyncio.sleep(0.005)


async def until_pinged(world: World, times: int) -> None:
    await until(lambda: world.server.pings >= times)


async def test_a_server_that_answers_is_not_reported(world: World) -> None:
    async with serving(world):
        world.heartbeats.on_pod(None, pod())
        await until_pinged(world, 5)
        assert world.silent.empty()
        assert world.heartbeats.silent_for(pod()) < 1


async def test_each_answer_is_told_once_with_the_time_that_it_took(world: World) -> None:
    async with serving(world):
        world.heartbeats.on_pod(None, pod())
        await until_pinged(world, 5)
        await until(lambda: len(world.answers) >= 5)
        assert len(world.answers) <= world.server.pings
        now = asyncio.get_running_loop().time()
        for storage, index, seconds, at in world.answers:
            assert (storage, index) == (KEY, 0)
            assert 0 < seconds < 10
            assert 0 <= now - at < 10
        told = len(world.answers)
        for _ in range(2):  # an answer may come in two pieces
            world.heartbeats._heartbeats[UID]._note_answer()
        assert len(world.answers) <= told + 1
        told = len(world.answers)
        world.server.is_hanging = True
        await world.hear()
        assert len(world.answers) <= told + 1, "a server that hangs has not answered"


async def test_an_answer_counts_when_it_comes_and_not_a_period_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "PERIOD_SECONDS", 60)
    world.server.is_hanging = True
    async with serving(world):
        world.heartbeats.on_pod(None, pod())
        await until_pinged(world, 1)
        await until(lambda: world.heartbeats.silent_for(pod()) > 0.5)
        world.server.writers[0].write(b"-NOAUTH Authentication required.\r\n")
        await until(lambda: world.heartbeats.silent_for(pod()) < 0.5)


async def test_a_server_that_dies_is_reported_and_found_again(world: World) -> None:
    async with serving(world):
        world.heartbeats.on_pod(None, pod())
        await until_pinged(world, 2)
    await world.hear()
    pings = world.server.pings
    async with serving(world):
        await until_pinged(world, pings + 2)
        assert world.heartbeats.silent_for(pod()) < 1
        while not world.silent.empty():
            world.silent.get_nowait()
        await until_pinged(world, pings + 4)
        assert world.silent.empty()


async def test_a_server_that_answers_again_is_reported_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has started again in its container, and has to be told whom to follow."""
    async with serving(world):
        world.heartbeats.on_pod(None, pod())
        await until_pinged(world, 1)
    await world.hear()
    monkeypatch.setattr(heartbeat, "PERIOD_SECONDS", 60)
    while not world.silent.empty():
        world.silent.get_nowait()
    async with serving(world):
        await world.hear()
        assert world.server.pings > 1


async def test_a_server_that_hangs_is_reported_again_and_again(world: World) -> None:
    async with serving(world):
        world.heartbeats.on_pod(None, pod())
        await until_pinged(world, 1)
        world.server.is_hanging = True
        await world.hear()
        first = world.heartbeats.silent_for(pod())
        await world.hear()
        assert world.heartbeats.silent_for(pod()) > first > 0


async def test_a_deleted_pod_is_no_longer_asked(world: World) -> None:
    async with serving(world):
        world.heartbeats.on_pod(None, pod())
        await until_pinged(world, 1)
        world.heartbeats.on_pod(pod(), None)
        assert world.heartbeats.silent_for(pod()) == 0
        assert world.heartbeats._heartbeats == {}


async def test_pods_without_an_address_and_pods_of_others_are_not_asked(world: World) -> None:
    other = pod()
    other["metadata"]["labels"] = {}
    for each in (pod(""), other):
        world.heartbeats.on_pod(None, each)
    assert world.heartbeats._heartbeats == {}


async def test_a_reconciler_that_does_not_lead_asks_no_pod(world: World) -> None:
    idle = Heartbeats(world.silent.put_nowait)
    idle.on_pod(None, pod())
    assert idle._heartbeats == {}


# Servers that outlive their pods


async def test_a_server_that_outlives_its_pod_is_known_until_its_connection_ends(world: World) -> None:
    """Somebody deleted the pod by force, and kubelet has yet to stop the server."""
    async with serving(world):
        world.heartbeats.on_pod(None, pod())
        await until_pinged(world, 1)
        assert world.heartbeats.outlives_at(KEY, 0) == ""
        world.heartbeats.on_pod(pod(), None)
        assert world.heartbeats.outlives_at(KEY, 0) == "127.0.0.1"
        assert world.heartbeats.outlives_at(KEY, 1) == ""
    await world.hear()
    assert world.heartbeats.outlives_at(KEY, 0) == ""
    assert world.heartbeats._outliving == {}


async def test_a_server_that_outlives_its_pod_and_hangs_is_no_longer_known(world: World) -> None:
    async with serving(world):
        world.heartbeats.on_pod(None, pod())
        await until_pinged(world, 1)
        world.heartbeats.on_pod(pod(), None)
        world.server.is_hanging = True
        await world.hear()
        assert world.heartbeats.outlives_at(KEY, 0) == ""


async def test_a_pod_that_ends_after_its_server_outlives_nothing(world: World) -> None:
    async with serving(world):
        world.heartbeats.on_pod(None, pod())
        await until_pinged(world, 1)
    await world.hear()
    world.heartbeats.on_pod(pod(), None)
    assert world.heartbeats.outlives_at(KEY, 0) == ""
    assert world.heartbeats._outliving == {}


@pytest.mark.parametrize("name", ["stranger", "mine-valkey-x-0", "mine-valkey-0-1", "mine-valkey-0", ""])
async def test_a_pod_with_our_labels_and_another_name_is_no_instance(world: World, name: str) -> None:
    """With a heartbeat, the address of its pod would pass for that of the instance once the pod is gone."""
    async with serving(world):
        world.heartbeats.on_pod(None, pod())
        await until_pinged(world, 1)
        world.heartbeats.on_pod(None, pod(name=name) | {"status": {}})
        assert list(world.heartbeats._heartbeats) == [UID]
        world.heartbeats.on_pod(pod(name=name), None)
        assert world.heartbeats.outlives_at(KEY, 0) == ""


async def test_a_heartbeat_goes_on_after_an_error_that_nobody_foresaw(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(survival, "FIRST_PAUSE_SECONDS", 0.01)
    failures, tell = [RuntimeError("a bug")], world.silent.put_nowait

    def fail_once(storage: tuple[str, str]) -> None:
        if failures:
            raise failures.pop()
        tell(storage)

    world.heartbeats._on_change = fail_once
    world.heartbeats.on_pod(None, pod())  # nobody listens there
    await world.hear()
    assert [record.__dict__["part"] for record in caplog.records if record.exc_info] == ["heartbeats"]
    async with serving(world):
        await world.hear()
