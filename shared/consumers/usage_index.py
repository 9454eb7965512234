"""Who uses which storage, kept up from watch events. In memory; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from shared import errors, wiring

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.resources import Key, Object


class Consumer(NamedTuple):
    """A consumer's identity."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Usage:
    """One consumer of a storage.

    Attributes:
        consumer: Who.
        storage: Which.
        is_granted: Whether somebody with the right to use the storage made the reference.
        is_going: Whether the consumer is being deleted.
    """

    consumer: Consumer
    storage: Key
    is_granted: bool = False
    is_going: bool = False


def consumer_of(obj: Object) -> Consumer:
    """Tell the identity of an object of a consumer's kind."""
    metadata = obj["metadata"]
    return Consumer(obj["kind"], metadata.get("namespace", ""), metadata.get("name", ""))


def usage_of(obj: Object) -> Usage | None:
    """Tell which storage a consumer uses; None if it uses none or its reference is malformed."""
    try:
        # Between an upgrade of ToolHive's CRD and our repair of it, consumers read as if they had no reference.
        reference = wiring.reference_of(obj, remembered=obj)
    except errors.InvalidSpec:
        return None
    if reference is None:
        return None
    is_going = bool(obj["metadata"].get("deletionTimestamp"))
    return Usage(consumer_of(obj), reference.key, wiring.is_granted(obj, reference), is_going)


class ConsumerIndex:
    """Storages and their consumers of all kinds."""

    def __init__(self, on_storage: Callable[[Key], None] | None = None) -> None:
        """Start empty.

        Args:
            on_storage: Told of each storage whose consumers have changed.
        """
        self._on_storage = on_storage
        self._by_consumer: dict[Consumer, Usage] = {}
        self._by_storage: dict[Key, dict[Consumer, Usage]] = {}

    def on_change(self, old: Object | None, new: Object | None) -> None:
        """Take in a change of one consumer."""
        seen = new or old
        if seen is None:
            return
        before = self._by_consumer.pop(consumer_of(seen), None)
        after = usage_of(new) if new is not None else None
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
