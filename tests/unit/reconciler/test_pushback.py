"""An API server that pushes back: a storage at rest asks it nothing, and a failover needs only what it must write."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from shared import errors, names
from shared.kubernetes.turns import is_urgent
from shared.objects.resources import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    NETWORK_POLICIES,
    PODS,
    SECRETS,
    SERVICES,
    SESSION_STORAGES,
    STATEFUL_SETS,
    Object,
    Resource,
)
from tests.support.simulated import NAMESPACE, Simulation

PUT_OFF = errors.Unavailable("429 TooManyRequests", 1.0)
PASSES = 5


async def settled(size: str) -> Simulation:
    simulation = Simulation()
    await simulation.ask_for(size=size)
    await simulation.settle()
    return simulation


@contextlib.contextmanager
def reads(simulation: Simulation, *put_off: str) -> Iterator[list[str]]:
    """List the objects that are read live in the block, and put off those whose plural begins like this."""
    found, get = list[str](), simulation.api.get

    async def counted(resource: Resource, namespace: str, name: str) -> Object:
        found.append(f"{resource.plural}/{name}")
        if resource.plural.startswith(put_off):
            raise PUT_OFF
        return await get(resource, namespace, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation.api, "get", counted)
        yield found


async def kill_primary(simulation: Simulation) -> str:
    """Have the primary's pod disappear with its server, as by a deletion; return its former address."""
    address = simulation.primary
    (pod,) = [name for name, pod in simulation.kubelets.pods.items() if pod["status"].get("podIP") == address]
    del simulation.valkey.instances[address]
    await simulation.api.delete(PODS, NAMESPACE, pod)
    return address


async def pass_on(simulation: Simulation, former: str) -> None:
    """Make passes, as the queue does, until clients get to another instance."""
    for _ in range(PASSES):
        with contextlib.suppress(errors.SessionStorageError):
            await simulation.reconcile()
        if simulation.primary not in {"", former}:
            return
    raise AssertionError(f"no failover after {PASSES} passes: {simulation.status.get('conditions')}")


@pytest.mark.parametrize("size", ["small", "medium", "large"])
async def test_a_pass_over_a_storage_at_rest_reads_nothing_from_the_api_server(size: str) -> None:
    simulation = await settled(size)
    with reads(simulation) as found:
        await simulation.reconcile()
    assert found == []


async def test_a_pass_over_an_external_storage_that_does_not_work_reads_nothing_but_its_secret() -> None:
    simulation = Simulation()
    await simulation.ask_for(external={"url": "redis://127.0.0.1:1", "secretRef": "theirs"})
    await simulation.reconcile()
    with reads(simulation) as found:
        await simulation.reconcile()
    assert found == ["secrets/theirs"]  # no watch of versions runs here


@pytest.mark.parametrize("put_off", ["", "services", "secrets"])
async def test_a_failover_goes_on_whatever_else_the_api_server_puts_off(put_off: str) -> None:
    """A child is missing, so that there is something to read live, and to write, besides the failover."""
    simulation = await settled("large")
    former = await kill_primary(simulation)
    await simulation.api.delete(SERVICES, NAMESPACE, "mine-valkey-replicas")
    await simulation.api.delete(CONFIG_MAPS, NAMESPACE, "mine-valkey")
    plurals = [each.plural for each in (SERVICES, CONFIG_MAPS, SECRETS, STATEFUL_SETS)]
    with reads(simulation, *([put_off] if put_off else plurals)):
        await pass_on(simulation, former)


async def test_a_repair_that_the_api_server_puts_off_comes_after_the_failover() -> None:
    simulation = await settled("large")
    former = await kill_primary(simulation)
    await simulation.api.delete(CONFIG_MAPS, NAMESPACE, "mine-valkey")
    simulation.api.refuse = lambda call: PUT_OFF if "configmaps/" in call else None
    await pass_on(simulation, former)


async def test_while_nobody_knows_what_exists_nothing_is_created_and_no_loop_gets_hot() -> None:
    simulation = Simulation()
    await simulation.ask_for(size="small")
    await simulation.reconcile()
    written = len(simulation.api.writes)
    with reads(simulation, "networkpolicies"):
        pause = await simulation.reconcile()
    assert pause is not None
    assert pause >= 1
    created = [
        call for call in simulation.api.writes[written:] if "sessionstorages/" not in call and "events/" not in call
    ]
    assert created == []
    await simulation.settle()
    assert simulation.status["phase"] == "Ready"


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        (SECRETS, "mine-auth"),
        (SECRETS, "mine-connection"),
        (NETWORK_POLICIES, "mine-valkey"),
        (CONFIG_MAPS, "mine-valkey"),
        (SERVICES, "mine-valkey"),
        (SERVICES, names.valkey_headless("mine")),
        (ENDPOINT_SLICES, "mine-valkey"),
        (STATEFUL_SETS, "mine-valkey-0"),
    ],
)
async def test_an_object_of_somebody_else_that_no_cache_knows_is_left_alone(resource: Resource, name: str) -> None:
    simulation = Simulation()
    theirs: Object = {"metadata": {"namespace": NAMESPACE, "name": name}, "spec": {}, "addressType": "IPv4"}
    before = await simulation.api.create(resource, theirs)
    await simulation.ask_for(size="small")
    await simulation.settle()
    conditions = {each["type"]: each for each in simulation.status["conditions"]}
    assert conditions["Ready"]["reason"] == "NameTaken"
    assert name in conditions["Ready"]["message"]
    assert simulation.find(resource, name) == before
    assert len(simulation.children) == 1
    await simulation.api.delete(resource, NAMESPACE, name)
    await simulation.settle()
    assert simulation.status["phase"] == "Ready"


async def test_a_child_whose_labels_somebody_took_away_gets_them_back() -> None:
    simulation = await settled("small")
    await simulation.edit(NETWORK_POLICIES, "mine-valkey", {"metadata": {"labels": None}})
    before = simulation.find(NETWORK_POLICIES, "mine-valkey")
    await simulation.settle()
    after = simulation.find(NETWORK_POLICIES, "mine-valkey")
    assert before is not None
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["labels"]


async def test_only_the_writes_of_a_failover_go_ahead_of_all_others() -> None:
    simulation = Simulation()
    urgent: dict[str, bool] = {}

    def note(call: str) -> None:
        urgent[call] = is_urgent()

    simulation.api.refuse = note
    await simulation.ask_for(size="large")
    await simulation.settle()
    assert len(urgent) > 10
    way = {"replace services/mine-valkey", "replace endpointslices/mine-valkey"}  # to its first primary
    assert {call for call, is_one in urgent.items() if is_one and " events/" not in call} <= way
    urgent.clear()
    await pass_on(simulation, await kill_primary(simulation))
    assert urgent["replace services/mine-valkey"]
    assert urgent["replace endpointslices/mine-valkey"]
    assert simulation.find(SESSION_STORAGES, "mine") is not None
