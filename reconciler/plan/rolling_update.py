"""Planned changes: another size, image or configuration, a node that is drained, a switchover by request. Pure.

The reconciler takes one step at a time, and only while all is well. It changes replicas first; then it moves the
primary to a replica that has changed, and changes the former primary as a replica. A storage with one instance gets a
second one for that time. So with every size, clients notice only the switchover. Only where the cluster has no room for
one more pod, the one instance restarts where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from reconciler.actions.kubernetes import Delete, LabelRole
from reconciler.actions.valkey import Hold, Remove, SwitchOver
from reconciler.manifests.stateful_set import GRACE_SECONDS
from reconciler.plan.placement import node_of, shared_nodes
from reconciler.state.instance import Instance
from shared.objects.conditions import Finding
from shared.objects.resources import CONFIG_MAPS, PODS, STATEFUL_SETS, is_terminating
from shared.objects.timestamps import parse_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from reconciler.actions.plan import Step
    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.plan.desired_instances import DesiredInstances
    from reconciler.plan.repairs import Repair
    from shared.objects.resources import Object

UPDATING: Final = "Updating"
FOLLOWING_SECONDS: Final = 0.5
"""How soon the reconciler looks again while a change goes on; an instance takes about 2 s to start and follow."""
HOLDING_SECONDS: Final = 0.2
"""How soon the reconciler asks an ending primary again to go on. It has a second after kubelet told it to stop."""
HOLD_WITHIN: Final = timedelta(seconds=3)
"""How long after the deletion of its pod a primary is asked to go on; kubelet learns of it within a second."""
NO_ROOM: Final = "NoRoom"
"""Reason for which a change that no instance can make in place waits."""
REQUESTED: Final = "Asked"
DRAINED: Final = "NodeIsDrained"
OUTDATED: Final = "InstanceIsOutdated"
DELETED: Final = "PodIsDeleted"
DISK_FAILS: Final = "DiskFails"
PLANNED: Final = frozenset({REQUESTED, DRAINED, OUTDATED, DELETED, DISK_FAILS})
"""Reasons for which the primary moves although it lives, so that no write is lost."""


@dataclass(frozen=True, slots=True)
class Change:
    """The next step of a planned change.

    Attributes:
        instances: Numbers of the instances that there are to be now.
        finding: The condition that tells of the change; None if nothing changes.
        is_held: Whether a primary whose pod is ending goes on until another instance takes over.
        urgent: What cannot wait until everything else is right.
    """

    instances: tuple[int, ...]
    steps: tuple[Step, ...] = ()
    finding: Finding | None = None
    is_held: bool = False
    urgent: tuple[Hold, ...] = ()

    @property
    def is_under_way(self) -> bool:
        """Whether something changes."""
        return self.finding is not None and self.finding.status == "True"

    @property
    def is_waiting(self) -> bool:
        """Whether something is to change, and nothing can be done about it now."""
        return self.is_under_way and not self.steps

    @property
    def lacks_room(self) -> bool:
        """Whether it waits for a node that takes another instance, which may never come."""
        return self.finding is not None and self.finding.reason == NO_ROOM

    @property
    def pause(self) -> float | None:
        """Seconds until the next look; None if nothing goes on."""
        if self.urgent:
            return HOLDING_SECONDS
        return FOLLOWING_SECONDS if self.is_under_way else None


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
    own = [each for each in workloads if f"{each.target.name}-0" == step.name]
    return not any(each.is_awaited for each in (*configuration, *own))


def next_change(group: ReplicationGroup, desired: DesiredInstances) -> Change:
    """Decide on the next step; none as long as the storage is not well."""
    if len(desired.indexes) < desired.count or group.primary.index not in desired.present:
        # First of all the instance that clients get to: its data may still be there.
        known = {*desired.indexes, group.primary.index}
        return Change(tuple(sorted({*known, *_unused_indexes(desired, known, max(desired.count - len(known), 0))})))
    if not group.is_leading:
        return Change(desired.indexes)
    if group.primary.is_ending or not group.is_serving:
        return _leave_primary(group, desired)
    stale = [instance for instance in group.instances if desired.is_stale(instance)]
    must_wait = bool(stale) and not desired.may_update
    if must_wait:
        # A drain or a user's request cannot wait, so the reconciler moves the primary among instances as they are.
        desired, stale = replace(desired, target={}, undersized=frozenset(), may_share=frozenset()), []
    if desired.is_stale(group.primary) or desired.is_leaving(group.primary) or desired.requested_switchover:
        return _move_primary(group, desired)
    change = _remove_or_update(group, desired, stale)
    if must_wait and change.finding is None:
        return replace(change, finding=_GAVE_WAY if desired.gave_slot_back else _WAITS)
    return change if change.finding is not None else _spread_out(group, desired)


def _move_primary(group: ReplicationGroup, desired: DesiredInstances) -> Change:
    """Have another instance become primary; before that, update or add an instance that can."""
    fresh = [each for each in group.others if not desired.is_stale(each) and not desired.is_leaving(each)]
    reason = REQUESTED if desired.requested_switchover else OUTDATED
    if desired.is_leaving(group.primary):
        reason = DRAINED
    if change := _switchover(group, desired, fresh, reason):
        return _once_settled(change, group, desired)
    if fresh:
        if all(desired.has_no_room(instance) for instance in fresh):
            return _without_room(group, desired)
        message = f"waiting until {group.name(*fresh)} is in sync"
        return Change(desired.indexes, (), _finding("True", "InstanceStarts", message))
    if len(group.others) > (1 if group.preset.is_redundant else 0):
        outdated = [instance for instance in group.others if desired.is_stale(instance)]
        return _update_replica(group, desired, outdated) if outdated else Change(desired.indexes)
    if group.preset.is_redundant:
        return Change(desired.indexes)
    (extra,) = _unused_indexes(desired, desired.indexes, 1)
    message = f"the reconciler adds {group.name(Instance(extra))}, which takes over"
    return Change((*desired.indexes, extra), (), _finding("True", "InstanceAdded", message))


def _once_settled(change: Change, group: ReplicationGroup, desired: DesiredInstances) -> Change:
    """Let a move wait until nodes have learnt of all instances, so that it does not wait for them half-way."""
    if settling := [instance for instance in group.instances if desired.is_settling(instance)]:
        message = f"waiting until nodes have learnt of {group.name(*settling)}"
        return replace(change, steps=(), finding=_finding("True", "InstanceStarts", message))
    return change


def _leave_primary(group: ReplicationGroup, desired: DesiredInstances) -> Change:
    """Have an instance take over from a primary that stops soon, or takes no writes because its disk fails.

    Somebody may have deleted the pod of the first, by force or not, or evicted it, which nobody announces. The second
    kind answers all the same, and its memory holds every write that it acknowledged, so a storage with one instance
    gets a second one, which has a disk of its own.
    """
    primary = group.primary
    if not (primary.is_ending or primary.disk_fails):
        return Change(desired.indexes)
    staying = [instance for instance in group.others if not desired.is_leaving(instance)]
    preferred = sorted(staying, key=lambda instance: (desired.is_stale(instance), instance.index))
    if change := _switchover(group, desired, preferred, DELETED if primary.is_ending else DISK_FAILS):
        return change
    if primary.is_ending:
        return _hold_primary(group, desired)
    is_alone = not (group.others or group.preset.is_redundant)
    return Change((*desired.indexes, *_unused_indexes(desired, desired.indexes, 1 if is_alone else 0)))


def _hold_primary(group: ReplicationGroup, desired: DesiredInstances) -> Change:
    """Have a primary whose pod is ending go on until another instance can take over, if there is time for that.

    A storage with one instance gets a second one. Without time there is nothing to do: the pod comes back anyway.
    """
    pod = group.primary.pod
    if pod is None or not _can_be_held(group, desired, pod):
        return Change(desired.indexes)
    # Its `deletionTimestamp` is the time at which it has to be gone.
    deleted_at = parse_time(pod["metadata"]["deletionTimestamp"]) - _grace(pod)
    urgent = (Hold(group.primary),) if desired.now - deleted_at <= HOLD_WITHIN else ()
    if group.others:
        message = f"{group.name(group.primary)} is ending, and waits until {group.name(*group.others)} is in sync"
        return Change(desired.indexes, (), _finding("True", "InstanceStarts", message), is_held=True, urgent=urgent)
    (extra,) = _unused_indexes(desired, desired.indexes, 1)
    message = f"{group.name(group.primary)} is ending, and {group.name(Instance(extra))} is added to take over"
    indexes = (*desired.indexes, extra)
    return Change(indexes, (), _finding("True", "InstanceAdded", message), is_held=True, urgent=urgent)


def _can_be_held(group: ReplicationGroup, desired: DesiredInstances, pod: Object) -> bool:
    """Tell whether a primary can go on while its pod is ending, and another instance may take over in that time."""
    has_time = is_terminating(pod) and _grace(pod) >= timedelta(seconds=GRACE_SECONDS)
    is_in_vain = bool(group.others) and all(desired.has_no_room(instance) for instance in group.others)
    return has_time and group.primary.accepts_operator and not is_in_vain


def _grace(pod: Object) -> timedelta:
    return timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds") or 0)


def _switchover(
    group: ReplicationGroup, desired: DesiredInstances, candidates: Sequence[Instance], reason: str
) -> Change | None:
    """Move the primary to the first candidate that could take over now; None if none could."""
    able = (each for each in candidates if group.is_synced(each) and not is_terminating(each.pod))
    if group.service is None or (new := next(able, None)) is None:
        return None
    record = group.service.record.claim(new.index, reason, desired.now, desired.requested_switchover)
    others = tuple(instance for instance in group.others if instance is not new and instance.accepts_operator)
    step = SwitchOver(group.service, record, group.primary, new, others, group.replication, group.preset.fence)
    finding = _finding("True", "MovingPrimary", f"{group.name(new)} becomes the primary")
    return Change(desired.indexes, (step,), finding)


def _remove_or_update(group: ReplicationGroup, desired: DesiredInstances, stale: Sequence[Instance]) -> Change:
    """Remove instances that are too many, and update replicas; the primary is what it is to be."""
    if len(desired.indexes) > desired.count:
        leaving = min(group.others, key=lambda each: (each not in stale, group.is_attached(each), -each.index))
        if desired.count == 1 or _is_spare(group, desired, leaving):
            finding = _finding("True", "InstanceRemoved", f"{group.name(leaving)} is no longer needed")
            return replace(_removal(group, desired, leaving), finding=finding)
    return _update_replica(group, desired, stale) if stale else Change(desired.indexes)


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
    finding = _finding("True", "InstanceRestarts", f"the reconciler updates {group.name(chosen)}")
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
    return replace(_removal(group, desired, chosen), finding=_finding("True", "InstanceRemoved", message))


def _without_room(group: ReplicationGroup, desired: DesiredInstances) -> Change:
    primary, name = group.primary, group.name(group.primary)
    # A restart gives an instance no larger volume, so the reconciler would restart it again and again.
    would_help = desired.is_outdated(primary) and primary.index not in desired.undersized
    if group.preset.is_redundant or primary.pod is None or not would_help:
        message = (
            f"no node has room for another instance, and {name} cannot change without one: add a node or free room"
        )
        return Change(desired.indexes, (), _finding("False", NO_ROOM, message))
    message = f"no node has room for another instance, so {name} restarts where it is: clients wait for some seconds"
    return Change(desired.indexes, _deletion(primary.pod), _finding("True", "RestartsInPlace", message))


def _removal(group: ReplicationGroup, desired: DesiredInstances, instance: Instance) -> Change:
    kept = tuple(index for index in desired.indexes if index != instance.index)
    workload = desired.present.get(instance.index)
    if workload is None or group.service is None:
        return Change(kept)
    return Change(kept, (Remove(group.service, workload, desired.volume_claims.get(instance.index)),))


def _deletion(pod: Object) -> tuple[Step, ...]:
    return () if is_terminating(pod) else (Delete.of(PODS, pod),)


def _unused_indexes(desired: DesiredInstances, used: Collection[int], count: int) -> list[int]:
    """Find numbers that no instance has: those whose volume is still there, then the smallest, so that none grows."""
    left = sorted(desired.left_volumes.difference(used))
    taken = {*used, *left, *desired.foreign_volumes, *desired.taken}
    return [*left, *(index for index in range(len(taken) + count) if index not in taken)][:count]


def _finding(status: Literal["True", "False"], reason: str, message: str) -> Finding:
    return Finding(UPDATING, status, reason, message)
