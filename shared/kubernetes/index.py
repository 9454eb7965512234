"""An index of a cache: finds its objects by another key than their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.objects.resources import Key, Object, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.kubernetes.informer import Informer


class Index:
    """Finds the objects of one cache by another key than their names, without searching all of them."""

    def __init__(self, cache: Informer, index_key: Callable[[Object], Key | None]) -> None:
        """Index a cache, and follow its changes.

        Args:
            cache: The cache to index.
            index_key: Derives the key of an object; None leaves the object out.
        """
        self._cache = cache
        self._index_key = index_key
        self._by_key: dict[Key, dict[Key, None]] = {}
        cache.add_handler(self._on_change)

    def get(self, key: Key) -> tuple[Object, ...]:
        """List the objects that have a key."""
        found = map(self._cache.get, self._by_key.get(key, ()))
        return tuple(obj for obj in found if obj is not None)

    def _on_change(self, old: Object | None, new: Object | None) -> None:
        if old is not None and (before := self._index_key(old)) is not None:
            known = self._by_key.get(before, {})
            known.pop(key_of(old), None)
            if not known:
                self._by_key.pop(before, None)
        if new is not None and (after := self._index_key(new)) is not None:
            self._by_key.setdefault(after, {})[key_of(new)] = None
