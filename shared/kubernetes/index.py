"""The objects of a cache by something else than their own names, so that nobody has to look through all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.objects.resources import Key, Object, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.kubernetes.informer import Informer


class Index:
    """Objects of one cache, by what a function tells of them."""

    def __init__(self, cache: Informer, sort: Callable[[Object], Key | None]) -> None:
        """Follow a cache.

        Args:
            cache: Whose objects.
            sort: Tells by which key an object is to be found; None if by none.
        """
        self._sort = sort
        self._found: dict[Key, dict[Key, Object]] = {}
        cache.follow(self._on_change)

    def get(self, key: Key) -> tuple[Object, ...]:
        """List the objects that are found by a key."""
        return tuple(self._found.get(key, {}).values())

    def _on_change(self, old: Object | None, new: Object | None) -> None:
        if old is not None and (before := self._sort(old)) is not None:
            self._found[before].pop(key_of(old))
            if not self._found[before]:
                del self._found[before]
        if new is not None and (after := self._sort(new)) is not None:
            self._found.setdefault(after, {})[key_of(new)] = new
