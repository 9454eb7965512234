"""Whose objects a storage uses: its own, those of a backup with consent, and never somebody else's."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from reconciler.actions.kubernetes import Apply, Delete, Write
from reconciler.actions.plan import Plan, Step
from reconciler.actions.valkey import Fence, Follow, Promote
from reconciler.manifests import valkey_config
from reconciler.plan.planner import plan
from reconciler.state.instance import Instance
from reconciler.state.storage_state import StorageState
from shared import names
from shared.objects.resources import ENDPOINT_SLICES, SECRETS, STATEFUL_SETS, VOLUME_CLAIMS, Object
from shared.session_storage.sizes import Size
from tests.support.storages import (
    CREATED,
    HOSTS,
    NOW,
    SETTINGS,
    STORAGE,
    children,
    instances,
    observed,
    session_storage,
    settled,
    state_of,
    stored,
    unlinked,
    with_child,
    without,
)

FORMER = "uid-of-former"
AUTH, CONNECTION = ("secrets", "mine-auth"), ("secrets", "mine-connection")
SET = ("statefulsets", "mine-valkey-0")


def claim(index: int = 0, **metadata: Any) -> Object:
    """Build a claim as a StatefulSet made it for a storage that is gone."""
    template = children(Size.MEDIUM)[SET]["spec"]["volumeClaimTemplates"][0]
    own = {"name": names.valkey_claim("mine", index), "namespace": "team", "labels": template["metadata"]["labels"]}
    return stored({"metadata": own | metadata, "spec": template["spec"]})


def owned_by(uid: str) -> list[Object]:
    return [replace(STORAGE, uid=uid).reference]


def as_restored(obj: Object) -> Object:
    """Take the owner away, as Velero does; a StatefulSet goes on making claims for the storage that is gone."""
    restored = copy.deepcopy(obj)
    restored["metadata"].pop("ownerReferences", None)
    for template in restored.get("spec", {}).get("volumeClaimTemplates", []):
        template["metadata"]["ownerReferences"] = owned_by(FORMER)
    return restored


def as_of_former(obj: Object) -> Object:
    former = as_restored(obj)
    former["metadata"]["ownerReferences"] = [replace(STORAGE, uid=FORMER).control]
    return former


def restored(size: Size = Size.MEDIUM, adopt: str = "", **others: Any) -> StorageState:
    """Observe a storage after a restore: all its objects are there, and none has an owner."""
    annotations = {names.ANNOTATION_ADOPT: adopt} if adopt else {}
    storage = session_storage({"size": size}, annotations=annotations)
    objects = {key: as_restored(obj) for key, obj in children(size).items()}
    claims = {index: claim(index) for index in range(len(instances(size)))}
    return state_of(storage, objects, **{"claims": claims, "instances": instances(size), "nodes": HOSTS, **others})


def decided(state: StorageState) -> Plan:
    return plan(state, SETTINGS, NOW)


def ready(found: Plan) -> tuple[str, str]:
    """Return reason and message of the condition Ready."""
    assert found.status is not None
    (item,) = (each for each in found.status["conditions"] if each["type"] == "Ready")
    return item["reason"], item["message"]


def consent_of(found: Plan) -> str:
    """Return the value in the command that the condition prints."""
    _, message = ready(found)
    return message.partition(f"{names.ANNOTATION_ADOPT}=")[2].partition("`")[0]


def written(found: Plan) -> dict[tuple[str, str], Object]:
    assert all(isinstance(step, Write) for step in found.steps)
    return {
        (step.resource.plural, step.obj["metadata"]["name"]): step.obj
        for step in found.steps
        if isinstance(step, Write)
    }


@pytest.mark.parametrize("size", [Size.MEDIUM, Size.LARGE])
def test_passwords_and_data_of_a_backup_wait_for_a_consent_that_names_them(size: Size) -> None:
    found = decided(restored(size))
    reason, message = ready(found)
    assert (reason, found.steps) == ("AdoptionNeeded", ())
    expected = {"mine-auth", "mine-connection", *(f"data-mine-valkey-{i}-0" for i in range(len(instances(size))))}
    assert {f"uid-of-{name}" for name in expected} == set(consent_of(found).split(","))
    assert all(name in message for name in expected)
    assert "kubectl annotate --overwrite -n team sessionstorage mine " in message
    assert [event.type for event in found.events] == ["Warning"]


def test_with_consent_the_storage_owns_passwords_and_data_as_they_are() -> None:
    state = restored(Size.SMALL)
    state = restored(Size.SMALL, adopt=consent_of(decided(state)))
    found = written(decided(state))
    assert found.keys() == {AUTH, CONNECTION, ("persistentvolumeclaims", "data-mine-valkey-0-0")}
    for key, obj in found.items():
        (owner,) = obj["metadata"]["ownerReferences"]
        assert owner["uid"] == STORAGE.uid
        before = state.children.get(key) or state.claims[0]
        assert {**obj, "metadata": None} == {**before, "metadata": None}
        assert obj["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        assert obj["metadata"]["labels"] == before["metadata"]["labels"]


def test_what_came_after_the_consent_is_not_taken_over() -> None:
    """Somebody who may create Secrets waits for the consent, deletes the Secret, and makes another one."""
    before = restored(adopt=consent_of(decided(restored())))
    planted = copy.deepcopy(before.children[AUTH])
    planted["metadata"]["uid"] = "uid-of-planted"
    found = decided(with_child(before, AUTH, planted))
    assert (ready(found)[0], found.steps) == ("AdoptionNeeded", ())
    assert "uid-of-planted" in consent_of(found)


@pytest.mark.parametrize(
    "value", ["true", "all", "*", "uid-of-mine-auth", ",", "uid-of-mine-auth uid-of-mine-connection"]
)
def test_a_consent_that_does_not_name_everything_is_none(value: str) -> None:
    found = decided(restored(adopt=value))
    assert (ready(found)[0], found.steps) == ("AdoptionNeeded", ())


def test_an_adoption_that_broke_off_goes_on() -> None:
    value = consent_of(decided(restored(Size.SMALL)))
    before = restored(Size.SMALL, adopt=value)
    half = with_child(before, AUTH, written(decided(before))[AUTH])
    assert written(decided(half)).keys() == {CONNECTION, ("persistentvolumeclaims", "data-mine-valkey-0-0")}


def test_the_condition_stays_the_same_from_look_to_look() -> None:
    before = restored()
    assert decided(settled(before, decided(before).status)) == replace(decided(before), status=None, events=())


@pytest.mark.parametrize("key", list(children(Size.MEDIUM)), ids=str)
def test_an_object_of_a_former_storage_needs_consent_whatever_it_is(key: tuple[str, str]) -> None:
    """Kubernetes is about to delete it; after a copy that kept the owners it would never say so."""
    before = observed("medium")
    former = with_child(before, key, as_of_former(before.children[key]))
    found = decided(former)
    uid = f"uid-of-{key[1]}"
    assert (ready(found)[0], found.steps, consent_of(found)) == ("AdoptionNeeded", (), uid)
    storage = session_storage({"size": "medium"}, annotations={names.ANNOTATION_ADOPT: uid})
    (step,) = decided(replace(former, storage=observed("medium", storage=storage).storage)).steps
    if key == SET:
        assert step == Delete(STATEFUL_SETS, "team", "mine-valkey-0", uid, keeps_dependents=True)
    else:
        assert isinstance(step, Write)
        assert step.obj["metadata"]["ownerReferences"] == [STORAGE.control]


@pytest.mark.parametrize(
    "owner",
    [
        {"apiVersion": "toolhive.stacklok.dev/v1alpha1", "kind": "SessionStorage", "name": "other", "uid": "u"},
        {"apiVersion": "example.com/v1", "kind": "SessionStorage", "name": "mine", "uid": "u"},
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "mine", "uid": "u"},
    ],
    ids=str,
)
def test_an_object_that_another_owner_controls_is_never_taken_over(owner: Object) -> None:
    before = restored(adopt="uid-of-mine-auth")
    theirs = copy.deepcopy(before.children[AUTH])
    theirs["metadata"]["ownerReferences"] = [owner | {"controller": True}]
    found = decided(with_child(before, AUTH, theirs))
    assert (ready(found)[0], found.steps) == ("NameTaken", ())
    assert "Secret mine-auth" in ready(found)[1]


def test_nothing_that_is_being_deleted_is_taken_over() -> None:
    before = restored(adopt="uid-of-mine-auth")
    going = copy.deepcopy(before.children[AUTH])
    going["metadata"]["deletionTimestamp"] = CREATED
    found = decided(with_child(before, AUTH, going))
    assert (ready(found)[0], found.steps) == ("NameTaken", ())
    assert "Secret mine-auth (which is being deleted)" in ready(found)[1]


# Volumes


def unborn(*claims: tuple[int, Object], size: str = "medium") -> StorageState:
    """Observe a new storage, before it has made anything."""
    return state_of(session_storage({"size": size}), {}, claims=dict(claims), nodes=HOSTS)


@pytest.mark.parametrize(
    "left",
    [
        claim(),
        claim(ownerReferences=owned_by(FORMER)),
        claim(5),
        claim(ownerReferences=[{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "mine-valkey-0", "uid": "u"}]),
    ],
    ids=["orphan", "former", "of-another-number", "of-a-set"],
)
def test_a_new_storage_mounts_no_volume_of_a_deleted_one_without_consent(left: Object) -> None:
    index = names.claim_index("mine", left["metadata"]["name"])
    assert index is not None
    found = decided(unborn((index, left)))
    assert (ready(found)[0], found.steps) == ("AdoptionNeeded", ())
    assert f"PersistentVolumeClaim {left['metadata']['name']}" in ready(found)[1]


def test_a_new_storage_waits_until_the_volume_of_a_deleted_one_is_gone() -> None:
    going = claim(ownerReferences=owned_by(FORMER), deletionTimestamp=CREATED)
    found = decided(unborn((0, going)))
    assert (ready(found)[0], found.steps) == ("NameTaken", ())


def test_a_new_storage_never_mounts_somebody_elses_volume() -> None:
    found = decided(unborn((0, claim(labels={}))))
    assert (ready(found)[0], found.steps) == ("NameTaken", ())


def test_a_storage_owns_the_volumes_that_its_instances_mount() -> None:
    """An instance of its own mounts it, so the data is the storage's; without an owner, the disk would leak."""
    (step,) = decided(observed("medium", claims={0: claim()})).steps
    assert isinstance(step, Write)
    assert (step.resource, step.obj["metadata"]["ownerReferences"]) == (VOLUME_CLAIMS, [STORAGE.reference])
    assert decided(observed("medium", claims={0: claim(ownerReferences=owned_by(STORAGE.uid))})).steps == ()


def test_a_volume_that_somebody_plants_stops_no_failover() -> None:
    silent = Instance(0, None, silent_for=60.0)
    others = instances(Size.LARGE)[1:]
    lost = tuple(map(unlinked, others))
    found = decided(observed("large", silent, *lost, claims={7: claim(7), 3: claim(3, labels={})}))
    assert [step for step in found.steps if isinstance(step, Promote)]


@pytest.mark.parametrize(
    "key", [AUTH, CONNECTION, ("configmaps", "mine-valkey"), ("networkpolicies", "mine-valkey")], ids=str
)
def test_failover_goes_on_while_another_object_is_not_the_storages_own(key: tuple[str, str]) -> None:
    """Somebody took the owner away from an object of a storage that serves, or put another object in its place."""
    primary = Instance(0, None, silent_for=60.0)
    state = observed("large", primary, *(unlinked(each) for each in instances(Size.LARGE)[1:]))
    found = decided(with_child(state, key, as_of_former(state.children[key])))
    assert ready(found)[0] == "AdoptionNeeded"
    assert [step.instance.index for step in found.steps if isinstance(step, Promote)] == [1]
    assert all(isinstance(step, Promote | Follow | Fence) for step in found.steps)


@pytest.mark.parametrize("key", [("services", "mine-valkey"), ("endpointslices", "mine-valkey"), SET], ids=str)
def test_nothing_fails_over_by_objects_that_are_not_the_storages_own(key: tuple[str, str]) -> None:
    primary = Instance(0, None, silent_for=60.0)
    state = observed("large", primary, *(unlinked(each) for each in instances(Size.LARGE)[1:]))
    found = decided(with_child(state, key, as_of_former(state.children[key])))
    assert not [step for step in found.steps if isinstance(step, Promote)]


# StatefulSets, numbers and the record of the primary


def test_a_stateful_set_that_makes_claims_for_a_former_storage_comes_back_without_its_pod_stopping() -> None:
    """Kubernetes would delete each claim that it makes, with the data, and lets nobody change its template."""
    before = observed("medium")
    found = decided(with_child(before, SET, as_restored(before.children[SET])))
    assert found.steps == (
        Delete(STATEFUL_SETS, "team", "mine-valkey-0", "uid-of-mine-valkey-0", keeps_dependents=True),
    )


def test_the_reconciler_waits_until_kubernetes_has_let_go_of_the_pods_of_a_stateful_set() -> None:
    before = observed("medium")
    going = as_restored(before.children[SET])
    going["metadata"] |= {"deletionTimestamp": CREATED, "finalizers": ["orphan"]}
    found = decided(with_child(before, SET, going))
    assert (found.steps, found.status) == ((), None)
    assert 0 < found.requeue_after_seconds < 1


@pytest.mark.parametrize("primary", [0, 3])
def test_instances_come_back_under_the_numbers_of_their_volumes(primary: int) -> None:
    """StatefulSets are gone, volumes are not: each instance finds its own data, and the primary stays the primary."""
    own = {index: claim(index, ownerReferences=owned_by(STORAGE.uid)) for index in (0, 1, 3)}
    before = observed("large", children=children(Size.LARGE, primary=primary), claims=own)
    state = replace(without(before, *((SET[0], f"mine-valkey-{index}") for index in range(3))), instances=())
    made = [step.obj for step in decided(state).steps if isinstance(step, Apply) and step.resource is STATEFUL_SETS]
    assert [obj["metadata"]["name"] for obj in made] == [f"mine-valkey-{index}" for index in (0, 1, 3)]
    for obj in made:
        (template,) = obj["spec"]["volumeClaimTemplates"]
        assert template["metadata"]["ownerReferences"] == owned_by(STORAGE.uid)


def test_a_volume_that_was_copied_alone_gets_its_instance_which_is_the_primary() -> None:
    own = claim(1, ownerReferences=owned_by(STORAGE.uid))
    secrets = {key: obj for key, obj in children(Size.MEDIUM).items() if key in {AUTH, CONNECTION}}
    found = decided(state_of(session_storage({"size": "medium"}), secrets, claims={1: own}, nodes=HOSTS))
    made = {step.resource.plural: step.obj for step in found.steps if isinstance(step, Apply)}
    assert made["statefulsets"]["metadata"]["name"] == "mine-valkey-1"
    assert made["configmaps"]["data"][valkey_config.PRIMARY_FILE] == "1"


def test_an_instance_that_comes_back_says_how_large_its_volume_is() -> None:
    larger = claim(ownerReferences=owned_by(STORAGE.uid))
    larger["spec"] = {"resources": {"requests": {"storage": "30Gi"}}}
    state = replace(without(observed("medium", claims={0: larger}), SET), instances=())
    (made,) = (step.obj for step in decided(state).steps if isinstance(step, Apply) and step.resource is STATEFUL_SETS)
    assert made["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"] == {"storage": "30Gi"}


def test_an_instance_that_is_added_gets_no_number_whose_volume_is_somebody_elses() -> None:
    storage = session_storage({"size": "large"})
    before = observed("medium", storage=storage, claims={1: claim(1), 0: claim(ownerReferences=owned_by(STORAGE.uid))})
    steps: tuple[Step, ...] = decided(before).steps
    made = [
        step.obj["metadata"]["name"] for step in steps if isinstance(step, Apply) and step.resource is STATEFUL_SETS
    ]
    assert "mine-valkey-2" in made
    assert "mine-valkey-1" not in made


def test_clients_go_nowhere_rather_than_to_an_address_that_another_pod_has_now() -> None:
    """A backup brings the addresses of its cluster; who has one of them now would get the password."""
    before = restored()
    slice_ = copy.deepcopy(before.children["endpointslices", "mine-valkey"])
    slice_["endpoints"][0]["addresses"] = ["10.9.9.9"]
    found = decided(with_child(before, ("endpointslices", "mine-valkey"), slice_))
    (step,) = found.steps
    assert isinstance(step, Write)
    assert (step.resource, step.obj["endpoints"]) == (ENDPOINT_SLICES, [])
    assert step.obj["metadata"] == slice_["metadata"]
    assert ready(found)[0] == "AdoptionNeeded"


def test_no_password_is_in_what_a_person_reads_of_an_adoption() -> None:
    state = restored()
    secrets = [value for key in (AUTH, CONNECTION) for value in state.children[key]["data"].values()]
    consented = decided(restored(adopt=consent_of(decided(state))))
    text = f"{decided(state).status} {decided(state).events} {list(map(str, consented.steps))}"
    assert secrets
    assert not [value for value in secrets if value in text]
    assert [step for step in consented.steps if isinstance(step, Write) and step.resource is SECRETS]


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("data-mine-valkey-0-0", 0),
        ("data-mine-valkey-12-0", 12),
        ("data-mine-valkey-012-0", None),
        ("data-mine-valkey-x-0", None),
        ("data-mine-valkey--0", None),
        ("data-mine-valkey-0-1", None),
        ("data-other-valkey-0-0", None),
        ("", None),
    ],
)
def test_the_name_of_a_claim_tells_its_instance(name: str, index: int | None) -> None:
    assert names.claim_index("mine", name) == index
