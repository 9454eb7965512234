"""Judges the state of a managed storage by what the observer saw: in one sentence, and in conditions. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.failover.decision import FailoverBlocked, LookAgain
from reconciler.plan.change import UPDATING
from reconciler.plan.consent_status import consent_accepted, failover_blocked
from reconciler.plan.desired_objects import running_size
from reconciler.plan.hindrance import OutOfSync, redundancy
from reconciler.plan.server_problem import server_problem
from reconciler.plan.verdict import Verdict
from reconciler.state import pod_status
from shared import names
from shared.names import ROLE_PRIMARY, ROLE_REPLICA
from shared.objects.conditions import Finding
from shared.session_storage.sizes import DEFAULT_SIZE, Size
from shared.session_storage.status import InstanceStatus, Phase

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.failover.decision import Decision
    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.state.instance import Instance
    from reconciler.state.session_storage import DeclaredStorage
    from reconciler.state.storage_state import StorageState
    from shared.session_storage.models import SessionStorageSpec

READY: Final = "Ready"
AVAILABLE: Final = "Available"
SIZE_APPLIED: Final = "SizeApplied"
NO_REPLICA: Final = "NoReplicaInSync"
"""Reason for which a primary that should be redundant takes no writes."""
_READY: Final = "StorageReady", "Storage is ready and secured"


def was_ready(storage: DeclaredStorage) -> bool:
    """Tell whether consumers could use the storage at some time before."""
    return storage.status.phase in {Phase.READY, Phase.ROTATING, Phase.DEGRADED}


def is_out_of_service(storage: DeclaredStorage, group: ReplicationGroup, now: datetime) -> bool:
    """Tell whether the primary answers nobody, and the storage has taken no writes for longer than a failover takes."""
    if group.is_leading:
        return False
    available = storage.condition(AVAILABLE)
    if available is None or available.status != "False":
        return False
    return now - available.last_transition_time >= pod_status.START_LIMIT


def judge(
    state: StorageState, spec: SessionStorageSpec, group: ReplicationGroup, decision: Decision, now: datetime
) -> Verdict:
    """Judge a managed storage."""
    name = state.storage.name
    has_connection = ("secrets", names.connection_secret(name)) in state.children
    is_ready = has_connection and group.takes_writes
    apart = OutOfSync.of(group, state.storage, now)
    reason, message = _READY if is_ready else _reason_not_ready(group, decision, apart, now)
    unready_phase = Phase.DEGRADED if was_ready(state.storage) else Phase.PROVISIONING
    size = running_size(group, spec)
    available = Finding(AVAILABLE, "True" if is_ready else "False", reason, message)
    consent = consent_accepted(state.storage, group, decision)
    blocked = failover_blocked(state.storage, decision)
    also = (available, redundancy(group, apart), blocked, consent, _size_applied(spec, size))
    verdict = Verdict(
        phase=Phase.READY if is_ready else unready_phase,
        reason=reason,
        message=message,
        primary=group.name(group.primary) if has_connection and group.is_serving else "",
        connection_secret=names.connection_secret(name) if has_connection else "",
        also=tuple(finding for finding in also if finding),
        size=size,
        instances=tuple(_instance(group, instance, state.storage) for instance in group.in_order),
        wanted=group.preset.replicas,
        last_failover=group.service.last_change.status if group.service is not None else None,
        is_ready=is_ready,
        needs_person=isinstance(decision, FailoverBlocked) and not is_ready,
    )
    return verdict.hindered(apart.lasting)


def _instance(group: ReplicationGroup, instance: Instance, storage: DeclaredStorage) -> InstanceStatus:
    """Show one instance, in figures that stay the same as long as nothing changes that matters."""
    name, is_primary = group.name(instance), instance is group.primary
    return InstanceStatus(
        name=name,
        role=ROLE_PRIMARY if is_primary else ROLE_REPLICA,
        synced=group.takes_writes if is_primary else group.is_synced(instance),
        lag_mib=0 if is_primary else _lag_mib(group, instance, storage.instance(name)),
    )


def _lag_mib(group: ReplicationGroup, instance: Instance, told: InstanceStatus | None) -> int | None:
    """Tell how far a replica is behind; the figure that the last status told, unless it has halved or doubled.

    Each figure is written to the status, and the exact one changes with every look. None for a replica without a link:
    it falls behind by every write.
    """
    lag = group.lag(instance) if group.is_attached(instance) else None
    if lag is None:
        return None
    mib, before = lag >> 20, told.lag_mib if told is not None else None
    return before if before and mib and before / 2 < mib < before * 2 else mib


def _reason_not_ready(group: ReplicationGroup, decision: Decision, apart: OutOfSync, now: datetime) -> tuple[str, str]:
    """Say why the primary takes no writes."""
    if group.is_serving and not group.takes_writes:
        name = group.name(group.primary)
        return NO_REPLICA, f"{name} takes no writes without a replica in sync: {apart.summary}"
    return _obstacle(group, decision, now)


def _obstacle(group: ReplicationGroup, decision: Decision, now: datetime) -> tuple[str, str]:
    """Say why the primary does not serve: the nearest to the cause of all that the reconciler knows."""
    primary, pod = group.primary, group.primary.pod
    if problem := server_problem(group.name(primary), primary):
        return problem
    if stuck := next((found for instance in group.instances if (found := instance.obstacle)), None):
        return stuck.reason, stuck.message
    if isinstance(decision, LookAgain | FailoverBlocked):
        return decision.reason, decision.message
    if pod is None:
        return "Provisioning", "the reconciler creates Valkey's objects"
    if pod_status.is_starting(pod, now) or primary.responds:
        return "Starting", "Valkey is starting"
    hint = "check its log and the NetworkPolicies that apply to it"
    return "Unreachable", f"{primary.title} does not answer: {hint}"


def _size_applied(spec: SessionStorageSpec, running: Size) -> Finding | None:
    wanted = spec.size or DEFAULT_SIZE
    if wanted is running:
        return None
    message = f"the primary is still {running} and becomes {wanted}: see condition {UPDATING} for its progress"
    return Finding(SIZE_APPLIED, "False", "Resizing", message)
