"""A plan: the steps to carry out in order, the status to write, and when to look again. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from reconciler.actions.kubernetes import Apply, Delete, LabelRole, Replace, Restart, Share, Write, WriteAuth
from reconciler.actions.valkey import InstanceAction, Promote, Resume, SwitchOver

if TYPE_CHECKING:
    from shared.objects.events import EventNote
    from shared.objects.resources import Object


RECHECK_SECONDS: Final = 10.0
"""How often the reconciler looks at a storage that is well, without any event."""


Step: TypeAlias = WriteAuth | Apply | Replace | Write | Share | Delete | Restart | LabelRole | InstanceAction


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order.

    Attributes:
        status: The new status; None if the present one still holds.
        requeue_after_seconds: When to look again without an event; 0 means at once.
        is_changing: Whether the storage takes one of the slots for updates.
    """

    steps: tuple[Step, ...] = ()
    status: Object | None = None
    events: tuple[EventNote, ...] = ()
    requeue_after_seconds: float = RECHECK_SECONDS
    is_changing: bool = False

    @property
    def moves_primary(self) -> bool:
        """Whether it changes who takes writes: its requests go ahead of all others."""
        return any(isinstance(step, Promote | Resume | SwitchOver) for step in self.steps)
