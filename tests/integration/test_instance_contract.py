"""The instance in memory and a real Valkey agree on who gets in, what a restart restores, and who is cut off."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from reconciler.apply import passwords
from reconciler.credentials import identities
from reconciler.credentials.identities import CONSUMER, IDENTITIES, OPERATOR
from reconciler.credentials.login import Login
from reconciler.valkey import users
from shared import errors
from shared.session_storage.sizes import Size
from tests.integration import loopback
from tests.integration.instances import PASSWORDS, running
from tests.support.fakevalkey import FakeInstance, FakeSession, FakeValkey

OLD = Login(OPERATOR.user, PASSWORDS[OPERATOR.key])
NEW_PASSWORDS = {key: passwords.generate() for key in identities.PASSWORD_KEYS}
BOTH = identities.hashes(PASSWORDS, NEW_PASSWORDS)
GONE = {user: digest for user, digests in identities.hashes(PASSWORDS).items() for digest in digests}
NEAR, FAR = (loopback.address(loopback.OTHERS, number) for number in range(2))
PORT = 6379


class Session(Protocol):
    """A connection that has logged in and stays open."""

    @property
    def is_open(self) -> bool: ...


class RealSession:
    def __init__(self, stack: ExitStack, instance: str, password: str, host: str) -> None:
        connected = socket.create_connection((instance, PORT), timeout=2, source_address=(host, 0))
        self._socket = stack.enter_context(connected)
        self._socket.sendall(f"AUTH {password}\r\n".encode())
        assert self._socket.recv(64) == b"+OK\r\n"

    @property
    def is_open(self) -> bool:
        try:
            self._socket.sendall(b"PING\r\n")
            return self._socket.recv(64) == b"+PONG\r\n"
        except OSError:
            return False


class World(Protocol):
    """An instance, and the edge module that talks to it, or the edge's stand-in."""

    @property
    def edge(self) -> Any: ...
    @property
    def address(self) -> str: ...
    def session(self, password: str, host: str) -> Session: ...
    def restart(self) -> None: ...


class Fake:
    def __init__(self) -> None:
        self.edge, self.address = FakeValkey(), "10.1.0.1"
        self._instance = self.edge.instances[self.address] = FakeInstance(identities.users_acl(PASSWORDS))

    def session(self, password: str, host: str) -> FakeSession:
        return self._instance.connect(CONSUMER.user, password, host)

    def restart(self) -> None:
        self._instance.restart()


class Real:
    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self.edge: Any = users
        self._stack, self._directory = stack, directory
        self._running = stack.enter_context(ExitStack())
        self.address = self._running.enter_context(running(directory, Size.SMALL))

    def session(self, password: str, host: str) -> RealSession:
        return RealSession(self._stack, self.address, password, host)

    def restart(self) -> None:
        self._running.close()
        self._running = self._stack.enter_context(ExitStack())
        self._running.enter_context(running(self._directory, Size.SMALL))


@pytest.fixture(name="world", params=["fake", "real"])
async def world_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    with ExitStack() as stack:
        made: dict[str, Callable[[], World]] = {"fake": Fake, "real": lambda: Real(stack, tmp_path)}
        yield made[request.param]()


async def accepted(world: World, passwords: dict[str, str]) -> set[str]:
    """Return the users that get in with these passwords."""
    found = set()
    for identity in IDENTITIES:
        try:
            await world.edge.ping(world.address, PORT, Login(identity.user, passwords[identity.key]))
            found.add(identity.user)
        except errors.StoreRefused:
            pass
    return found


EVERYBODY = {identity.user for identity in IDENTITIES}


async def test_an_instance_reports_which_passwords_it_accepts(world: World) -> None:
    facts = await world.edge.observe(world.address, PORT, OLD)
    assert facts.hashes == identities.hashes(PASSWORDS)


async def test_an_admitted_password_gets_in_beside_the_former_and_survives_a_restart(world: World) -> None:
    await world.edge.admit(world.address, PORT, OLD, BOTH)
    for _ in range(2):
        assert await accepted(world, PASSWORDS) == EVERYBODY
        assert await accepted(world, NEW_PASSWORDS) == EVERYBODY
        assert (await world.edge.observe(world.address, PORT, OLD)).hashes == BOTH
        world.restart()


async def test_a_retired_password_no_longer_gets_in_not_even_after_a_restart(world: World) -> None:
    new = Login(OPERATOR.user, NEW_PASSWORDS[OPERATOR.key])
    await world.edge.admit(world.address, PORT, OLD, BOTH)
    await world.edge.retire(world.address, PORT, new, GONE)
    await world.edge.retire(world.address, PORT, new, GONE)
    for _ in range(2):
        assert await accepted(world, PASSWORDS) == set()
        assert await accepted(world, NEW_PASSWORDS) == EVERYBODY
        world.restart()


async def test_sessions_outlive_their_password_until_they_are_closed(world: World) -> None:
    await world.edge.admit(world.address, PORT, OLD, BOTH)
    old, spared = world.session(PASSWORDS["password"], NEAR), world.session(NEW_PASSWORDS["password"], FAR)
    new = Login(OPERATOR.user, NEW_PASSWORDS[OPERATOR.key])
    await world.edge.retire(world.address, PORT, new, GONE)
    assert old.is_open
    assert await world.edge.disconnect(world.address, PORT, new, {FAR}) == 1
    assert not old.is_open
    assert spared.is_open


async def test_a_refused_login_changes_nothing(world: World) -> None:
    stranger = Login(OPERATOR.user, passwords.generate())
    with pytest.raises(errors.StoreRefused):
        await world.edge.admit(world.address, PORT, stranger, BOTH)
    with pytest.raises(errors.StoreRefused):
        await world.edge.retire(world.address, PORT, stranger, GONE)
    assert await accepted(world, PASSWORDS) == EVERYBODY
    assert await accepted(world, NEW_PASSWORDS) == set()
