"""Finds the objects of a cache by another key than their names, without searching all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.objects.resources import Key, Object, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.kubernetes.informer import Informer


class Index:
    """The objects of one cache, by the key that a function derives from each."""

    def __init__(self, cache: Informer, index_key: Callable[[Object], Key | None]) -> None:
        """Index a cache, and follow its changes.

        Args:
            cache: The cache to index.
            index_key: Derives the key of an object; None leaves the object out.
        """
        self._index_key = index_key
        self._by_key: dict[Key, dict[Key, Object]] = {}
        cache.add_handler(self._on_change)

    def get(self, key: Key) -> tuple[Object, ...]:
        """List the objects that have a key."""
        return tuple(self._by_key.get(key, {}).values())

    def _on_change(self, old: Object | None, new: Object | None) -> None:
        if old is not None and (before := self._index_key(old)) is not None:
            self._by_key[before].pop(key_of(old))
            if not self._by_key[before]:
                del self._by_key[before]
        if new is not None and (after := self._index_key(new)) is not None:
            self._by_key.setdefault(after, {})[key_of(new)] = new
