"""To which instance a primary that lives moves, and how long one goes on whose pod is ending. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from reconciler.actions.valkey import Hold, SwitchOver
from reconciler.manifests.pod_template import GRACE_SECONDS
from reconciler.plan.change import DELETED, DISK_FAILS, Change, updating
from reconciler.state.instance import Instance
from shared.objects.resources import is_terminating
from shared.objects.timestamps import parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.plan.desired_instances import DesiredInstances
    from shared.objects.resources import Object

HOLD_WITHIN: Final = timedelta(seconds=3)
"""How long after the deletion of its pod a primary is asked to go on; kubelet learns of it within a second."""


def switchover(
    group: ReplicationGroup, desired: DesiredInstances, candidates: Sequence[Instance], reason: str
) -> Change | None:
    """Move the primary to the first candidate that could take over now; None if none could."""
    able = (each for each in candidates if group.is_synced(each) and not is_terminating(each.pod))
    if group.service is None or (new := next(able, None)) is None:
        return None
    record = group.service.record.claim(new.index, reason, desired.now, desired.requested_switchover)
    others = tuple(instance for instance in group.others if instance is not new and instance.accepts_operator)
    step = SwitchOver(group.service, record, group.primary, new, others, group.replication, group.preset.fence)
    finding = updating("True", "MovingPrimary", f"{group.name(new)} becomes the primary")
    return Change(desired.indexes, (step,), finding)


def once_settled(change: Change, group: ReplicationGroup, desired: DesiredInstances) -> Change:
    """Let a move wait until nodes have learnt of all instances, so that it does not wait for them half-way."""
    if settling := [instance for instance in group.instances if desired.is_settling(instance)]:
        message = f"waiting until nodes have learnt of {group.name(*settling)}"
        return replace(change, steps=(), finding=updating("True", "InstanceStarts", message))
    return change


def leave_primary(group: ReplicationGroup, desired: DesiredInstances) -> Change:
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
    if change := switchover(group, desired, preferred, DELETED if primary.is_ending else DISK_FAILS):
        return change
    if primary.is_ending:
        return _hold_primary(group, desired)
    is_alone = not (group.others or group.preset.is_redundant)
    return Change((*desired.indexes, *desired.unused_indexes(desired.indexes, 1 if is_alone else 0)))


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
        return Change(desired.indexes, (), updating("True", "InstanceStarts", message), is_held=True, urgent=urgent)
    (extra,) = desired.unused_indexes(desired.indexes, 1)
    message = f"{group.name(group.primary)} is ending, and {group.name(Instance(extra))} is added to take over"
    indexes = (*desired.indexes, extra)
    return Change(indexes, (), updating("True", "InstanceAdded", message), is_held=True, urgent=urgent)


def _can_be_held(group: ReplicationGroup, desired: DesiredInstances, pod: Object) -> bool:
    """Tell whether a primary can go on while its pod is ending, and another instance may take over in that time."""
    has_time = is_terminating(pod) and _grace(pod) >= timedelta(seconds=GRACE_SECONDS)
    is_in_vain = bool(group.others) and all(desired.has_no_room(instance) for instance in group.others)
    return has_time and group.primary.accepts_operator and not is_in_vain


def _grace(pod: Object) -> timedelta:
    return timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds") or 0)
