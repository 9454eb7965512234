"""Which consumers use which storage, kept current by watch events. In memory; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.consumers.identity import Consumer, Usage, consumer_of
from shared.consumers.stored_consumer import StoredConsumer
from shared.errors import InvalidSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.objects.resources import Key, Object


def _usage_of(obj: Object) -> Usage | None:
    """Tell which storage a consumer uses; None if it uses none or its reference is malformed."""
    try:
        return StoredConsumer.of(obj).usage
    except InvalidSpec:
        return None


class ConsumerIndex:
    """All storages that have consumers, and these consumers."""

    def __init__(self, on_storage: Callable[[Key], None] | None = None) -> None:
        """Start empty.

        Args:
            on_storage: Called with each storage whose consumers have changed.
        """
        self._on_storage = on_storage
        self._by_consumer: dict[Consumer, Usage] = {}
        self._by_storage: dict[Key, dict[Consumer, Usage]] = {}

    def on_change(self, old: Object | None, new: Object | None) -> None:
        """Update the index after a change of one consumer."""
        seen = new or old
        if seen is None:
            return
        before = self._by_consumer.pop(consumer_of(seen), None)
        after = _usage_of(new) if new is not None else None
        if before is not None:
            self._by_storage[before.storage].pop(before.consumer)
            if not self._by_storage[before.storage]:
                del self._by_storage[before.storage]
        if after is not None:
            self._by_consumer[after.consumer] = after
            self._by_storage.setdefault(after.storage, {})[after.consumer] = after
        if before != after and self._on_storage is not None:
            for storage in {usage.storage for usage in (before, after) if usage is not None}:
                self._on_storage(storage)

    def usages(self, storage: Key) -> tuple[Usage, ...]:
        """List the consumers of a storage, sorted."""
        return tuple(sorted(self._by_storage.get(storage, {}).values()))
