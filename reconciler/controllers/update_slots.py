"""Which storages may be updated at the same time: a faulty image must not reach all of them at once. In memory; no I/O.

Nothing is lost when the leader changes: the next one finds out again which storages are being changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.objects.resources import Key


class UpdateSlots:
    """The slots for storages that are updated now."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken_by: set[Key] = set()

    def may_take(self, storage: Key) -> bool:
        """Tell whether a storage has a slot, or may take one."""
        return storage in self._taken_by or len(self._taken_by) < self._count

    def note(self, storage: Key, *, is_changing: bool) -> None:
        """Give a storage a slot while it changes, and free the slot afterwards."""
        (self._taken_by.add if is_changing else self._taken_by.discard)(storage)
