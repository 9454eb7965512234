"""What the log says of a decision about a storage, in the words of its status and Events. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from reconciler.actions.valkey import Promote, SwitchOver
from shared.session_storage.status import SessionStorageStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.actions.plan import Plan
    from reconciler.state.instance import Instance

GONE: Final = "gone"
"""Stands for the status and reason of a condition that the storage does not have any more."""


@dataclass(frozen=True, slots=True)
class DecisionLine:
    """What was decided about a storage in one pass.

    Attributes:
        actions: What the reconciler does, in order.
        reason: Why: the reason of the primary's move, else `status.reason`. It is a word of
            `docs/reference/conditions.md`, or empty while the storage has none.
        phase: `status.phase`.
        conditions: `<status> <reason>` of each condition in which one of the two has changed, by type.
    """

    actions: tuple[str, ...]
    reason: str
    phase: str
    conditions: Mapping[str, str]
    changes_phase: bool = False

    @classmethod
    def of(cls, decided: Plan, before: SessionStorageStatus) -> Self:
        """Compare what was decided with the last status."""
        after = before if decided.status is None else SessionStorageStatus.model_validate(decided.status)
        moves = (step.record.reason for step in decided.steps if isinstance(step, Promote | SwitchOver))
        return cls(
            actions=tuple(map(str, decided.steps)),
            reason=next(moves, after.reason or ""),
            phase=after.phase or "",
            conditions=_changed(before, after),
            changes_phase=(after.phase, after.reason) != (before.phase, before.reason),
        )

    @property
    def is_worth_a_line(self) -> bool:
        """Whether something was decided: neither a calm look nor a figure in the status is a decision."""
        return bool(self.actions or self.conditions or self.changes_phase)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of its line."""
        return {name: value for name, value in asdict(self).items() if name != "changes_phase"}


def described(instance: Instance) -> str:
    """Say in a line what a look found out about an instance, for somebody who wants to know why a decision fell so."""
    if not instance.responds:
        return f"{instance.title}: {instance.problem or 'not there'}"
    if instance.is_primary:
        role = "paused primary" if instance.is_paused else "primary"
    else:
        role = "replica in contact" if instance.hears_primary else "replica without contact"
    words = (role, "" if instance.is_loaded else "loading", "ending" if instance.is_ending else "", instance.problem)
    offset = instance.replication.offset
    return f"{instance.title}: {', '.join(filter(None, words))}, offset {offset}, {instance.replication.keys} keys"


def _changed(before: SessionStorageStatus, after: SessionStorageStatus) -> dict[str, str]:
    old = {each.type: f"{each.status} {each.reason}" for each in before.conditions}
    new = {each.type: f"{each.status} {each.reason}" for each in after.conditions}
    return {kind: new.get(kind, GONE) for kind in (old | new) if old.get(kind) != new.get(kind)}
