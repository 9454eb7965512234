"""The state of a storage in one sentence, and what is added to it: changes, rotations, hindrances, refusals. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from reconciler.plan.change import UPDATING
from reconciler.plan.hindrance import Hindrance
from shared.objects.conditions import Finding
from shared.session_storage.status import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.plan.change import Change
    from reconciler.rotation.rotation_plan import RotationPlan
    from reconciler.state.session_storage import DeclaredStorage
    from shared.session_storage.sizes import Size
    from shared.session_storage.status import InstanceStatus, LastFailover, RotationStatus


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


def _over(storage: DeclaredStorage, finding: Finding) -> Finding | None:
    """Tell that something is over, if the last status has a condition about it."""
    return finding if storage.condition(finding.type) else None
