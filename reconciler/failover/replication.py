"""What keeps a storage available: one primary that takes writes, and replicas that follow it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.actions.kubernetes import Mark
from reconciler.actions.valkey import Fence, Follow, LogInAnew, Promote, Resume
from reconciler.credentials import identities
from reconciler.failover import decision as decisions
from reconciler.state import pod_status
from reconciler.state.primary_record import Claim
from shared import names
from shared.names import ROLE_PRIMARY, ROLE_REPLICA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from reconciler.actions.plan import Step
    from reconciler.failover.decision import Decision
    from reconciler.failover.group import Group
    from reconciler.state.instance import Instance
    from shared.objects.resources import Object


def decide(group: Group, promotion: str) -> Decision:
    """Decide who has to be primary; a user may name the StatefulSet of the instance to promote."""
    return decisions.decide(group.primary.index, group.members, group.preset.replicas, promotion)


def steps(group: Group, decision: Decision, now: datetime) -> Iterator[Step]:
    """Say what is to be done to be available, or more so."""
    if isinstance(decision, decisions.Promote):
        if group.service is not None:
            yield _promotion(group, group.service, decision, now)
        return
    if not group.is_serving:
        return
    if group.primary.facts is not None and group.primary.facts.is_paused and group.service is not None:
        yield Resume(group.service, Claim.of(group.service).withdrawn(group.primary.index), group.primary)
    yield from _following(group)
    fence = group.fence
    if group.primary.facts is not None and group.primary.facts.fence != fence:
        yield Fence(group.primary, fence)
    yield from _marks(group)


def _promotion(group: Group, service: Object, decision: decisions.Promote, now: datetime) -> Promote:
    instances = {instance.index: instance for instance in group.instances}
    followers = tuple(
        instance
        for instance in group.instances
        if instance.index != decision.index and instance.facts is not None and instance.can_be_told
    )
    claim = Claim.of(service).next(decision.index, decision.reason, now)
    return Promote(service, claim, instances[decision.index], followers, group.replication)


def _following(group: Group) -> Iterator[Step]:
    """Have every instance follow the primary, and log in there by the present password."""
    wanted = identities.sha256(group.replication.password)
    astray = [instance for instance in group.others if instance.can_be_told and _is_astray(group, instance)]
    for instance in astray:
        yield Follow(instance, group.primary.address, group.replication)
    late = [
        instance for instance in group.synced if instance.facts is not None and instance.facts.upstream_hash != wanted
    ]
    # One by one: without any replica, a redundant primary takes no writes.
    if late and not astray and len(group.synced) == len(group.others):
        yield LogInAnew(late[0], group.replication)


def _is_astray(group: Group, instance: Instance) -> bool:
    """Tell whether an instance follows nobody, or another than the primary; one on its way there is left alone."""
    if instance.facts is None or instance.facts.is_loading:
        return False
    # Where writes wait, as a leader of the past may have told a replica, what its primary sends waits as well.
    if instance.is_primary or instance.facts.is_paused:
        return True
    ours = instance.facts.replication
    if ours.is_linked and group.lag(instance) is None:  # of another history, so of another primary
        return True
    clusters = (group.service or {}).get("spec", {}).get("clusterIP", "")
    return ours.upstream not in {group.primary.address, clusters} and not _is_service(group, ours.upstream)


def _is_service(group: Group, host: str) -> bool:
    metadata = (group.service or {}).get("metadata", {})
    return bool(metadata) and host == names.valkey_host(metadata["name"].removesuffix("-valkey"), metadata["namespace"])


def _marks(group: Group) -> Iterator[Step]:
    """Label each pod by its role, the primary last.

    Kubernetes' disruption controller does not count anew when a pod loses the label by which a budget knows it. If two
    pods had that of the primary for a moment, one of them could be evicted from then on.
    """
    for instance in (*group.others, group.primary):
        if instance.pod is None or pod_status.is_deleted(instance.pod):
            continue
        role = ROLE_PRIMARY if instance.index == group.primary.index else ROLE_REPLICA
        if instance.pod["metadata"].get("labels", {}).get(names.LABEL_ROLE) != role:
            yield Mark(instance.pod, role)
