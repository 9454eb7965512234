"""Limits how many storages are updated at once, so that a faulty image does not reach all of them. In memory; no I/O.

Nothing is lost when the leader changes: the next one finds out again which storages are being updated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.objects.resources import Key


class UpdateSlots:
    """The storages that are being updated."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken: set[Key] = set()

    def is_available(self, storage: Key) -> bool:
        """Tell whether a storage may begin its update, or go on with it."""
        return storage in self._taken or len(self._taken) < self._count

    def record(self, storage: Key, *, is_updating: bool) -> None:
        """Give a storage its slot while it is being updated, and free the slot afterwards."""
        (self._taken.add if is_updating else self._taken.discard)(storage)
