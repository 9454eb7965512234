"""One primary, replicas that follow it, and nobody else who takes writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.actions.kubernetes import LabelRole
from reconciler.actions.plan import Step
from reconciler.actions.valkey import Fence, Follow, LogInAnew, Promote, Resume
from reconciler.credentials import identities
from reconciler.credentials.key_ring import KeyRing
from reconciler.failover.decision import (
    Decision,
    FailoverBlocked,
    KeepPrimary,
    LookAgain,
    NewPrimary,
    decide_primary,
)
from reconciler.failover.replication import replication_steps
from reconciler.failover.replication_group import CLOSE_BYTES, ReplicationGroup
from reconciler.manifests import services
from reconciler.state.instance import Instance
from reconciler.state.primary_record import PrimaryRecord, PrimaryService
from reconciler.state.storage_state import StorageState
from shared import names
from shared.session_storage.sizes import PRESETS, Size
from tests.support.storages import (
    CLUSTER_IP,
    HOST,
    NOW,
    OFFSET,
    REPLICATION,
    RING,
    STORAGE,
    address,
    observed,
    pod,
    primary,
    replica,
    replicated,
    stored,
    unlinked,
    with_child,
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
    """Change what an instance says of itself."""
    assert instance.facts is not None
    return replace(instance, facts=replace(instance.facts, **facts))


def silent(instance: Instance) -> Instance:
    return replace(instance, facts=None, problem="unreachable")


def gone(instance: Instance) -> Instance:
    return Instance(instance.index)


# Who is primary


def test_the_service_says_who_is_primary_whatever_instances_take_themselves_for() -> None:
    before = with_child(observed("large"), ("services", "mine-valkey"), stored(services.primary_service(STORAGE, 2)))
    group = group_of(HEAD, NEAR, FAR, before=before)
    assert (group.primary, group.others, group.instances) == (FAR, (HEAD, NEAR), (FAR, HEAD, NEAR))


def test_an_instance_that_the_service_names_is_primary_even_if_there_is_no_trace_of_it_unless_another_one_is() -> None:
    before = with_child(observed("large"), ("services", "mine-valkey"), stored(services.primary_service(STORAGE, 9)))
    assert group_of(NEAR, FAR, before=before).primary == Instance(9)
    assert group_of(HEAD, NEAR, before=before).primary.index == 0


def edited(record: PrimaryRecord) -> StorageState:
    """A storage whose Service somebody has sent to an instance that there never was."""
    service = PrimaryService.of(stored(services.primary_service(STORAGE, 0))).pointing_at(7, record)
    return with_child(observed("large"), ("services", "mine-valkey"), service)


def test_a_selector_that_a_person_wrote_is_not_believed_even_while_the_primary_starts() -> None:
    assert group_of(silent(HEAD), NEAR, FAR, before=edited(PrimaryRecord(1, 0))).primary.index == 0
    moved = edited(PrimaryRecord(1, 0).claim(1, "Asked", NOW).end(NOW))
    assert group_of(HEAD, silent(NEAR), FAR, before=moved).primary.index == 1
    assert group_of(HEAD, gone(FAR), before=moved).primary.index == 0


def test_a_move_that_did_not_end_tells_nothing_of_who_is_primary() -> None:
    assert (
        group_of(silent(HEAD), NEAR, FAR, before=edited(PrimaryRecord(1, 0).claim(1, "Asked", NOW))).primary.index == 7
    )


def test_without_the_service_the_primary_that_has_replicas_is_it() -> None:
    nothing = without(observed("large"), ("services", "mine-valkey"))
    stray = primary(0, Size.LARGE)
    assert group_of(stray, primary(1, Size.LARGE, 2), FAR, before=nothing).primary.index == 1
    assert group_of(NEAR, FAR, before=nothing).primary.index == 1
    assert group_of(said(HEAD, is_loading=True), NEAR, before=nothing).primary.index == 0
    assert group_of(before=nothing).primary == Instance(0)


def test_while_the_service_is_gone_nobody_is_promoted_for_nobody_could_lose_to_another_leader() -> None:
    nothing = without(observed("large"), ("services", "mine-valkey"))
    decision = NewPrimary(NEAR, "PrimaryLost", "m")
    assert steps(gone(HEAD), NEAR, FAR, before=nothing, decision=decision) == []


# Who is in sync


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


def test_nobody_is_in_sync_with_a_primary_that_does_not_answer() -> None:
    group = group_of(silent(HEAD), NEAR, FAR)
    assert (group.synced, group.lag(NEAR)) == ((), None)


def test_a_replica_that_is_ahead_of_what_the_primary_said_before_is_not_behind() -> None:
    """They are not asked at the same instant."""
    assert group_of(HEAD, replicated(NEAR, offset=OFFSET + 5), FAR).lag(replicated(NEAR, offset=OFFSET + 5)) == 0


def test_a_replica_is_attached_as_soon_as_one_of_both_says_so() -> None:
    alone = unlinked(NEAR)
    for head, instance, is_attached in (
        (HEAD, alone, True),
        (primary(0, Size.LARGE), NEAR, True),
        (HEAD, silent(NEAR), True),
        (primary(0, Size.LARGE), alone, False),
        (HEAD, gone(NEAR), False),
    ):
        assert group_of(head, instance, FAR).is_attached(instance) is is_attached


# What is done


@pytest.mark.parametrize("size", Size)
def test_a_storage_that_is_well_needs_no_step(size: Size) -> None:
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
        (unlinked(NEAR, upstream=HOST), False),
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
        "on its way by name",
        "on its way by the address of the Service",
        "on its way by the address of the primary",
        "loading",
        "cannot be told",
        "silent",
        "gone",
    ],
)
def test_a_replica_that_follows_somebody_else_is_told_and_one_on_its_way_is_left_alone(
    instance: Instance, *, is_misdirected: bool
) -> None:
    followed = [step.instance for step in steps(HEAD, instance, FAR) if isinstance(step, Follow)]
    assert followed == ([instance] if is_misdirected else [])


@pytest.mark.parametrize(
    "head", [silent(HEAD), replica(0), said(HEAD, is_loading=True), replace(HEAD, problem="refused")]
)
def test_nobody_is_told_to_follow_a_primary_that_is_none(head: Instance) -> None:
    assert steps(head, primary(1, Size.LARGE), replicated(FAR, upstream=ELSEWHERE)) == []


def rotated() -> KeyRing:
    return KeyRing({**RING.current, identities.REPLICATION.key: "N" * 32}, former=RING.current)


def test_replicas_log_in_anew_one_by_one_for_without_any_a_primary_takes_no_writes() -> None:
    ring = rotated()
    first = steps(HEAD, NEAR, FAR, ring=ring)
    assert [(type(step), step.instance) for step in first if isinstance(step, LogInAnew)] == [(LogInAnew, NEAR)]
    assert [step.replication.password for step in first if isinstance(step, LogInAnew)] == ["N" * 32]
    done = said(NEAR, upstream_hash=identities.sha256("N" * 32))
    second = steps(HEAD, done, FAR, ring=ring)
    assert [step.instance for step in second if isinstance(step, LogInAnew)] == [FAR]
    assert steps(HEAD, done, said(FAR, upstream_hash=identities.sha256("N" * 32)), ring=ring) == []


@pytest.mark.parametrize(
    "other",
    [unlinked(FAR), silent(FAR), unlinked(FAR, upstream=ELSEWHERE)],
    ids=["not linked", "silent", "astray"],
)
def test_no_replica_logs_in_anew_while_another_one_is_not_in_sync(other: Instance) -> None:
    assert not [step for step in steps(HEAD, NEAR, other, ring=rotated()) if isinstance(step, LogInAnew)]


def test_the_fence_is_taken_down_only_if_all_other_instances_are_known_to_be_gone() -> None:
    alone = primary(0, Size.LARGE)
    assert steps(alone, gone(NEAR), gone(FAR)) == [Fence(alone, 0)]
    assert steps(alone, gone(NEAR), silent(FAR)) == []


def test_the_fence_is_put_up_again_as_soon_as_another_instance_may_run() -> None:
    open_head = said(HEAD, fence=0)
    assert steps(open_head, NEAR, gone(FAR)) == [Fence(open_head, 1)]
    assert steps(open_head, silent(NEAR), gone(FAR)) == [Fence(open_head, 1)]


def test_a_fence_that_a_move_left_behind_is_taken_back() -> None:
    """A primary that was to move is fenced for good, until the move is over or taken back."""
    fenced = said(HEAD, fence=1000)
    assert steps(fenced, NEAR, FAR) == [Fence(fenced, 1)]


def test_writes_that_a_move_paused_and_never_let_go_again_are_let_go_under_a_new_claim() -> None:
    """Whoever moved may live still, and must lose."""
    service = stored(services.primary_service(STORAGE, 0))
    left = PrimaryRecord(4, 1, "Asked", began="2026-11-23T11:00:00Z", request="please", handled="before")
    service["metadata"]["annotations"] = {names.ANNOTATION_PRIMARY: left.text}
    before = with_child(observed("large"), ("services", "mine-valkey"), service)
    paused = said(HEAD, is_paused=True)
    withdrawn = PrimaryRecord(epoch=5, to=0, handled="before")
    assert steps(paused, NEAR, FAR, before=before) == [Resume(PrimaryService.of(service), withdrawn, paused)]


def test_one_instance_is_never_fenced_even_while_a_second_one_comes() -> None:
    head = primary(0, Size.MEDIUM, 1)
    assert steps(head, replica(1, Size.MEDIUM), size=Size.MEDIUM) == []


def test_a_pod_is_marked_by_its_role_unless_it_is_going() -> None:
    old = replace(NEAR, pod=pod(1, Size.LARGE, "primary"))
    assert steps(HEAD, old, FAR) == [LabelRole(old.pod or {}, "replica")]
    going = replace(NEAR, pod=pod(1, Size.LARGE, "primary", deletionTimestamp="2026-11-23T12:00:00Z"))
    assert steps(HEAD, going, FAR) == []


def test_a_mark_is_for_the_very_pod_that_was_seen() -> None:
    (step,) = steps(HEAD, replace(NEAR, pod=pod(1, Size.LARGE, "primary")), FAR)
    assert isinstance(step, LabelRole)
    assert step.operations == [
        {"op": "test", "path": "/metadata/uid", "value": "uid-of-pod-1"},
        {"op": "add", "path": "/metadata/labels/toolhive.stacklok.dev~1role", "value": "replica"},
    ]


# When another instance takes over


def test_who_takes_over_is_claimed_and_followed_at_once_by_all_that_answer() -> None:
    returning = replica(0)
    (step,) = steps(returning, NEAR, silent(FAR), decision=NewPrimary(NEAR, "PrimaryLost", "m"))
    assert isinstance(step, Promote)
    assert (step.instance, step.followers, step.replication) == (NEAR, (returning,), REPLICATION)
    record = step.record
    assert (record.epoch, record.to, record.reason, record.is_under_way) == (1, 1, "PrimaryLost", True)


def test_a_claim_counts_on_from_the_last_one_and_keeps_what_the_user_was_given() -> None:
    service = stored(services.primary_service(STORAGE, 0))
    last = PrimaryRecord(epoch=4, to=0, reason="Asked", handled="please")
    service["metadata"]["annotations"] = {names.ANNOTATION_PRIMARY: last.text}
    before = with_child(observed("large"), ("services", "mine-valkey"), service)
    (step,) = steps(gone(HEAD), NEAR, FAR, before=before, decision=NewPrimary(FAR, "PrimaryLost", "m"))
    assert isinstance(step, Promote)
    assert (step.service.manifest, step.record.epoch, step.record.handled) == (service, 5, "please")


@pytest.mark.parametrize(
    "decision", [KeepPrimary("OnlyInstance"), LookAgain(1, "PrimarySilent", "m"), FailoverBlocked("NoHistory", "m")]
)
def test_as_long_as_nobody_takes_over_nothing_is_done_about_a_lost_primary(decision: Decision) -> None:
    assert steps(silent(HEAD), NEAR, FAR, decision=decision) == []


def test_who_has_to_be_primary_is_decided_on_all_instances() -> None:
    assert decide_primary(group_of(HEAD, NEAR, FAR)) == KeepPrimary()
    lost = Instance(0, pod(0, Size.LARGE), problem="down", silent_for=60)
    down = [unlinked(instance, silence=None, down_for=1) for instance in (NEAR, FAR)]
    decision = decide_primary(group_of(replace(lost, pod=None), *down))
    assert isinstance(decision, NewPrimary)
    assert decision.instance.index == 1


def test_a_person_can_name_who_is_to_be_promoted() -> None:
    unheard = [unlinked(instance, down_for=99) for instance in (NEAR, replicated(FAR, lineage="b" * 40))]
    lost = Instance(0, pod(0, Size.LARGE), problem="unreachable", silent_for=60)
    assert isinstance(decide_primary(group_of(lost, *unheard)), FailoverBlocked)
    decision = decide_primary(group_of(lost, *unheard), "mine-valkey-2")
    assert isinstance(decision, NewPrimary)
    assert decision.instance.index == 2


def test_no_password_is_in_the_text_of_a_step() -> None:
    text = repr(steps(HEAD, primary(1, Size.LARGE), FAR, ring=rotated()))
    text += repr(steps(gone(HEAD), NEAR, FAR, decision=NewPrimary(NEAR, "PrimaryLost", "m")))
    assert not [password for password in (*RING.current.values(), "N" * 32) if password in text]
