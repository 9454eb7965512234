"""Keeps a storage available: one primary that takes writes, and replicas that follow it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.actions.kubernetes import LabelRole
from reconciler.actions.plan import apart
from reconciler.actions.valkey import EndScript, Fence, Follow, Promote, RestartServer, Resume
from reconciler.failover.decision import ENDLESS_SECONDS, KeepPrimary, NewPrimary
from shared import names
from shared.names import ROLE_PRIMARY, ROLE_REPLICA
from shared.objects.resources import is_terminating

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from reconciler.actions.plan import Step, Strand
    from reconciler.failover.decision import Decision
    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.state.instance import Instance


def replication_steps(group: ReplicationGroup, decision: Decision, now: datetime) -> Iterator[Step]:
    """List the steps that give the storage a primary or, if it has one, replicas, fence and roles as they should be."""
    yield from _ending_of_scripts(group, decision)
    if isinstance(decision, NewPrimary) and group.service is not None and group.service.is_ours_to_point:
        # Only under a claim in the Service: otherwise two leaders could promote two instances.
        record = group.service.record.claim(decision.instance.index, decision.reason, now, consent=decision.consent)
        others = (other for other in group.instances if other is not decision.instance and other.accepts_operator)
        yield Promote(group.service, record, decision.instance, tuple(others), group.replication)
    if isinstance(decision, NewPrimary) or not group.is_leading:
        return
    if group.primary.is_paused and group.service is not None and group.service.is_ours_to_point:
        yield Resume(group.service, group.primary)
    yield from _following(group)
    if group.primary.facts is not None and group.primary.facts.fence != group.fence:
        yield Fence(group.primary, group.fence)
    yield from _roles(group)


def strands_of(steps: tuple[Step, ...]) -> tuple[Strand, ...]:
    """Bind the steps that keep a storage available, where one builds on another.

    Where a switchover broke off, another process may still carry it out: this one commands instances only once it has
    taken the claim. Roles go in order: see `replication_steps`.
    """
    roles = tuple(step for step in steps if isinstance(step, LabelRole))
    commands = tuple(step for step in steps if not isinstance(step, LabelRole))
    is_claimed = any(isinstance(step, Resume) for step in commands)
    return tuple(filter(None, (*((commands,) if is_claimed else apart(commands)), roles)))


def _ending_of_scripts(group: ReplicationGroup, decision: Decision) -> Iterator[Step]:
    """End the scripts that keep instances busy, the stubborn ones with their servers.

    That is safe once it is decided who is primary. If another instance has taken over, the clients of the former
    primary have to leave it; if none may, the primary goes on with what its file has.
    """
    for instance in group.instances:
        if instance.problem != "busy":
            continue
        if not instance.has_endless_script:
            yield EndScript(instance)
        elif isinstance(decision, KeepPrimary) and instance.busy_for >= ENDLESS_SECONDS:
            yield RestartServer(instance)


def _following(group: ReplicationGroup) -> Iterator[Step]:
    """Have every instance follow the primary."""
    for instance in group.others:
        if _is_misdirected(group, instance):
            yield Follow(instance, group.primary.address, group.replication)


def _is_misdirected(group: ReplicationGroup, instance: Instance) -> bool:
    """Tell whether an instance follows nobody, or another one than the primary; not one that is still connecting.

    One that follows the Service's name counts as well, unless the name has led it to the primary already: DNS may never
    answer it. A change of the upstream would begin a copy anew that is under way.
    """
    if not instance.accepts_operator or not instance.is_loaded:
        return False
    # If a former leader paused a replica, what its primary sends waits there as well.
    if instance.is_primary or instance.is_paused:
        return True
    replication = instance.replication
    if replication.is_linked and group.lag(instance) is None:
        return True
    if replication.upstream == group.service_name:
        return not (replication.is_linked or replication.is_copying)
    return replication.upstream not in group.primary_addresses


def _roles(group: ReplicationGroup) -> Iterator[LabelRole]:
    """Label each pod by its role, the primary last.

    Kubernetes' disruption controller does not count anew when a pod loses the label by which a budget knows it. If two
    pods had the primary's label for a moment, one of them could be evicted from then on.
    """
    for instance in (*group.others, group.primary):
        if instance.pod is None or is_terminating(instance.pod):
            continue
        role = ROLE_PRIMARY if instance is group.primary else ROLE_REPLICA
        if instance.pod["metadata"].get("labels", {}).get(names.LABEL_ROLE) != role:
            yield LabelRole(instance.pod, role)
