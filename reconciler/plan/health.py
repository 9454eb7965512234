"""Judges the state of a storage by what the observer saw: in one sentence, and in conditions. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from reconciler.failover.decision import FailoverBlocked, LookAgain
from reconciler.plan.change import UPDATING
from reconciler.plan.consent_status import consent_accepted, failover_blocked
from reconciler.plan.desired_objects import running_size
from reconciler.plan.hindrance import Hindrance, OutOfSync, redundancy
from reconciler.plan.server_problem import server_problem
from reconciler.state import pod_status
from shared import names
from shared.names import ROLE_PRIMARY, ROLE_REPLICA
from shared.objects.conditions import Finding
from shared.session_storage.sizes import DEFAULT_SIZE, Size
from shared.session_storage.status import InstanceStatus, Phase

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconciler.failover.decision import Decision
    from reconciler.failover.replication_group import ReplicationGroup
    from reconciler.plan.change import Change
    from reconciler.rotation.rotation_plan import RotationPlan
    from reconciler.state.instance import Instance
    from reconciler.state.session_storage import DeclaredStorage
    from reconciler.state.storage_state import StorageState
    from shared.session_storage.models import SessionStorageSpec
    from shared.session_storage.status import LastFailover, RotationStatus

READY: Final = "Ready"
AVAILABLE: Final = "Available"
SIZE_APPLIED: Final = "SizeApplied"
NO_REPLICA: Final = "NoReplicaInSync"
"""Reason for which a primary that should be redundant takes no writes."""
_READY: Final = "StorageReady", "Storage is ready and secured"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a storage in one sentence.

    Attributes:
        reason: Why it is or is not ready, as one CamelCase word.
        message: The same as a sentence, with the next step if somebody must act.
        primary: The instance that serves as primary, if one does.
        connection_secret: Name of the connection Secret, once there is one.
        endpoint: `status.endpoint`: where consumers of an external storage connect.
        also: Further conditions of the status.
        size: The size that the primary has, if that is known now.
        rotation: `status.rotation`: how far the newest rotation is.
        instances: `status.nodes`: each Valkey instance.
        wanted: How many instances the size asks for; None if there are none to count.
        last_failover: `status.lastFailover`: the last change of the primary.
        is_ready: Whether consumers can use the storage.
        hindrance: What keeps it from going on with what is under way, or from being redundant, although it is ready.
        needs_person: Whether nothing changes until a person acts, as far as the reconciler can tell.
    """

    phase: Phase
    reason: str
    message: str
    primary: str = ""
    connection_secret: str = ""
    endpoint: str = ""
    also: tuple[Finding, ...] = ()
    size: Size | None = None
    rotation: RotationStatus | None = None
    instances: tuple[InstanceStatus, ...] = ()
    wanted: int | None = None
    last_failover: LastFailover | None = None
    is_ready: bool = False
    hindrance: Hindrance | None = None
    needs_person: bool = False

    @property
    def phase_reason(self) -> str:
        """Why the storage is in its phase, as one word."""
        return self.hindrance.reason if self.hindrance is not None else self.reason

    @property
    def phase_message(self) -> str:
        """The phase in a sentence."""
        return self.hindrance.message if self.hindrance is not None else self.message

    def rotating(self, rotation: RotationPlan) -> Self:
        """Add the condition and status of a rotation, during which consumers can use the storage all the time."""
        phase = Phase.ROTATING if rotation.is_under_way and self.phase is Phase.READY else self.phase
        also = (*self.also, rotation.condition) if rotation.condition is not None else self.also
        return replace(self, phase=phase, also=also, rotation=rotation.status)

    def changing(self, change: Change, storage: DeclaredStorage) -> Self:
        """Add the condition of a planned change, or of its end."""
        over = _over(storage, Finding(UPDATING, "False", "UpToDate", "all instances are up to date"))
        if (finding := change.finding or over) is None:
            return self
        if change.is_waiting and self.hindrance is not None:
            message = f"{finding.message}: {self.hindrance.message}"
            finding = replace(finding, reason=self.hindrance.reason, message=message)
        found = replace(self, also=(*self.also, finding))
        return found.hindered(Hindrance(finding.reason, finding.message)) if change.lacks_room else found

    def hindered(self, hindrance: Hindrance | None) -> Self:
        """Add what keeps a ready storage from going on, unless something is known already."""
        if hindrance is None or self.hindrance is not None or not self.is_ready:
            return self
        return replace(self, phase=Phase.DEGRADED, hindrance=hindrance)

    @classmethod
    def invalid(cls, problems: str) -> Self:
        """The reconciler cannot read the spec; only objects from before the CRD's rules get here."""
        return cls(Phase.FAILED, "InvalidSpec", problems, needs_person=True)

    @classmethod
    def name_taken(cls, taken: Sequence[str], *, is_leaving: bool = False) -> Self:
        """Objects with its children's names belong to something else, or to a former storage that is being deleted.

        Args:
            taken: Kinds and names of the objects.
            is_leaving: Whether Kubernetes is deleting all of them.
        """
        return cls(
            Phase.PENDING,
            "NameTaken",
            f"{', '.join(taken)} in this namespace does not belong to this storage:"
            " delete it, or give the storage another name",
            needs_person=not is_leaving,
        )

    @classmethod
    def adoption_needed(cls, found: Sequence[str], command: str) -> Self:
        """Objects of a backup or of a former storage of this name need a person's consent before they are used."""
        return cls(
            Phase.PENDING,
            "AdoptionNeeded",
            f"a backup or a former storage of this name left {', '.join(found)}: to take all of it over, with its"
            f" passwords and data, run `{command}`; to begin without it, delete it",
            needs_person=True,
        )

    def refused(self, finding: Finding, *, is_vital: bool) -> Self:
        """Add that the API server refuses a write; if that is vital, consumers cannot use the storage."""
        if self.is_ready and not is_vital:
            hindered = self.hindered(Hindrance(finding.reason, finding.message))
            return replace(hindered, needs_person=hindered is not self)
        return replace(
            self,
            phase=Phase.FAILED,
            reason=finding.reason,
            message=finding.message,
            is_ready=False,
            hindrance=None,
            needs_person=True,
        )


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


def _over(storage: DeclaredStorage, finding: Finding) -> Finding | None:
    """Tell that something is over, if the last status has a condition about it."""
    return finding if storage.condition(finding.type) else None


def _size_applied(spec: SessionStorageSpec, running: Size) -> Finding | None:
    wanted = spec.size or DEFAULT_SIZE
    if wanted is running:
        return None
    message = f"the primary is still {running} and becomes {wanted}: see condition {UPDATING} for its progress"
    return Finding(SIZE_APPLIED, "False", "Resizing", message)
