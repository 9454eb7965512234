"""A restored storage, from its first look to Ready, as the reconciler's own controller brings it there."""

from __future__ import annotations

import pytest

from shared import names
from shared.objects.resources import SECRETS, SESSION_STORAGES, STATEFUL_SETS, VOLUME_CLAIMS, Object
from tests.support.simulated import KEY, NAMESPACE, Simulation


def claim(index: int = 0, **metadata: object) -> Object:
    labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_STORAGE: KEY[1]}
    own = {"name": names.valkey_claim(KEY[1], index), "namespace": NAMESPACE, "labels": labels}
    return {"metadata": own | metadata, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}


def ready(simulation: Simulation) -> tuple[str, str]:
    (found,) = (each for each in simulation.status["conditions"] if each["type"] == "Ready")
    return found["reason"], found["message"]


def owners(simulation: Simulation) -> set[str]:
    """List the UIDs of the owners of everything that a storage has."""
    kinds = {plural for plural, _ in simulation.children} | {VOLUME_CLAIMS.plural}
    found = [obj["metadata"] for (plural, _, _), obj in simulation.api.objects.items() if plural in kinds]
    return {each["uid"] for metadata in found for each in metadata.get("ownerReferences", [{"uid": "none"}])}


async def restored(size: str) -> Simulation:
    """Run a storage, and restore all that it has, without owners, under a SessionStorage with another UID."""
    simulation = Simulation()
    await simulation.ask_for(size=size)
    await simulation.settle()
    for index in range(3 if size == "large" else 1):
        await simulation.api.create(VOLUME_CLAIMS, claim(index))
    await simulation.api.delete(SESSION_STORAGES, NAMESPACE, KEY[1])
    kinds = {plural for plural, _ in simulation.children}
    for (plural, _, _), obj in simulation.api.objects.items():
        if plural in kinds:
            obj["metadata"].pop("ownerReferences", None)
    simulation.start()
    await simulation.ask_for(size=size)
    return simulation


@pytest.mark.parametrize("size", ["medium", "large"])
async def test_a_restored_storage_serves_with_its_passwords_once_somebody_runs_the_printed_command(size: str) -> None:
    simulation = await restored(size)
    before = simulation.secret("mine-auth")
    await simulation.settle()
    reason, message = ready(simulation)
    assert reason == "AdoptionNeeded"
    uids = message.partition(f"{names.ANNOTATION_ADOPT}=")[2].partition("`")[0]
    await simulation.edit(SESSION_STORAGES, KEY[1], {"metadata": {"annotations": {names.ANNOTATION_ADOPT: uids}}})
    await simulation.settle()
    assert ready(simulation)[0] == "StorageReady"
    storage = simulation.find(SESSION_STORAGES, KEY[1]) or {}
    assert owners(simulation) == {storage["metadata"]["uid"]}
    is_the_same = simulation.secret("mine-auth") == before
    assert is_the_same
    for (plural, _, _), obj in simulation.api.objects.items():
        if plural == STATEFUL_SETS.plural:
            (template,) = obj["spec"]["volumeClaimTemplates"]
            assert template["metadata"]["ownerReferences"][0]["uid"] == storage["metadata"]["uid"]


async def test_a_claim_that_somebody_planted_for_a_new_storage_is_found_before_its_first_instance() -> None:
    simulation = Simulation()
    await simulation.api.create(VOLUME_CLAIMS, claim(labels={}))
    await simulation.ask_for(size="medium")
    await simulation.settle()
    assert ready(simulation)[0] == "NameTaken"
    assert simulation.find(STATEFUL_SETS, "mine-valkey-0") is None
    assert simulation.find(SECRETS, "mine-connection") is None
    await simulation.api.delete(VOLUME_CLAIMS, NAMESPACE, names.valkey_claim(KEY[1], 0))
    await simulation.settle()
    assert ready(simulation)[0] == "StorageReady"
