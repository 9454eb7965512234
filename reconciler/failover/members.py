"""What the instances of a storage show of themselves, as far as it matters to who is primary. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from reconciler.state import pod_status
from reconciler.state.replication_info import PRIMARY, Replication

if TYPE_CHECKING:
    from reconciler.state.instance import Instance

RECENT_SECONDS: Final = 2
"""Who has heard of its primary within so many seconds hears it. A primary speaks once a second
(`repl-ping-replica-period`), and Valkey counts whole seconds, which makes two of one and a bit."""
DOWN: Final[str] = "down"
"""`Instance.problem` of an instance whose node says that no server listens there."""


@dataclass(frozen=True, slots=True)
class Member:
    """One instance of a storage.

    Attributes:
        index: Its number.
        report: What was seen of it.
        is_gone: Whether the API says that no server runs in its pod, or that there is no pod (`pods.is_gone`).
        silent_for: Seconds since its last sign of life (`failover.unheard_for`), or since somebody began to look; 0 if
            it answers.
        behind_for: Seconds since a replica was last seen to hear its primary; 0 if it hears it, or was never seen to.
            Its own word is not enough: a link that was silent for a minute breaks as if that were new.
    """

    index: int
    report: Instance
    is_gone: bool = False
    silent_for: float = 0.0
    behind_for: float = 0.0

    @classmethod
    def of(cls, report: Instance) -> Self:
        """Put a report as the decision wants it."""
        return cls(report.index, report, pod_status.is_gone(report.pod), report.silent_for, report.behind_for)

    @property
    def name(self) -> str:
        """Its StatefulSet, as people know it."""
        pod = self.report.pod
        return str(pod["metadata"]["name"]).removesuffix("-0") if pod is not None else f"instance {self.index}"

    @property
    def replication(self) -> Replication:
        """What it says of its replication; nothing if it says nothing."""
        return self.report.facts.replication if self.report.facts is not None else Replication()

    @property
    def speaks(self) -> bool:
        """Whether it says what it is, even if it does nothing else yet."""
        return self.report.facts is not None

    @property
    def answers(self) -> bool:
        """Whether it has its data in memory, and can be told what to be."""
        return self.report.facts is not None and not self.report.facts.is_loading

    @property
    def is_primary(self) -> bool:
        """Whether it takes itself for the primary, and has its data."""
        return self.answers and self._takes_itself_for_primary

    @property
    def lets_writes_wait(self) -> bool:
        """Whether it was told to, as the primary is that another one takes over from."""
        return self.report.facts is not None and self.report.facts.is_paused

    @property
    def loads_as_primary(self) -> bool:
        """Whether it will take itself for the primary once it has read its data."""
        return self.speaks and not self.answers and self._takes_itself_for_primary

    @property
    def is_down(self) -> bool:
        """Whether its node refuses connections; what lies in between may do so in its stead."""
        return self.report.problem == DOWN

    @property
    def holds_data(self) -> bool:
        """Whether it answers, and has at least one key."""
        return self.answers and not self.replication.is_empty

    @property
    def has_history(self) -> bool:
        """Whether it answers, and its offset says how much of its lineage it has."""
        return self.answers and self.replication.has_history

    @property
    def is_linked(self) -> bool:
        """Whether it is a replica whose connection with a primary stands, as far as it knows."""
        return self.answers and not self._takes_itself_for_primary and self.replication.is_linked

    @property
    def hears(self) -> bool:
        """Whether it is linked, and has had news lately."""
        return self.is_linked and (self.replication.silence or 0) <= RECENT_SECONDS

    @property
    def unheard_for(self) -> float | None:
        """Seconds since a replica last had news of a primary; None if it cannot tell."""
        said = self.replication.silence if self.is_linked else self.replication.down_for
        return None if said is None else max(float(said), self.behind_for)

    @property
    def _takes_itself_for_primary(self) -> bool:
        return self.report.facts is not None and self.report.facts.role == PRIMARY


@dataclass(frozen=True, slots=True)
class Situation:
    """The instances of a storage, seen from the one that clients are sent to.

    Attributes:
        recorded: The instance that the Service's selector names.
        others: All others that there are, or should be.
        expected: How many instances the storage should have.
    """

    recorded: Member
    others: tuple[Member, ...]
    expected: int

    @property
    def members(self) -> tuple[Member, ...]:
        """All of them, in the order of their numbers."""
        return tuple(sorted((self.recorded, *self.others), key=lambda member: member.index))

    @property
    def is_fenced(self) -> bool:
        """Whether a primary that is cut off is stopped by the engine; one that is meant to be alone goes on."""
        return self.expected > 1

    @property
    def linked(self) -> tuple[Member, ...]:
        """Replicas that may have a connection with the recorded primary, however long it has been silent."""
        return tuple(member for member in self.others if member.is_linked and not self._follows_another(member))

    @property
    def hearing(self) -> tuple[Member, ...]:
        """Replicas that still hear of the recorded primary, which therefore lives."""
        return tuple(member for member in self.linked if member.hears)

    @property
    def unaccounted(self) -> tuple[Member, ...]:
        """Instances that may be the recorded primary's replicas unseen, and so have it go on taking writes."""
        return tuple(member for member in self.others if not (member.speaks or member.is_gone))

    @property
    def missing(self) -> tuple[Member, ...]:
        """Instances that might have data, and cannot be asked."""
        return tuple(member for member in self.members if not member.answers)

    @property
    def is_complete(self) -> bool:
        """Whether every instance that there should be was asked, and answers."""
        return len(self.members) >= self.expected and not self.missing

    def _follows_another(self, member: Member) -> bool:
        """Tell whether what a replica hears is somebody else, as in a failover that broke off half-way."""
        lineage = member.replication.lineage
        return any(other.is_primary and other.replication.lineage == lineage for other in self.others)
