"""What a platform team or a storage's owner says reaches the objects of a storage, and goes with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.manifests import secrets
from reconciler.manifests.network_policy_settings import NetworkPolicySettings
from reconciler.manifests.storage import Inherited, Storage
from reconciler.manifests.valkey_pods import ValkeyPods
from reconciler.observe.observer import Observer
from reconciler.plan import desired_objects
from reconciler.plan.desired_objects import StorageSettings
from shared import names
from shared.objects.resources import NETWORK_POLICIES, SERVICES, STATEFUL_SETS, Object
from shared.session_storage.models import SessionStorageSpec
from shared.session_storage.size_settings import parse_sizes
from shared.session_storage.sizes import Size
from tests.support.simulated import NAMESPACE, SETTINGS, Simulation
from tests.support.storages import PASSWORDS, observed

INHERITED = {"labels": {"team": "a", "app.kubernetes.io/part-of": "shop"}, "annotations": {"example.com/owner": "ann"}}


async def started(settings: StorageSettings = SETTINGS, **spec: Any) -> Simulation:
    simulation = Simulation(settings)
    await simulation.ask_for(**spec)
    await simulation.settle()
    return simulation


async def installed(simulation: Simulation, settings: StorageSettings) -> None:
    """Upgrade the installation to other values."""
    simulation.settings = settings
    simulation.start()
    await simulation.settle()
    with simulation.quiet():
        await simulation.reconcile()


def metadata_of(simulation: Simulation) -> dict[str, Object]:
    """List the metadata of all objects of the storage and of their pods."""
    kinds = {plural for plural, _ in simulation.children}
    found = {
        f"{plural}/{name}": obj["metadata"]
        for (plural, _, name), obj in simulation.api.objects.items()
        if plural in kinds
    }
    return found | {f"pods/{name}": pod["metadata"] for name, pod in simulation.kubelets.pods.items()}


async def test_storages_have_no_network_policy_if_the_platform_team_says_so() -> None:
    simulation = await started(size="small")
    assert simulation.find(NETWORK_POLICIES, "mine-valkey") is not None
    await installed(simulation, replace(SETTINGS, network=NetworkPolicySettings(enabled=False)))
    assert simulation.find(NETWORK_POLICIES, "mine-valkey") is None
    await installed(simulation, SETTINGS)
    assert simulation.find(NETWORK_POLICIES, "mine-valkey") is not None


@pytest.mark.parametrize("size", Size)
async def test_every_object_of_a_storage_inherits_and_none_does_any_more_afterwards(size: Size) -> None:
    simulation = await started(size=size)
    before = metadata_of(simulation)
    await simulation.ask_for(size=size, inheritedMetadata=INHERITED)
    await simulation.settle()
    for name, metadata in metadata_of(simulation).items():
        assert INHERITED["labels"].items() <= metadata["labels"].items(), name
        is_noted = INHERITED["annotations"].items() <= (metadata.get("annotations") or {}).items()
        assert is_noted is not name.startswith(("pods/", "secrets/")), name
    with simulation.quiet():
        await simulation.reconcile()
    await simulation.ask_for(size=size)
    await simulation.settle()
    after = metadata_of(simulation)
    assert not [name for name, each in after.items() if "team" in each["labels"]]
    assert not [name for name, each in after.items() if names.ANNOTATION_INHERITED in (each.get("annotations") or {})]
    assert {name.partition("/")[0] for name in after} == {name.partition("/")[0] for name in before}


async def test_new_volumes_inherit_too() -> None:
    simulation = await started(size="medium", inheritedMetadata=INHERITED)
    (claim,) = simulation.children[STATEFUL_SETS.plural, "mine-valkey-0"]["spec"]["volumeClaimTemplates"]
    assert INHERITED["labels"].items() <= claim["metadata"]["labels"].items()
    assert INHERITED["annotations"].items() <= claim["metadata"]["annotations"].items()


def test_a_copy_in_another_namespace_does_not_inherit() -> None:
    """It has no owner, and belongs to those of that namespace; a label of a GitOps tool would have it pruned."""
    storage = Storage("mine", "team", "uid-1", Inherited(INHERITED["labels"], INHERITED["annotations"]))
    copy = secrets.mirrored_secret(secrets.connection_secret(storage, PASSWORDS["password"]), "shop")["metadata"]
    assert not INHERITED["labels"].keys() & copy["labels"].keys()
    assert "annotations" not in copy


@pytest.mark.parametrize(
    ("own", "of_all", "found"),
    [(None, "", None), (None, "fast", "fast"), ("mine", "fast", "mine"), ("mine", "", "mine")],
)
def test_a_storages_own_storage_class_goes_before_that_of_the_installation(
    own: str | None, of_all: str, found: str | None
) -> None:
    settings = replace(SETTINGS, pods=ValkeyPods(storage_class_name=of_all))
    spec = SessionStorageSpec(size=Size.MEDIUM, storage_class_name=own)
    made = desired_objects.workload(observed("medium"), spec, 7, settings)
    (claim,) = made["spec"]["volumeClaimTemplates"]
    assert claim["spec"].get("storageClassName") == found
    present = desired_objects.workload(observed("medium"), spec, 0, settings)
    (kept,) = present["spec"]["volumeClaimTemplates"]
    assert "storageClassName" not in kept["spec"]


def resources(simulation: Simulation) -> list[Object]:
    pods = simulation.kubelets.pods.values()
    return [pod["spec"]["containers"][0]["resources"]["requests"] for pod in pods]


async def test_other_figures_of_a_size_reach_running_storages_by_a_move() -> None:
    simulation = await started(size="small")
    former = simulation.primary
    await installed(simulation, replace(SETTINGS, sizes=parse_sizes('{"small":{"memory":"512Mi"}}')))
    assert resources(simulation) == [{"cpu": "100m", "memory": "512Mi"}]
    assert simulation.primary != former
    assert simulation.status["lastFailover"]["reason"] == "InstanceIsOutdated"


async def test_a_size_may_get_more_instances_and_fewer_again() -> None:
    simulation = await started(size="medium")
    await installed(simulation, replace(SETTINGS, sizes=parse_sizes('{"medium":{"replicas":3}}')))
    assert len(simulation.kubelets.running) == 3
    conditions = {each["type"]: each["status"] for each in simulation.status["conditions"]}
    assert (conditions["Ready"], conditions["Redundant"]) == ("True", "True")
    await installed(simulation, SETTINGS)
    assert len(simulation.kubelets.running) == 1


async def test_disks_grow_with_the_figures_of_a_size_and_do_not_shrink() -> None:
    def disks() -> list[str]:
        sets = [obj for (plural, _), obj in simulation.children.items() if plural == STATEFUL_SETS.plural]
        claims = [claim for each in sets for claim in each["spec"]["volumeClaimTemplates"]]
        return [claim["spec"]["resources"]["requests"]["storage"] for claim in claims]

    simulation = await started(size="medium")
    assert disks() == ["5Gi"]
    await installed(simulation, replace(SETTINGS, sizes=parse_sizes('{"medium":{"disk":"1Ti"}}')))
    assert disks() == ["1Ti"]
    await installed(simulation, SETTINGS)
    assert disks() == ["1Ti"]


# The number of instances behind a size changes in one storage after the other


OTHER = (NAMESPACE, "other")
"""Another storage, which has the only slot for updates."""


def standing_for(size: str, replicas: int) -> StorageSettings:
    return replace(SETTINGS, sizes=parse_sizes(f'{{"{size}":{{"replicas":{replicas}}}}}'))


async def out_of_turn(simulation: Simulation, settings: StorageSettings) -> None:
    """Upgrade the installation while another storage is being updated."""
    simulation.settings = settings
    simulation.start()
    simulation.slots.note(OTHER, is_changing=True)
    await settled(simulation)


async def settled(simulation: Simulation) -> None:
    """Make passes until one writes nothing; a change of several instances takes more than one start does."""
    for _ in range(12):
        written = len(simulation.api.writes)
        await simulation.settle()
        if len(simulation.api.writes) == written:
            return
    raise AssertionError("still writing")


def updating(simulation: Simulation) -> str:
    return next((each["reason"] for each in simulation.status["conditions"] if each["type"] == "Updating"), "")


@pytest.mark.parametrize(
    ("size", "before", "after"), [("small", 1, 3), ("medium", 1, 3), ("large", 3, 5), ("large", 5, 3), ("large", 3, 1)]
)
async def test_another_number_of_instances_waits_for_its_turn(size: str, before: int, after: int) -> None:
    simulation = await started(standing_for(size, before), size=size)
    await settled(simulation)
    await out_of_turn(simulation, standing_for(size, after))
    assert len(simulation.kubelets.running) == before
    assert updating(simulation) == "WaitsForItsTurn"
    assert simulation.status["phase"] == "Ready"
    simulation.slots.note(OTHER, is_changing=False)
    await settled(simulation)
    assert len(simulation.kubelets.running) == after
    assert (simulation.status["phase"], updating(simulation)) == ("Ready", "UpToDate")
    assert simulation.slots.may_take(OTHER)


async def test_a_storage_that_waits_to_lose_its_replicas_keeps_their_service_and_their_fence() -> None:
    simulation = await started(size="large")
    await out_of_turn(simulation, standing_for("large", 1))
    assert simulation.find(SERVICES, "mine-valkey-replicas") is not None
    assert simulation.valkey.instances[simulation.primary].history.fence == 1


@pytest.mark.parametrize("after", [3, 5])
async def test_a_storage_that_grows_has_its_slot_until_the_new_instances_are_in_sync(after: int) -> None:
    size, before = ("small", 1) if after == 3 else ("large", 3)
    simulation = await started(standing_for(size, before), size=size)
    await settled(simulation)
    simulation.settings = standing_for(size, after)
    simulation.start()
    for _ in range(40):
        await simulation.reconcile()
        if len(simulation.kubelets.running) == after and updating(simulation) == "UpToDate":
            break
        assert not simulation.slots.may_take(OTHER), "another storage would begin to grow beside it"
        await simulation.boot()
    assert len(simulation.kubelets.running) == after


@pytest.mark.parametrize("after", [3, 5])
async def test_a_storage_that_has_lost_an_instance_gets_it_back_without_a_turn(after: int) -> None:
    simulation = await started(size="large")
    await out_of_turn(simulation, standing_for("large", after))
    await simulation.api.delete(STATEFUL_SETS, NAMESPACE, "mine-valkey-2")
    await settled(simulation)
    assert simulation.find(STATEFUL_SETS, "mine-valkey-2") is not None
    assert simulation.find(STATEFUL_SETS, "mine-valkey-3") is None


async def test_of_two_storages_that_look_around_at_once_one_takes_the_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = await started(size="small")
    simulation.settings = standing_for("small", 3)
    simulation.start()

    async def overlooked(*_: object) -> Object:
        simulation.slots.note(OTHER, is_changing=True)
        return {}

    monkeypatch.setattr(Observer, "overlooked", overlooked)
    await simulation.reconcile()
    assert simulation.find(STATEFUL_SETS, "mine-valkey-1") is None
    assert updating(simulation) == "WaitsForItsTurn"
    simulation.slots.note(OTHER, is_changing=False)
    assert simulation.slots.may_take(OTHER), "this storage has not taken a slot beside the other one"


async def test_a_new_storage_and_a_changed_word_wait_for_no_turn() -> None:
    simulation = Simulation()
    simulation.slots.note(OTHER, is_changing=True)
    for size, count in (("large", 3), ("small", 1), ("large", 3)):
        await simulation.ask_for(size=size)
        await settled(simulation)
        assert len(simulation.kubelets.running) == count
