"""A cache of one resource that list and watch keep current (Kubernetes "efficient detection of changes").

The informer tells handlers *that* an object changed, with its old and new state; controllers decide from the whole
cache, so a missed or repeated call changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from prometheus_client import Counter

from shared import errors
from shared.counting import from_zero
from shared.kubernetes.client import EVERYTHING, Cluster, Selector
from shared.kubernetes.keeping import WHOLE, Keeping
from shared.objects.resources import Key, Object, Resource, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

OnChange: TypeAlias = "Callable[[Object | None, Object | None], None]"
"""Called with the old and the new state of one object; None stands for "does not exist"."""

FIRST_BACKOFF_SECONDS: Final = 0.2
MAX_BACKOFF_SECONDS: Final = 30.0

UNHANDLED: Final = Counter(
    "session_storage_unhandled_objects_total",
    "Changed objects that a part of the process could not handle.",
    ["resource"],
)
_log = logging.getLogger(__name__)
_random = random.SystemRandom()


class Informer:
    """Keeps the objects of one resource in memory.

    Attributes:
        resource: The resource to watch.
        synced: Set once the cache holds the first list.
    """

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        on_change: OnChange | None = None,
        *,
        selector: Selector = EVERYTHING,
        keep: Keeping = WHOLE,
    ) -> None:
        """Take what to watch.

        Args:
            cluster: The API server.
            resource: The resource to watch.
            on_change: Called for every change.
            selector: Which of its objects.
            keep: What to keep of them.
        """
        self.resource = resource
        self.synced = asyncio.Event()
        self._cluster = cluster
        self._selector = selector
        self._keep = keep
        self._handlers = [on_change] if on_change is not None else []
        self._objects = keep.cache()
        self._position = ""
        self._is_listed = False
        self._backoff = FIRST_BACKOFF_SECONDS
        from_zero(UNHANDLED, [resource.plural])

    @property
    def objects(self) -> Mapping[Key, Object]:
        """The cache, read-only; its objects must not be changed."""
        return MappingProxyType(self._objects)

    def get(self, key: Key) -> Object | None:
        """Return an object from the cache, if it is there."""
        return self._objects.get(key)

    def add_handler(self, on_change: OnChange) -> None:
        """Call one more handler for every change, and now for each object in the cache."""
        for key, obj in self.objects.items():
            with self._surviving(key):
                on_change(None, obj)
        self._handlers.append(on_change)

    def remember(self, obj: Object) -> None:
        """Put the API server's answer to a write into the cache, so that the next read does not return an older one."""
        if key_of(obj) not in self._objects and _is_at_most(_version(obj), self._position):
            return  # the watch was quicker than the answer: it has already reported that the object is deleted
        self._put(obj)

    def relist(self) -> None:
        """Begin the next attempt with a list: the API server may have read the cached objects by another schema."""
        self._is_listed = False

    async def run(self) -> None:
        """List and watch until cancelled, whatever the API server does meanwhile."""
        clock = asyncio.get_running_loop().time
        while True:
            started, retry_after = clock(), None
            try:
                if not self._is_listed:
                    await self._list()
                await self._watch()
            except errors.Expired:
                self._is_listed = False
            except errors.NotFound:
                self._clear()
            except errors.ClusterError as error:
                _log.warning("watch interrupted", extra={"resource": self.resource.plural, "error": str(error)})
                retry_after = self._retry_after(error)
            if clock() - started > MAX_BACKOFF_SECONDS:
                self._backoff = FIRST_BACKOFF_SECONDS
            # Even without an error: a watch that ends as soon as it begins must not become a busy loop.
            await asyncio.sleep((retry_after or self._backoff) * _random.uniform(0.8, 1.2))
            self._backoff = min(self._backoff * 2, MAX_BACKOFF_SECONDS)

    def _retry_after(self, error: errors.ClusterError) -> float | None:
        if isinstance(error, errors.Unavailable):
            return error.retry_after_seconds
        # The API server may have refused the position: a new list brings another one.
        self._is_listed = False
        return None

    def _clear(self) -> None:
        """Empty the cache, because the API server does not serve the kind, as before its CRD is installed."""
        for key in list(self._objects):
            self._drop(key)
        self._is_listed = False
        self.synced.set()

    async def _list(self) -> None:
        position, present = self._position, set[Key]()
        # Page by page, so that no more than one is ever in memory as the API server sent it.
        async for items, position in self._cluster.list_pages(self.resource, self._selector):
            is_rolled_back = position != self._position and _is_at_most(position, self._position)
            for item in _consumed(items):
                present.add(key_of(item))
                if is_rolled_back:
                    # A restored etcd counts on from its backup, so the cache holds states that etcd has lost.
                    self._drop(key_of(item))
                self._put(item)
        for key in [key for key in self._objects if key not in present]:
            self._drop(key)
        self._position, self._is_listed = position, True
        self.synced.set()

    async def _watch(self) -> None:
        async for event in self._cluster.watch(self.resource, self._selector, self._position):
            self._backoff = FIRST_BACKOFF_SECONDS
            obj: Object = event["object"]
            match event["type"]:
                case "ADDED" | "MODIFIED":
                    self._put(obj)
                case "DELETED":
                    self._drop_if_same(obj)
            self._position = obj["metadata"]["resourceVersion"]

    def _put(self, obj: Object) -> None:
        key = key_of(obj)
        old, kept = self._objects.get(key), None
        with self._surviving(key):
            kept = self._keep.trimmed(obj)
        if kept is None:
            self._drop(key)  # nobody can tell any more what it is
            return
        # A change of the schema changes how the API server reads an object, without a new version of it.
        is_reread = old is not None and _version(obj) == _version(old) and kept != old
        if old is not None and not is_reread and _is_at_most(_version(obj), _version(old)):
            return  # older than the cached state: `remember` was quicker than the watch
        self._objects[key] = kept
        self._notify(old, kept)

    def _drop_if_same(self, obj: Object) -> None:
        old = self._objects.get(key_of(obj))
        if old is not None and old["metadata"].get("uid") == obj["metadata"].get("uid"):
            self._drop(key_of(obj))

    def _drop(self, key: Key) -> None:
        old = self._objects.pop(key, None)
        if old is not None:
            self._notify(old, None)

    def _notify(self, old: Object | None, new: Object | None) -> None:
        for handler in self._handlers:
            with self._surviving(key_of(new or old or {})):
                handler(old, new)

    @contextlib.contextmanager
    def _surviving(self, key: Key) -> Iterator[None]:
        """Log an error that one object causes: it must stop neither the watch of all others, nor other handlers."""
        try:
            yield
        except Exception:  # noqa: BLE001 - users write objects of any shape
            UNHANDLED.labels(self.resource.plural).inc()
            _log.exception(
                "could not handle a changed object", extra={"resource": self.resource.plural, "object": "/".join(key)}
            )


def _consumed(items: list[Object]) -> Iterator[Object]:
    """Take objects out of a list one by one, so that each makes room for what is kept of the next."""
    items.reverse()
    while items:
        yield items.pop()


def _version(obj: Object) -> str:
    version: str = obj["metadata"].get("resourceVersion", "")
    return version


def _is_at_most(version: str, other: str) -> bool:
    """Tell whether one resource version is the other or comes before it.

    Versions of one resource compare as numbers (Kubernetes 1.35, KEP-5504); any other text only for equality.
    """
    if version.isdigit() and other.isdigit():
        return int(version) <= int(other)
    return version == other
