"""A cache of one resource, kept current by list and watch (Kubernetes "efficient detection of changes").

Handlers are told *that* an object changed, with its old and new state; what to do about it is decided from the
cache as a whole, so a missed or repeated call changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from shared import errors
from shared.cluster import EVERYTHING, Cluster, Selector
from shared.resources import Key, Object, Resource, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OnChange: TypeAlias = "Callable[[Object | None, Object | None], None]"
"""Called with the old and the new state of one object; None stands for "does not exist"."""

FIRST_BACKOFF_SECONDS: Final = 0.2
MAX_BACKOFF_SECONDS: Final = 30.0

_log = logging.getLogger(__name__)
_random = random.SystemRandom()


class Informer:
    """Keeps the objects of one resource in memory.

    Attributes:
        resource: What is watched.
        synced: Set once the first list is in.
    """

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        on_change: OnChange | None = None,
        *,
        selector: Selector = EVERYTHING,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        self._cluster = cluster
        self._selector = selector
        self._on_change = on_change
        self._objects: dict[Key, Object] = {}
        self._resource_version = ""

    @property
    def objects(self) -> Mapping[Key, Object]:
        """The cache, read-only; its objects must not be changed."""
        return MappingProxyType(self._objects)

    def get(self, key: Key) -> Object | None:
        """Look an object up."""
        return self._objects.get(key)

    def remember(self, obj: Object) -> None:
        """Take in what the API server answered to a write of ours, so that the next look does not see the past."""
        self._put(obj)

    def forget(self, key: Key) -> None:
        """Drop an object whose deletion the API server has confirmed."""
        self._drop(key)

    async def run(self) -> None:
        """List and watch until cancelled, whatever the API server does meanwhile."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            try:
                if not self._resource_version:
                    await self._list()
                await self._watch()
                backoff = FIRST_BACKOFF_SECONDS
            except errors.Expired:
                self._resource_version = ""
            except errors.ClusterError as error:
                seconds = self._pause(error, backoff)
                _log.warning("watch interrupted", extra={"resource": self.resource.plural, "error": str(error)})
                await asyncio.sleep(seconds)
                backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)

    def _pause(self, error: errors.ClusterError, backoff: float) -> float:
        if not isinstance(error, errors.Unavailable):
            # The kind may be gone for now (404) or the position refused: a new list finds out.
            self._resource_version = ""
        asked = error.retry_after_seconds if isinstance(error, errors.Unavailable) else None
        return (asked or backoff) * _random.uniform(0.8, 1.2)

    async def _list(self) -> None:
        items, resource_version = await self._cluster.list_all(self.resource, self._selector)
        present = {key_of(item) for item in items}
        for key in [key for key in self._objects if key not in present]:
            self._drop(key)
        for item in items:
            self._put(item)
        self._resource_version = resource_version
        self.synced.set()

    async def _watch(self) -> None:
        async for event in self._cluster.watch(self.resource, self._selector, self._resource_version):
            obj: Object = event["object"]
            match event["type"]:
                case "ADDED" | "MODIFIED":
                    self._put(obj)
                case "DELETED":
                    self._drop_if_same(obj)
            self._resource_version = obj["metadata"]["resourceVersion"]

    def _put(self, obj: Object) -> None:
        key = key_of(obj)
        old = self._objects.get(key)
        if old is not None and _is_older(obj, old):
            return
        if old is not None and _version(obj) == _version(old):
            return
        self._objects[key] = obj
        self._notify(old, obj)

    def _drop_if_same(self, obj: Object) -> None:
        old = self._objects.get(key_of(obj))
        if old is not None and old["metadata"].get("uid") == obj["metadata"].get("uid"):
            self._drop(key_of(obj))

    def _drop(self, key: Key) -> None:
        old = self._objects.pop(key, None)
        if old is not None:
            self._notify(old, None)

    def _notify(self, old: Object | None, new: Object | None) -> None:
        if self._on_change is not None:
            self._on_change(old, new)


def _version(obj: Object) -> str:
    version: str = obj["metadata"].get("resourceVersion", "")
    return version


def _is_older(obj: Object, than: Object) -> bool:
    """Tell whether an event is from before what is known already, as after a write of ours.

    Resource versions of one kind may be compared as numbers (Kubernetes 1.35, KEP-5504); anything else counts as new.
    """
    new, old = _version(obj), _version(than)
    return new.isdigit() and old.isdigit() and int(new) < int(old)
