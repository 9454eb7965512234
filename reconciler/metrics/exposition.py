"""Keeps the lines of all storages, and joins them family by family when Prometheus asks. Pure.

Lines are written when a storage is looked at, some 0.1 ms for an instance, so that a scrape only joins them. To write
them all at the scrape would take seconds for some thousand instances, and no failover could begin meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.metrics.families import IS_LEADER, STORAGE_FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.metrics.lines import FamilyLines
    from shared.objects.resources import Key


PARTS_AT_ONCE: Final = 256
"""How many storages' lines of one family are joined at once: up to a megabyte."""


class Exposition:
    """The lines of all storages.

    Attributes:
        is_leader: Whether this replica leads; one that does not has no lines of storages.
    """

    def __init__(self) -> None:
        self.is_leader = False
        self._lines: dict[Key, dict[str, FamilyLines]] = {}

    def publish(self, storage: Key, part: str, lines: FamilyLines) -> None:
        """Replace the lines of one part of a storage; each family belongs to one part alone."""
        # A new mapping: a scrape that goes on meanwhile keeps the one that it began with.
        self._lines[storage] = {**self._lines.get(storage, {}), part: lines}

    def withdraw(self, storage: Key) -> None:
        """Drop all lines of a storage."""
        self._lines.pop(storage, None)

    def has(self, storage: Key) -> bool:
        """Tell whether there are lines of a storage."""
        return storage in self._lines

    def pieces(self) -> Iterator[bytes]:
        """Join the lines as they are now, family by family, in pieces that each take a millisecond at most.

        The caller lets others run between two of them.
        """
        yield f"{IS_LEADER.header}{IS_LEADER.name} {int(self.is_leader)}\n".encode()
        parts = [lines for storage in self._lines.values() for lines in storage.values()] if self.is_leader else []
        for family in STORAGE_FAMILIES:
            found = [lines[family.name] for lines in parts if family.name in lines]
            if found:
                found[0] = family.header.encode() + found[0]
            for first in range(0, len(found), PARTS_AT_ONCE):
                yield b"".join(found[first : first + PARTS_AT_ONCE])
