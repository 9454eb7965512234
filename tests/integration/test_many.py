"""Many primaries die at the same instant: each storage goes on with every acknowledged write, and none waits long."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import pytest
import valkey.asyncio
from valkey import exceptions

from reconciler.credentials import identities
from shared import names
from shared.kubernetes.client import Cluster, Selector
from shared.kubernetes.informer import Informer
from shared.objects.resources import ENDPOINT_SLICES, PODS, SECRETS, SESSION_STORAGES, Object, Resource
from tests.integration.control_plane import Kubectl
from tests.integration.instances import servers
from tests.integration.storages import storage

pytestmark = pytest.mark.usefixtures("processes", "kubelet")

UP_SECONDS = 120
"""Seconds for 30 servers on two busy processors."""
OVER_SECONDS = 60
WRITES = 5
"""Writes to each storage before its primary dies."""
PAUSE_SECONDS = 0.1
REPLICAS = 2
COPIED_MILLISECONDS = 900
"""Milliseconds for which WAIT waits; less than the client's own time-out."""
REFUSED_SECONDS = 0.1
"""Seconds after which a client tries again."""


class World:
    """A cache of the storages of one namespace and of their objects, which informers keep up to date."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._namespace = namespace
        self._changed = asyncio.Event()
        only = Selector(namespace=namespace)
        self._caches = {
            resource.plural: Informer(cluster, resource, lambda *_: self.wake(), selector=only)
            for resource in (PODS, SECRETS, ENDPOINT_SLICES, SESSION_STORAGES)
        }

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(cache.run()) for cache in self._caches.values()]
        try:
            for cache in self._caches.values():
                await cache.synced.wait()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def find(self, resource: Resource, name: str) -> Object:
        return self._caches[resource.plural].get((self._namespace, name)) or {}

    def primary(self, name: str) -> int:
        """Return the instance of a storage that clients reach."""
        return int(self.find(ENDPOINT_SLICES, names.valkey(name))["metadata"]["labels"][names.LABEL_INSTANCE])

    def address(self, name: str) -> str:
        """Return the address that clients of a storage reach; empty if they reach nothing."""
        found: str = self.find(PODS, names.valkey_pod(name, self.primary(name))).get("status", {}).get("podIP", "")
        return found

    def password(self, name: str) -> str:
        data = identities.decoded(self.find(SECRETS, names.connection_secret(name))["data"])
        return data["REDIS_PASSWORD"]

    def status(self, name: str) -> Object:
        found: Object = self.find(SESSION_STORAGES, name).get("status", {})
        return found

    def condition(self, name: str, kind: str) -> str:
        found: dict[str, str] = {item["type"]: item["status"] for item in self.status(name).get("conditions", [])}
        return found.get(kind, "Unknown")

    def is_redundant(self, name: str) -> bool:
        return self.condition(name, "Redundant") == "True"

    def is_told_of(self, name: str) -> bool:
        reason: str = self.status(name).get("lastFailover", {}).get("reason", "")
        return reason == "PrimaryLost"

    async def until_all(self, found: list[str], holds: Callable[[str], bool], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not all(map(holds, found)):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            left = [name for name in found if not holds(name)]
            pytest.fail(f"{len(left)} not within {seconds} s, such as {left[0]}: {self.status(left[0])}")

    def wake(self) -> None:
        """Have all waiting tasks check their condition again."""
        self._changed.set()


class Client:
    """Writes to one storage again and again, through its Service.

    Attributes:
        acknowledged: Instants at which an instance answered a write with OK, by key.
    """

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self.acknowledged: dict[str, float] = {}

    async def run(self) -> None:
        keys = map("thv:{}".format, itertools.count())
        while True:
            with contextlib.suppress(exceptions.ValkeyError, OSError):
                async with self.connected() as connection:
                    await self._write(connection, keys)
            await asyncio.sleep(REFUSED_SECONDS)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[valkey.asyncio.Valkey]:
        password = self._world.password(self._name)
        address = self._world.address(self._name)
        async with valkey.asyncio.Valkey(host=address, password=password, socket_timeout=1) as connection:
            yield connection

    async def is_copied(self) -> bool:
        """Write a key, and return whether both replicas have it.

        Valkey counts a replica as online once it has sent the snapshot, but sends newer writes only after the replica
        has confirmed the snapshot, up to a second later. A primary that dies in between loses those writes.
        """
        async with self.connected() as connection:
            await connection.set("thv:copied", "x")
            copies: int = await connection.wait(REPLICAS, COPIED_MILLISECONDS)
            return copies == REPLICAS

    async def lost(self) -> list[str]:
        """List the acknowledged writes that are not there."""
        keys = list(self.acknowledged)
        async with self.connected() as connection:
            found = await connection.mget(keys)
        return [key for key, value in zip(keys, found, strict=True) if value is None]

    def writes_since(self, instant: float) -> bool:
        """Return whether a write was acknowledged since an instant."""
        return next(reversed(self.acknowledged.values()), 0) > instant

    def gap(self, since: float) -> float:
        """Return how many seconds after an instant the next write was acknowledged."""
        return min(at - since for at in self.acknowledged.values() if at > since)

    async def _write(self, connection: valkey.asyncio.Valkey, keys: Iterator[str]) -> None:
        for key in keys:
            if await connection.set(key, "x"):
                self.acknowledged[key] = time.monotonic()
                self._world.wake()
            await asyncio.sleep(PAUSE_SECONDS)


@contextlib.asynccontextmanager
async def writing(clients: Iterable[Client]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(client.run()) for client in clients]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def kill_all(addresses: list[str]) -> float:
    """Kill servers one right after the other; return the instant before the first kill."""
    running = servers()
    pids = [running[address] for address in addresses]
    at = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return at


@pytest.mark.parametrize("count", [3, pytest.param(10, marks=pytest.mark.drill)])
async def test_all_primaries_die_at_once(
    kubectl: Kubectl, cluster: Cluster, namespace: str, count: int, figures: list[str]
) -> None:
    world, found = World(cluster, namespace), [f"s{number}" for number in range(count)]
    clients = {name: Client(world, name) for name in found}
    async with world.followed():
        begun = time.monotonic()
        kubectl.apply(*(storage(name, namespace, size="large") for name in found))
        await world.until_all(found, world.is_redundant, UP_SECONDS)
        figures.append(f"{count} storages: in sync after {time.monotonic() - begun:.0f} s")
        async with writing(clients.values()):
            await world.until_all(found, lambda name: len(clients[name].acknowledged) >= WRITES, OVER_SECONDS)
            for client in clients.values():
                while not await client.is_copied():
                    pass
            killed_at = kill_all([world.address(name) for name in found])
            await world.until_all(found, lambda name: clients[name].writes_since(killed_at), OVER_SECONDS)
        gaps = sorted(client.gap(killed_at) for client in clients.values())
        figures.append(
            f"{count} primaries killed at once: no write for {statistics.median(gaps):.2f} s, {gaps[-1]:.2f} s at worst"
        )
        assert not [name for name, client in clients.items() if await client.lost()]
        assert all(world.primary(name) != 0 for name in found)
        await world.until_all(found, world.is_told_of, OVER_SECONDS)
        assert not [name for name in found if world.condition(name, "FailoverBlocked") == "True"]
