"""A thousand external storages beside a managed one: the Lease is renewed on time, and the managed one is as quick."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.credentials import identities
from reconciler.runtime.leader_election import RENEW_DEADLINE_SECONDS
from shared.kubernetes.client import Cluster
from shared.objects.resources import SECRETS, SESSION_STORAGES, Object, Resource
from tests.integration.control_plane import Kubectl
from tests.integration.followed_storages import UP_SECONDS, FollowedStorages
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


@pytest.mark.parametrize("count", [4, pytest.param(50, marks=pytest.mark.drill)])
@pytest.mark.usefixtures("kubelet", "processes")
async def test_large_storages_that_are_created_at_once_cost_no_lease(
    cluster: Cluster, kubectl: Kubectl, namespace: str, count: int, figures: list[str]
) -> None:
    """Each brings three servers, all on this machine; the short form takes about 20 s."""
    names = {f"fleet-{number}" for number in range(count)}
    world = FollowedStorages(cluster, namespace)
    async with world.followed():
        world.renewals.clear()
        kubectl.apply(*(storage(name, namespace, size="large") for name in sorted(names)))
        took = await world.until("Redundant", names, UP_SECONDS)
        await world.until_renewed(2)
        figures.append(
            f"{count} large storages at once, {3 * count} servers: all redundant after {took:.0f} s; the Lease renewed"
            f" {len(world.renewals)} times, at most {world.longest_pause:.1f} s apart"
        )
        assert len(world.holders - {""}) == 1
        assert world.longest_pause < RENEW_DEADLINE_SECONDS


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
    world = FollowedStorages(cluster, namespace)
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
