"""Planned changes: another size, image or configuration, a node that is drained, a switchover by request. Pure.

The reconciler takes one step at a time, and only while all is well. It changes replicas first; then it moves the
primary to a replica that has changed, and changes the former primary as a replica. A storage with one instance gets a
second one for that time. So with every size, clients notice only the switchover. Only where the cluster has no room for
one more pod, the one instance restarts where it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from reconciler.actions.kubernetes import Delete, LabelRole
from reconciler.actions.valkey import Remove, SwitchOver
from reconciler.plan.change import DRAINED, NO_ROOM, OUTDATED, REQUESTED, UPDATING, Change, updating
from reconciler.plan.placement import node_of, shared_nodes
from reconciler.plan.primary_moves import leave_primary, once_settled, switchover
from reconciler.state import pod_status
from reconciler.state.instance import Instance
from shared import names
from shared.objects.conditions import Finding
from shared.objects.resources import CONFIG_MAPS, PODS, STATEFUL_SETS, is_terminating

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.actions.plan import Step
    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.plan.desired_instances import DesiredInstances
    from reconciler.plan.repairs import Repair
    from shared.objects.resources import Object

_WAITS: Final = Finding(
    UPDATING, "False", "WaitsForItsTurn", "this update waits until updates of other storages are done"
)
_GAVE_WAY: Final = Finding(
    UPDATING,
    "False",
    "GaveWay",
    "this update got nowhere for ten minutes, so updates of other storages go first; the other conditions say what"
    " hinders it, and the reconciler takes it up again by itself",
)
_GROWS: Final = Finding(
    UPDATING, "True", "InstanceAdded", "the size stands for more instances by now, and the reconciler adds them"
)


def may_go_on(step: Step, repairs: Sequence[Repair], availability: Iterable[Step]) -> bool:
    """Tell whether a step of a planned change need not wait for other steps of the same pass.

    It waits for what keeps the storage available, for the configuration that instances start with, and, if it restarts
    an instance, until the API server has that instance's StatefulSet as it is to be. Other repairs, which a policy or
    a quota may hold up for ever, are no reason to wait.
    """
    if any(not isinstance(each, LabelRole) for each in availability):
        return False
    if isinstance(step, SwitchOver) and not step.service.is_ours_to_point:
        return False
    configuration = [each for each in repairs if each.target.plural == CONFIG_MAPS.plural]
    if any(each.step is not None for each in configuration):
        return False
    if not isinstance(step, Delete):
        return True
    # A pod starts with what is stored, and would count as up to date.
    workloads = (each for each in repairs if each.target.plural == STATEFUL_SETS.plural)
    own = [each for each in workloads if names.instance_pod(each.target.name) == step.name]
    return not any(each.is_awaited for each in (*configuration, *own))


def next_change(group: ReplicationGroup, desired: DesiredInstances) -> Change:
    """Decide on the next step; none as long as the storage is not well."""
    if len(desired.indexes) < desired.count or group.primary.index not in desired.present:
        # First of all the instance that clients get to: its data may still be there.
        known = {*desired.indexes, group.primary.index}
        wanted = sorted({*known, *desired.unused_indexes(known, max(desired.count - len(known), 0))})
        return Change(tuple(wanted), finding=_GROWS if desired.is_growing else None)
    if not group.is_leading:
        return _replace_unstarted(group, desired)
    if group.primary.is_ending or not group.is_serving:
        return leave_primary(group, desired)
    stale = [instance for instance in group.instances if desired.is_stale(instance)]
    must_wait = (bool(stale) or desired.is_resizing) and not desired.may_update
    if must_wait:
        # A drain or a user's request cannot wait, so the reconciler moves the primary among instances as they are.
        desired, stale = replace(desired, target={}, undersized=frozenset(), may_share=frozenset()), []
    if desired.is_stale(group.primary) or desired.is_leaving(group.primary) or desired.requested_switchover:
        return _move_primary(group, desired)
    change = _remove_or_update(group, desired, stale)
    if must_wait and change.finding is None:
        return replace(change, finding=_GAVE_WAY if desired.gave_slot_back else _WAITS)
    return change if change.finding is not None else _spread_out(group, desired)


def _replace_unstarted(group: ReplicationGroup, desired: DesiredInstances) -> Change:
    """Replace pods that never ran and were made from another template, while the storage has no primary that leads.

    Such a pod has no server and no clients, so its replacement takes nothing away. What was wrong with its template,
    such as its image, somebody may have corrected since; Kubernetes itself would keep the pod for ever.
    """
    unstarted = [each for each in group.instances if each.pod is not None and not pod_status.has_run(each.pod)]
    corrected = [each for each in unstarted if desired.is_outdated(each) or desired.waits_in_vain(each)]
    steps = tuple(step for each in corrected if each.pod is not None for step in _deletion(each.pod))
    if not steps:
        return Change(desired.indexes)
    message = f"{group.name(*corrected)} could not start, and is made anew as it is to be by now"
    return Change(desired.indexes, steps, updating("True", "InstanceRestarts", message))


def _move_primary(group: ReplicationGroup, desired: DesiredInstances) -> Change:
    """Have another instance become primary; before that, update or add an instance that can."""
    fresh = [each for each in group.others if not desired.is_stale(each) and not desired.is_leaving(each)]
    reason = REQUESTED if desired.requested_switchover else OUTDATED
    if desired.is_leaving(group.primary):
        reason = DRAINED
    if change := switchover(group, desired, fresh, reason):
        return once_settled(change, group, desired)
    if fresh:
        if all(desired.has_no_room(instance) for instance in fresh):
            return _without_room(group, desired)
        message = f"waiting until {group.name(*fresh)} is in sync"
        return Change(desired.indexes, (), updating("True", "InstanceStarts", message))
    if len(group.others) > (1 if group.preset.is_redundant else 0):
        outdated = [instance for instance in group.others if desired.is_stale(instance)]
        return _update_replica(group, desired, outdated) if outdated else Change(desired.indexes)
    if group.preset.is_redundant:
        return Change(desired.indexes)
    (extra,) = desired.unused_indexes(desired.indexes, 1)
    message = f"the reconciler adds {group.name(Instance(extra))}, which takes over"
    return Change((*desired.indexes, extra), (), updating("True", "InstanceAdded", message))


def _remove_or_update(group: ReplicationGroup, desired: DesiredInstances, stale: Sequence[Instance]) -> Change:
    """Remove instances that are too many, and update replicas; the primary is what it is to be."""
    if len(desired.indexes) > desired.count:
        leaving = min(group.others, key=lambda each: (each not in stale, group.is_attached(each), -each.index))
        if desired.count == 1 or _is_spare(group, desired, leaving):
            finding = updating("True", "InstanceRemoved", f"{group.name(leaving)} is no longer needed")
            return replace(_removal(group, desired, leaving), finding=finding)
    grows = Change(desired.indexes, finding=_GROWS if desired.is_growing else None)
    return _update_replica(group, desired, stale) if stale else grows


def _is_spare(group: ReplicationGroup, desired: DesiredInstances, instance: Instance) -> bool:
    """Tell whether the storage can do without a replica for now: all others are in sync.

    If the replica does not follow anyway, removing it takes nothing away, and others like it need not be in sync. One
    that has been updated has to be in sync all the same, or a faulty image would spread from one instance to the next.
    """
    rest = [other for other in group.others if other is not instance]
    needed = rest if group.is_attached(instance) else [other for other in rest if not desired.is_stale(other)]
    return all(group.is_synced(other) for other in needed)


def _update_replica(group: ReplicationGroup, desired: DesiredInstances, outdated: Sequence[Instance]) -> Change:
    """Restart one replica, or remove it if its volume is too small, once the storage can do without it."""
    chosen = min(outdated, key=lambda each: (group.is_attached(each), group.is_synced(each), each.index))
    finding = updating("True", "InstanceRestarts", f"the reconciler updates {group.name(chosen)}")
    if not _is_spare(group, desired, chosen) or chosen.pod is None:
        return Change(desired.indexes, (), finding)
    if chosen.index in desired.undersized:
        return replace(_removal(group, desired, chosen), finding=finding)
    return Change(desired.indexes, _deletion(chosen.pod), finding)


def _spread_out(group: ReplicationGroup, desired: DesiredInstances) -> Change:
    """Replace a replica that shares its node, if another node has no instance of the storage and takes one.

    Instances share nodes where there were too few, as during a drain. A new pod of the same instance would not do: its
    volume may be tied to the node.
    """
    crowded = {each.index for there in shared_nodes(group.instances).values() for each in there}
    movable = [each for each in group.others if each.index in crowded - desired.may_share]
    is_free = desired.nodes.open - {node_of(each) for each in group.instances}
    is_well = len(group.synced) == len(group.others) and desired.may_update
    if not (movable and is_free and is_well):
        return Change(desired.indexes)
    chosen = max(movable, key=lambda each: each.index)
    message = f"{group.name(chosen)} shares its node, and is replaced by an instance on a node of its own"
    return replace(_removal(group, desired, chosen), finding=updating("True", "InstanceRemoved", message))


def _without_room(group: ReplicationGroup, desired: DesiredInstances) -> Change:
    primary, name = group.primary, group.name(group.primary)
    # A restart gives an instance no larger volume, so the reconciler would restart it again and again.
    would_help = desired.is_outdated(primary) and primary.index not in desired.undersized
    if group.preset.is_redundant or primary.pod is None or not would_help:
        message = (
            f"no node has room for another instance, and {name} cannot change without one: add a node or free room"
        )
        return Change(desired.indexes, (), updating("False", NO_ROOM, message))
    message = f"no node has room for another instance, so {name} restarts where it is: clients wait for some seconds"
    return Change(desired.indexes, _deletion(primary.pod), updating("True", "RestartsInPlace", message))


def _removal(group: ReplicationGroup, desired: DesiredInstances, instance: Instance) -> Change:
    kept = tuple(index for index in desired.indexes if index != instance.index)
    workload = desired.present.get(instance.index)
    if workload is None or group.service is None:
        return Change(kept)
    return Change(kept, (Remove(group.service, workload, desired.volume_claims.get(instance.index)),))


def _deletion(pod: Object) -> tuple[Step, ...]:
    return () if is_terminating(pod) else (Delete.of(PODS, pod),)
