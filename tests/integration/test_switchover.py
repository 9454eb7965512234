"""The primary of real Valkeys moves under load, and no acknowledged write is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reconciler.actions.valkey import SwitchOver
from reconciler.apply.switchover import SwitchoverResult, switch_over
from reconciler.credentials.identities import CONSUMER, OPERATOR, REPLICATION
from reconciler.credentials.login import Login
from reconciler.state.instance import Instance
from reconciler.state.primary_record import PrimaryRecord
from reconciler.valkey.replication import ReplicationSession, replication_session
from shared import errors
from shared.names import VALKEY_PORT
from tests.integration.instances import ADDRESSES, ADMIN, PASSWORDS, connect, running
from tests.integration.processes import eventually
from tests.support.storages import primary_service

OPERATING = Login(OPERATOR.user, PASSWORDS[OPERATOR.key])
REPLICATING = Login(REPLICATION.user, PASSWORDS[REPLICATION.key])
LAG_SECONDS = 0.05
"""Seconds that kube-proxy takes to send new connections elsewhere."""
FENCE = 1


class Service:
    """Directs new connections to an instance; an existing one stays where it is, as with kube-proxy."""

    def __init__(self, primary: str) -> None:
        self.primary = primary

    def point(self, primary: str, lag: float) -> None:
        asyncio.get_running_loop().call_later(lag, setattr, self, "primary", primary)


class Writer:
    """Writes key after key through the Service, one at a time, and connects again when it has to.

    Attributes:
        acknowledged: Keys whose write an instance answered with OK.
        refusals: All other answers.
        reconnects: How many times a connection ended.
        gap: Longest time in seconds between two acknowledged writes, since a test last reset it.
    """

    def __init__(self, service: Service, name: str, pause: float) -> None:
        self._service = service
        self._name = name
        self._pause = pause
        self.acknowledged: list[str] = []
        self.refusals: list[bytes] = []
        self.reconnects = 0
        self.gap = 0.0
        self._last = time.monotonic()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError, EOFError):
                reader, writer = await asyncio.open_connection(self._service.primary, VALKEY_PORT)
                try:
                    await self._write(reader, writer)
                finally:
                    writer.transport.abort()
            self.reconnects += 1

    async def _write(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"AUTH {CONSUMER.user} {PASSWORDS[CONSUMER.key]}\r\n".encode())
        assert await reader.readline() in {b"+OK\r\n", b""}
        while True:
            key = f"thv:{self._name}:{len(self.acknowledged)}"
            writer.write(f"SET {key} x\r\n".encode())
            async with asyncio.timeout(0.5):
                answer = await reader.readline()
            if answer == b"+OK\r\n":
                now = time.monotonic()
                self.gap, self._last = max(self.gap, now - self._last), now
                self.acknowledged.append(key)
            elif answer.startswith(b"-"):
                self.refusals.append(answer)
            else:
                raise EOFError
            await asyncio.sleep(self._pause)


class ServiceClaim:
    """Stands in for the primary's record and the Service, which changes some time after the record."""

    def __init__(self, service: Service, target: str, lag: float = 0) -> None:
        self._service = service
        self._target = target
        self._lag = lag
        self.calls: list[str] = []

    async def claim(self) -> None:
        self.calls.append("claim")

    async def release(self) -> None:
        self.calls.append("release")

    async def point(self) -> None:
        self.calls.append("point")
        self._service.point(self._target, self._lag)

    async def reaches(self, run_id: str) -> bool:
        try:
            async with replication_session(self._service.primary, VALKEY_PORT, OPERATING) as session:
                return await session.run_id() == run_id
        except errors.SessionStoreError:
            return False


SERVICE = primary_service()
"""The Service of a step; `ServiceClaim` takes the writes in its place."""


def instance(address: str) -> Instance:
    pod = {"metadata": {}, "status": {"phase": "Running", "podIP": address}}
    return Instance(pod=pod, operator=OPERATING)


class Storage:
    """Three instances, one of which is primary."""

    def __init__(self, primary: str) -> None:
        self.service = Service(primary)

    @property
    def primary(self) -> str:
        return self.service.primary

    @property
    def replicas(self) -> list[str]:
        return [address for address in ADDRESSES.values() if address != self.primary]

    def step(self, target: str) -> SwitchOver:
        others = tuple(instance(address) for address in self.replicas if address != target)
        old, new = instance(self.primary), instance(target)
        return SwitchOver(SERVICE, PrimaryRecord(), old, new, others, REPLICATING, FENCE)

    async def switch_over(self, target: str, lag: float = 0) -> SwitchoverResult:
        return await switch_over(self.step(target), ServiceClaim(self.service, target, lag))

    async def await_sync(self) -> None:
        """Wait until all replicas follow the primary, without blocking the event loop."""
        await asyncio.to_thread(eventually, self._is_in_sync, what="replicas in sync")

    def _is_in_sync(self) -> bool:
        return all(is_synced(address, self.primary) for address in self.replicas)

    def keys(self, address: str) -> set[str]:
        with connect(ADMIN, address) as client:
            return {key.decode() for key in client.scan_iter("thv:*", count=10_000)}


def is_synced(address: str, primary: str) -> bool:
    """Return whether a replica has caught up with the primary's offset and goes on from there."""
    with connect(ADMIN, address) as replica, connect(ADMIN, primary) as other:
        theirs, ours = other.info("replication"), replica.info("replication")
        is_linked = ours.get("master_link_status") == "up" and ours["master_replid"] == theirs["master_replid"]
        return is_linked and int(ours["master_repl_offset"]) >= int(theirs["master_repl_offset"])


def pid(address: str) -> int:
    with connect(ADMIN, address) as client:
        return int(client.info("server")["process_id"])


@pytest.fixture(name="storage")
async def storage_fixture(tmp_path: Path) -> AsyncIterator[Storage]:
    with ExitStack() as stack:
        primary, *replicas = ADDRESSES
        for size in ADDRESSES:
            (tmp_path / size).mkdir()
        stack.enter_context(running(tmp_path / primary, primary, f"min-replicas-to-write {FENCE}"))
        for size in replicas:
            following = f"replicaof {ADDRESSES[primary]} {VALKEY_PORT}"
            stack.enter_context(running(tmp_path / size, size, f"min-replicas-to-write {FENCE}", following))
        storage = Storage(ADDRESSES[primary])
        await storage.await_sync()
        yield storage


@contextlib.asynccontextmanager
async def writing(*writers: Writer) -> AsyncIterator[None]:
    """Have writers write until the block ends."""
    tasks = [asyncio.ensure_future(writer.run()) for writer in writers]
    try:
        for writer in writers:
            await more(writer, 1)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def more(writer: Writer, count: int) -> None:
    """Wait until a number of further writes of a writer are acknowledged."""
    wanted = len(writer.acknowledged) + count
    await asyncio.to_thread(eventually, lambda: len(writer.acknowledged) >= wanted, what="writes are acknowledged")


@pytest.mark.parametrize("lag", [0, LAG_SECONDS])
@pytest.mark.parametrize("times", [6, pytest.param(20, marks=pytest.mark.drill)])
async def test_moves_under_load_lose_nothing_and_refuse_nothing(
    storage: Storage, lag: float, times: int, figures: list[str]
) -> None:
    fast = Writer(storage.service, "fast", 0.001)
    others = [Writer(storage.service, f"slow{number}", 0.02) for number in range(4)]
    gaps, outcomes = [], []
    async with writing(fast, *others):
        for _ in range(times):
            fast.gap = 0.0
            outcomes.append(await storage.switch_over(storage.replicas[0], lag))
            await more(fast, 50)
            gaps.append(fast.gap)
            await storage.await_sync()
    assert [outcome.aborted for outcome in outcomes] == [""] * times
    for writer in (fast, *others):
        assert writer.refusals == []
        assert writer.reconnects <= times
    acknowledged = {key for writer in (fast, *others) for key in writer.acknowledged}
    for address in ADDRESSES.values():
        assert acknowledged - storage.keys(address) == set()
    assert max(gaps) < 2
    figures.append(
        f"{times} moves, Service {lag * 1000:.0f} ms late: {len(acknowledged)} writes acknowledged, 0 lost;"
        f" write gap {milliseconds(gaps)}, until promoted {milliseconds(each.promoted for each in outcomes)},"
        f" after it was reached {milliseconds(each.total - each.reached for each in outcomes)}"
    )


def milliseconds(seconds: Iterable[float]) -> str:
    found = [each * 1000 for each in seconds]
    return f"{statistics.median(found):.1f} ms (worst {max(found):.1f})"


@contextlib.contextmanager
def stopped(address: str) -> Iterator[None]:
    process = pid(address)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


async def test_a_candidate_that_hangs_changes_nothing(storage: Storage) -> None:
    primary, (target, _) = storage.primary, storage.replicas
    writer, claim = Writer(storage.service, "one", 0.001), ServiceClaim(storage.service, target)
    async with writing(writer):
        with stopped(target):
            outcome = await switch_over(storage.step(target), claim)
            await more(writer, 50)
        assert outcome.aborted
        assert claim.calls == ["claim", "release"]
        await storage.await_sync()
    assert storage.primary == primary
    assert writer.reconnects == 0
    assert writer.refusals == []
    assert set(writer.acknowledged) <= storage.keys(target)


async def test_a_candidate_that_hangs_once_writes_wait_changes_nothing(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, _ = storage.replicas
    writer, claim = Writer(storage.service, "one", 0.001), ServiceClaim(storage.service, target)
    async with writing(writer):
        with ExitStack() as stack:
            before(monkeypatch, "pause", lambda: stack.enter_context(stopped(target)))
            outcome = await switch_over(storage.step(target), claim)
            await more(writer, 50)
        assert outcome.aborted
        assert claim.calls == ["claim", "release"]
        await storage.await_sync()
    assert writer.refusals == []
    assert set(writer.acknowledged) <= storage.keys(target)


def before(monkeypatch: pytest.MonkeyPatch, command: str, happens: Callable[[], object]) -> None:
    """Have something happen once, just before the reconciler gives a command."""
    original, pending = getattr(ReplicationSession, command), [happens]

    async def wrapped(instance: ReplicationSession, *arguments: object) -> object:
        if pending:
            pending.pop()()
        return await original(instance, *arguments)

    monkeypatch.setattr(ReplicationSession, command, wrapped)


@pytest.mark.parametrize("command", ["pause", "promote", "run_id", "disconnect_clients"])
async def test_if_the_old_primary_dies_during_a_move_the_candidate_has_every_acknowledged_write(
    storage: Storage, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (target, _), old = storage.replicas, pid(storage.primary)
    writer, claim = Writer(storage.service, "one", 0.001), ServiceClaim(storage.service, target)
    async with writing(writer):
        before(monkeypatch, command, lambda: os.kill(old, signal.SIGKILL))
        if command == "pause":
            with pytest.raises(errors.StoreUnreachable):
                await switch_over(storage.step(target), claim)
            assert claim.calls == ["claim"]
            return
        outcome = await switch_over(storage.step(target), claim)
        assert outcome.aborted == ""
        await more(writer, 50)
    assert set(writer.acknowledged) <= storage.keys(target)
