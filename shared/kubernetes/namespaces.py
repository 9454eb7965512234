"""Watches a resource in some namespaces as if they were the whole cluster.

Rights in a namespace allow no list of the whole cluster, so each namespace has a watch of its own. All of them fill
one cache: whoever reads it need not know which namespaces there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Final

from shared.kubernetes.client import EVERYTHING, Cluster, Selector
from shared.kubernetes.informer import Informer
from shared.kubernetes.keeping import WHOLE, Keeping
from shared.objects.resources import Key, Object, Resource, key_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.kubernetes.informer import OnChange


class JoinedInformer(Informer):
    """One cache that several watches of the same resource fill, each with the objects of its own selector."""

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        selectors: Mapping[str, Selector],
        on_change: OnChange | None = None,
        *,
        keep: Keeping = WHOLE,
    ) -> None:
        """Take a selector for each namespace, or for each name of an object that is in none."""
        super().__init__(cluster, resource, on_change)
        self._parts = {
            part: Informer(cluster, resource, self._notify, selector=selector, keep=keep)
            for part, selector in selectors.items()
        }
        self._joined = _Joined({part: informer.objects for part, informer in self._parts.items()})

    @property
    def objects(self) -> Mapping[Key, Object]:
        """The objects of all parts, read-only."""
        return self._joined

    def get(self, key: Key) -> Object | None:
        """Return an object, if one of the parts has it."""
        return self._joined.get(key)

    def remember(self, obj: Object) -> None:
        """Put the API server's answer to a write into the cache, unless no watch would report what becomes of it."""
        namespace, name = key_of(obj)
        if part := self._parts.get(namespace or name):
            part.remember(obj)

    def relist(self) -> None:
        """Begin the next attempt of every watch with a list."""
        for part in self._parts.values():
            part.relist()

    async def run(self) -> None:
        """List and watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for part in self._parts.values():
                group.create_task(part.run())
            for part in self._parts.values():
                await part.synced.wait()
            self.synced.set()


class _Joined(Mapping[Key, Object]):
    """The objects of several caches, none of which has another one's."""

    def __init__(self, parts: Mapping[str, Mapping[Key, Object]]) -> None:
        self._parts = parts

    def __getitem__(self, key: Key) -> Object:
        # A part is that of a namespace, or of one object by its name, which may be in a namespace as well.
        for part in key:
            if (obj := self._parts.get(part, {}).get(key)) is not None:
                return obj
        raise KeyError(key)

    def __iter__(self) -> Iterator[Key]:
        return chain.from_iterable(self._parts.values())

    def __len__(self) -> int:
        return sum(map(len, self._parts.values()))


@dataclass(frozen=True, slots=True)
class WatchedNamespaces:
    """The namespaces that a process watches.

    Attributes:
        names: Their names; none stands for the whole cluster.
    """

    names: tuple[str, ...] = ()

    def informer(
        self,
        cluster: Cluster,
        resource: Resource,
        on_change: OnChange | None = None,
        *,
        selector: Selector = EVERYTHING,
        keep: Keeping = WHOLE,
    ) -> Informer:
        """Make the cache of a resource: of its objects in these namespaces, or of the namespaces themselves."""
        if not self.names:
            return Informer(cluster, resource, on_change, selector=selector, keep=keep)
        selectors = {name: _within(name, resource, selector) for name in self.names}
        return JoinedInformer(cluster, resource, selectors, on_change, keep=keep)

    async def list_all(self, cluster: Cluster, resource: Resource, selector: Selector = EVERYTHING) -> list[Object]:
        """Read all objects in these namespaces that match, or raise ClusterError."""
        if not self.names:
            return (await cluster.list_all(resource, selector))[0]
        pages = [await cluster.list_all(resource, _within(name, resource, selector)) for name in self.names]
        return [item for items, _ in pages for item in items]


WHOLE_CLUSTER: Final = WatchedNamespaces()


def _within(name: str, resource: Resource, selector: Selector) -> Selector:
    """Narrow a selector to one namespace, or to one object that bears its name."""
    if resource.namespaced:
        return replace(selector, namespace=name)
    return replace(selector, fields=f"metadata.name={name}")
