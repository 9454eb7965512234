"""The plan that follows from an observed state."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.actions.kubernetes import Apply, Delete, LabelRole, Replace, Share, Write, WriteAuth
from reconciler.actions.plan import RECHECK_SECONDS, STEADY_SECONDS, Plan, Step
from reconciler.actions.valkey import Fence, Follow, SwitchOver
from reconciler.credentials import identities
from reconciler.credentials.key_ring import KeyRing
from reconciler.manifests import network_policy, secrets
from reconciler.plan.planner import plan
from reconciler.state.instance import Instance, InstanceFacts
from reconciler.state.kubernetes_nodes import KubernetesNodes
from reconciler.state.primary_record import PrimaryRecord
from reconciler.state.storage_state import StorageState
from shared import names
from shared.consumers.identity import Consumer, Usage
from shared.objects.conditions import Finding, conditions
from shared.objects.resources import (
    DISRUPTION_BUDGETS,
    NETWORK_POLICIES,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Object,
)
from shared.session_storage.sizes import Size
from tests.support.storages import (
    CREATED,
    HOST,
    HOSTS,
    NOW,
    OTHER_IMAGE,
    PASSWORDS,
    SETTINGS,
    STORAGE,
    children,
    clients_way,
    declared,
    observed,
    pod,
    primary,
    replica,
    replicated,
    session_storage,
    settled,
    state_of,
    stored,
    with_child,
    with_children,
    without,
    workload,
)

EARLIER, LATER = "2026-11-23T09:59:59Z", "2026-11-23T10:00:01Z"
LONG_AGO = "2026-11-23T11:59:30Z"
"""A time longer ago than any server takes to start."""


def steps_of(observed: StorageState) -> tuple[Step, ...]:
    return plan(observed, SETTINGS, NOW).steps


def reason(decided: Plan, kind: str = "Ready") -> str | None:
    assert decided.status is not None
    reasons = {item["type"]: item["reason"] for item in decided.status["conditions"]}
    return reasons.get(kind)


@pytest.mark.parametrize("size", Size)
def test_a_complete_storage_needs_no_step_and_no_second_status(size: Size) -> None:
    first = plan(observed(size), SETTINGS, NOW)
    assert first.steps == ()
    at_rest = Plan(requeue_after_seconds=STEADY_SECONDS, is_at_rest=True)
    assert plan(settled(observed(size), first.status), SETTINGS, NOW) == at_rest


def test_the_first_step_of_a_new_storage_is_the_auth_secret_alone() -> None:
    decided = plan(state_of(session_storage({})), SETTINGS, NOW)
    assert decided.steps == (WriteAuth(STORAGE, KeyRing({}), ""),)
    assert decided.requeue_after_seconds == 0
    assert reason(decided) == "Provisioning"


def test_once_there_are_passwords_all_other_objects_follow_in_the_proposals_order() -> None:
    full = children(Size.SMALL)
    auth = {("secrets", "mine-auth"): full["secrets", "mine-auth"]}
    steps = steps_of(state_of(session_storage({"size": "small"}), auth))
    assert [repr(step) for step in steps] == [
        "apply NetworkPolicy mine-valkey",
        "apply ConfigMap mine-valkey",
        "apply StatefulSet mine-valkey-0",
        "apply Service mine-valkey-nodes",
        "apply PodDisruptionBudget mine-valkey-primary",
        "create Service mine-valkey",
        "create Secret mine-connection",
    ]


AUTH, SERVICE = ("secrets", "mine-auth"), ("services", "mine-valkey")


@pytest.mark.parametrize("missing", [key for key in children(Size.SMALL) if key not in {AUTH, SERVICE}], ids=str)
def test_only_missing_objects_are_created(missing: tuple[str, str]) -> None:
    before = observed()
    (step,) = steps_of(without(before, missing))
    assert isinstance(step, Apply | Write)
    assert (step.resource.plural, step.obj["metadata"]["name"]) == missing


def test_while_the_service_has_no_address_instances_that_start_are_told_its_name() -> None:
    steps = [step for step in steps_of(without(observed(), SERVICE)) if isinstance(step, Apply | Write)]
    assert [(step.resource.plural, step.obj["metadata"]["name"]) for step in steps] == [
        ("configmaps", "mine-valkey"),
        SERVICE,
    ]
    assert steps[0].obj["data"]["upstream"] == HOST


def test_a_storage_without_a_size_is_medium() -> None:
    complete = state_of(session_storage({}), children(Size.MEDIUM), instances=(primary(0, Size.MEDIUM),))
    assert steps_of(complete) == ()


@pytest.mark.parametrize("size", Size)
@pytest.mark.parametrize("broken", [{}, {"spec": None}, {"spec": {"size": "huge"}}], ids=str)
def test_a_storage_that_is_being_deleted_is_left_to_kubernetes(size: Size, broken: Object) -> None:
    terminating = {**session_storage({"size": size}, deletionTimestamp=CREATED), **broken}
    decided = plan(state_of(terminating), SETTINGS, NOW)
    assert (decided.strands, decided.requeue_after_seconds) == ((), 60)


def test_a_storage_that_is_being_deleted_says_so_once_and_keeps_what_its_status_said() -> None:
    """What it says of its proxies decides how consumers that still refer to it are connected."""
    told = [
        Finding("Ready", "True", "StorageReady", "the external store takes writes with this credential"),
        Finding("ProxiesSupported", "True", "PlainTcp", "ToolHive's proxies are connected"),
    ]
    before = {"phase": "Ready", "connectionSecret": "mine-connection", "conditions": conditions(told, [], 1, NOW)}
    deleted = session_storage({"external": {"url": "redis://there"}}, deletionTimestamp=CREATED) | {"status": before}
    decided = plan(state_of(deleted), SETTINGS, NOW)
    assert decided.status is not None
    assert (decided.status["phase"], decided.status["reason"]) == ("Terminating", "Terminating")
    assert decided.status["connectionSecret"] == "mine-connection"
    assert [(each["type"], each["status"]) for each in decided.status["conditions"]] == [
        ("Ready", "False"),
        ("ProxiesSupported", "True"),
    ]
    assert [(event.type, event.reason) for event in decided.events] == [("Normal", "Terminating")]
    again = plan(state_of(deleted | {"status": decided.status}), SETTINGS, NOW + timedelta(minutes=1))
    assert (again.status, again.events, again.strands) == (None, (), ())


@pytest.mark.parametrize(
    "spec",
    [None, "small", [], {"size": "huge"}, {"size": 3}, {"external": {}}, {"external": {"url": "http://x"}}],
    ids=str,
)
def test_a_malformed_spec_is_reported_and_nothing_is_created(spec: object) -> None:
    decided = plan(state_of(session_storage(spec)), SETTINGS, NOW)
    assert decided.steps == ()
    assert reason(decided) == "InvalidSpec"
    assert decided.status is not None
    assert decided.status["phase"] == "Failed"
    assert decided.requeue_after_seconds == 60
    assert [note.type for note in decided.events] == ["Warning"]


def test_a_password_in_a_refused_url_is_not_repeated() -> None:
    spec = {"external": {"url": "redis://:hunter2@elsewhere"}}
    decided = plan(state_of(session_storage(spec)), SETTINGS, NOW)
    assert reason(decided) == "InvalidSpec"
    assert "hunter2" not in repr(decided)


@pytest.mark.parametrize("key", list(children(Size.SMALL)), ids=str)
@pytest.mark.parametrize("owners", [[], [{"uid": "of-another", "controller": True}], None], ids=str)
def test_objects_of_another_owner_are_never_touched(key: tuple[str, str], owners: list[Object] | None) -> None:
    before = observed()
    theirs = copy.deepcopy(before.children[key])
    theirs["kind"] = "Thing"
    theirs["metadata"].pop("ownerReferences")
    theirs["metadata"]["labels"] = {}
    if owners is not None:
        theirs["metadata"]["ownerReferences"] = owners
    decided = plan(with_children(before, {key: theirs}), SETTINGS, NOW)
    assert decided.steps == ()
    assert reason(decided) == "NameTaken"
    assert decided.status is not None
    assert f"Thing {key[1]}" in decided.status["message"]


@pytest.mark.parametrize("key", [key for key in children(Size.SMALL) if key[0] != "secrets"], ids=str)
def test_objects_without_an_owner_that_carry_our_labels_are_adopted(key: tuple[str, str]) -> None:
    """A restored backup brings objects back without their owner."""
    before = observed()
    restored = copy.deepcopy(before.children[key])
    del restored["metadata"]["ownerReferences"]
    (step,) = steps_of(with_child(before, key, restored))
    assert isinstance(step, Apply | Write)
    assert step.obj["metadata"]["name"] == key[1]
    assert step.obj["metadata"]["ownerReferences"] == before.children[key]["metadata"]["ownerReferences"]


@pytest.mark.parametrize("name", ["mine-auth", "mine-connection"])
def test_secrets_without_an_owner_are_not_adopted(name: str) -> None:
    """A user who may create only Secrets could choose a storage's passwords by creating one first."""
    before = observed()
    planted = copy.deepcopy(before.children["secrets", name])
    del planted["metadata"]["ownerReferences"]
    decided = plan(with_child(before, ("secrets", name), planted), SETTINGS, NOW)
    assert decided.steps == ()
    assert reason(decided) == "AdoptionNeeded"


@pytest.mark.parametrize(
    ("running", "wanted"), [(a, b) for a in Size for b in Size if a is not b], ids=lambda size: size.value
)
def test_a_change_of_size_is_prepared_while_the_storage_serves(running: Size, wanted: Size) -> None:
    before = declared(observed(running), session_storage({"size": wanted}))
    decided = plan(before, SETTINGS, NOW)
    assert decided.status is not None
    assert (decided.status["size"], reason(decided)) == (running, "StorageReady")
    assert reason(decided, "SizeApplied") == "Resizing"
    sets = [step for step in decided.steps if isinstance(step, Apply) and step.resource is STATEFUL_SETS]
    assert {step.obj["metadata"]["labels"][names.LABEL_SIZE] for step in sets} == {wanted}
    assert not [step for step in decided.steps if isinstance(step, Delete) and step.resource is PODS]


def test_objects_for_replicas_are_deleted_with_the_replicas() -> None:
    before = declared(observed("large"), session_storage({"size": "medium"}))
    gone = [step for step in steps_of(before) if isinstance(step, Delete)]
    assert [(step.resource, step.name, step.uid) for step in gone] == [
        (SERVICES, "mine-valkey-replicas", "uid-of-mine-valkey-replicas"),
        (DISRUPTION_BUDGETS, "mine-valkey-replica", "uid-of-mine-valkey-replica"),
    ]


@pytest.mark.parametrize(
    ("available", "since", "is_silent", "policy"),
    [
        ("True", LONG_AGO, False, None),
        ("True", LONG_AGO, True, None),
        ("False", NOW.strftime("%Y-%m-%dT%H:%M:%SZ"), True, None),
        ("False", LONG_AGO, False, None),
        ("False", LONG_AGO, True, "AlwaysAllow"),
    ],
    ids=["serves", "just fell silent", "being replaced", "serves again", "away"],
)
def test_only_a_primary_that_is_away_for_good_may_be_evicted(
    available: str, since: str, policy: str | None, *, is_silent: bool
) -> None:
    instance = primary(0)
    seen = observed("small", replace(instance, facts=None, problem="unreachable") if is_silent else instance)
    told = {"type": "Available", "status": available, "reason": "R", "message": "m", "lastTransitionTime": since}
    steps = steps_of(settled(seen, {"conditions": [told]}))
    budgets = [step.obj for step in steps if isinstance(step, Apply) and step.resource is DISRUPTION_BUDGETS]
    assert [budget["spec"]["unhealthyPodEvictionPolicy"] for budget in budgets] == ([policy] if policy else [])


def held(steps: Sequence[Step]) -> list[int]:
    """List how many primaries each budget that is written keeps from being evicted."""
    budgets = [step.obj for step in steps if isinstance(step, Apply) and step.resource is DISRUPTION_BUDGETS]
    return [budget["spec"]["minAvailable"] for budget in budgets]


@pytest.mark.parametrize("size", Size)
def test_no_eviction_precedes_the_move_of_a_primary_whose_node_is_drained(size: Size) -> None:
    """The budget comes first: whoever drains the node begins to evict a moment later."""
    draining = KubernetesNodes(HOSTS.open - {"host-0"}, frozenset({"host-0"}))
    assert held(steps_of(observed(size))) == []
    steps = steps_of(observed(size, nodes=draining))
    assert held(steps) == [1]
    moves = [number for number, step in enumerate(steps) if isinstance(step, SwitchOver)]
    assert all(held(steps[:number]) == [1] for number in moves)
    assert bool(moves) is (size is Size.LARGE)


def test_a_pod_that_kubernetes_is_about_to_disrupt_is_one_that_has_to_move() -> None:
    chosen = pod(0, Size.LARGE)
    chosen["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    head, *others = observed("large").instances
    assert held(steps_of(observed("large", replace(head, pod=chosen), *others))) == [1]


def test_a_drain_is_not_held_up_where_no_node_has_room_for_another_instance() -> None:
    """Nobody knows whether there will ever be any."""
    draining = KubernetesNodes(frozenset(), frozenset({"host-0"}))
    homeless = pod(1, Size.SMALL, "replica", creationTimestamp=EARLIER)
    homeless["spec"] = {}
    homeless["status"] = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]}
    before = observed("small", primary(0), Instance(1, homeless), nodes=draining)
    for index in (0, 1):
        before = with_child(before, ("statefulsets", f"mine-valkey-{index}"), stored(workload(index, Size.SMALL)))
    assert held(steps_of(before)) == []


def test_a_planned_change_waits_for_all_other_steps() -> None:
    asked = session_storage({"size": "large"}, annotations={names.ANNOTATION_SWITCHOVER: "please"})
    before = declared(observed("large"), asked)
    decided = plan(before, SETTINGS, NOW)
    assert [type(step) for step in decided.steps] == [SwitchOver]
    assert (decided.is_changing, decided.requeue_after_seconds) == (True, 0.5)
    edited = without(before, ("configmaps", "mine-valkey"))
    assert [type(step) for step in steps_of(edited)] == [Apply]
    stray = replace(before, instances=(*before.instances[:2], replicated(before.instances[2], upstream="10.9.9.9")))
    assert [type(step) for step in steps_of(stray)] == [Follow]


def test_a_requested_move_that_is_done_is_not_repeated() -> None:
    asked = session_storage({"size": "large"}, annotations={names.ANNOTATION_SWITCHOVER: "please"})
    before = declared(observed("large"), asked)
    record = PrimaryRecord(epoch=1, to=0, reason="Asked", began=CREATED, ended=CREATED, took=0.05, handled="please")
    decided = plan(with_children(before, {**before.children, **clients_way(0, record)}), SETTINGS, NOW)
    assert decided.steps == ()
    assert decided.status is not None
    assert decided.status["lastFailover"] == {"at": CREATED, "reason": "Asked", "seconds": 0.05}


def test_a_move_out_of_turn_does_not_count_as_an_update() -> None:
    asked = session_storage({"size": "large"}, annotations={names.ANNOTATION_SWITCHOVER: "please"})
    before = observed("large", storage=asked, may_update=False)
    decided = plan(before, SETTINGS, NOW)
    assert ([type(step) for step in decided.steps], decided.is_changing) == ([SwitchOver], False)


def test_a_change_of_size_does_not_wait_for_a_turn_even_once_the_primary_has_it() -> None:
    instances = (primary(0, Size.MEDIUM, 1, 2), replica(1), replica(2))
    medium = {("statefulsets", f"mine-valkey-{index}"): stored(workload(index, Size.MEDIUM)) for index in (1, 2)}
    before = observed("medium")
    shrinking = replace(with_children(before, {**before.children, **medium}), instances=instances, may_update=False)
    assert reason(plan(shrinking, SETTINGS, NOW), "Updating") == "InstanceRemoved"


def test_another_image_is_first_written_to_the_statefulsets() -> None:
    steps = plan(observed("large"), OTHER_IMAGE, NOW).steps
    assert [repr(step) for step in steps] == [f"apply StatefulSet mine-valkey-{index}" for index in range(3)]


@pytest.mark.parametrize("running", Size)
@pytest.mark.parametrize("label", ["small", "medium", "large", "huge", ""])
def test_the_volumes_tell_the_size_when_the_label_lies(running: Size, label: str) -> None:
    before = observed(running)
    workload = copy.deepcopy(before.children["statefulsets", "mine-valkey-0"])
    workload["metadata"]["labels"][names.LABEL_SIZE] = label
    edited = {**before.children, ("statefulsets", "mine-valkey-0"): workload}
    steps = steps_of(with_children(before, edited))
    right = before.children["statefulsets", "mine-valkey-0"]
    repaired = [step.obj | {"metadata": right["metadata"]} for step in steps if isinstance(step, Apply)]
    assert repaired == ([] if label == running else [right])


def test_volumes_of_no_size_of_ours_do_not_stop_the_pass() -> None:
    before = observed("medium")
    workload = copy.deepcopy(before.children["statefulsets", "mine-valkey-0"])
    workload["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = "77Gi"
    edited = {**before.children, ("statefulsets", "mine-valkey-0"): workload}
    assert steps_of(with_children(before, edited)) == ()


def test_a_condition_of_a_large_storage_says_whether_a_replica_could_take_over() -> None:
    decided = plan(observed("large"), SETTINGS, NOW)
    assert (reason(decided), reason(decided, "Redundant")) == ("StorageReady", "InSync")
    alone = observed("large", primary(0, Size.LARGE), Instance(1), Instance(2))
    decided = plan(alone, SETTINGS, NOW)
    assert (reason(decided), reason(decided, "Redundant")) == ("StorageReady", "ReplicasMissing")
    assert decided.steps == (Fence(alone.instances[0], 0),)


def test_a_storage_of_one_instance_has_no_condition_about_redundancy() -> None:
    assert reason(plan(observed("medium"), SETTINGS, NOW), "Redundant") is None


def test_pods_are_labelled_with_their_roles_the_primary_last() -> None:
    """With two pods labelled primary, the PodDisruptionBudget would allow the eviction of the real one."""
    before = observed("large")
    unmarked = tuple(replace(instance, pod=pod(instance.index, Size.LARGE, "")) for instance in before.instances)
    steps = steps_of(replace(before, instances=unmarked))
    assert [step.role for step in steps if isinstance(step, LabelRole)] == ["replica", "replica", "primary"]


def usage(namespace: str, name: str = "srv", *, is_granted: bool = False) -> Usage:
    return Usage(Consumer("MCPServer", namespace, name), ("team", "mine"), is_granted)


def shared(*namespaces: str, **others: Any) -> StorageState:
    """Observe a small storage that is shared with these namespaces."""
    storage = session_storage({"size": "small", "allowedNamespaces": list(namespaces)})
    return observed(storage=storage, **others)


def peers_of(policy: Object) -> list[Object]:
    peers: list[Object] = policy["spec"]["ingress"][0]["from"]
    return peers


def test_a_namespace_with_an_admitted_consumer_gets_a_copy_and_network_access() -> None:
    before = shared("other", usages=(usage("other"), usage("stranger")))
    policy, share = steps_of(before)
    assert isinstance(policy, Apply)
    assert isinstance(share, Share)
    assert share.obj["metadata"]["name"] == "team.mine-connection"
    assert share.obj["metadata"]["namespace"] == "other"
    assert share.obj["data"] == before.children["secrets", "mine-connection"]["data"]
    elsewhere = [peer["namespaceSelector"] for peer in peers_of(policy.obj) if "namespaceSelector" in peer]
    assert str(elsewhere).count("'other'") == 3
    assert "stranger" not in str(elsewhere)
    assert PASSWORDS["password"] not in repr(share)


def test_a_consumer_with_a_granted_right_needs_no_shared_namespace() -> None:
    (_, share) = steps_of(observed(usages=(usage("other", is_granted=True),)))
    assert isinstance(share, Share)


def test_copies_without_a_consumer_are_deleted_and_other_secrets_stay() -> None:
    copy_of_ours = secrets.mirrored_secret(children(Size.SMALL)["secrets", "mine-connection"], "other")
    copy_of_ours["metadata"] |= {"uid": "uid-m", "resourceVersion": "3"}
    foreign: Object = {"metadata": {"name": "team.mine-connection", "namespace": "third", "uid": "x"}, "data": {}}
    present = {"other": copy_of_ours, "third": foreign}
    assert steps_of(observed(secrets=present)) == (Delete(SECRETS, "other", "team.mine-connection", "uid-m"),)


def test_a_correct_copy_is_left_alone_and_an_edited_one_is_repaired() -> None:
    policy = network_policy.network_policy(STORAGE, SETTINGS.peers, ["other"])
    made = {**children(Size.SMALL), ("networkpolicies", "mine-valkey"): policy}
    present = secrets.mirrored_secret(made["secrets", "mine-connection"], "other")
    present["metadata"] |= {"uid": "uid-m", "resourceVersion": "3"}
    assert steps_of(shared("*", usages=[usage("other")], children=made, secrets={"other": present})) == ()
    edited = present | {"data": {**present["data"], "EXTRA": "eA=="}}
    (share,) = steps_of(shared("*", usages=[usage("other")], children=made, secrets={"other": edited}))
    assert isinstance(share, Share)
    assert share.obj["metadata"]["resourceVersion"] == "3"


def test_a_foreign_secret_with_the_copys_name_is_reported_and_never_touched() -> None:
    foreign: Object = {"metadata": {"name": "team.mine-connection", "namespace": "other", "uid": "x"}, "data": {}}
    decided = plan(shared("other", usages=[usage("other")], secrets={"other": foreign}), SETTINGS, NOW)
    assert not [step for step in decided.steps if isinstance(step, Share | Delete)]
    assert reason(decided, "ConsumersAdmitted") == "NameTaken"


def test_consumers_of_namespaces_without_access_wait_and_are_named() -> None:
    usages = tuple(usage("other", f"server-{number:02}") for number in range(12))
    decided = plan(observed(usages=usages), SETTINGS, NOW)
    assert decided.status is not None
    (found,) = [item for item in decided.status["conditions"] if item["type"] == "ConsumersAdmitted"]
    assert "other/server-09 and 2 more" in found["message"]
    assert "server-10" not in found["message"]


def test_existing_passwords_are_not_generated_again() -> None:
    before = observed()
    auth = copy.deepcopy(before.children["secrets", "mine-auth"])
    del auth["data"]["probe-password"]
    (step,) = steps_of(with_child(before, ("secrets", "mine-auth"), auth))
    kept = {key: value for key, value in PASSWORDS.items() if key != "probe-password"}
    assert step == WriteAuth(STORAGE, KeyRing(kept), "7")
    assert not [password for password in kept.values() if password in repr(step)]


def test_a_lost_auth_secret_is_recreated_with_the_consumers_password() -> None:
    before = observed()
    connection = {key: obj for key, obj in before.children.items() if key == ("secrets", "mine-connection")}
    (step,) = steps_of(with_children(before, connection))
    assert step == WriteAuth(STORAGE, KeyRing({"password": PASSWORDS["password"]}), "")


@pytest.mark.parametrize("spoilt", ["", "short", "with spaces in it and long enough to pass", "ä" * 32])
def test_a_spoilt_connection_secret_gives_no_password(spoilt: str) -> None:
    connection = secrets.connection_secret(STORAGE, spoilt)
    (step,) = steps_of(state_of(session_storage({}), {("secrets", "mine-connection"): connection}))
    assert step == WriteAuth(STORAGE, KeyRing({}), "")


def test_the_auth_secret_takes_precedence_over_a_different_connection_secret() -> None:
    before = observed()
    other = before.children["secrets", "mine-connection"] | {
        "data": secrets.connection_secret(STORAGE, "y" * 32)["data"]
    }
    (step,) = steps_of(with_child(before, ("secrets", "mine-connection"), other))
    assert isinstance(step, Write)
    assert step.obj["metadata"]["resourceVersion"] == "7"
    assert identities.decoded(step.obj["data"])["REDIS_PASSWORD"] == PASSWORDS["password"]


def refused(created: str, **metadata: Any) -> StorageState:
    return observed(
        "small", Instance(0, pod(creationTimestamp=created, **metadata), problem="refused", detail="as operator")
    )


def test_an_instance_that_is_older_than_its_secret_and_refuses_it_restarts() -> None:
    assert steps_of(refused(created=EARLIER)) == (Delete(PODS, "team", "mine-valkey-0-0", "uid-of-pod-0"),)


def test_an_instance_that_is_younger_than_its_secret_never_restarts() -> None:
    decided = plan(refused(created=LATER), SETTINGS, NOW)
    assert decided.steps == ()
    assert reason(decided) == "CredentialRefused"


def test_an_instance_that_is_being_deleted_is_not_deleted_again() -> None:
    (step,) = steps_of(refused(created=EARLIER, deletionTimestamp=LATER))
    assert isinstance(step, Write)
    assert step.obj["endpoints"] == []


def test_the_age_of_a_rewritten_secret_counts_from_its_last_write() -> None:
    before = refused(created=LATER)
    auth = copy.deepcopy(before.children["secrets", "mine-auth"])
    auth["metadata"]["managedFields"] = [{"manager": "a", "time": "2026-11-23T10:00:09Z"}, {"manager": "b"}]
    rewritten = with_child(before, ("secrets", "mine-auth"), auth)
    assert [type(step) for step in steps_of(rewritten)] == [Delete]


def test_an_instance_that_merely_does_not_answer_never_restarts() -> None:
    assert steps_of(observed("small", Instance(0, pod(creationTimestamp=EARLIER)))) == ()
    assert steps_of(observed("small", Instance(0, pod(creationTimestamp=EARLIER), problem="unreachable"))) == ()


@pytest.mark.parametrize(
    ("instance", "seconds"),
    [
        (primary(), RECHECK_SECONDS),
        (Instance(0), 5),
        (Instance(0, pod() | {"status": {}}), 5),
        (Instance(0, pod(), problem="unreachable"), 0.2),
        (Instance(0, pod(), InstanceFacts("master", is_loading=True)), 0.2),
        (Instance(0, pod(creationTimestamp=LONG_AGO), problem="unreachable"), 5),
        (Instance(0, pod(creationTimestamp=LONG_AGO), problem="refused"), 5),
    ],
)
def test_the_time_to_the_next_pass_depends_on_what_the_storage_waits_for(instance: Instance, seconds: float) -> None:
    assert plan(observed("small", instance), SETTINGS, NOW).requeue_after_seconds == seconds


def test_a_storage_is_looked_at_less_often_once_there_is_nothing_to_do_to_tell_or_to_suspect() -> None:
    told = plan(observed("small", primary()), SETTINGS, NOW)
    calm = settled(observed("small", primary()), told.status)
    assert told.requeue_after_seconds == RECHECK_SECONDS, "there was something to tell"
    assert plan(calm, SETTINGS, NOW).requeue_after_seconds == STEADY_SECONDS
    unsteady = replace(calm, instances=tuple(replace(each, is_unsteady=True) for each in calm.instances))
    assert plan(unsteady, SETTINGS, NOW).requeue_after_seconds == RECHECK_SECONDS
    lacking = {key: obj for key, obj in calm.children.items() if key[0] != NETWORK_POLICIES.plural}
    mended = plan(replace(calm, children=lacking), SETTINGS, NOW)
    assert (len(mended.steps), mended.requeue_after_seconds) == (1, RECHECK_SECONDS)
    waiting = replace(calm, key_ring=replace(calm.key_ring, staged=calm.key_ring.current))
    assert plan(waiting, SETTINGS, NOW).requeue_after_seconds <= RECHECK_SECONDS


@pytest.mark.parametrize(
    ("instance", "expected"),
    [
        (Instance(0), "Provisioning"),
        (Instance(0, pod(), problem="unreachable"), "Starting"),
        (Instance(0, pod(creationTimestamp=LONG_AGO), problem="unreachable"), "Unreachable"),
        (Instance(0, pod(), InstanceFacts("slave", is_loading=False)), "Starting"),
        (Instance(0, pod(), InstanceFacts("master", is_loading=True)), "LoadingData"),
        (Instance(0, pod(), problem="refused"), "CredentialRefused"),
    ],
)
def test_a_storage_is_ready_only_when_its_primary_serves(instance: Instance, expected: str) -> None:
    decided = plan(observed("small", instance), SETTINGS, NOW)
    assert reason(decided) == expected
    assert decided.status is not None
    assert decided.status["phase"] == "Provisioning"
    assert "primary" not in decided.status


def test_a_ready_storage_becomes_degraded_when_its_instance_is_gone() -> None:
    ready = settled(observed(), plan(observed(), SETTINGS, NOW).status)
    decided = plan(replace(ready, instances=(Instance(0),)), SETTINGS, NOW)
    assert decided.status is not None
    assert decided.status["phase"] == "Degraded"
    assert [note.reason for note in decided.events] == ["Provisioning"]


def test_an_instance_that_should_answer_and_does_not_causes_a_warning() -> None:
    silent = Instance(0, pod(creationTimestamp=LONG_AGO), problem="unreachable")
    decided = plan(observed("small", silent), SETTINGS, NOW)
    assert [(note.type, note.reason) for note in decided.events] == [("Warning", "Unreachable")]


def test_a_restarted_server_gets_its_full_starting_time_again() -> None:
    old = pod(creationTimestamp="2026-11-23T09:00:00Z")
    running = {"state": {"running": {"startedAt": "2026-11-23T11:59:55Z"}}}
    restarted = old | {"status": old["status"] | {"containerStatuses": [running]}}
    decided = plan(observed("small", Instance(0, restarted, problem="unreachable")), SETTINGS, NOW)
    assert (reason(decided), decided.requeue_after_seconds) == ("Starting", 0.2)


def test_the_message_quotes_what_kubernetes_says_of_the_pod() -> None:
    unschedulable = {"type": "PodScheduled", "status": "False", "message": "0/3 instances are available"}
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    for status, expected, text in (
        ({"conditions": [unschedulable]}, "Unschedulable", "0/3 instances are available"),
        ({"containerStatuses": [{"state": waiting}]}, "ImagePullBackOff", "no such image"),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, "Starting", "starting"),
        ({"containerStatuses": [{"state": {"running": {"startedAt": LATER}}}]}, "Unreachable", "check its log"),
    ):
        decided = plan(observed("small", Instance(0, pod() | {"status": status})), SETTINGS, NOW)
        assert reason(decided) == expected
        assert decided.status is not None
        assert text in decided.status["message"]


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (("secrets", "mine-connection"), ["data"]),
        (("configmaps", "mine-valkey"), ["data"]),
        (("statefulsets", "mine-valkey-0"), ["spec", "template", "spec", "containers"]),
        (("statefulsets", "mine-valkey-0"), ["spec", "template", "spec", "initContainers"]),
        (("statefulsets", "mine-valkey-0"), ["spec", "template", "spec", "volumes"]),
        (("services", "mine-valkey"), ["spec", "ports"]),
    ],
    ids=str,
)
def test_foreign_fields_where_none_are_allowed_lead_to_a_replacement(key: tuple[str, str], path: list[str]) -> None:
    """Server-side apply would leave the field there."""
    before = observed()
    edited = copy.deepcopy(before.children[key])
    place = edited
    for part in path[:-1]:
        place = place[part]
    if isinstance(place.get(path[-1]), dict):
        place[path[-1]]["foreign"] = "eA=="
    else:
        place[path[-1]] = [*place.get(path[-1], []), {"name": "foreign"}]
    (step,) = steps_of(with_child(before, key, edited))
    assert isinstance(step, Replace | Write)
    assert step.obj == before.children[key]
    assert step.obj["metadata"]["resourceVersion"] == "7"


def test_a_foreign_environment_variable_of_valkey_leads_to_a_replacement() -> None:
    before = observed()
    key = ("statefulsets", "mine-valkey-0")
    for field, item in (("env", {"name": "LD_PRELOAD", "value": "x"}), ("envFrom", {"secretRef": {"name": "x"}})):
        edited = copy.deepcopy(before.children[key])
        edited["spec"]["template"]["spec"]["containers"][0][field] = [item]
        (step,) = steps_of(with_child(before, key, edited))
        assert isinstance(step, Replace)


def test_a_foreign_key_in_the_auth_secret_is_removed() -> None:
    before = observed()
    auth = copy.deepcopy(before.children["secrets", "mine-auth"])
    auth["data"]["foreign"] = "eA=="
    steps = steps_of(with_child(before, ("secrets", "mine-auth"), auth))
    assert steps == (WriteAuth(STORAGE, KeyRing(PASSWORDS), "7"),)


def test_the_volume_claims_of_a_stateful_set_stay_as_they_are() -> None:
    """Kubernetes refuses every change of volume claims."""
    before = observed("medium")
    orphan = copy.deepcopy(before.children["statefulsets", "mine-valkey-0"])
    orphan["metadata"].pop("ownerReferences")
    (claim,) = orphan["spec"]["volumeClaimTemplates"]
    claim["spec"]["storageClassName"] = "of-former-times"
    (step,) = steps_of(with_child(before, ("statefulsets", "mine-valkey-0"), orphan))
    assert isinstance(step, Apply)
    assert step.obj["spec"]["volumeClaimTemplates"] == [claim]
