"""Which change comes next, and what stays as it is, while instances are added, replaced and moved."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.actions.kubernetes import Delete
from reconciler.actions.plan import Step
from reconciler.actions.valkey import Remove, SwitchOver
from reconciler.failover.replication_group import ReplicationGroup
from reconciler.manifests.valkey_pods import ValkeyPods
from reconciler.plan.change import Change
from reconciler.plan.desired_instances import NO_ROOM_AFTER, DesiredInstances
from reconciler.plan.rolling_update import next_change
from reconciler.state.instance import Instance, Problem
from reconciler.state.kubernetes_nodes import KubernetesNodes
from reconciler.state.primary_record import PrimaryRecord
from reconciler.state.primary_service import PrimaryService
from shared import names
from shared.objects import timestamps
from shared.objects.resources import PODS, Object
from shared.objects.timestamps import written
from shared.session_storage.sizes import PRESETS, Size
from tests.support.storages import (
    HOSTS,
    NOW,
    OTHER_IMAGE,
    REPLICATION,
    RING,
    SETTINGS,
    primary,
    primary_service,
    replica,
    replicated,
    stored,
    unlinked,
    workload,
)

SERVICE = primary_service()
LARGE = (primary(0, Size.LARGE, 1, 2), replica(1), replica(2))
MEDIUM = (primary(0, Size.MEDIUM),)


def sets(size: Size, *indexes: int, settings: Any = SETTINGS) -> dict[int, Object]:
    return {index: stored(workload(index, size, settings)) for index in indexes}


def group_of(
    *instances: Instance, size: Size = Size.LARGE, service: PrimaryService | None = SERVICE
) -> ReplicationGroup:
    return ReplicationGroup(("team", "mine"), service, instances[0], instances[1:], PRESETS[size], RING)


def change(
    *instances: Instance, size: Size = Size.LARGE, service: PrimaryService | None = SERVICE, **changes: Any
) -> Change:
    """Decide the next change of a storage of a size with these instances, of which the first is the primary."""
    present = sets(size, *(instance.index for instance in instances))
    known = DesiredInstances(
        count=PRESETS[size].replicas,
        present=present,
        target=present,
        volume_claims={},
        undersized=frozenset(),
        nodes=HOSTS,
        requested_switchover="",
        may_update=True,
        now=NOW,
    )
    return next_change(group_of(*instances, size=size, service=service), replace(known, **changes))


def updated(instance: Instance, size: Size = Size.LARGE) -> Instance:
    """Return the instance with a pod made from OTHER_IMAGE."""
    template = workload(instance.index, size, OTHER_IMAGE)["spec"]["template"]
    return with_pod(instance, annotations=template["metadata"]["annotations"])


def with_pod(instance: Instance, **metadata: Any) -> Instance:
    assert instance.pod is not None
    return replace(instance, pod={**instance.pod, "metadata": instance.pod["metadata"] | metadata})


def silent(instance: Instance) -> Instance:
    return replace(instance, facts=None, problem="unreachable")


def lagging(instance: Instance) -> Instance:
    return replicated(instance, offset=1)


def pending(instance: Instance, *, created: str) -> Instance:
    """Return the instance while no node takes its pod."""
    assert instance.pod is not None
    unschedulable = {"type": "PodScheduled", "status": "False", "message": "0/3 instances are available"}
    status = {"phase": "Pending", "conditions": [unschedulable]}
    pod = {
        **instance.pod,
        "metadata": instance.pod["metadata"] | {"creationTimestamp": created},
        "status": status,
        "spec": {},
    }
    return Instance(instance.index, pod)


def ready(instance: Instance, *, seconds_ago: float) -> Instance:
    assert instance.pod is not None
    since = {
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": timestamps.written(NOW - timedelta(seconds=seconds_ago)),
    }
    return replace(instance, pod={**instance.pod, "status": instance.pod["status"] | {"conditions": [since]}})


def without_readiness(instance: Instance) -> Instance:
    assert instance.pod is not None
    return replace(instance, pod={**instance.pod, "status": instance.pod["status"] | {"conditions": []}})


def outdated(size: Size, *indexes: int) -> dict[int, Object]:
    """Return the desired instances after a change of the image."""
    return sets(size, *indexes, settings=OTHER_IMAGE)


def reason(decided: Change) -> str:
    return decided.finding.reason if decided.finding is not None else ""


def deletion(index: int) -> Delete:
    return Delete(PODS, "team", names.valkey_pod("mine", index), f"uid-of-pod-{index}")


def removed(decided: Change) -> list[int]:
    return [
        names.instance_index(step.workload["metadata"]["name"]) for step in decided.steps if isinstance(step, Remove)
    ]


def restarted(decided: Change) -> list[str]:
    """Name the pods that are deleted, so that Kubernetes makes them anew."""
    return [step.name for step in decided.steps if isinstance(step, Delete)]


def the_move(decided: Change) -> SwitchOver:
    (step,) = decided.steps
    assert isinstance(step, SwitchOver)
    return step


@pytest.mark.parametrize(
    ("size", "instances"), [(Size.SMALL, (primary(0),)), (Size.MEDIUM, MEDIUM), (Size.LARGE, LARGE)]
)
def test_a_storage_in_its_desired_state_is_left_alone(size: Size, instances: tuple[Instance, ...]) -> None:
    decided = change(*instances, size=size)
    assert decided == Change(tuple(range(len(instances))))
    assert (decided.is_under_way, decided.pause) == (False, None)


def test_a_growing_storage_gets_all_its_instances_at_once() -> None:
    decided = change(*MEDIUM, present=sets(Size.MEDIUM, 0))
    assert decided == Change((0, 1, 2))


def test_a_new_storage_gets_all_its_instances_at_once() -> None:
    assert change(Instance(0), present={}) == Change((0, 1, 2))
    assert change(Instance(0), size=Size.SMALL, present={}) == Change((0,))


def test_the_instance_that_the_service_selects_comes_back_before_any_other() -> None:
    """Its volume may still have the data."""
    lost = Instance(4)
    assert change(lost, replica(1), present=sets(Size.LARGE, 1)).instances == (0, 1, 4)
    assert change(lost, size=Size.MEDIUM, present={}).instances == (4,)


def test_the_instance_that_the_service_selects_comes_back_even_if_there_are_enough_others() -> None:
    assert change(Instance(0), replica(1), size=Size.MEDIUM, present=sets(Size.MEDIUM, 1)).instances == (0, 1)


@pytest.mark.parametrize(
    "unwell",
    [silent(LARGE[0]), replica(0), Instance(0), replace(LARGE[0], problem="refused")],
    ids=["silent", "a replica", "gone", "refusing"],
)
def test_nothing_changes_while_the_primary_is_unhealthy(unwell: Instance) -> None:
    decided = change(unwell, *LARGE[1:], target=outdated(Size.LARGE, 0, 1, 2), requested_switchover="now")
    assert decided == Change((0, 1, 2))


# Another image, or size, on three instances


def test_an_update_restarts_one_replica_first() -> None:
    decided = change(*LARGE, target=outdated(Size.LARGE, 0, 1, 2))
    assert decided.steps == (deletion(1),)
    assert (reason(decided), decided.is_under_way, decided.pause) == ("InstanceRestarts", True, 0.5)


def test_no_other_replica_restarts_while_the_first_is_not_in_sync() -> None:
    for restarted in (silent(updated(LARGE[1])), lagging(updated(LARGE[1])), Instance(1, updated(LARGE[1]).pod)):
        decided = change(LARGE[0], restarted, LARGE[2], target=outdated(Size.LARGE, 0, 1, 2))
        assert (decided.steps, reason(decided)) == ((), "InstanceStarts")


def test_the_primary_moves_once_a_replica_is_up_to_date_and_in_sync() -> None:
    new = updated(LARGE[1])
    decided = change(LARGE[0], new, LARGE[2], target=outdated(Size.LARGE, 0, 1, 2))
    move = the_move(decided)
    assert (move.old, move.new, move.others) == (LARGE[0], new, (LARGE[2],))
    assert (move.replication, move.fence, move.service) == (REPLICATION, 1, SERVICE)
    assert (move.record.to, move.record.epoch, move.record.reason) == (1, 1, "InstanceIsOutdated")


def test_after_the_move_the_others_follow_one_by_one() -> None:
    service = primary_service(1)
    new, old = updated(primary(1, Size.LARGE, 0, 2)), replica(0)
    first = change(new, old, LARGE[2], service=service, target=outdated(Size.LARGE, 0, 1, 2))
    assert first.steps == (deletion(0),)
    second = change(new, updated(old), LARGE[2], service=service, target=outdated(Size.LARGE, 0, 1, 2))
    assert second.steps == (deletion(2),)
    last = change(new, updated(old), updated(LARGE[2]), service=service, target=outdated(Size.LARGE, 0, 1, 2))
    assert last == Change((0, 1, 2))


def test_a_replica_that_does_not_follow_goes_first() -> None:
    lost = silent(replica(2))
    head = primary(0, Size.LARGE, 1)
    decided = change(head, LARGE[1], lost, target=outdated(Size.LARGE, 0, 1, 2))
    assert decided.steps == (deletion(2),)


def test_a_replica_that_catches_up_counts_and_is_not_restarted_before_the_others_are_in_sync() -> None:
    decided = change(LARGE[0], lagging(LARGE[1]), lagging(LARGE[2]), target=outdated(Size.LARGE, 0, 1, 2))
    assert (decided.steps, reason(decided)) == ((), "InstanceRestarts")


def test_a_replica_that_only_the_primary_can_reach_counts_as_following() -> None:
    unseen = silent(LARGE[2])
    decided = change(LARGE[0], lagging(LARGE[1]), unseen, target=outdated(Size.LARGE, 0, 1, 2))
    assert decided.steps == ()


def test_a_faulty_image_reaches_only_one_replica() -> None:
    faulty = Instance(1, updated(LARGE[1]).pod)
    head = primary(0, Size.LARGE, 2)
    assert change(head, faulty, LARGE[2], target=outdated(Size.LARGE, 0, 1, 2)).steps == ()
    # It reaches no other replica even if one loses its connection meanwhile.
    alone = primary(0, Size.LARGE)
    assert change(alone, faulty, silent(LARGE[2]), target=outdated(Size.LARGE, 0, 1, 2)).steps == ()


def test_a_faulty_image_that_is_withdrawn_restarts_only_that_replica() -> None:
    faulty = Instance(1, updated(LARGE[1]).pod)
    assert change(primary(0, Size.LARGE, 2), faulty, LARGE[2]).steps == (deletion(1),)


def test_a_third_image_after_a_faulty_one_restarts_the_stuck_replica_first() -> None:
    faulty = Instance(1, with_pod(LARGE[1], annotations={names.ANNOTATION_TEMPLATE_HASH: "faulty"}).pod)
    decided = change(primary(0, Size.LARGE, 2), faulty, LARGE[2], target=outdated(Size.LARGE, 0, 1, 2))
    assert decided.steps == (deletion(1),)


def test_replicas_that_are_all_stuck_are_repaired_one_at_a_time() -> None:
    stuck = tuple(
        Instance(index, with_pod(LARGE[index], annotations={names.ANNOTATION_TEMPLATE_HASH: "faulty"}).pod)
        for index in (1, 2)
    )
    assert change(primary(0, Size.LARGE), *stuck).steps == (deletion(1),)
    starting = Instance(1, LARGE[1].pod)
    assert change(primary(0, Size.LARGE), starting, stuck[1]).steps == ()
    assert change(primary(0, Size.LARGE, 1), LARGE[1], stuck[1]).steps == (deletion(2),)


def test_a_pod_that_is_being_deleted_is_not_deleted_again() -> None:
    going = silent(with_pod(LARGE[1], deletionTimestamp="2026-11-23T12:00:00Z"))
    decided = change(primary(0, Size.LARGE, 2), going, LARGE[2], target=outdated(Size.LARGE, 0, 1, 2))
    assert (decided.steps, reason(decided)) == ((), "InstanceRestarts")


def test_a_replica_whose_volume_is_too_small_is_recreated() -> None:
    decided = change(
        *LARGE, undersized=frozenset({2}), volume_claims={2: {"metadata": {"name": "data-mine-valkey-2-0"}}}
    )
    (step,) = decided.steps
    assert isinstance(step, Remove)
    assert (removed(decided), decided.instances) == ([2], (0, 1))
    assert step.volume_claim == {"metadata": {"name": "data-mine-valkey-2-0"}}


def test_a_primary_whose_volume_is_too_small_moves_first() -> None:
    assert the_move(change(*LARGE, undersized=frozenset({0}))).new is LARGE[1]


# From large to medium


def shrinking(*instances: Instance, **changes: Any) -> Change:
    present = sets(Size.LARGE, *(instance.index for instance in instances))
    wanted = sets(Size.MEDIUM, *(instance.index for instance in instances))
    return change(*instances, size=Size.MEDIUM, present=present, target=wanted, **changes)


def resized(instance: Instance) -> Instance:
    template = workload(instance.index, Size.MEDIUM)["spec"]["template"]
    return with_pod(instance, annotations=template["metadata"]["annotations"])


def test_a_shrinking_storage_updates_the_instance_that_will_remain_and_moves_the_primary_to_it() -> None:
    assert shrinking(*LARGE).steps == (deletion(1),)
    assert the_move(shrinking(LARGE[0], resized(LARGE[1]), LARGE[2])).new.index == 1


def test_a_shrinking_storage_drops_the_others_after_the_move() -> None:
    service = primary_service(1)
    new = resized(primary(1, Size.MEDIUM, 0, 2))
    first = shrinking(new, replica(0), replica(2), service=service)
    assert (removed(first), first.instances) == ([2], (0, 1))
    second = shrinking(new, replica(0), service=service)
    assert (removed(second), second.instances) == ([0], (1,))
    assert shrinking(new, service=service) == Change((1,))


def test_no_surplus_instance_is_removed_while_the_others_cannot_replace_it() -> None:
    four = (primary(0, Size.LARGE, 1, 2, 3), replica(1), replica(2), replica(3))
    assert removed(change(*four)) == [3]
    assert change(four[0], lagging(four[1]), four[2], four[3]) == Change((0, 1, 2, 3))


# One instance


def test_a_storage_of_one_instance_gets_a_second_one_to_take_over() -> None:
    decided = change(*MEDIUM, size=Size.MEDIUM, target=outdated(Size.MEDIUM, 0))
    assert (decided.instances, decided.steps, reason(decided)) == ((0, 1), (), "InstanceAdded")


def test_the_second_instance_gets_the_smallest_free_number() -> None:
    service = primary_service(1)
    decided = change(primary(1, Size.MEDIUM), size=Size.MEDIUM, service=service, target=outdated(Size.MEDIUM, 1))
    assert decided.instances == (1, 0)


def test_the_move_waits_until_the_second_instance_is_in_sync() -> None:
    wanted = outdated(Size.MEDIUM, 0, 1)
    starting = Instance(1, updated(replica(1, Size.MEDIUM), Size.MEDIUM).pod)
    decided = change(*MEDIUM, starting, size=Size.MEDIUM, target=wanted)
    assert (decided.steps, reason(decided), decided.instances) == ((), "InstanceStarts", (0, 1))
    synced = updated(replica(1, Size.MEDIUM), Size.MEDIUM)
    move = the_move(change(*MEDIUM, synced, size=Size.MEDIUM, target=wanted))
    assert (move.new, move.fence) == (synced, 0)


def test_the_old_instance_is_removed_after_the_move() -> None:
    service = primary_service(1)
    new = updated(primary(1, Size.MEDIUM, 0), Size.MEDIUM)
    decided = change(
        new, replica(0, Size.MEDIUM), size=Size.MEDIUM, service=service, target=outdated(Size.MEDIUM, 0, 1)
    )
    assert (removed(decided), decided.instances, reason(decided)) == ([0], (1,), "InstanceRemoved")


def test_a_stuck_second_instance_is_recreated_as_soon_as_that_can_help() -> None:
    stuck = Instance(1, with_pod(replica(1, Size.MEDIUM), annotations={}).pod)
    decided = change(*MEDIUM, stuck, size=Size.MEDIUM, target=outdated(Size.MEDIUM, 0, 1))
    assert decided.steps == (deletion(1),)


def test_a_stuck_second_instance_is_removed_if_the_first_is_up_to_date_again() -> None:
    stuck = Instance(1, updated(replica(1, Size.MEDIUM), Size.MEDIUM).pod)
    assert removed(change(*MEDIUM, stuck, size=Size.MEDIUM)) == [1]


# No room


def crowded(size: Size, created: str, **changes: Any) -> Change:
    extra = pending(updated(replica(1, size), size), created=created)
    return change(primary(0, size), extra, size=size, target=outdated(size, 0, 1), **changes)


LONG_AGO = (NOW - NO_ROOM_AFTER - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
LATELY = (NOW - NO_ROOM_AFTER).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_pod_without_a_node_gets_some_time_to_find_one() -> None:
    decided = crowded(Size.MEDIUM, LATELY)
    assert (decided.steps, reason(decided)) == ((), "InstanceStarts")


def test_without_room_for_a_second_instance_the_only_one_restarts_in_place_and_a_finding_says_so() -> None:
    decided = crowded(Size.MEDIUM, LONG_AGO)
    assert (decided.steps, reason(decided)) == ((deletion(0),), "RestartsInPlace")
    assert decided.finding is not None
    assert "no node has room" in decided.finding.message


def test_without_room_a_requested_move_restarts_nothing() -> None:
    extra = pending(replica(1, Size.MEDIUM), created=LONG_AGO)
    decided = change(*MEDIUM, extra, size=Size.MEDIUM, requested_switchover="now")
    assert (decided.steps, reason(decided), decided.is_under_way) == ((), "NoRoom", False)


def test_without_room_nothing_restarts_for_a_larger_volume_that_a_restart_cannot_give() -> None:
    """The instance would restart again and again."""
    decided = crowded(Size.MEDIUM, LONG_AGO, undersized=frozenset({0}))
    assert (decided.steps, reason(decided)) == ((), "NoRoom")


def podless(*, replicas: int, changed: str) -> Change:
    """Decide the next change of an outdated single instance, while the pod of a second one is missing."""
    present = sets(Size.MEDIUM, 0, 1)
    present[1] |= {"status": {"replicas": replicas}}
    present[1]["metadata"]["managedFields"] = [{"manager": "kube-controller-manager", "time": changed}]
    desired = outdated(Size.MEDIUM, 0, 1)
    return change(*MEDIUM, Instance(1), size=Size.MEDIUM, present=present, target=desired)


def test_a_quota_that_allows_no_second_pod_means_that_there_is_no_room() -> None:
    assert reason(podless(replicas=0, changed=LATELY)) == "InstanceStarts"
    assert reason(podless(replicas=0, changed=LONG_AGO)) == "RestartsInPlace"


def test_a_deleted_pod_that_comes_back_at_once_does_not_count_as_lack_of_room() -> None:
    """Otherwise each restart of a second instance would restart the first one too."""
    assert reason(podless(replicas=1, changed=LONG_AGO)) == "InstanceStarts"


def test_without_room_a_redundant_storage_never_restarts_its_primary() -> None:
    extras = (pending(updated(LARGE[1]), created=LONG_AGO), pending(updated(LARGE[2]), created=LONG_AGO))
    decided = change(primary(0, Size.LARGE), *extras, target=outdated(Size.LARGE, 0, 1, 2))
    assert (decided.steps, reason(decided)) == ((), "NoRoom")


def test_after_a_restart_in_place_the_second_instance_is_no_longer_needed() -> None:
    restarted = updated(primary(0, Size.MEDIUM), Size.MEDIUM)
    extra = pending(updated(replica(1, Size.MEDIUM), Size.MEDIUM), created=LONG_AGO)
    decided = change(restarted, extra, size=Size.MEDIUM, target=outdated(Size.MEDIUM, 0, 1))
    assert removed(decided) == [1]


# Drains and moves that are asked for


def closing(*hosts: int) -> KubernetesNodes:
    names_of = frozenset(f"host-{host}" for host in hosts)
    return KubernetesNodes(HOSTS.open - names_of, names_of)


def test_a_primary_on_a_node_that_is_drained_moves() -> None:
    move = the_move(change(*LARGE, nodes=closing(0)))
    assert (move.new.index, move.record.reason, move.record.request) == (1, "NodeIsDrained", "")


def test_a_primary_does_not_move_to_another_node_that_is_drained() -> None:
    assert the_move(change(*LARGE, nodes=closing(0, 1))).new.index == 2
    assert change(*LARGE, nodes=closing(0, 1, 2)) == Change((0, 1, 2))


def deleted(instance: Instance) -> Instance:
    return with_pod(instance, deletionTimestamp="2026-11-25T12:00:00Z")


def test_a_primary_whose_pod_is_being_deleted_moves_while_it_still_runs() -> None:
    move = the_move(change(deleted(LARGE[0]), *LARGE[1:]))
    assert (move.new.index, move.record.reason) == (1, "PodIsDeleted")


def test_a_primary_does_not_move_to_an_instance_that_is_being_deleted_lags_or_must_leave_too() -> None:
    first, second, third = LARGE
    assert the_move(change(deleted(first), deleted(second), third)).new.index == 2
    assert the_move(change(deleted(first), lagging(second), third)).new.index == 2
    assert the_move(change(deleted(first), second, third, nodes=closing(1))).new.index == 2
    assert change(*map(deleted, LARGE)) == Change((0, 1, 2))


def test_a_primary_moves_to_an_outdated_instance_rather_than_to_none() -> None:
    first, second, third = LARGE
    outdated_but: dict[str, Any] = {"target": outdated(Size.LARGE, 0, 1, 2), "may_update": False}
    assert the_move(change(deleted(first), second, updated(third), **outdated_but)).new.index == 2
    assert the_move(change(deleted(first), second, third, **outdated_but)).new.index == 1


def ending(instance: Instance, *, since: float = 0, grace: int = 30) -> Instance:
    """Return the instance while kubelet ends its pod in an orderly way, as after an eviction."""
    deadline = written(NOW + timedelta(seconds=grace - since))
    return with_pod(instance, deletionTimestamp=deadline, deletionGracePeriodSeconds=grace)


def test_the_only_instance_goes_on_until_a_second_one_takes_over_from_its_pod_that_is_ending() -> None:
    first = change(ending(MEDIUM[0]), size=Size.MEDIUM)
    assert (first.instances, reason(first), first.is_held) == ((0, 1), "InstanceAdded", True)
    assert [hold.instance.index for hold in first.urgent] == [0]
    starting = silent(replica(1, Size.MEDIUM))
    then = change(ending(MEDIUM[0], since=2), starting, size=Size.MEDIUM)
    assert (then.instances, reason(then), then.is_held) == ((0, 1), "InstanceStarts", True)
    move = the_move(change(ending(MEDIUM[0], since=9), replica(1, Size.MEDIUM), size=Size.MEDIUM))
    assert (move.new.index, move.record.reason) == (1, "PodIsDeleted")


def test_an_ending_primary_is_asked_to_go_on_while_kubelet_stops_it_and_then_only_followed() -> None:
    asked, later = (change(ending(MEDIUM[0], since=seconds), size=Size.MEDIUM) for seconds in (1, 4))
    assert (len(asked.urgent), asked.pause) == (1, 0.2)
    assert (later.urgent, later.is_held, later.pause) == ((), True, 0.5)


def test_an_ending_primary_waits_for_a_replica_that_catches_up() -> None:
    first, second, third = LARGE
    decided = change(ending(first), lagging(second), lagging(third))
    assert (decided.instances, reason(decided), decided.is_held) == ((0, 1, 2), "InstanceStarts", True)


@pytest.mark.parametrize(
    "instances",
    [
        (deleted(MEDIUM[0]),),
        (ending(MEDIUM[0], grace=1),),
        (replace(MEDIUM[0], pod=None, outlives_at="10.1.0.1"),),
        (ending(MEDIUM[0]), pending(replica(1, Size.MEDIUM), created=LONG_AGO)),
    ],
    ids=["without grace", "too little grace", "deleted by force", "no room for another one"],
)
def test_the_only_instance_comes_back_where_holding_it_would_not_help(instances: tuple[Instance, ...]) -> None:
    assert change(*instances, size=Size.MEDIUM) == Change(tuple(each.index for each in instances))


# Nodes that instances share


def on(instance: Instance, node: str) -> Instance:
    assert instance.pod is not None
    return replace(instance, pod={**instance.pod, "spec": {"nodeName": node}})


CROWDED = (on(LARGE[0], "host-0"), on(LARGE[1], "host-1"), on(LARGE[2], "host-1"))


def test_a_replica_that_shares_its_node_is_replaced_once_there_is_a_node_for_another_one() -> None:
    decided = change(*CROWDED)
    assert (removed(decided), decided.instances, reason(decided)) == ([2], (0, 1), "InstanceRemoved")


def test_the_primary_stays_where_it_is_and_the_replica_beside_it_goes() -> None:
    beside = (on(LARGE[0], "host-0"), on(LARGE[1], "host-0"), on(LARGE[2], "host-2"))
    assert removed(change(*beside)) == [1]


@pytest.mark.parametrize(
    ("instances", "changes"),
    [
        (CROWDED, {"nodes": KubernetesNodes(frozenset({"host-0", "host-1"}))}),
        (CROWDED, {"nodes": closing(2)}),
        (CROWDED, {"may_share": frozenset({1, 2})}),
        (CROWDED, {"may_update": False}),
        ((CROWDED[0], lagging(CROWDED[1]), CROWDED[2]), {}),
        (LARGE, {}),
    ],
    ids=["too few nodes", "a drain", "found no other node before", "not its turn", "not in sync", "all apart"],
)
def test_no_replica_goes_for_a_node_that_its_successor_would_not_get(
    instances: tuple[Instance, ...], changes: dict[str, Any]
) -> None:
    assert change(*instances, **changes) == Change((0, 1, 2))


def test_a_pod_that_waits_for_a_node_of_its_own_is_made_anew_once_it_may_share_one() -> None:
    waiting = pending(replica(2), created=LONG_AGO)
    assert waiting.pod is not None
    spread = replace(waiting, pod={**waiting.pod, "spec": {"topologySpreadConstraints": [{}]}})
    primary_of_two = primary(0, Size.LARGE, 1)
    assert change(primary_of_two, LARGE[1], spread) == Change((0, 1, 2))
    decided = change(primary_of_two, LARGE[1], spread, may_share=frozenset({2}))
    assert restarted(decided) == ["mine-valkey-2-0"]
    assert change(primary_of_two, LARGE[1], waiting, may_share=frozenset({2})) == Change((0, 1, 2))


def test_replicas_are_left_to_the_drain_itself() -> None:
    assert change(*LARGE, nodes=closing(1, 2)) == Change((0, 1, 2))


def test_a_single_instance_on_a_node_that_is_drained_gets_a_second_one() -> None:
    decided = change(*MEDIUM, size=Size.MEDIUM, nodes=closing(0))
    assert (decided.instances, reason(decided)) == ((0, 1), "InstanceAdded")
    assert the_move(change(*MEDIUM, replica(1, Size.MEDIUM), size=Size.MEDIUM, nodes=closing(0))).new.index == 1


def test_a_requested_move_is_done_and_recorded() -> None:
    move = the_move(change(*LARGE, requested_switchover="please"))
    assert (move.record.reason, move.record.request) == ("Asked", "please")
    assert move.record.end(NOW).handled == "please"


def test_a_single_instance_that_is_to_move_gets_a_second_one_first() -> None:
    assert reason(change(*MEDIUM, size=Size.MEDIUM, requested_switchover="please")) == "InstanceAdded"


def test_without_a_service_no_primary_moves() -> None:
    assert change(*LARGE, service=None, requested_switchover="please").steps == ()


def test_a_move_has_the_next_number() -> None:
    record = PrimaryRecord(epoch=6, to=0, reason="PrimaryLost", handled="before")
    record = the_move(change(*LARGE, service=primary_service(0, record), nodes=closing(0))).record
    assert (record.epoch, record.handled) == (7, "before")


# Turns


def test_an_update_waits_for_its_turn_and_says_so() -> None:
    for size, instances in ((Size.MEDIUM, MEDIUM), (Size.LARGE, LARGE)):
        indexes = [instance.index for instance in instances]
        decided = change(*instances, size=size, target=outdated(size, *indexes), may_update=False)
        assert decided.steps == ()
        assert decided.instances == tuple(indexes)
        assert (reason(decided), decided.is_under_way) == ("WaitsForItsTurn", False)


def test_an_up_to_date_storage_does_not_wait_for_a_turn() -> None:
    assert the_move(change(*LARGE, requested_switchover="please", may_update=False)).record.reason == "Asked"
    assert change(*LARGE, may_update=False) == Change((0, 1, 2))


@pytest.mark.parametrize("changes", [{"nodes": closing(0)}, {"requested_switchover": "please"}], ids=["drain", "asked"])
def test_an_urgent_move_does_not_wait_for_updated_instances(changes: dict[str, Any]) -> None:
    move = the_move(change(*LARGE, target=outdated(Size.LARGE, 0, 1, 2), may_update=False, **changes))
    assert move.new.index == 1


def test_a_surplus_instance_is_removed_even_if_updates_wait() -> None:
    decided = change(
        primary(1, Size.MEDIUM), replica(0), size=Size.MEDIUM, target=outdated(Size.MEDIUM, 1), may_update=False
    )
    assert (removed(decided), reason(decided), decided.is_under_way) == ([0], "InstanceRemoved", True)


def test_growing_does_not_wait_for_a_turn() -> None:
    assert change(*MEDIUM, present=sets(Size.MEDIUM, 0), may_update=False).instances == (0, 1, 2)


def steps_of(*changes: Change) -> list[Step]:
    return [step for each in changes for step in each.steps]


def test_nothing_secret_is_in_the_text_of_a_step() -> None:
    text = repr(
        steps_of(change(*LARGE, requested_switchover="please"), change(*LARGE, target=outdated(Size.LARGE, 0, 1, 2)))
    )
    assert REPLICATION.password not in text


def with_failing_disk(instance: Instance, problem: Problem = "") -> Instance:
    assert instance.facts is not None
    return replace(instance, facts=replace(instance.facts, disk_fails=True), problem=problem)


HEAD_FAILS = with_failing_disk(LARGE[0], "failing")


def test_a_replica_takes_over_from_a_primary_whose_disk_fails() -> None:
    (step,) = change(HEAD_FAILS, *LARGE[1:]).steps
    assert isinstance(step, SwitchOver)
    assert (step.new.index, step.record.reason) == (1, "DiskFails")


def test_an_instance_whose_own_disk_fails_does_not_take_over() -> None:
    (step,) = change(HEAD_FAILS, with_failing_disk(LARGE[1]), LARGE[2]).steps
    assert isinstance(step, SwitchOver)
    assert step.new.index == 2
    nobody = change(HEAD_FAILS, *map(with_failing_disk, LARGE[1:]))
    assert (nobody.steps, nobody.instances, nobody.finding) == ((), (0, 1, 2), None)


def test_a_storage_with_one_instance_gets_a_second_one_when_its_disk_fails() -> None:
    alone = with_failing_disk(MEDIUM[0], "failing")
    assert change(alone, size=Size.MEDIUM).instances == (0, 1)
    joined = with_failing_disk(primary(0, Size.MEDIUM, 1), "failing")
    waiting = change(joined, unlinked(replica(1, Size.MEDIUM)), size=Size.MEDIUM)
    assert (waiting.steps, waiting.instances) == ((), (0, 1))
    (step,) = change(joined, replica(1, Size.MEDIUM), size=Size.MEDIUM).steps
    assert isinstance(step, SwitchOver)


def test_a_primary_that_fails_for_another_reason_keeps_its_place() -> None:
    """A replica has the same data, so it would be out of memory too."""
    failing = replace(LARGE[0], problem="failing", detail="OOM")
    assert change(failing, *LARGE[1:]) == Change((0, 1, 2))


def test_a_move_that_can_wait_gives_nodes_time_to_learn_of_an_instance_that_has_become_ready() -> None:
    """kube-proxy takes two changes at most once a second: clients of a move right after another change would wait."""
    new = ready(replica(2), seconds_ago=2)
    decided = change(primary(0, Size.LARGE, 1, 2), replica(1), new, requested_switchover="now")
    assert (decided.steps, reason(decided)) == ((), "InstanceStarts")
    settled = ready(replica(2), seconds_ago=3)
    decided = change(primary(0, Size.LARGE, 1, 2), replica(1), settled, requested_switchover="now")
    assert isinstance(decided.steps[0], SwitchOver)


def test_a_move_that_can_wait_lets_an_instance_become_ready_that_is_in_sync_before() -> None:
    starting = without_readiness(replica(2))
    decided = change(primary(0, Size.LARGE, 1, 2), replica(1), starting, requested_switchover="now")
    assert (decided.steps, reason(decided)) == ((), "InstanceStarts")


def test_an_instance_that_does_not_become_ready_holds_no_move_up_for_ever() -> None:
    stuck = with_pod(without_readiness(replica(2)), creationTimestamp="2026-11-23T11:59:39Z")
    decided = change(primary(0, Size.LARGE, 1, 2), replica(1), stuck, requested_switchover="now")
    assert isinstance(decided.steps[0], SwitchOver)


def test_a_deleted_primary_does_not_wait_until_nodes_have_learnt_of_a_new_instance() -> None:
    deleted = with_pod(primary(0, Size.LARGE, 1, 2), deletionTimestamp="2026-01-01T00:00:00Z")
    decided = change(deleted, ready(replica(1), seconds_ago=0), replica(2))
    assert isinstance(decided.steps[0], SwitchOver)


PLACED_ELSEWHERE = replace(
    SETTINGS,
    pods=ValkeyPods.model_validate(
        {"scheduling": {"nodeSelector": {"pool": "stateful"}}, "imagePullSecrets": [{"name": "regcred"}]}
    ),
)
"""Settings that change where pods run and how kubelet pulls their image, and nothing else."""


def without_image(instance: Instance) -> Instance:
    """Return the instance while kubelet cannot pull its image."""
    waiting = pending(instance, created=LONG_AGO)
    assert waiting.pod is not None
    container = {"name": "valkey", "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    status = {"phase": "Pending", "containerStatuses": [container]}
    return replace(waiting, pod={**waiting.pod, "spec": {"nodeName": "host-2"}, "status": status})


@pytest.mark.parametrize("stuck", [pending(replica(2), created=LONG_AGO), without_image(replica(2))], ids=["", "image"])
def test_a_pod_that_never_ran_is_made_anew_once_another_node_or_credential_may_help(stuck: Instance) -> None:
    instances = (primary(0, Size.LARGE, 1), LARGE[1], stuck)
    assert restarted(change(*instances)) == []
    moved = sets(Size.LARGE, 0, 1, 2, settings=PLACED_ELSEWHERE)
    assert restarted(change(*instances, present=moved, target=moved)) == ["mine-valkey-2-0"]


def test_instances_that_run_stay_where_they_are_when_others_would_go_elsewhere() -> None:
    moved = sets(Size.LARGE, 0, 1, 2, settings=PLACED_ELSEWHERE)
    assert change(*LARGE, present=moved, target=moved) == Change((0, 1, 2))


@pytest.mark.parametrize("settings", [PLACED_ELSEWHERE, OTHER_IMAGE], ids=["placement", "image"])
def test_a_storage_that_could_never_start_starts_once_its_template_is_corrected(settings: Any) -> None:
    """Kubernetes keeps a pod of a faulty template for ever, and there is nobody who could take over."""
    stuck = without_image(primary(0, Size.MEDIUM))
    assert change(stuck, size=Size.MEDIUM) == Change((0,))
    corrected = sets(Size.MEDIUM, 0, settings=settings)
    decided = change(stuck, size=Size.MEDIUM, present=corrected, target=corrected)
    assert (restarted(decided), decided.instances, reason(decided)) == (["mine-valkey-0-0"], (0,), "InstanceRestarts")


def test_a_pod_whose_server_has_run_is_not_taken_for_one_that_never_did() -> None:
    """It may be the one whose answer is missing for other reasons; its memory may hold the last writes."""
    corrected = sets(Size.MEDIUM, 0, settings=OTHER_IMAGE)
    crashed = {"name": "valkey", "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    running = {"name": "valkey", "restartCount": 0, "state": {"running": {"startedAt": LONG_AGO}}}
    creating = {"name": "valkey", "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}
    for container in (crashed, running, creating):
        stuck = without_image(primary(0, Size.MEDIUM))
        assert stuck.pod is not None
        seen = replace(stuck, pod={**stuck.pod, "status": {"phase": "Pending", "containerStatuses": [container]}})
        assert change(seen, size=Size.MEDIUM, present=corrected, target=corrected) == Change((0,))
