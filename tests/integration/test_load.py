"""A thousand external storages beside a managed one: the Lease is renewed on time, and the managed one is as quick."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from reconciler.credentials import identities
from reconciler.runtime.leader_election import RENEW_DEADLINE_SECONDS
from shared.kubernetes.client import Cluster, Selector
from shared.kubernetes.informer import Informer
from shared.objects.conditions import holds
from shared.objects.resources import LEASES, SECRETS, SESSION_STORAGES, Object, Resource
from tests.integration.control_plane import Kubectl
from tests.integration.installation import NAMESPACE, RELEASE, kubeconfig_for
from tests.integration.kubelet import VALKEY_SERVER
from tests.integration.loopback import free_port
from tests.integration.processes import eventually
from tests.integration.storages import storage

PASSWORD = "their-own-password"
AT_ONCE = 8
"""Requests of the test itself; the API server shares two processors with everything else."""
ALONE_SECONDS = 60
SLOWER_SECONDS = 30
"""How much later the managed storage may be Ready beside all others."""
UP_SECONDS = 600


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    """Run a user's own Valkey, and return its URL."""
    port = free_port()
    here = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", "", "--requirepass", PASSWORD]
    process = subprocess.Popen([str(VALKEY_SERVER), *here], stdout=subprocess.DEVNULL)

    def listens() -> bool:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True

    try:
        eventually(listens, what="Valkey listens")
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10)


class World:
    """Follows the storages of a namespace, and the Lease.

    Attributes:
        renewals: When the Lease was seen to be renewed, by this process's clock.
        holders: Who held it.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.renewals: list[float] = []
        self.holders: set[str] = set()
        self._namespace = namespace
        self._changed = asyncio.Event()
        self._storages = Informer(cluster, SESSION_STORAGES, self._wake, selector=Selector(namespace))
        self._lease = Informer(cluster, LEASES, self._on_lease, selector=Selector(NAMESPACE))

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(each.run()) for each in (self._storages, self._lease)]
        try:
            await self._storages.synced.wait()
            await self._lease.synced.wait()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def until_ready(self, names: set[str], seconds: float) -> float:
        """Wait, and return how many seconds it took."""
        return await self._until(lambda: len(self._ready(names)), len(names), seconds)

    async def until_renewed(self, times: int) -> None:
        """Wait for the Lease to be renewed so often."""
        await self._until(lambda: len(self.renewals), len(self.renewals) + times, UP_SECONDS)

    async def _until(self, reached: Callable[[], int], wanted: int, seconds: float) -> float:
        began = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                while reached() < wanted:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pytest.fail(f"{reached()} of {wanted} after {seconds} s")
        return time.monotonic() - began

    @property
    def longest_pause(self) -> float:
        """The longest time between two renewals."""
        return max(later - earlier for earlier, later in itertools.pairwise(self.renewals))

    def _ready(self, names: set[str]) -> list[str]:
        found = ((name, self._storages.get((self._namespace, name))) for name in names)
        return [name for name, obj in found if obj is not None and holds(obj, "Ready")]

    def _on_lease(self, _: Object | None, new: Object | None) -> None:
        self.renewals.append(time.monotonic())
        self.holders.add((new or {})["spec"]["holderIdentity"])
        self._changed.set()

    def _wake(self, *_: object) -> None:
        self._changed.set()


async def create_all(cluster: Cluster, wanted: list[tuple[Resource, Object]]) -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def create(resource: Resource, obj: Object) -> None:
        async with places:
            await cluster.create(resource, obj)

    await asyncio.gather(*(create(resource, obj) for resource, obj in wanted))


@pytest.mark.usefixtures("processes")
def test_an_api_server_with_too_much_to_do_still_answers_what_keeps_the_leader(
    kubectl: Kubectl, kubeconfig: Path, tmp_path: Path
) -> None:
    reconciler = f"{RELEASE}-reconciler"
    schema = kubectl("get", "flowschema", f"{reconciler}-lease", "-o", "jsonpath={.metadata.uid}")
    account = Kubectl(kubeconfig_for(kubectl, kubeconfig, reconciler, tmp_path))
    # The API server names in each answer by which schema it has sorted the request.
    told = account.warns("get", "lease", reconciler, "-n", NAMESPACE, "-v=8")
    assert f"X-Kubernetes-Pf-Flowschema-Uid: {schema}" in told


@pytest.mark.parametrize("count", [110, pytest.param(1000, marks=pytest.mark.drill)])
@pytest.mark.usefixtures("kubelet", "processes")
async def test_external_storages_cost_neither_the_lease_nor_a_managed_storage_its_time(
    cluster: Cluster, namespace: str, store: str, count: int, figures: list[str]
) -> None:
    names = [f"store-{number}" for number in range(count)]
    with_secret = set(names[::2])
    theirs = {
        "metadata": {"namespace": namespace},
        "type": "Opaque",
        "data": identities.encoded({"password": PASSWORD}),
    }
    secrets = [
        (SECRETS, {**theirs, "metadata": {"namespace": namespace, "name": name}}) for name in sorted(with_secret)
    ]
    external = [
        storage(name, namespace, external={"url": store, **({"secretRef": name} if name in with_secret else {})})
        for name in names
    ]
    world = World(cluster, namespace)
    async with world.followed():
        await cluster.create(SESSION_STORAGES, storage("alone", namespace, size="small"))
        alone = await world.until_ready({"alone"}, ALONE_SECONDS)
        world.renewals.clear()
        creating = asyncio.ensure_future(
            create_all(cluster, [*secrets, *((SESSION_STORAGES, each) for each in external)])
        )
        await world.until_ready(set(sorted(with_secret)[: len(with_secret) // 4]), UP_SECONDS)
        await cluster.create(SESSION_STORAGES, storage("beside", namespace, size="small"))
        beside = await world.until_ready({"beside"}, alone + SLOWER_SECONDS)
        await creating
        took = await world.until_ready(with_secret, UP_SECONDS)
        # Without a password, the others stay refused; looks at them go on.
        await world.until_renewed(5)
        figures.append(
            f"{count} external storages, half of them with a Secret: a managed one Ready after {beside:.1f} s"
            f" (alone {alone:.1f} s); the last external one {took:.1f} s later; the Lease renewed {len(world.renewals)}"
            f" times, at most {world.longest_pause:.1f} s apart"
        )
        assert len(world.holders - {""}) == 1
        assert world.longest_pause < RENEW_DEADLINE_SECONDS
