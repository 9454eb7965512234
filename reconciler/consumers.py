"""Who uses which storage, from the cache of consumers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import errors
from shared.resources import Key, Object, key_of
from shared.wiring import reference_of

if TYPE_CHECKING:
    from collections.abc import Callable


class ConsumerIndex:
    """Storages and their consumers, kept up from watch events."""

    def __init__(self, enqueue: Callable[[Key], None]) -> None:
        self._enqueue = enqueue
        self._storage_of: dict[Key, Key] = {}

    def on_change(self, old: Object | None, new: Object | None) -> None:
        """Take in a change of one consumer, and look again at the storages that it is about."""
        consumer = key_of(new or old or {})
        before = self._storage_of.pop(consumer, None)
        after = _storage_of(new) if new is not None else None
        if after is not None:
            self._storage_of[consumer] = after
        if before != after:
            for storage in {before, after} - {None}:
                if storage is not None:
                    self._enqueue(storage)

    def outside(self, storage: Key) -> tuple[str, ...]:
        """Consumers of a storage in other namespaces, as `namespace/name`."""
        found = (key for key, used in self._storage_of.items() if used == storage and key[0] != storage[0])
        return tuple(sorted("/".join(key) for key in found))


def _storage_of(consumer: Object) -> Key | None:
    try:
        # Between an upgrade of ToolHive's CRD and our repair of it, consumers read as if they had no reference.
        reference = reference_of(consumer, remembered=consumer)
    except errors.InvalidSpec:
        return None
    return reference.key if reference else None
