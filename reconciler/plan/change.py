"""The next step of a planned change of a storage, and why its primary moves although it lives. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from shared.objects.conditions import Finding

if TYPE_CHECKING:
    from reconciler.actions.plan import Step
    from reconciler.actions.valkey import Hold

UPDATING: Final = "Updating"
FOLLOWING_SECONDS: Final = 0.5
"""How soon the reconciler looks again while a change goes on; an instance takes about 2 s to start and follow."""
HOLDING_SECONDS: Final = 0.2
"""How soon the reconciler asks an ending primary again to go on. It has a second after kubelet told it to stop."""
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
    def progress(self) -> str:
        """What it is at, in words that stay the same as long as it gets nowhere; empty if nothing changes."""
        return f"{self.finding.reason}: {self.finding.message}" if self.finding is not None else ""

    @property
    def pause(self) -> float | None:
        """Seconds until the next look; None if nothing goes on."""
        if self.urgent:
            return HOLDING_SECONDS
        return FOLLOWING_SECONDS if self.is_under_way else None


def updating(status: Literal["True", "False"], reason: str, message: str) -> Finding:
    """Build the condition that tells of a planned change."""
    return Finding(UPDATING, status, reason, message)
