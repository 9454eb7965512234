"""A look over a kept session notices, on a real Valkey, whatever changes who may log in. About 4 s."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.apply import passwords
from reconciler.credentials import identities
from reconciler.credentials.identities import CONSUMER, OPERATOR
from reconciler.credentials.login import Login
from reconciler.valkey import users
from reconciler.valkey.looks import Looks
from reconciler.valkey.session import connected
from shared.session_storage.sizes import Size
from tests.integration.instances import ADMIN, ADMIN_PASSWORD, PASSWORDS, running

PORT = 6379
LOGIN = Login(OPERATOR.user, PASSWORDS[OPERATOR.key])
ADDED_PASSWORD = passwords.generate()
ADDED = identities.sha256(ADDED_PASSWORD)


@pytest.fixture(name="address")
def address_fixture(tmp_path: Path) -> Iterator[str]:
    with running(tmp_path, Size.SMALL) as address:
        yield address


@pytest.fixture(name="looks")
async def looks_fixture() -> AsyncIterator[Looks]:
    looks = Looks(time.monotonic)
    yield looks
    looks.close()


async def by_command(execute: Any) -> None:
    await execute("ACL", "SETUSER", CONSUMER.user, f"#{ADDED}")


async def in_a_transaction(execute: Any) -> None:
    await execute("MULTI")
    await execute("ACL", "SETUSER", CONSUMER.user, f"#{ADDED}")
    await execute("EXEC")


async def after_counts_began_anew(execute: Any) -> None:
    await execute("CONFIG", "RESETSTAT")
    await execute("ACL", "SETUSER", CONSUMER.user, f"#{ADDED}")


async def by_the_file(execute: Any) -> None:
    await execute("ACL", "SETUSER", CONSUMER.user, f"#{ADDED}")
    await execute("ACL", "SAVE")
    await execute("ACL", "LOAD")


async def by_the_configuration(execute: Any) -> None:
    """`requirepass` replaces all passwords of the user `default`."""
    await execute("CONFIG", "SET", "requirepass", ADDED_PASSWORD)


@pytest.mark.parametrize(
    "change", [by_command, in_a_transaction, after_counts_began_anew, by_the_file, by_the_configuration]
)
async def test_a_kept_session_learns_of_every_change_of_users(
    address: str, looks: Looks, change: Callable[[Any], Awaitable[None]]
) -> None:
    before = await looks.observe(address, PORT, LOGIN)
    assert before.hashes == identities.hashes(PASSWORDS)
    async with connected(address, PORT, Login(ADMIN.user, ADMIN_PASSWORD)) as execute:
        await change(execute)
    after = await looks.observe(address, PORT, LOGIN)
    assert after.hashes is not None
    assert ADDED in after.hashes[CONSUMER.user]


async def test_a_session_that_a_rotation_closes_is_opened_again(address: str, looks: Looks) -> None:
    await looks.observe(address, PORT, LOGIN)
    assert await users.disconnect(address, PORT, LOGIN, ()) == 1
    assert (await looks.observe(address, PORT, LOGIN)).role == "master"


async def test_looks_over_a_kept_session_leave_one_connection(address: str, looks: Looks) -> None:
    for _ in range(5):
        await looks.observe(address, PORT, LOGIN)
    async with connected(address, PORT, LOGIN) as execute:
        lines = (await execute("CLIENT", "LIST")).splitlines()
    assert sum(f"user={OPERATOR.user}" in line for line in lines) == 2, "the kept one, and this test's"
