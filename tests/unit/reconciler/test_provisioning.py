"""Passes over one storage on an API server in memory: the storage becomes ready, stays so, and recovers."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable

import pytest

from reconciler.actions.kubernetes import WriteAuth
from reconciler.actions.plan import STEADY_SECONDS, Plan
from reconciler.credentials import identities
from reconciler.credentials.key_ring import KeyRing
from reconciler.manifests.storage import Storage
from reconciler.state.write_outcome import RETRY
from shared import errors
from shared.objects.resources import (
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
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
from tests.support.simulated import CLUSTER_IP, KEY, NAMESPACE, Simulation
from tests.support.storages import HOST

CHILDREN = [
    (SECRETS, "mine-auth"),
    (NETWORK_POLICIES, "mine-valkey"),
    (CONFIG_MAPS, "mine-valkey"),
    (STATEFUL_SETS, "mine-valkey-0"),
    (SERVICES, "mine-valkey-nodes"),
    (DISRUPTION_BUDGETS, "mine-valkey-primary"),
    (SERVICES, "mine-valkey"),
    (SECRETS, "mine-connection"),
    (ENDPOINT_SLICES, "mine-valkey"),
]
PATHS = {f"{resource.plural}/{name}" for resource, name in CHILDREN}
VERSIONED = {"secrets/mine-auth", "services/mine-valkey", "endpointslices/mine-valkey", "secrets/mine-connection"}
"""Objects that the reconciler creates and does not apply: of two reconcilers at once, one must lose."""


@pytest.fixture(name="mine")
async def mine_fixture() -> Simulation:
    simulation = Simulation()
    await simulation.ask_for(size="small")
    await simulation.settle()
    return simulation


def condition(simulation: Simulation, kind: str) -> Object | None:
    return {item["type"]: item for item in simulation.status["conditions"]}.get(kind)


async def test_a_storage_is_created_in_the_order_of_the_proposal() -> None:
    simulation = Simulation()
    await simulation.ask_for(size="small")
    await simulation.settle()
    made = [
        write for write in simulation.api.writes if write.startswith(("create", "apply")) and write.split()[1] in PATHS
    ]
    named = [f"{resource.plural}/{name}" for resource, name in CHILDREN]
    created = [f"{'create' if child in VERSIONED else 'apply'} {child}" for child in named]
    # Once the Service has an address, instances that start are told that one.
    assert made == [*created, "apply configmaps/mine-valkey"]


async def large_without_dns() -> Simulation:
    simulation = Simulation()
    resolve = simulation.valkey.resolve
    simulation.valkey.resolve = lambda host: "" if host == HOST else resolve(host)
    await simulation.ask_for(size="large")
    await simulation.settle()
    return simulation


def is_redundant(simulation: Simulation) -> bool:
    return (condition(simulation, "Redundant") or {}).get("status") == "True"


async def test_instances_find_the_primary_without_dns() -> None:
    simulation = await large_without_dns()
    assert simulation.status["phase"] == "Ready"
    assert is_redundant(simulation)
    assert (simulation.find(CONFIG_MAPS, "mine-valkey") or {})["data"]["upstream"] == CLUSTER_IP


async def test_a_replica_that_goes_by_a_name_which_nobody_resolves_is_told_an_address() -> None:
    """An earlier release started it so."""
    simulation = await large_without_dns()
    replicas = [each for each in simulation.valkey.instances.values() if each.history.upstream]
    for each in replicas:
        each.history.upstream = HOST
    await simulation.settle()
    assert is_redundant(simulation)
    assert {each.history.upstream for each in replicas} == {simulation.primary}


async def test_a_provisioned_storage_is_ready_and_names_its_secret(mine: Simulation) -> None:
    assert mine.status | {"conditions": None} == {
        "phase": "Ready",
        "reason": "StorageReady",
        "message": "Storage is ready and secured",
        "connectionSecret": "mine-connection",
        "primary": "mine-valkey-0",
        "primaryPod": "mine-valkey-0-0",
        "size": "small",
        "instances": "1/1",
        "nodes": [{"name": "mine-valkey-0", "role": "primary", "synced": True, "lagMiB": 0}],
        "observedGeneration": 1,
        "conditions": None,
    }
    assert mine.events == ["Provisioning", "StorageReady"]


async def test_a_ready_storage_costs_no_write(mine: Simulation) -> None:
    with mine.quiet():
        for _ in range(5):
            assert await mine.reconcile() == STEADY_SECONDS


async def test_consumers_get_a_password_that_valkey_accepts(mine: Simulation) -> None:
    password = mine.secret("mine-auth")["password"]
    assert mine.secret("mine-connection") == {
        "REDIS_URL": f"redis://:{password}@mine-valkey.team.svc:6379",
        "REDIS_PASSWORD": password,
        "SESSION_STORAGE_TYPE": "redis",
    }


@pytest.mark.parametrize(("resource", "name"), CHILDREN, ids=lambda value: getattr(value, "plural", value))
async def test_a_deleted_child_comes_back_as_it_was(mine: Simulation, resource: Resource, name: str) -> None:
    before = mine.children
    await mine.api.delete(resource, NAMESPACE, name)
    await mine.settle()
    after = mine.children
    assert after.keys() == before.keys()
    if name != "mine-auth":  # the passwords of the system's own users are new then
        assert after == before
    assert (
        mine.secret("mine-auth")["password"] == identities.decoded(before["secrets", "mine-auth"]["data"])["password"]
    )
    assert mine.status["phase"] == "Ready"


EDITS: list[tuple[Resource, str, Object]] = [
    (SECRETS, "mine-auth", {"data": {"users.acl": base64.b64encode(b"user default on nopass ~* +@all").decode()}}),
    (SECRETS, "mine-auth", {"metadata": {"labels": {"toolhive.stacklok.dev/storage": "theirs"}}}),
    (NETWORK_POLICIES, "mine-valkey", {"spec": {"ingress": [{}]}}),
    (NETWORK_POLICIES, "mine-valkey", {"spec": {"policyTypes": ["Ingress"]}}),
    (CONFIG_MAPS, "mine-valkey", {"data": {"valkey.conf": "appendonly no"}}),
    (STATEFUL_SETS, "mine-valkey-0", {"spec": {"replicas": 0}}),
    (STATEFUL_SETS, "mine-valkey-0", {"metadata": {"labels": {"toolhive.stacklok.dev/size": "medium"}}}),
    (STATEFUL_SETS, "mine-valkey-0", {"metadata": {"labels": {"toolhive.stacklok.dev/size": "huge"}}}),
    (SERVICES, "mine-valkey", {"spec": {"selector": {"stranger": "yes"}}}),
    (SERVICES, "mine-valkey", {"spec": {"ports": [{"port": 6379, "name": "valkey", "targetPort": 1}]}}),
    (SERVICES, "mine-valkey-nodes", {"spec": {"publishNotReadyAddresses": False}}),
    (DISRUPTION_BUDGETS, "mine-valkey-primary", {"spec": {"minAvailable": 1}}),
    (SECRETS, "mine-connection", {"data": {"REDIS_URL": base64.b64encode(b"redis://elsewhere").decode()}}),
    (SECRETS, "mine-connection", {"data": {"REDIS_PASSWORD": None}}),
]


@pytest.mark.parametrize(("resource", "name", "edit"), EDITS, ids=str)
async def test_a_child_edited_by_hand_is_repaired(
    mine: Simulation, resource: Resource, name: str, edit: Object
) -> None:
    before = mine.children
    await mine.edit(resource, name, edit)
    assert mine.children != before
    await mine.settle()
    assert mine.children == before


async def test_fields_that_others_add_stay(mine: Simulation) -> None:
    labels = {"metadata": {"name": "mine-valkey", "namespace": NAMESPACE, "labels": {"team": "one"}}}
    await mine.api.apply(SERVICES, labels, field_manager="kubectl")
    with mine.quiet():
        await mine.settle()


async def test_missing_passwords_are_generated_and_the_others_stay(mine: Simulation) -> None:
    before = mine.secret("mine-auth")
    short = base64.b64encode(b"short").decode()
    spoilt = {"operator-password": None, "probe-password": "no base64!", "backup-password": short}
    await mine.edit(SECRETS, "mine-auth", {"data": spoilt})
    await mine.settle()
    after = mine.secret("mine-auth")
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"operator-password", "probe-password", "backup-password", "users.acl"}
    assert all(identities.is_password(after[key]) for key in identities.PASSWORD_KEYS)
    assert mine.status["phase"] == "Ready"


async def test_an_instance_restarts_once_when_the_passwords_of_its_secret_are_new(mine: Simulation) -> None:
    pod = mine.find(PODS, "mine-valkey-0-0")
    await mine.api.delete(SECRETS, NAMESPACE, "mine-auth")
    await mine.settle()
    assert mine.find(PODS, "mine-valkey-0-0") != pod
    assert mine.api.writes.count("delete pods/mine-valkey-0-0") == 1
    assert mine.status["phase"] == "Ready"


async def test_a_lost_auth_secret_and_a_spoilt_connection_secret_lead_to_a_new_password(mine: Simulation) -> None:
    old = mine.secret("mine-auth")["password"]
    spoilt = {"REDIS_PASSWORD": base64.b64encode(b"with:colon@and short").decode()}
    await mine.edit(SECRETS, "mine-connection", {"data": spoilt})
    await mine.api.delete(SECRETS, NAMESPACE, "mine-auth")
    await mine.settle()
    assert mine.secret("mine-auth")["password"] != old
    assert mine.secret("mine-connection")["REDIS_PASSWORD"] == mine.secret("mine-auth")["password"]
    assert mine.status["phase"] == "Ready"


async def test_of_two_reconcilers_at_once_one_loses_and_both_agree_on_one_password() -> None:
    simulation = Simulation()
    await simulation.ask_for(size="small")
    rival = Simulation()
    rival.api.objects = simulation.api.objects
    stale = rival.find(SESSION_STORAGES, KEY[1])
    assert stale is not None
    await simulation.reconcile()
    first = simulation.secret("mine-auth")
    write = WriteAuth(Storage(KEY[1], NAMESPACE, stale["metadata"]["uid"]), KeyRing(), "")
    with pytest.raises(errors.AlreadyExists):
        await rival.carry_out(stale, Plan(((write,),)))
    await simulation.settle()
    assert simulation.secret("mine-auth") == first


async def test_the_next_pass_recovers_from_a_crash_after_any_write() -> None:
    reference = Simulation()
    await reference.ask_for(size="medium")
    await reference.settle()
    for crash in range(1, len(reference.api.writes)):
        simulation = Simulation()
        await simulation.ask_for(size="medium")
        simulation.api.refuse = killed_after(crash, simulation)
        with pytest.raises(Killed):
            await simulation.settle()
        simulation.api.refuse = lambda _: None
        seen = mine_password(simulation)
        await simulation.settle()
        assert simulation.children.keys() == reference.children.keys()
        assert simulation.status["phase"] == "Ready"
        assert seen in {None, mine_password(simulation)}


class Killed(BaseException):
    """Ends the process; no handler of exceptions catches it."""


def killed_after(writes: int, simulation: Simulation) -> Callable[[str], BaseException | None]:
    return lambda _: Killed() if len(simulation.api.writes) >= writes else None


def mine_password(simulation: Simulation) -> str | None:
    return simulation.secret("mine-auth")["password"] if simulation.find(SECRETS, "mine-auth") else None


async def test_a_condition_reports_a_refused_write(mine: Simulation) -> None:
    await mine.api.delete(SERVICES, NAMESPACE, "mine-valkey")
    mine.api.refuse = lambda call: errors.Rejected("422 Invalid: quota") if "services/" in call else None
    await mine.reconcile()
    ready = condition(mine, "Ready")
    assert ready is not None
    assert (ready["reason"], mine.status["phase"]) == ("ApplyRefused", "Failed")
    assert "422 Invalid: quota" in ready["message"]
    with mine.quiet():
        await mine.reconcile()
    mine.api.refuse = lambda _: None
    mine.passed += RETRY
    await mine.settle()
    assert mine.status["phase"] == "Ready"


async def test_a_temporary_fault_is_left_to_the_queue(mine: Simulation) -> None:
    await mine.api.delete(SERVICES, NAMESPACE, "mine-valkey")
    mine.api.refuse = lambda _: errors.Unavailable("503")
    before = mine.status
    with pytest.raises(errors.Unavailable):
        await mine.reconcile()
    assert mine.status == before


async def test_a_deleted_storage_needs_no_step() -> None:
    simulation = Simulation()
    assert await simulation.reconcile() is None
    assert simulation.api.writes == []


async def test_an_event_that_cannot_be_written_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    simulation = Simulation()
    await simulation.ask_for(size="small")
    simulation.api.refuse = lambda call: errors.Forbidden("403") if "events/" in call else None
    await simulation.settle()
    assert simulation.status["phase"] == "Ready"
    assert simulation.events == []
    assert "could not write an Event" in caplog.messages


async def test_no_password_is_in_the_log_or_in_an_event(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    simulation = Simulation()
    await simulation.ask_for(size="small")
    await simulation.settle()
    told = str([vars(record) for record in caplog.records]) + str(
        [obj for (plural, _, _), obj in simulation.api.objects.items() if plural != SECRETS.plural]
    )
    secrets = simulation.secret("mine-auth")
    assert "reconciled a storage" in caplog.messages
    assert not [key for key in identities.PASSWORD_KEYS if secrets[key] in told]


async def test_the_status_is_not_written_to_a_storage_that_was_recreated(mine: Simulation) -> None:
    old = copy.deepcopy(mine.find(SESSION_STORAGES, KEY[1]) or {})
    await mine.api.delete(SESSION_STORAGES, NAMESPACE, KEY[1])
    await mine.ask_for(size="small")
    with pytest.raises(errors.Rejected):
        await mine._reconciler.status.tell(old, {"phase": "Failed"}, ())
    assert mine.status == {}
