"""A storage has one primary, all other instances follow it, and none of them takes writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.actions.kubernetes import LabelRole
from reconciler.actions.plan import Step
from reconciler.actions.valkey import EndScript, Fence, Follow, Promote, RestartServer, Resume
from reconciler.credentials import identities
from reconciler.credentials.key_ring import KeyRing
from reconciler.failover.consent import Consent, Outage
from reconciler.failover.decision import (
    ENDLESS_SECONDS,
    Decision,
    FailoverBlocked,
    KeepPrimary,
    LookAgain,
    NewPrimary,
    decide_primary,
)
from reconciler.failover.replication import replication_steps
from reconciler.failover.replication_group import CLOSE_BYTES, ReplicationGroup
from reconciler.state.instance import Instance
from reconciler.state.primary_record import PrimaryRecord
from reconciler.state.primary_service import PrimaryService
from reconciler.state.storage_state import StorageState
from shared import names
from shared.objects.resources import Object
from shared.session_storage.sizes import PRESETS, Size
from tests.support.storages import (
    CLUSTER_IP,
    HOST,
    NOW,
    OFFSET,
    REPLICATION,
    RING,
    STARTED,
    address,
    clients_way,
    observed,
    pod,
    primary,
    replica,
    replicated,
    unlinked,
    with_children,
    without,
)

HEAD, NEAR, FAR = primary(0, Size.LARGE, 1, 2), replica(1), replica(2)
ELSEWHERE = "10.9.9.9"


def group_of(
    *instances: Instance, size: Size = Size.LARGE, ring: KeyRing = RING, before: StorageState | None = None
) -> ReplicationGroup:
    known = replace(before or observed(size), instances=instances, key_ring=ring)
    return ReplicationGroup.of(known, PRESETS[size])


def steps(*instances: Instance, decision: Decision | None = None, **group: Any) -> list[Step]:
    return list(replication_steps(group_of(*instances, **group), decision or KeepPrimary(), NOW))


def said(instance: Instance, **facts: Any) -> Instance:
    """Change an instance's replication facts."""
    assert instance.facts is not None
    return replace(instance, facts=replace(instance.facts, **facts))


def silent(instance: Instance) -> Instance:
    return replace(instance, facts=None, problem="unreachable")


def gone(instance: Instance) -> Instance:
    return Instance(instance.index)


# Which instance is primary


def led(way: dict[tuple[str, str], Object]) -> StorageState:
    """Observe a large storage whose clients are led another way."""
    before = observed("large")
    return with_children(before, {**before.children, **way})


def test_the_service_decides_which_instance_is_primary_whatever_roles_instances_report() -> None:
    before = led(clients_way(2))
    group = group_of(HEAD, NEAR, FAR, before=before)
    assert (group.primary, group.others, group.instances) == (FAR, (HEAD, NEAR), (FAR, HEAD, NEAR))


def test_an_instance_that_the_service_selects_is_primary_even_if_it_is_missing_unless_another_one_is() -> None:
    before = led(clients_way(9))
    assert group_of(NEAR, FAR, before=before).primary == Instance(9)
    assert group_of(HEAD, NEAR, before=before).primary.index == 0


def edited(record: PrimaryRecord) -> StorageState:
    """Observe a storage whose EndpointSlice names an instance that never existed."""
    return led(clients_way(7, record))


def test_a_name_that_a_person_wrote_is_ignored_even_while_the_primary_starts() -> None:
    assert group_of(silent(HEAD), NEAR, FAR, before=edited(PrimaryRecord(1, 0))).primary.index == 0
    moved = edited(PrimaryRecord(1, 0).claim(1, "Asked", NOW).end(NOW))
    assert group_of(HEAD, silent(NEAR), FAR, before=moved).primary.index == 1
    assert group_of(HEAD, gone(FAR), before=moved).primary.index == 0


def test_an_unfinished_move_does_not_change_which_instance_is_primary() -> None:
    assert (
        group_of(silent(HEAD), NEAR, FAR, before=edited(PrimaryRecord(1, 0).claim(1, "Asked", NOW))).primary.index == 7
    )


def test_without_the_service_the_instance_with_replicas_is_primary() -> None:
    nothing = without(observed("large"), ("services", "mine-valkey"))
    stray = primary(0, Size.LARGE)
    assert group_of(stray, primary(1, Size.LARGE, 2), FAR, before=nothing).primary.index == 1
    assert group_of(NEAR, FAR, before=nothing).primary.index == 1
    assert group_of(said(HEAD, is_loading=True), NEAR, before=nothing).primary.index == 0
    assert group_of(before=nothing).primary == Instance(0)


def test_without_the_service_no_instance_is_promoted_because_two_leaders_could_both_win() -> None:
    nothing = without(observed("large"), ("services", "mine-valkey"))
    decision = NewPrimary(NEAR, "PrimaryLost", "m")
    assert steps(gone(HEAD), NEAR, FAR, before=nothing, decision=decision) == []


# Which instances are in sync


@pytest.mark.parametrize("behind", [0, CLOSE_BYTES - 1])
def test_a_linked_replica_of_the_same_history_that_is_close_is_in_sync(behind: int) -> None:
    near = replicated(NEAR, offset=OFFSET - behind)
    group = group_of(HEAD, near, FAR)
    assert (group.is_synced(near), group.lag(near), len(group.synced)) == (True, behind, 2)


@pytest.mark.parametrize(
    "instance",
    [
        replicated(NEAR, offset=OFFSET - CLOSE_BYTES),
        unlinked(NEAR),
        replicated(NEAR, is_streaming=False),
        replicated(NEAR, lineage="b" * 40),
        replace(NEAR, problem="refused"),
        silent(NEAR),
        gone(NEAR),
    ],
    ids=["far behind", "not linked", "without news", "another history", "refusing", "silent", "gone"],
)
def test_no_other_instance_is_in_sync(instance: Instance) -> None:
    assert group_of(HEAD, instance, FAR).synced == (FAR,)


def test_no_instance_is_in_sync_with_a_primary_that_does_not_answer() -> None:
    group = group_of(silent(HEAD), NEAR, FAR)
    assert (group.synced, group.lag(NEAR)) == ((), None)


def test_a_replica_ahead_of_the_primarys_earlier_answer_is_not_behind() -> None:
    """The observer does not ask both at the same instant."""
    assert group_of(HEAD, replicated(NEAR, offset=OFFSET + 5), FAR).lag(replicated(NEAR, offset=OFFSET + 5)) == 0


def test_a_replica_is_attached_as_soon_as_it_or_the_primary_says_so() -> None:
    alone = unlinked(NEAR)
    for head, instance, is_attached in (
        (HEAD, alone, True),
        (primary(0, Size.LARGE), NEAR, True),
        (HEAD, silent(NEAR), True),
        (primary(0, Size.LARGE), alone, False),
        (HEAD, gone(NEAR), False),
    ):
        assert group_of(head, instance, FAR).is_attached(instance) is is_attached


# Steps


@pytest.mark.parametrize("size", Size)
def test_a_healthy_storage_needs_no_step(size: Size) -> None:
    assert steps(*observed(size).instances, size=size) == []


def test_a_second_primary_is_demoted() -> None:
    second = replace(primary(1, Size.LARGE), pod=NEAR.pod)
    assert steps(HEAD, second, FAR) == [Follow(second, address(0), REPLICATION)]


@pytest.mark.parametrize(
    ("instance", "is_misdirected"),
    [
        (unlinked(NEAR, upstream=ELSEWHERE), True),
        (replicated(NEAR, upstream=ELSEWHERE), True),
        (replicated(NEAR, lineage="b" * 40), True),
        (unlinked(NEAR, upstream=HOST), True),
        (unlinked(NEAR, upstream=HOST, is_copying=True), False),
        (replicated(NEAR, upstream=HOST), False),
        (replicated(NEAR, upstream=HOST, lineage="b" * 40), True),
        (unlinked(NEAR, upstream=CLUSTER_IP), False),
        (unlinked(NEAR, upstream=address(0)), False),
        (said(unlinked(NEAR, upstream=ELSEWHERE), is_loading=True), False),
        (said(replicated(NEAR, upstream=ELSEWHERE), hashes=None), False),
        (silent(NEAR), False),
        (gone(NEAR), False),
    ],
    ids=[
        "another address",
        "a replica of a replica",
        "another history",
        "on its way by a name that DNS may never answer",
        "copying from where the name led it",
        "linked by name",
        "linked by name with another instance",
        "on its way by the address of the Service",
        "on its way by the address of the primary",
        "loading",
        "cannot be told",
        "silent",
        "gone",
    ],
)
def test_a_replica_of_another_instance_is_redirected_and_one_on_its_way_is_left_alone(
    instance: Instance, *, is_misdirected: bool
) -> None:
    followed = [step.instance for step in steps(HEAD, instance, FAR) if isinstance(step, Follow)]
    assert followed == ([instance] if is_misdirected else [])


@pytest.mark.parametrize(
    "head", [silent(HEAD), replica(0), said(HEAD, is_loading=True), replace(HEAD, problem="refused")]
)
def test_no_replica_is_told_to_follow_a_primary_that_is_not_one(head: Instance) -> None:
    assert steps(head, primary(1, Size.LARGE), replicated(FAR, upstream=ELSEWHERE)) == []


def rotated() -> KeyRing:
    return KeyRing({**RING.current, identities.REPLICATION.key: "N" * 32}, former=RING.current)


def test_the_fence_is_lifted_only_if_all_other_instances_are_known_to_be_gone() -> None:
    alone = primary(0, Size.LARGE)
    assert steps(alone, gone(NEAR), gone(FAR)) == [Fence(alone, 0)]
    assert steps(alone, gone(NEAR), silent(FAR)) == []


def test_the_fence_is_restored_as_soon_as_another_instance_may_run() -> None:
    open_head = said(HEAD, fence=0)
    assert steps(open_head, NEAR, gone(FAR)) == [Fence(open_head, 1)]
    assert steps(open_head, silent(NEAR), gone(FAR)) == [Fence(open_head, 1)]


def test_a_fence_that_a_move_left_behind_is_lifted() -> None:
    """A move fences the old primary until the move ends or is withdrawn."""
    fenced = said(HEAD, fence=1000)
    assert steps(fenced, NEAR, FAR) == [Fence(fenced, 1)]


def test_writes_that_a_move_left_paused_are_resumed_under_a_new_claim() -> None:
    """The reconciler that began the move may still be alive, and must lose."""
    way, left = clients_way(0, PrimaryRecord(3, 0, handled="before")), PrimaryRecord(4, 1, "Asked", began=STARTED)
    (service, endpoint_slice) = way.values()
    service["metadata"]["annotations"] = {names.ANNOTATION_PRIMARY: left.text}
    paused = said(HEAD, is_paused=True)
    seen = PrimaryService.of(service, [endpoint_slice])
    assert steps(paused, NEAR, FAR, before=led(way)) == [Resume(seen, paused)]
    assert PrimaryRecord.of(seen.withdrawn()) == PrimaryRecord(5, 0, handled="before")


def test_a_single_instance_is_never_fenced_even_while_a_second_one_starts() -> None:
    head = primary(0, Size.MEDIUM, 1)
    assert steps(head, replica(1, Size.MEDIUM), size=Size.MEDIUM) == []


def test_a_pod_is_labelled_with_its_role_unless_it_is_being_deleted() -> None:
    old = replace(NEAR, pod=pod(1, Size.LARGE, "primary"))
    assert steps(HEAD, old, FAR) == [LabelRole(old.pod or {}, "replica")]
    going = replace(NEAR, pod=pod(1, Size.LARGE, "primary", deletionTimestamp="2026-11-23T12:00:00Z"))
    assert steps(HEAD, going, FAR) == []


def test_a_label_is_only_written_to_the_pod_that_was_observed() -> None:
    (step,) = steps(HEAD, replace(NEAR, pod=pod(1, Size.LARGE, "primary")), FAR)
    assert isinstance(step, LabelRole)
    assert step.operations == [
        {"op": "test", "path": "/metadata/uid", "value": "uid-of-pod-1"},
        {"op": "add", "path": "/metadata/labels/toolhive.stacklok.dev~1role", "value": "replica"},
    ]


# When another instance takes over


def test_a_new_primary_is_claimed_and_all_instances_that_answer_follow_it_at_once() -> None:
    returning = replica(0)
    (step,) = steps(returning, NEAR, silent(FAR), decision=NewPrimary(NEAR, "PrimaryLost", "m"))
    assert isinstance(step, Promote)
    assert (step.instance, step.followers, step.replication) == (NEAR, (returning,), REPLICATION)
    record = step.record
    assert (record.epoch, record.to, record.reason, record.is_under_way) == (1, 1, "PrimaryLost", True)


def test_a_claim_has_the_next_number_and_keeps_the_users_last_request() -> None:
    before = led(clients_way(0, PrimaryRecord(epoch=4, to=0, reason="Asked", handled="please")))
    (step,) = steps(gone(HEAD), NEAR, FAR, before=before, decision=NewPrimary(FAR, "PrimaryLost", "m"))
    assert isinstance(step, Promote)
    assert (step.service, step.record.epoch, step.record.handled) == (before.primary_service, 5, "please")


def test_nobody_takes_over_before_clients_go_where_the_endpoint_slices_say() -> None:
    """A former release left a selector, or somebody deleted the EndpointSlice: a repair comes first."""
    selecting, sliceless = clients_way(), clients_way()
    selecting["services", "mine-valkey"]["spec"]["selector"] = {names.LABEL_INSTANCE: "0"}
    del sliceless["endpointslices", "mine-valkey"]
    for way in (selecting, sliceless):
        before = without(observed("large"), ("endpointslices", "mine-valkey"))
        before = with_children(before, {**before.children, **way})
        assert steps(gone(HEAD), NEAR, FAR, before=before, decision=NewPrimary(FAR, "PrimaryLost", "m")) == []


@pytest.mark.parametrize(
    "decision", [KeepPrimary("OnlyInstance"), LookAgain(1, "PrimarySilent", "m"), FailoverBlocked("NoHistory", "m")]
)
def test_without_a_decision_to_fail_over_a_lost_primary_causes_no_step(decision: Decision) -> None:
    assert steps(silent(HEAD), NEAR, FAR, decision=decision) == []


def test_the_decision_takes_all_instances_into_account() -> None:
    assert decide_primary(group_of(HEAD, NEAR, FAR)) == KeepPrimary()
    lost = Instance(0, pod(0, Size.LARGE), problem="down", silent_for=60)
    down = [unlinked(instance, silence=None, down_for=1) for instance in (NEAR, FAR)]
    decision = decide_primary(group_of(replace(lost, pod=None), *down))
    assert isinstance(decision, NewPrimary)
    assert decision.instance.index == 1


def test_a_person_can_name_the_instance_to_promote() -> None:
    unheard = [unlinked(instance, down_for=99) for instance in (NEAR, replicated(FAR, lineage="b" * 40))]
    lost = Instance(0, pod(0, Size.LARGE), problem="unreachable", silent_for=60)
    assert isinstance(decide_primary(group_of(lost, *unheard)), FailoverBlocked)
    consent = Consent("mine-valkey-2", Outage().incident("HistoriesDiffer"))
    decision = decide_primary(group_of(lost, *unheard), consent)
    assert isinstance(decision, NewPrimary)
    assert decision.instance.index == 2


def test_no_password_is_in_the_text_of_a_step() -> None:
    text = repr(steps(HEAD, primary(1, Size.LARGE), FAR, ring=rotated()))
    text += repr(steps(gone(HEAD), NEAR, FAR, decision=NewPrimary(NEAR, "PrimaryLost", "m")))
    assert not [password for password in (*RING.current.values(), "N" * 32) if password in text]


def test_a_script_that_keeps_an_instance_busy_is_ended_unless_valkey_refused_that() -> None:
    busy = replace(HEAD, facts=None, problem="busy")
    wait = LookAgain(1, "ScriptRuns", "m")
    assert steps(busy, NEAR, FAR, decision=wait) == [EndScript(busy)]
    assert steps(HEAD, NEAR, replace(FAR, facts=None, problem="busy")) == [
        EndScript(replace(FAR, facts=None, problem="busy"))
    ]
    assert steps(replace(busy, has_endless_script=True), NEAR, FAR, decision=wait) == []


def test_a_server_whose_script_cannot_be_ended_starts_again_once_it_is_decided_who_is_primary() -> None:
    stuck = replace(HEAD, facts=None, problem="busy", has_endless_script=True, busy_for=ENDLESS_SECONDS)
    assert steps(stuck, NEAR, FAR, decision=KeepPrimary("ScriptRuns", "m")) == [RestartServer(stuck)]
    taken_over = replace(FAR, facts=None, problem="busy", has_endless_script=True, busy_for=ENDLESS_SECONDS)
    assert steps(HEAD, NEAR, taken_over) == [RestartServer(taken_over)]
    promotion = NewPrimary(NEAR, "ScriptRuns", "m")
    for decision in (LookAgain(1, "ScriptRuns", "m"), FailoverBlocked("DataUnclear", "m"), promotion):
        assert RestartServer(stuck) not in steps(stuck, NEAR, FAR, decision=decision)
    still_young = replace(stuck, busy_for=ENDLESS_SECONDS - 0.1)
    assert steps(still_young, NEAR, FAR, decision=KeepPrimary("ScriptRuns", "m")) == []


def test_replicas_follow_a_primary_that_fails_its_clients() -> None:
    """It answers the reconciler, and whatever follows it can take over from it."""
    failing = replace(HEAD, problem="failing")
    assert steps(failing, replicated(NEAR, upstream=ELSEWHERE), FAR) == [
        Follow(replicated(NEAR, upstream=ELSEWHERE), failing.address, REPLICATION)
    ]


def made_for(instance: Instance, count: str) -> Instance:
    """Return an instance whose pod says for how many instances it was made; an empty text is a former release's."""
    assert instance.pod is not None
    annotations = {**instance.pod["metadata"]["annotations"], names.ANNOTATION_INSTANCES: count}
    pod = {**instance.pod, "metadata": {**instance.pod["metadata"], "annotations": annotations}}
    return replace(instance, pod=pod)


@pytest.mark.parametrize(
    ("size", "count", "fence"),
    [
        (Size.MEDIUM, "1", 0),
        (Size.MEDIUM, "3", 1),
        (Size.MEDIUM, "", 0),
        (Size.LARGE, "1", 0),
        (Size.LARGE, "3", 1),
        (Size.LARGE, "", 1),
        (Size.LARGE, "many", 1),
    ],
)
def test_clients_need_not_wait_for_replicas_that_the_primary_was_not_made_for(
    size: Size, count: str, fence: int
) -> None:
    """A platform team may change how many instances a size has, and the pod's size stays the same."""
    alone = made_for(primary(0, size), count)
    known = replace(observed(size), instances=(alone, silent(replica(1, size))))
    assert ReplicationGroup.of(known, replace(PRESETS[size], replicas=3)).fence == fence
