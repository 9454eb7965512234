"""Whose turn it is to be brought up to date: a faulty image must not reach all storages at once. In memory; no I/O.

Nothing is lost with it when the leader changes: the next one finds out again which storages are being changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.objects.resources import Key


class Turns:
    """Storages that change now."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._changing: set[Key] = set()

    def may_begin(self, storage: Key) -> bool:
        """Tell whether a storage may change, or go on with it."""
        return storage in self._changing or len(self._changing) < self._at_once

    def note(self, storage: Key, *, is_changing: bool) -> None:
        """Take in whether a storage is being changed."""
        (self._changing.add if is_changing else self._changing.discard)(storage)
