"""Look-ups that hang hold nobody up but the namespace that asked for them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from reconciler.valkey.lookups import AT_ONCE, AT_ONCE_PER_NAMESPACE, Lookups
from shared import errors
from shared.session_storage.allowed_hosts import Address

FOUND = (ip_address("10.0.0.1"), ip_address("10.0.0.2"))


class NameServer:
    """Knows all names; those that begin with `hung` only once it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.threads = set[threading.Thread]()

    def resolve(self, host: str) -> tuple[Address, ...]:
        self.threads.add(threading.current_thread())
        if host.startswith("hung"):
            self.released.wait(10)
        if host == "unknown":
            raise socket.gaierror(-2, "Name or service not known")
        return FOUND


@pytest.fixture(name="server")
def server_fixture() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.released.set()
    for thread in server.threads:
        thread.join(5)


async def hang(lookups: Lookups, namespace: str, count: int) -> list[asyncio.Task[tuple[Address, ...]]]:
    tasks = [asyncio.ensure_future(lookups.addresses(namespace, f"hung-{number}")) for number in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_a_name_is_looked_up_in_a_thread_of_its_own(server: NameServer) -> None:
    assert await Lookups(server.resolve).addresses("team", "known") == FOUND
    (thread,) = server.threads
    assert thread.daemon


async def test_an_address_is_not_looked_up(server: NameServer) -> None:
    assert await Lookups(server.resolve).addresses("team", "::1") == (ip_address("::1"),)
    assert server.threads == set()


async def test_a_name_that_is_not_known_is_an_error(server: NameServer) -> None:
    with pytest.raises(errors.NameNotFound):
        await Lookups(server.resolve).addresses("team", "unknown")


async def test_a_name_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(errors.NameNotFound):
        await Lookups().addresses("team", "a" * 64 + ".example.com")


async def test_hung_lookups_of_a_namespace_end_there(server: NameServer) -> None:
    lookups = Lookups(server.resolve)
    hung = await hang(lookups, "hostile", AT_ONCE_PER_NAMESPACE)
    with pytest.raises(errors.NameNotFound):
        await lookups.addresses("hostile", "known")
    assert await lookups.addresses("team", "known") == FOUND
    server.released.set()
    assert await asyncio.gather(*hung) == [FOUND] * AT_ONCE_PER_NAMESPACE
    assert await lookups.addresses("hostile", "known") == FOUND


async def test_a_lookup_that_nobody_waits_for_any_more_counts_until_its_thread_returns(server: NameServer) -> None:
    lookups = Lookups(server.resolve)
    for task in await hang(lookups, "hostile", AT_ONCE_PER_NAMESPACE):
        task.cancel()
    with pytest.raises(errors.NameNotFound):
        await lookups.addresses("hostile", "known")
    server.released.set()
    for thread in server.threads:
        await asyncio.to_thread(thread.join, 5)
    assert await lookups.addresses("hostile", "known") == FOUND


async def test_all_namespaces_together_have_so_many_threads(server: NameServer) -> None:
    lookups, hung = Lookups(server.resolve), list[asyncio.Task[tuple[Address, ...]]]()
    for number in range(AT_ONCE // AT_ONCE_PER_NAMESPACE):
        hung += await hang(lookups, f"hostile-{number}", AT_ONCE_PER_NAMESPACE)
    with pytest.raises(errors.NameNotFound):
        await lookups.addresses("team", "known")
    assert len(server.threads) <= AT_ONCE
    server.released.set()
    await asyncio.gather(*hung)


async def test_all_who_ask_for_a_name_at_the_same_time_wait_for_one_thread(server: NameServer) -> None:
    lookups = Lookups(server.resolve)
    tasks = [asyncio.ensure_future(lookups.addresses("team", "hung")) for _ in range(100)]
    await asyncio.sleep(0)
    tasks.pop().cancel()
    server.released.set()
    assert await asyncio.gather(*tasks) == [FOUND] * 99
    assert len(server.threads) == 1
