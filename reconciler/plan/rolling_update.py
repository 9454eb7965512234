"""Planned changes: another size, image or configuration, a node that is drained, a move that was asked for. Pure.

One step at a time, and only while all is well. Replicas change first; then the primary moves to one that has changed,
and what was primary changes as a replica. A storage with one instance gets a second one for that time. So on every size
the only thing that clients notice is the move. Only where the cluster has no room for one more pod, the one instance
restarts where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from reconciler.actions.kubernetes import Delete
from reconciler.actions.valkey import Remove, SwitchOver
from reconciler.manifests.valkey_config import fence
from reconciler.state import pod_status
from reconciler.state.primary_record import Claim
from shared import names
from shared.objects.conditions import Finding
from shared.objects.resources import PODS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.actions.plan import Step
    from reconciler.failover.group import Group
    from reconciler.plan.desired_instances import Wish
    from reconciler.state.instance import Instance
    from reconciler.state.session_storage import DeclaredStorage
    from shared.objects.resources import Object

UPDATING: Final = "Updating"
FOLLOWING_SECONDS: Final = 0.5
"""How soon it is looked again while a change goes on; an instance takes about two seconds to start and follow."""
ASKED: Final = "Asked"
DRAINED: Final = "NodeIsDrained"
OUTDATED: Final = "InstanceIsOutdated"
DELETED: Final = "PodIsDeleted"
PLANNED: Final = frozenset({ASKED, DRAINED, OUTDATED, DELETED})
"""Reasons for which the primary moves without any need."""


@dataclass(frozen=True, slots=True)
class Change:
    """The next step of what changes.

    Attributes:
        instances: Numbers of the instances that there are to be now.
        steps: To be carried out.
        finding: What to tell of it; None if nothing changes.
    """

    instances: tuple[int, ...]
    steps: tuple[Step, ...] = ()
    finding: Finding | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether something changes."""
        return self.finding is not None and self.finding.status == "True"

    @property
    def pause(self) -> float | None:
        """Seconds until the next look; None if nothing goes on."""
        return FOLLOWING_SECONDS if self.is_under_way else None


def next_change(group: Group, wish: Wish, storage: DeclaredStorage) -> Change:
    """Decide on the next step; none as long as the storage is not well."""
    if len(wish.numbers) < wish.count or group.primary.index not in wish.present:
        # First of all whoever clients get to: its data may be there still.
        known = {*wish.numbers, group.primary.index}
        return Change(tuple(sorted({*known, *_free(known, max(wish.count - len(known), 0))})))
    if not group.is_serving:
        return Change(wish.numbers)
    if pod_status.is_deleted(group.primary.pod):
        return _succession(group, wish, storage)
    stale = [instance for instance in group.instances if wish.is_stale(instance)]
    is_held = bool(stale) and not wish.may_update
    if is_held:
        # What cannot wait is done with instances as they are: a node is drained, or a person wants it.
        wish, stale = replace(wish, desired={}, unfit=frozenset()), []
    if wish.is_stale(group.primary) or wish.nodes.is_leaving(group.primary.pod) or wish.asked:
        return _move(group, wish, storage)
    change = _tidy(group, wish, storage, stale)
    if is_held and change.finding is None:
        waits = _told("False", "WaitsForItsTurn", "an update waits until those of others are done")
        return replace(change, finding=waits)
    return change


def _move(group: Group, wish: Wish, storage: DeclaredStorage) -> Change:
    """Have another instance become primary; first bring one up to date, or a further one into being."""
    is_leaving = wish.nodes.is_leaving(group.primary.pod)
    fresh = [
        instance for instance in group.others if not wish.is_stale(instance) and not wish.nodes.is_leaving(instance.pod)
    ]
    reason = DRAINED if is_leaving else ASKED if wish.asked else OUTDATED
    if change := _handover(group, wish, storage, fresh, reason):
        return change
    if fresh:
        if all(wish.has_no_room(instance) for instance in fresh):
            return _without_room(group, wish, storage)
        return Change(
            wish.numbers, (), _told("True", "InstanceStarts", f"waiting until {_named(storage, fresh)} is in sync")
        )
    if len(group.others) > (1 if group.preset.is_redundant else 0):
        outdated = [instance for instance in group.others if wish.is_stale(instance)]
        return _roll(group, wish, storage, outdated) if outdated else Change(wish.numbers)
    if group.preset.is_redundant:
        return Change(wish.numbers)
    (extra,) = _free(wish.numbers, 1)
    name = names.valkey_instance(storage.name, extra)
    return Change((*wish.numbers, extra), (), _told("True", "InstanceAdded", f"{name} comes, to take over"))


def _succession(group: Group, wish: Wish, storage: DeclaredStorage) -> Change:
    """Have a replica take over from a primary whose pod was deleted, and which stops soon.

    Without one there is nothing to be done: the pod comes back anyway.
    """
    staying = [instance for instance in group.others if not wish.nodes.is_leaving(instance.pod)]
    preferred = sorted(staying, key=lambda instance: (wish.is_stale(instance), instance.index))
    return _handover(group, wish, storage, preferred, DELETED) or Change(wish.numbers)


def _handover(
    group: Group, wish: Wish, storage: DeclaredStorage, candidates: Sequence[Instance], reason: str
) -> Change | None:
    """Move the primary to the first candidate that could take over now; None if none could."""
    ready = (
        instance for instance in candidates if group.is_synced(instance) and not pod_status.is_deleted(instance.pod)
    )
    if group.service is None or (new := next(ready, None)) is None:
        return None
    step = _switch_over(group, wish, new, group.service, reason)
    target = names.valkey_instance(storage.name, new.index)
    return Change(wish.numbers, (step,), _told("True", "MovingPrimary", f"{target} becomes the primary"))


def _tidy(group: Group, wish: Wish, storage: DeclaredStorage, stale: Sequence[Instance]) -> Change:
    """Remove instances that are too many, and bring replicas up to date; the primary is what it is to be."""
    if len(wish.numbers) > wish.count:
        leaving = min(
            group.others, key=lambda instance: (instance not in stale, group.is_attached(instance), -instance.index)
        )
        if wish.count == 1 or _is_spare(group, wish, leaving):
            steps = _removal(group, wish, leaving)
            told = _told("True", "InstanceRemoved", f"{_named(storage, [leaving])} is no longer needed")
            return Change(tuple(index for index in wish.numbers if index != leaving.index), steps, told)
    return _roll(group, wish, storage, stale) if stale else Change(wish.numbers)


def _is_spare(group: Group, wish: Wish, instance: Instance) -> bool:
    """Tell whether a replica may go for now: all others are in sync.

    If it does not follow anyway, it is lost to nobody, and others like it need not be waited for. One that has changed
    has to be in sync all the same, or what is faulty would go from one instance to the next.
    """
    rest = [other for other in group.others if other is not instance]
    needed = rest if group.is_attached(instance) else [other for other in rest if not wish.is_stale(other)]
    return all(group.is_synced(other) for other in needed)


def _roll(group: Group, wish: Wish, storage: DeclaredStorage, outdated: Sequence[Instance]) -> Change:
    """Start one replica anew, if it can be spared."""
    chosen = min(
        outdated, key=lambda instance: (group.is_attached(instance), group.is_synced(instance), instance.index)
    )
    told = _told("True", "InstanceRestarts", f"{_named(storage, [chosen])} is brought up to date")
    if not _is_spare(group, wish, chosen) or chosen.pod is None:
        return Change(wish.numbers, (), told)
    if chosen.index in wish.unfit:
        kept = tuple(index for index in wish.numbers if index != chosen.index)
        return Change(kept, _removal(group, wish, chosen), told)
    return Change(wish.numbers, _deletion(chosen.pod), told)


def _without_room(group: Group, wish: Wish, storage: DeclaredStorage) -> Change:
    name = names.valkey_instance(storage.name, group.primary.index)
    # A restart gives nobody another volume, and would be the first of many.
    would_help = wish.is_outdated(group.primary) and group.primary.index not in wish.unfit
    if group.preset.is_redundant or group.primary.pod is None or not would_help:
        message = f"no node has room for another instance, and {name} cannot change without one: make room"
        return Change(wish.numbers, (), _told("False", "NoRoom", message))
    message = f"no node has room for another instance, so {name} restarts where it is: clients wait for some seconds"
    return Change(wish.numbers, _deletion(group.primary.pod), _told("True", "RestartsInPlace", message))


def _switch_over(group: Group, wish: Wish, new: Instance, service: Object, reason: str) -> SwitchOver:
    claim = Claim.of(service).next(new.index, reason, wish.now, wish.asked)
    others = tuple(instance for instance in group.others if instance is not new and instance.can_be_told)
    return SwitchOver(service, claim, group.primary, new, others, group.replication, fence(group.preset))


def _removal(group: Group, wish: Wish, instance: Instance) -> tuple[Step, ...]:
    workload, service = wish.present.get(instance.index), group.service
    if workload is None or service is None:
        return ()
    return (Remove(service, workload, wish.claims.get(instance.index)),)


def _deletion(pod: Object) -> tuple[Step, ...]:
    return () if pod_status.is_deleted(pod) else (Delete.of(PODS, pod),)


def _free(present: Iterable[int], count: int) -> list[int]:
    """Find numbers that no instance has; the smallest, so that they never grow."""
    taken = set(present)
    return [number for number in range(len(taken) + count) if number not in taken][:count]


def _named(storage: DeclaredStorage, instances: Sequence[Instance]) -> str:
    return ", ".join(names.valkey_instance(storage.name, instance.index) for instance in instances)


def _told(status: Literal["True", "False"], reason: str, message: str) -> Finding:
    return Finding(UPDATING, status, reason, message)
