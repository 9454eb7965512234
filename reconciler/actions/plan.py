"""A plan: the steps to carry out in order, the status to write, and when to look again. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from reconciler.actions.kubernetes import Apply, Delete, LabelRole, Replace, Restart, Share, Write, WriteAuth
from reconciler.actions.valkey import InstanceAction, Promote, Resume, SwitchOver

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.objects.events import EventNote
    from shared.objects.resources import Object


STEADY_SECONDS: Final = 30.0
"""How often the reconciler looks at a storage that is well and about which nothing changes, without any event. A server
that dies or hangs shows in its heartbeat, and one that refuses writes in a check of its own
(`reconciler/observe/write_checks.py`); a look finds what else only the server tells, such as a replica that lost its
link."""
RECHECK_SECONDS: Final = 10.0
"""How often it looks while something changes, or has been late a moment ago."""


Step: TypeAlias = WriteAuth | Apply | Replace | Write | Share | Delete | Restart | LabelRole | InstanceAction
Strand: TypeAlias = tuple[Step, ...]
"""Steps that build on each other: if one fails, those after it wait for the next pass."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order.

    Attributes:
        strands: Steps, by importance; if one fails, only the rest of its strand waits.
        status: The new status; None if the present one still holds.
        requeue_after_seconds: When to look again without an event; 0 means at once.
        is_at_rest: Whether the storage is well and nothing goes on, so that the next look has time.
        is_changing: Whether the storage takes one of the slots for updates.
        progress: What the planned change is at, in words that stay the same as long as it gets nowhere.
    """

    strands: tuple[Strand, ...] = ()
    status: Object | None = None
    events: tuple[EventNote, ...] = ()
    requeue_after_seconds: float = RECHECK_SECONDS
    is_at_rest: bool = False
    is_changing: bool = False
    progress: str = ""

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in order."""
        return tuple(step for strand in self.strands for step in strand)

    @property
    def moves_primary(self) -> bool:
        """Whether it changes who takes writes: its requests go ahead of all others."""
        return any(isinstance(step, Promote | Resume | SwitchOver) for step in self.steps)


def apart(steps: Iterable[Step]) -> tuple[Strand, ...]:
    """Make a strand of each step: none of them builds on another one."""
    return tuple((step,) for step in steps)
