"""Which storages the reconciler updates now: a faulty image must not reach all of them at once. In memory; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.objects.resources import Key

PATIENCE_SECONDS: Final = 600.0
"""How long a storage may have a slot without getting on: longer than an instance takes to copy the data of the largest
size (docs/benchmarks.md)."""


@dataclass(slots=True)
class _Holder:
    """A storage with a slot.

    Attributes:
        seen: All that its update has been at; one that goes back and forth gets nowhere either.
        since: When it came to something new.
    """

    seen: set[str]
    since: float


class UpdateSlots:
    """The slots for storages that the reconciler updates now.

    Nothing is lost when the leader changes: the next one finds out again which storages are being changed. A storage
    that gets nowhere gives its slot back, and may take a free one again after as long a time.
    """

    def __init__(self, count: int, clock: Callable[[], float]) -> None:
        """Take how many storages may have a slot, and a monotonic clock in seconds."""
        self._count = count
        self._clock = clock
        self._holders: dict[Key, _Holder] = {}
        self._gave_back: dict[Key, float] = {}

    def may_take(self, storage: Key) -> bool:
        """Tell whether a storage has a slot, or may take one."""
        if storage in self._holders:
            return True
        return len(self._holders) < self._count and not self.gave_back(storage)

    def gave_back(self, storage: Key) -> bool:
        """Tell whether a storage got nowhere with its slot, and lets others go first."""
        since = self._gave_back.get(storage)
        return since is not None and self._clock() - since < PATIENCE_SECONDS

    def note(self, storage: Key, *, is_changing: bool, progress: str = "") -> None:
        """Give a storage a slot while it changes, and free the slot afterwards.

        `progress` says what the change is at; the storage counts as stuck while that is nothing new.
        """
        now, holder = self._clock(), self._holders.get(storage)
        if not is_changing:
            self._holders.pop(storage, None)
            return
        if holder is None:
            self._holders[storage] = _Holder({progress}, now)
            self._gave_back.pop(storage, None)
        elif progress not in holder.seen:
            holder.seen.add(progress)
            holder.since = now
        elif now - holder.since >= PATIENCE_SECONDS:
            del self._holders[storage]
            self._gave_back[storage] = now

    def forget(self, storage: Key) -> None:
        """Drop what this keeps of a storage that is gone."""
        self._holders.pop(storage, None)
        self._gave_back.pop(storage, None)
