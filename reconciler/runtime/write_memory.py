"""Remembers what became of the reconciler's writes, as long as this process leads. In memory; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.actions.kubernetes import LabelRole
from reconciler.plan.drift import differences
from reconciler.plan.repairs import intent_of, target_of
from reconciler.state.write_outcome import Deviation, WriteOutcome, digest
from shared import errors, names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from reconciler.actions.plan import Step
    from reconciler.state.write_outcome import Target
    from shared.objects.resources import Key, Object

_LATER: Final = (errors.Conflict, errors.AlreadyExists, errors.Unavailable)
"""Refusals of this once: the cache was behind, or the API server has too much to do."""


class WriteMemory:
    """Keeps the outcomes that a later plan depends on, by storage."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        """Take the API server's clock."""
        self._clock = clock
        self._outcomes: dict[Key, dict[Target, WriteOutcome]] = {}

    def of(self, storage: Key) -> Mapping[Target, WriteOutcome]:
        """List what became of the last writes for a storage."""
        return dict(self._outcomes.get(storage, {}))

    def accept(self, storage: Key, step: Step, desired: Object, before: Object | None, answer: Object) -> None:
        """Remember what the API server stored.

        Args:
            storage: The storage that the step is for.
            step: The write.
            desired: The fields that the reconciler decided.
            before: The object as it was, if the cache had it.
            answer: The object as the API server has it now.
        """
        if (target := target_of(step)) is None or not desired:
            return
        found = frozenset(differences(desired, before)) if before is not None else frozenset()
        left = frozenset(differences(desired, answer))
        cured, last = found - left, self._outcomes.get(storage, {}).get(target)
        is_again = last is not None and last.intent == digest(desired) and bool(cured & last.cured)
        times = last.times + 1 if last is not None and is_again else 1
        outcome = WriteOutcome(digest(desired), self._clock(), left=left, cured=cured, times=times)
        self._outcomes.setdefault(storage, {})[target] = outcome

    def accept_label(self, storage: Key, step: LabelRole, answer: Object) -> None:
        """Remember if the API server did not keep a label."""
        target = target_of(step)
        if target is None:
            return
        value = (answer["metadata"].get("labels") or {}).get(names.LABEL_ROLE)
        if value == step.role:
            self.settle(storage, step)
            return
        left = frozenset({Deviation(("metadata", "labels", names.LABEL_ROLE), digest(value))})
        self._outcomes.setdefault(storage, {})[target] = WriteOutcome(intent_of(step), self._clock(), left=left)

    def settle(self, storage: Key, step: Step) -> None:
        """Forget a target: nothing is left to be said of it."""
        if (target := target_of(step)) is not None:
            self._outcomes.get(storage, {}).pop(target, None)

    def refuse(self, storage: Key, step: Step, error: errors.ClusterError) -> bool:
        """Remember why the API server refused a write.

        Returns:
            Whether the status is to tell; if not, the same write may succeed a moment later.
        """
        target, intent = target_of(step), intent_of(step)
        if target is None or not intent:
            return False
        last = self._outcomes.get(storage, {}).get(target)
        is_again = last is not None and last.intent == intent and bool(last.refusal)
        times = last.times + 1 if last is not None and is_again else 1
        # A pod of that name may be another one by now.
        is_temporary = isinstance(error, _LATER) or isinstance(step, LabelRole)
        outcome = WriteOutcome(intent, self._clock(), refusal=str(error), is_temporary=is_temporary, times=times)
        self._outcomes.setdefault(storage, {})[target] = outcome
        return outcome.is_refused_for_good

    def forget(self, storage: Key) -> None:
        """Drop what this keeps of a storage that is gone."""
        self._outcomes.pop(storage, None)
