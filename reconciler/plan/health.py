"""The state of a storage in one sentence, and in conditions, judged by what was observed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from reconciler.failover.decision import Blocked, Wait
from reconciler.plan.desired_objects import running_size
from reconciler.plan.rolling_update import UPDATING
from reconciler.state import pod_status
from reconciler.state.primary_record import Claim
from shared import names
from shared.names import ROLE_PRIMARY, ROLE_REPLICA
from shared.objects.conditions import Finding
from shared.session_storage.models import NodeStatus, Phase
from shared.session_storage.sizes import DEFAULT_SIZE, Size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconciler.failover.decision import Decision
    from reconciler.failover.group import Group
    from reconciler.plan.rolling_update import Change
    from reconciler.rotation.rotation_plan import RotationPlan
    from reconciler.state.instance import Instance
    from reconciler.state.session_storage import DeclaredStorage
    from reconciler.state.storage_state import StorageState
    from shared.session_storage.models import LastFailover, RotationStatus, SessionStorageSpec

READY: Final = "Ready"
AVAILABLE: Final = "Available"
FAILOVER_BLOCKED: Final = "FailoverBlocked"
REDUNDANT: Final = "Redundant"
SIZE_APPLIED: Final = "SizeApplied"
MAX_QUOTED: Final = 1024
"""Characters of other people's words that a message repeats."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a storage in one sentence.

    Attributes:
        phase: Its phase.
        reason: Why it is or is not ready, as one CamelCase word.
        message: The same as a sentence, with the next step if somebody must act.
        primary: The instance that takes writes, if one does.
        connection_secret: Name of the connection Secret, once there is one.
        also: What else there is to say, each as a condition.
        size: The size that runs, if that is known now.
        rotation: How far the newest rotation is, as the status has it.
        instances: Each Valkey instance, as the status has it.
        last_failover: The last change of the primary, as the status has it.
    """

    phase: Phase
    reason: str
    message: str
    primary: str = ""
    connection_secret: str = ""
    also: tuple[Finding, ...] = ()
    size: Size | None = None
    rotation: RotationStatus | None = None
    instances: tuple[NodeStatus, ...] = ()
    last_failover: LastFailover | None = None

    @property
    def is_ready(self) -> bool:
        """Whether consumers can use the storage."""
        return self.phase in {Phase.READY, Phase.ROTATING}

    def rotating(self, rotation: RotationPlan) -> Self:
        """Tell of a rotation too; a storage that rotates can be used all the time."""
        phase = Phase.ROTATING if rotation.is_under_way and self.is_ready else self.phase
        also = (*self.also, rotation.condition) if rotation.condition is not None else self.also
        return replace(self, phase=phase, also=also, rotation=rotation.status)

    def changing(self, change: Change, storage: DeclaredStorage) -> Self:
        """Tell of a planned change too, and of its end."""
        over = _over(storage, Finding(UPDATING, "False", "UpToDate", "all instances are what they are to be"))
        finding = change.finding or over
        return replace(self, also=(*self.also, finding)) if finding is not None else self

    @classmethod
    def invalid(cls, problems: str) -> Self:
        """The spec cannot be read; only objects from before the CRD's rules get here."""
        return cls(Phase.FAILED, "InvalidSpec", problems)

    @classmethod
    def name_taken(cls, taken: Sequence[str]) -> Self:
        """Objects of our names belong to somebody else, or to a storage of this name that is being deleted."""
        return cls(
            Phase.PENDING,
            "NameTaken",
            f"{', '.join(taken)} in this namespace does not belong to this storage:"
            " delete it, or give the storage another name",
        )

    @classmethod
    def refused(cls, error: str) -> Self:
        """The API server refused a write, and would refuse it again."""
        return cls(Phase.FAILED, "ApplyRefused", f"Kubernetes refused an object of this storage: {error[:MAX_QUOTED]}")


def was_ready(storage: DeclaredStorage) -> bool:
    """Tell whether consumers could use the storage at some time before."""
    return storage.status.phase in {Phase.READY, Phase.ROTATING, Phase.DEGRADED}


def is_out_of_service(storage: DeclaredStorage, group: Group, now: datetime) -> bool:
    """Tell whether the primary does not serve, and has not for so long that it is no failover that goes on."""
    if group.is_serving:
        return False
    told = storage.condition(AVAILABLE)
    return told is not None and told.status == "False" and now - told.last_transition_time >= pod_status.START_LIMIT


def judge(state: StorageState, spec: SessionStorageSpec, group: Group, decision: Decision, now: datetime) -> Verdict:
    """Sum up a managed storage."""
    name = state.storage.name
    has_connection = ("secrets", names.connection_secret(name)) in state.children
    is_serving = has_connection and group.is_serving
    reason, message = (
        ("StorageReady", "Storage is ready and secured") if is_serving else _obstacle(group, decision, now)
    )
    unready_phase = Phase.DEGRADED if was_ready(state.storage) else Phase.PROVISIONING
    size = running_size(group, spec)
    available = Finding(AVAILABLE, "True" if is_serving else "False", reason, message)
    blocked = decision if isinstance(decision, Blocked) else None
    also = (available, _redundancy(spec, group), _blocked(state.storage, blocked), _size(spec, size))
    return Verdict(
        phase=Phase.READY if is_serving else unready_phase,
        reason=reason,
        message=message,
        primary=names.valkey_instance(name, group.primary.index) if is_serving else "",
        connection_secret=names.connection_secret(name) if has_connection else "",
        also=tuple(finding for finding in also if finding),
        size=size,
        instances=tuple(
            _instance(name, group, instance)
            for instance in sorted(group.instances, key=lambda instance: instance.index)
        ),
        last_failover=Claim.of(group.service).status(),
    )


def _instance(storage: str, group: Group, instance: Instance) -> NodeStatus:
    """Tell of one instance, in figures that stay the same as long as nothing is the matter."""
    is_primary = instance.index == group.primary.index
    lag = 0 if is_primary else group.lag(instance)
    return NodeStatus(
        name=names.valkey_instance(storage, instance.index),
        role=ROLE_PRIMARY if is_primary else ROLE_REPLICA,
        synced=instance.is_primary if is_primary else group.is_synced(instance),
        lag_mib=None if lag is None else lag >> 20,
    )


def _obstacle(group: Group, decision: Decision, now: datetime) -> tuple[str, str]:
    """Say why the primary does not serve, by what is nearest to the cause."""
    pod = group.primary.pod
    if told := _of_server(group.primary):
        return told
    if stuck := next(
        (found for instance in group.instances if instance.pod and (found := pod_status.obstacle(instance.pod))), None
    ):
        return stuck.reason, stuck.message
    if isinstance(decision, Wait | Blocked):
        return decision.reason, decision.message
    if pod is None:
        return "Provisioning", "Valkey's objects are being created"
    if pod_status.is_starting(pod, now) or group.primary.facts is not None:
        return "Starting", "Valkey is starting"
    return (
        "Unreachable",
        f"pod {pod['metadata']['name']} does not answer: see its log and the NetworkPolicies around it",
    )


def _of_server(instance: Instance) -> tuple[str, str] | None:
    """Say what the server itself gives as a reason."""
    if instance.problem == "refused":
        return "CredentialRefused", f"Valkey does not accept the passwords of the auth Secret ({instance.detail})"
    if instance.facts is not None and instance.facts.is_loading:
        return "LoadingData", "Valkey is reading its data from disk"
    return None


def _redundancy(spec: SessionStorageSpec, group: Group) -> Finding | None:
    if not spec.preset.is_redundant:
        return None
    wanted, there = spec.preset.replicas - 1, len(group.synced)
    if there >= wanted:
        return Finding(REDUNDANT, "True", "InSync", f"{wanted} replicas could take over")
    message = f"{there} of {wanted} replicas could take over; the others start, catch up, or do not answer"
    return Finding(REDUNDANT, "False", "ReplicasMissing", message)


def _blocked(storage: DeclaredStorage, blocked: Blocked | None) -> Finding | None:
    """Tell of a failover that only a person can decide on, and that it no longer is one."""
    if blocked is not None:
        return Finding(FAILOVER_BLOCKED, "True", blocked.reason, blocked.message)
    return _over(storage, Finding(FAILOVER_BLOCKED, "False", "Decided", "nothing is in the way of a failover"))


def _over(storage: DeclaredStorage, finding: Finding) -> Finding | None:
    """Tell that something is over, if it was told of before."""
    return finding if storage.condition(finding.type) else None


def _size(spec: SessionStorageSpec, running: Size) -> Finding | None:
    wanted = spec.size or DEFAULT_SIZE
    if wanted is running:
        return None
    message = f"the primary is {running} still, and becomes {wanted}: condition {UPDATING} says how far that is"
    return Finding(SIZE_APPLIED, "False", "Resizing", message)
