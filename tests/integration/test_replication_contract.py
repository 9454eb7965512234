"""Instances in memory and real Valkeys agree on who follows whom, who takes writes, and what INFO says of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from reconciler.apply import passwords
from reconciler.credentials import identities
from reconciler.credentials.identities import CONSUMER, OPERATOR, REPLICATION
from reconciler.credentials.login import Login
from reconciler.state.instance import InstanceFacts
from reconciler.state.replication_info import PRIMARY, REPLICA
from reconciler.valkey import replication, users
from reconciler.valkey.replication import replication_session
from reconciler.valkey.session import connected
from shared import errors
from shared.names import VALKEY_PORT
from tests.integration.instances import ADDRESSES, ADMIN, NOBODY, PASSWORDS, connect, running
from tests.support.fakevalkey import OK, WAITS, FakeInstance, FakeSession, FakeValkey

OPERATING = Login(OPERATOR.user, PASSWORDS[OPERATOR.key])
REPLICATING = Login(REPLICATION.user, PASSWORDS[REPLICATION.key])
A, B, C = ADDRESSES.values()


class Client(Protocol):
    """A connection of a consumer."""

    def write(self, key: str) -> None: ...
    def answer(self) -> str:
        """Return the first word of the answer; empty if there is none yet."""


class RealClient:
    def __init__(self, stack: ExitStack, address: str) -> None:
        self._socket = stack.enter_context(socket.create_connection((address, VALKEY_PORT), timeout=2))
        self._socket.sendall(f"AUTH {PASSWORDS[CONSUMER.key]}\r\n".encode())
        assert self._socket.recv(64) == b"+OK\r\n"
        self._socket.settimeout(0)

    def write(self, key: str) -> None:
        self._socket.sendall(f"SET {key} x\r\n".encode())

    def answer(self) -> str:
        try:
            words = self._socket.recv(1024).decode().split()
        except BlockingIOError:
            return ""
        except ConnectionResetError:
            return "closed"
        return words[0].strip("+-") if words else "closed"


class FakeClient:
    def __init__(self, valkey: FakeValkey, address: str) -> None:
        self._valkey, self._instance = valkey, valkey.instances[address]
        self._session: FakeSession = self._instance.connect(CONSUMER.user, PASSWORDS[CONSUMER.key], "127.0.0.1")
        self._key, self._answer = "", ""

    def write(self, key: str) -> None:
        self._key, self._answer = key, self._valkey.write(self._instance, self._session, key)

    def answer(self) -> str:
        if self._answer != WAITS:
            return self._answer
        if self._key in self._valkey.acknowledged:
            return OK
        return "" if self._session.is_open else "closed"


class World(Protocol):
    """Three instances; at first each is a primary by itself."""

    @property
    def edge(self) -> Any:
        """The edge module that changes passwords, or its stand-in."""

    async def facts(self, address: str) -> InstanceFacts: ...
    def client(self, address: str) -> Client: ...
    def restart(self, address: str) -> None: ...


class Fake:
    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.edge = self._valkey = FakeValkey()
        self._valkey.instances = {
            address: FakeInstance(identities.users_acl(PASSWORDS)) for address in ADDRESSES.values()
        }
        patch.setattr(replication, "connected", self._valkey.connected)

    async def facts(self, address: str) -> InstanceFacts:
        return await self._valkey.observe(address, VALKEY_PORT, OPERATING)

    def client(self, address: str) -> FakeClient:
        return FakeClient(self._valkey, address)

    def restart(self, address: str) -> None:
        self._valkey.instances[address].restart()


class Real:
    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self.edge: Any = users
        self._stack, self._directory = stack, directory
        self._servers = {address: stack.enter_context(ExitStack()) for address in ADDRESSES.values()}
        for address in ADDRESSES.values():
            (directory / address).mkdir()
            self._start(address)

    async def facts(self, address: str) -> InstanceFacts:
        return await users.observe(address, VALKEY_PORT, OPERATING)

    def client(self, address: str) -> RealClient:
        return RealClient(self._stack, address)

    def restart(self, address: str) -> None:
        self._servers[address].close()
        self._start(address)

    def _start(self, address: str) -> None:
        (size,) = (size for size, each in ADDRESSES.items() if each == address)
        self._servers[address].enter_context(running(self._directory / address, size))


@pytest.fixture(name="world", params=["fake", "real"])
async def world_fixture(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    with ExitStack() as stack:
        made: dict[str, Callable[[], World]] = {
            "fake": lambda: Fake(monkeypatch),
            "real": lambda: Real(stack, tmp_path),
        }
        yield made[request.param]()


async def until(world: World, address: str, is_so: Callable[[InstanceFacts], object]) -> InstanceFacts:
    """Wait until an instance's replication facts fulfil a condition, and return them."""
    async with asyncio.timeout(10):
        while True:
            facts = await world.facts(address)
            if is_so(facts):
                return facts
            await asyncio.sleep(0.02)


async def answer(client: Client) -> str:
    async with asyncio.timeout(10):
        while True:
            if said := client.answer():
                return said
            await asyncio.sleep(0.01)


async def tell(address: str, command: str, *arguments: Any) -> None:
    async with replication_session(address, VALKEY_PORT, OPERATING) as session:
        await getattr(session, command)(*arguments)


async def written(world: World, address: str, key: str) -> str:
    client = world.client(address)
    client.write(key)
    return await answer(client)


async def follow(world: World, address: str, primary: str) -> None:
    """Have an instance follow another one, and wait until writes there reach it."""
    await tell(address, "follow", primary, REPLICATING)
    await until(world, primary, lambda facts: any(each.is_online for each in attached(facts, address)))


def attached(facts: InstanceFacts, host: str) -> list[Any]:
    return [each for each in (facts.replication.attached(host),) if each is not None]


async def test_an_instance_starts_as_its_own_primary_without_a_history(world: World) -> None:
    facts = await world.facts(A)
    assert facts.role == PRIMARY
    assert facts.replication.upstream == ""
    assert facts.replication.is_empty
    assert not facts.replication.has_history
    assert not facts.is_paused
    assert facts.fence == 0


async def test_a_replica_has_its_primarys_keys_and_says_so(world: World) -> None:
    assert await written(world, A, "thv:1") == OK
    await follow(world, B, A)
    assert await written(world, A, "thv:2") == OK
    primary = await world.facts(A)
    replica = await until(world, B, lambda facts: facts.replication.offset >= primary.replication.offset)
    assert replica.role == REPLICA
    assert replica.replication.upstream == A
    assert replica.replication.is_linked
    assert replica.replication.silence in {0, 1}
    assert replica.replication.down_for is None
    assert replica.replication.lineage == primary.replication.lineage
    assert replica.replication.keys == 2
    assert replica.upstream_hash == identities.sha256(REPLICATING.password)
    assert await written(world, B, "thv:3") == "READONLY"


async def test_a_replica_says_when_it_gets_new_writes_and_not_only_the_snapshot(world: World) -> None:
    await tell(B, "follow", A, REPLICATING)
    await until(world, B, lambda facts: facts.replication.is_streaming)
    assert (await world.facts(A)).replication.attached(B)
    await tell(B, "promote")
    assert not (await world.facts(B)).replication.is_streaming


async def test_a_promoted_replica_continues_the_history_and_all_others_can_follow_it(world: World) -> None:
    assert await written(world, A, "thv:1") == OK
    for address in (B, C):
        await follow(world, address, A)
    lineage = (await world.facts(A)).replication.lineage
    await tell(B, "promote")
    await follow(world, C, B)
    await follow(world, A, B)
    promoted = (await world.facts(B)).replication
    assert promoted.former_lineage == lineage != promoted.lineage
    assert await written(world, B, "thv:2") == OK
    for address in (A, C):
        replica = await until(world, address, lambda facts: facts.replication.keys == 2)
        assert replica.replication.is_streaming


async def test_an_instance_tells_if_it_has_continued_another_history_than_the_reconciler_saw(world: World) -> None:
    """Its primary had died, and came back meanwhile: it may have taken writes that nobody else has."""
    assert await written(world, A, "thv:1") == OK
    seen = (await world.facts(B)).replication.lineage
    await follow(world, B, A)
    with pytest.raises(errors.StoreMovedOn):
        await tell(B, "promote", seen)
    await follow(world, B, A)
    await tell(B, "promote", (await world.facts(B)).replication.lineage)
    with pytest.raises(errors.StoreMovedOn):
        await tell(C, "follow", B, REPLICATING, {seen})
    await tell(C, "follow", B, REPLICATING)


async def test_promoting_a_primary_changes_nothing(world: World) -> None:
    lineage = (await world.facts(A)).replication.lineage
    await tell(A, "promote")
    assert (await world.facts(A)).replication.lineage == lineage


async def test_a_replica_of_an_empty_primary_empties_itself(world: World) -> None:
    assert await written(world, B, "thv:1") == OK
    await follow(world, B, A)
    await until(world, B, lambda facts: facts.replication.is_empty)


async def test_a_replica_with_a_wrong_password_has_no_link_until_it_has_the_right_one(world: World) -> None:
    await tell(B, "follow", A, Login(REPLICATION.user, passwords.generate()))
    facts = await world.facts(B)
    assert facts.replication.upstream == A
    assert not facts.replication.is_linked
    await tell(B, "tell_password", REPLICATING)
    await until(world, B, lambda facts: facts.replication.is_linked)


async def fence(world: World, address: str) -> tuple[int, int]:
    """Return how many replicas an instance needs to take writes, and how many count."""
    facts = await world.facts(address)
    return facts.fence, facts.replication.good_replicas


async def test_a_replica_whose_primarys_name_nobody_resolves_follows_as_soon_as_it_is_told_an_address(
    world: World,
) -> None:
    await tell(B, "follow", "mine-valkey.team.invalid", REPLICATING)
    facts = await world.facts(B)
    assert facts.replication.upstream == "mine-valkey.team.invalid"
    assert not facts.replication.is_linked
    assert not facts.replication.is_copying
    await follow(world, B, A)


async def test_a_replica_says_while_it_receives_the_copy(tmp_path: Path) -> None:
    with ExitStack() as stack:
        world = Real(stack, tmp_path)
        for key in ("thv:1", "thv:2", "thv:3"):
            assert await written(world, A, key) == OK
        with connect(ADMIN, A) as primary:
            primary.config_set("rdb-key-save-delay", 200_000)  # microseconds for each key
        await tell(B, "follow", A, REPLICATING)
        copying = await until(world, B, lambda facts: facts.replication.is_copying)
        assert not copying.replication.is_linked
        linked = await until(world, B, lambda facts: facts.replication.is_linked)
        assert not linked.replication.is_copying


async def replace_password(world: World, address: str) -> Login:
    """Have an instance refuse the password for replication that it has accepted, and accept another one."""
    new = Login(REPLICATION.user, passwords.generate())
    hashes = {new.user: frozenset({identities.sha256(new.password)})}
    await world.edge.admit(address, VALKEY_PORT, OPERATING, hashes)
    former = {new.user: identities.sha256(REPLICATING.password)}
    await world.edge.retire(address, VALKEY_PORT, OPERATING, former)
    return new


async def test_a_replica_that_restarts_with_a_former_password_follows_once_it_is_told_the_present_one(
    world: World,
) -> None:
    """As one that was away during a rotation: it has tried in vain by then, and tries again."""
    new = await replace_password(world, A)
    world.restart(B)
    await tell(B, "follow", A, REPLICATING)
    assert not (await world.facts(B)).replication.is_linked
    assert await written(world, A, "thv:1") == OK
    assert not (await world.facts(B)).replication.is_linked
    await tell(B, "tell_password", new)
    facts = await until(world, B, lambda facts: facts.replication.is_linked)
    assert facts.replication.keys == 1


async def test_a_replica_keeps_its_link_when_it_is_told_another_password(world: World) -> None:
    await follow(world, B, A)
    hashes = {REPLICATION.user: frozenset({identities.sha256("N" * 32)})}
    await world.edge.admit(A, VALKEY_PORT, OPERATING, hashes)
    await tell(B, "tell_password", Login(REPLICATION.user, "N" * 32))
    facts = await world.facts(B)
    assert facts.upstream_hash == identities.sha256("N" * 32)
    assert facts.replication.is_linked
    former = {REPLICATION.user: identities.sha256(REPLICATING.password)}
    await world.edge.retire(A, VALKEY_PORT, OPERATING, former)
    assert (await world.facts(B)).replication.is_linked
    assert await written(world, A, "thv:1") == OK
    await until(world, B, lambda facts: facts.replication.keys == 1)


async def test_a_replica_that_is_told_another_password_while_it_synchronises_goes_on(tmp_path: Path) -> None:
    with ExitStack() as stack:
        world = Real(stack, tmp_path)
        assert await written(world, A, "thv:1") == OK
        async with connected(A, VALKEY_PORT, OPERATING) as execute:
            await execute("CONFIG SET", "repl-diskless-sync-delay", "2")
        await tell(B, "follow", A, REPLICATING)
        await until(world, A, lambda facts: [each for each in attached(facts, B) if not each.is_online])
        await tell(B, "tell_password", await replace_password(world, A))
        assert [each.is_online for each in attached(await world.facts(A), B)] == [False]
        facts = await until(world, B, lambda facts: facts.replication.is_linked)
        assert facts.replication.keys == 1


async def test_a_fenced_primary_refuses_writes_without_enough_replicas(world: World) -> None:
    await tell(A, "fence", 1)
    assert await fence(world, A) == (1, 0)
    assert await written(world, A, "thv:1") == "NOREPLICAS"
    await follow(world, B, A)
    assert await fence(world, A) == (1, 1)
    assert await written(world, A, "thv:1") == OK
    await tell(A, "fence", 2)
    assert await fence(world, A) == (2, 1)
    assert await written(world, A, "thv:2") == "NOREPLICAS"
    await tell(A, "fence", 0)
    assert await fence(world, A) == (0, 1)


async def test_writes_wait_while_they_are_paused_and_are_carried_out_then(world: World) -> None:
    client = world.client(A)
    await tell(A, "pause", 60)
    await tell(A, "pause", 1)  # a shorter pause does not shorten the first one
    client.write("thv:1")
    facts = await world.facts(A)
    assert facts.is_paused
    assert facts.replication.is_empty
    assert client.answer() == ""
    await tell(A, "resume")
    assert await answer(client) == OK
    assert not (await world.facts(A)).is_paused
    await tell(A, "resume")


async def test_a_fence_refuses_even_writes_that_a_pause_would_hold(world: World) -> None:
    await tell(A, "pause", 60)
    await tell(A, "fence", 1)
    assert await written(world, A, "thv:1") == "NOREPLICAS"


async def test_a_write_that_waits_is_lost_with_its_connection(world: World) -> None:
    client = world.client(A)
    await tell(A, "pause", 60)
    client.write("thv:1")
    await until(world, A, lambda facts: facts.is_paused)
    await tell(A, "disconnect_clients")
    assert await answer(client) == "closed"
    await tell(A, "resume")
    assert (await world.facts(A)).replication.is_empty


async def test_a_primary_that_becomes_a_replica_disconnects_clients_whose_writes_wait(world: World) -> None:
    client = world.client(A)
    await tell(A, "pause", 60)
    client.write("thv:1")
    await follow(world, A, B)
    assert await answer(client) == "closed"
    facts = await world.facts(A)
    assert not facts.is_paused
    assert facts.replication.is_empty


async def test_a_replica_applies_nothing_while_writes_are_paused_there(world: World) -> None:
    await follow(world, B, A)
    await tell(B, "pause", 60)
    assert await written(world, A, "thv:1") == OK
    assert (await world.facts(B)).replication.is_empty
    await tell(B, "follow", A, REPLICATING)
    await until(world, B, lambda facts: not facts.replication.is_empty)


async def test_a_replica_that_follows_somebody_else_keeps_its_clients(world: World) -> None:
    await follow(world, B, A)
    client = world.client(B)
    await follow(world, B, C)
    client.write("thv:1")
    assert await answer(client) == "READONLY"


async def test_a_restart_restores_the_data_as_another_history_without_pause_or_fence(world: World) -> None:
    await follow(world, B, A)
    assert await written(world, A, "thv:1") == OK
    await tell(A, "pause", 60)
    await tell(A, "fence", 1)
    before = await world.facts(A)
    async with replication_session(A, VALKEY_PORT, OPERATING) as session:
        run_id = await session.run_id()
    await tell(B, "promote")
    world.restart(A)
    after = await world.facts(A)
    assert after.replication.keys == 1
    assert after.replication.lineage != before.replication.lineage
    assert not after.replication.has_history
    assert not after.is_paused
    assert after.fence == 0
    async with replication_session(A, VALKEY_PORT, OPERATING) as session:
        assert await session.run_id() != run_id


async def test_a_replica_notices_that_its_primary_has_gone(world: World) -> None:
    await follow(world, B, A)
    await tell(B, "follow", NOBODY, REPLICATING)
    facts = await until(world, B, lambda facts: not facts.replication.is_linked)
    assert facts.replication.silence is None
    await until(world, A, lambda facts: not facts.replication.replicas)
