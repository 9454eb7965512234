"""Real Valkeys that run and do not serve: busy with a script, on a full disk, out of memory."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import valkey

from reconciler.credentials.identities import CONSUMER, OPERATOR, REPLICATION
from reconciler.credentials.key_ring import KeyRing
from reconciler.credentials.login import Login
from reconciler.manifests.valkey_config import BUSY_MILLISECONDS
from reconciler.observe import instance_probe
from reconciler.observe.write_checks import PERIOD_SECONDS, WriteChecks
from reconciler.runtime.waiting import within
from reconciler.state.instance import Instance
from reconciler.valkey import users
from reconciler.valkey.looks import Looks
from reconciler.valkey.replication import replication_session
from shared.names import VALKEY_PORT
from shared.objects.resources import Key, Object
from shared.session_storage.sizes import Size
from tests.integration.instances import ADMIN, PASSWORDS, connect, running
from tests.support.background import beside

OPERATING = Login(OPERATOR.user, PASSWORDS[OPERATOR.key])
REPLICATING = Login(REPLICATION.user, PASSWORDS[REPLICATION.key])
RING = KeyRing(PASSWORDS)
ENDLESS = "while true do end"
DISK_MIB = 4


@pytest.fixture(name="instance")
async def instance_fixture(tmp_path: Path) -> AsyncIterator[str]:
    with running(tmp_path, Size.SMALL) as address:
        yield address


async def look(address: str, ask: instance_probe.Ask = instance_probe.ask_anew) -> Instance:
    pod: Object = {"metadata": {"name": "pod"}, "status": {"phase": "Running", "podIP": address}}
    return await instance_probe.probe(Instance(0, pod), RING, ask)


async def look_until(address: str, is_right: Callable[[Instance], bool]) -> Instance:
    """Look at an instance until something is true of it."""
    seen = list[Instance]()

    async def is_so() -> bool:
        seen[:] = [await look(address)]
        return is_right(seen[0])

    assert await within(20, is_so, 0.05), seen
    return seen[0]


@contextlib.contextmanager
def script(address: str, text: str) -> Iterator[Callable[[], str]]:
    """Run a script as a consumer does, and hand out a function that reads the answer."""
    with socket.create_connection((address, VALKEY_PORT), timeout=10) as client:
        client.sendall(f"AUTH {PASSWORDS[CONSUMER.key]}\r\n".encode())
        assert client.recv(64) == b"+OK\r\n"
        words = ("EVAL", text, "0")
        sent = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        client.sendall(f"*{len(words)}\r\n{sent}".encode())
        yield lambda: client.recv(1024).decode()


async def test_the_reconciler_ends_a_script_that_never_ends_and_nothing_is_lost(
    instance: str, figures: list[str]
) -> None:
    with connect(CONSUMER, instance) as client:
        client.set("session", "kept")
        began = time.monotonic()
        with script(instance, ENDLESS) as answer:
            await look_until(instance, lambda seen: seen.problem == "busy")
            took = time.monotonic() - began
            assert await users.end_script(instance, VALKEY_PORT, OPERATING)
            assert "Script killed" in await asyncio.to_thread(answer)
        well = await look_until(instance, lambda seen: not seen.problem)
        assert well.is_primary
        assert client.get("session") == b"kept"
    figures.append(f"a script was seen after {took:.1f} s; all was well after {time.monotonic() - began:.1f} s")
    assert took < BUSY_MILLISECONDS / 1000 + 2


async def test_a_script_that_has_written_cannot_be_ended(instance: str) -> None:
    with script(instance, f"redis.call('SET', 'half', 'done') {ENDLESS}"):
        await look_until(instance, lambda seen: seen.problem == "busy")
        assert not await users.end_script(instance, VALKEY_PORT, OPERATING)
        assert (await look(instance)).problem == "busy"


async def test_a_restart_ends_a_script_that_has_written_and_keeps_all_but_its_writes(tmp_path: Path) -> None:
    with running(tmp_path, Size.SMALL) as address:
        with connect(CONSUMER, address) as client:
            client.set("session", "kept")
        with script(address, f"redis.call('SET', 'half', 'done') {ENDLESS}"):
            await look_until(address, lambda seen: seen.problem == "busy")
            await users.restart(address, VALKEY_PORT, OPERATING)
            await look_until(address, lambda seen: seen.problem == "down")
    with running(tmp_path, Size.SMALL) as address, connect(CONSUMER, address) as client:
        assert client.mget("session", "half") == [b"kept", None]


async def test_a_script_that_has_ended_meanwhile_is_no_error(instance: str) -> None:
    assert await users.end_script(instance, VALKEY_PORT, OPERATING)


@pytest.fixture(name="disk")
def disk_fixture(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of a few MiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def fill(directory: Path) -> Path:
    """Fill a disk to the last byte."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


async def test_a_primary_on_a_full_disk_says_so_and_another_instance_can_take_over(disk: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with running(disk, Size.SMALL) as full, connect(CONSUMER, full) as client:
        client.set("session", "kept")
        filler = fill(disk)
        with contextlib.suppress(Exception):
            client.set("big", "x" * 8192)
        seen = await look_until(full, lambda seen: seen.problem == "failing")
        assert "No space left on device" in seen.detail
        assert seen.disk_fails
        assert seen.is_primary
        with running(other, Size.MEDIUM) as fresh:
            async with replication_session(fresh, VALKEY_PORT, OPERATING) as session:
                await session.follow(full, REPLICATING)
            joined = await look_until(fresh, lambda each: each.replication.is_streaming)
            assert not joined.disk_fails
            async with replication_session(full, VALKEY_PORT, OPERATING) as session:
                # What a switchover tells the old primary, it does.
                await session.pause(5)
                await session.fence(0)
                assert (await session.replication()).offset <= (await look(fresh)).replication.offset
                await session.disconnect_clients()
                await session.resume()
            with connect(ADMIN, fresh) as admin:
                assert admin.dbsize() >= 1
        filler.unlink()
        well = await look_until(full, lambda each: not each.problem)
        assert not well.disk_fails


@pytest.fixture(name="looks")
async def looks_fixture() -> AsyncIterator[Looks]:
    looks = Looks(time.monotonic)
    yield looks
    looks.close()


async def test_a_full_disk_at_rest_is_reported_within_a_period(disk: Path, looks: Looks, figures: list[str]) -> None:
    """Up to 7 s."""
    key: Key = ("team", "mine")
    reported = asyncio.Queue[Key]()
    checks = WriteChecks(looks.takes_writes, reported.put_nowait)
    with running(disk, Size.SMALL) as full, connect(CONSUMER, full) as client:
        checks.note_look(key, await look(full, looks.observe))
        async with beside(checks.run()):
            filler = fill(disk)
            with contextlib.suppress(Exception):
                client.set("big", "x" * 8192)
            began = time.monotonic()
            async with asyncio.timeout(PERIOD_SECONDS + 5):
                assert await reported.get() == key
            took = time.monotonic() - began
        assert (await look(full, looks.observe)).disk_fails
        assert await looks.takes_writes(full, VALKEY_PORT, 0) is False

        async def is_well() -> bool:
            return await looks.takes_writes(full, VALKEY_PORT, 0) is True

        filler.unlink()
        assert await within(10, is_well, 0.05)
        with connect(ADMIN, full) as admin:
            sessions = sum(each["user"] == OPERATOR.user for each in admin.client_list())
    figures.append(f"a primary at rest whose disk is full was reported after {took:.1f} s")
    assert took < PERIOD_SECONDS + 0.5
    assert sessions == 1, "all was asked over the kept session"


async def test_a_primary_that_lost_its_replicas_is_told_apart_while_everybody_answers(
    instance: str, looks: Looks, tmp_path: Path
) -> None:
    """About 1 s."""
    other = tmp_path / "other"
    other.mkdir()

    async def takes_writes() -> bool:
        return await looks.takes_writes(instance, VALKEY_PORT, 1) is True

    async def refuses_writes() -> bool:
        return not await takes_writes()

    with running(other, Size.MEDIUM, f"replicaof {instance} {VALKEY_PORT}") as replica:
        await look_until(replica, lambda each: each.replication.is_streaming)
        async with replication_session(instance, VALKEY_PORT, OPERATING) as session:
            await session.fence(1)
        await look(instance, looks.observe)
        assert await within(5, takes_writes, 0.05)
        async with replication_session(replica, VALKEY_PORT, OPERATING) as session:
            await session.promote()
        assert await within(5, refuses_writes, 0.05)
        with connect(CONSUMER, instance) as client, pytest.raises(valkey.exceptions.ResponseError, match="NOREPLICAS"):
            client.set("session", "refused")


async def test_a_primary_that_can_free_no_memory_is_out_of_memory(instance: str) -> None:
    with connect(ADMIN, instance) as admin:
        admin.config_set("maxmemory", "1")
        seen = await look_until(instance, lambda each: each.problem == "failing")
        assert seen.detail.startswith("OOM")
        admin.config_set("maxmemory", str(1 << 28))
    assert not (await look_until(instance, lambda each: not each.problem)).problem
