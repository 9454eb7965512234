"""The queues of storages: managed ones in one, those of users' own stores in another.

A look at a user's own store may take seconds, and how many of them are slow is up to users. Managed storages, which may
need a failover, wait for none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconciler.runtime import workers
from reconciler.runtime.fair_workqueue import FairWorkQueue
from reconciler.runtime.workqueue import WorkQueue
from shared.objects.field_path import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.runtime.workers import Name, Reconcile
    from shared.objects.resources import Key, Object

DIALS_AT_ONCE: Final = 32
"""Each look has at most one connection at a time; with up to half a MiB for what comes by it, all take 16 MiB."""
DIALS_AT_ONCE_PER_NAMESPACE: Final = 8
"""So four namespaces full of stores that do not answer delay those of others by the 5 s of one look."""

SUBJECT: Final = "storage"
"""What the keys name."""


class StorageQueues:
    """Keys of storages, each in the queue of its sort.

    Attributes:
        managed: Storages that run Valkey, and those that are gone.
        external: Storages of users' own stores.
    """

    def __init__(self, find: Callable[[Key], Object | None]) -> None:
        """Take what finds a SessionStorage, or None if it is gone."""
        self._find = find
        self.managed = WorkQueue()
        self.external = FairWorkQueue(DIALS_AT_ONCE_PER_NAMESPACE)

    def __len__(self) -> int:
        return len(self.managed) + len(self.external)

    def add(self, key: Key) -> None:
        """Queue a key now."""
        self._queue_of(key).add(key)

    def hasten(self, key: Key) -> None:
        """Queue a key ahead of others, if it is that of a managed storage."""
        self._queue_of(key).hasten(key)

    async def run_managed(self, reconcile: Reconcile) -> None:
        """Process the keys of managed storages until cancelled."""
        await workers.run(self.managed, self._guarded(self.managed, reconcile), SUBJECT)

    async def run_external(self, reconcile: Reconcile) -> None:
        """Process the keys of external storages until cancelled."""
        await workers.run(self.external, self._guarded(self.external, reconcile), SUBJECT, DIALS_AT_ONCE)

    def _queue_of(self, key: Name) -> WorkQueue:
        namespace, name = key
        storage = self._find((namespace, name))
        is_external = storage is not None and read(storage, ("spec", "external")) is not None
        return self.external if is_external else self.managed

    def _guarded(self, queue: WorkQueue, reconcile: Reconcile) -> Reconcile:
        """Send a key on whose storage was deleted, and created anew as one of the other sort, since it was queued."""

        async def guarded(key: Name) -> float | None:
            if (right := self._queue_of(key)) is not queue:
                right.add(key)
                return None
            return await reconcile(key)

        return guarded
