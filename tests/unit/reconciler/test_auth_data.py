"""A storage where an auth server keeps its data: running instances keep keys without an end, and so do new ones."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.manifests.eviction import EVICTION_FILE
from shared.objects.resources import CONFIG_MAPS, MCP_EXTERNAL_AUTH_CONFIGS, PODS
from tests.support.simulated import NAMESPACE, Simulation

ANY, ENDING = "allkeys-lru", "volatile-lru"
STORAGE = {"type": "redis", "redis": {"addr": f"mine-valkey.{NAMESPACE}.svc:6379"}}


def policies(simulation: Simulation) -> set[str]:
    return {instance.eviction for instance in simulation.valkey.instances.values()}


def written(simulation: Simulation) -> str:
    config = simulation.find(CONFIG_MAPS, "mine-valkey")
    assert config is not None
    return str(config["data"][EVICTION_FILE])


def pods(simulation: Simulation) -> set[str]:
    return {obj["metadata"]["uid"] for (plural, _, _), obj in simulation.api.objects.items() if plural == PODS.plural}


async def refer(simulation: Simulation, **storage: Any) -> None:
    spec = {"sessionStorageRef": "mine", "embeddedAuthServer": {"storage": STORAGE | storage}}
    await simulation.api.create(
        MCP_EXTERNAL_AUTH_CONFIGS, {"metadata": {"name": "login", "namespace": NAMESPACE}, "spec": spec}
    )


@pytest.mark.parametrize("size", ["small", "large"])
async def test_instances_keep_what_has_no_end_while_an_auth_server_uses_them(size: str) -> None:
    simulation = Simulation()
    await simulation.ask_for(size=size)
    await simulation.settle()
    before = pods(simulation)
    assert (policies(simulation), written(simulation)) == ({ANY}, ANY)
    await refer(simulation)
    await simulation.settle()
    assert (policies(simulation), written(simulation)) == ({ENDING}, ENDING)
    for instance in simulation.valkey.instances.values():
        instance.restart()
        assert instance.eviction == ENDING
    await simulation.settle()
    with simulation.quiet():
        await simulation.reconcile()
    await simulation.api.delete(MCP_EXTERNAL_AUTH_CONFIGS, NAMESPACE, "login")
    await simulation.settle()
    assert (policies(simulation), written(simulation)) == ({ANY}, ANY)
    assert pods(simulation) == before


@pytest.mark.parametrize("size", ["small", "large"])
async def test_what_an_auth_server_left_stays_though_its_object_has_gone(size: str) -> None:
    """As while somebody replaces or renames that object."""
    simulation = Simulation()
    await simulation.ask_for(size=size)
    await refer(simulation)
    await simulation.settle()
    leader = simulation.valkey.instances[simulation.primary]
    for key in ("thv:auth:{team:login}:user:a", "thv:proxy:session:{team:a}:b"):
        leader.history.add(key)
    await simulation.api.delete(MCP_EXTERNAL_AUTH_CONFIGS, NAMESPACE, "login")
    await simulation.settle()
    assert (policies(simulation), written(simulation)) == ({ENDING}, ENDING)
    with simulation.quiet():
        await simulation.reconcile()
    for instance in simulation.valkey.instances.values():
        instance.history.disk.discard("thv:auth:{team:login}:user:a")
    await simulation.settle()
    assert (policies(simulation), written(simulation)) == ({ANY}, ANY)


async def test_an_auth_server_that_keeps_its_data_in_memory_changes_nothing() -> None:
    simulation = Simulation()
    await simulation.ask_for(size="small")
    await refer(simulation, type="memory")
    await simulation.settle()
    assert (policies(simulation), written(simulation)) == ({ANY}, ANY)


async def test_somebody_elses_policy_is_put_right() -> None:
    simulation = Simulation()
    await simulation.ask_for(size="small")
    await refer(simulation)
    await simulation.settle()
    for instance in simulation.valkey.instances.values():
        instance.eviction = "noeviction"
    await simulation.settle()
    assert policies(simulation) == {ENDING}


async def test_in_doubt_keys_without_an_end_stay() -> None:
    simulation = Simulation()
    await simulation.ask_for(size="small")
    await refer(simulation)
    await simulation.settle()
    simulation.start()
    simulation.knows_consumers = False
    await simulation.api.delete(MCP_EXTERNAL_AUTH_CONFIGS, NAMESPACE, "login")
    await simulation.settle()
    assert (policies(simulation), written(simulation)) == ({ENDING}, ENDING)


async def test_an_address_in_a_namespace_that_may_not_use_the_storage_changes_nothing() -> None:
    simulation = Simulation()
    await simulation.ask_for(size="small")
    metadata = {"name": "login", "namespace": "strangers"}
    await simulation.api.create(
        MCP_EXTERNAL_AUTH_CONFIGS, {"metadata": metadata, "spec": {"embeddedAuthServer": {"storage": STORAGE}}}
    )
    await simulation.settle()
    assert policies(simulation) == {ANY}


async def test_an_auth_server_that_somebody_connected_by_hand_counts_too() -> None:
    simulation = Simulation()
    await simulation.ask_for(size="small")
    metadata = {"name": "login", "namespace": NAMESPACE}
    await simulation.api.create(
        MCP_EXTERNAL_AUTH_CONFIGS, {"metadata": metadata, "spec": {"embeddedAuthServer": {"storage": STORAGE}}}
    )
    await simulation.settle()
    assert policies(simulation) == {ENDING}
