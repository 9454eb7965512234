"""Watches the Secrets that external storages name, each by itself: the reconciler must not cache all Secrets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from reconciler.state.session_storage import DeclaredStorage
from shared.kubernetes.client import Cluster, Selector
from shared.kubernetes.informer import Informer
from shared.objects.resources import SECRETS, Key, Object, key_of

if TYPE_CHECKING:
    from collections.abc import Callable


class ReferencedSecrets:
    """Follows the Secrets that storages name, and asks for a look at a storage when its Secret changes."""

    def __init__(self, cluster: Cluster, enqueue: Callable[[Key], None]) -> None:
        self._cluster = cluster
        self._enqueue = enqueue
        self._secret_of: dict[Key, Key] = {}
        self._watches: dict[Key, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    def on_storage(self, old: Object | None, new: Object | None) -> None:
        """Take in a change of a storage."""
        storage = key_of(new or old or {})
        spec = DeclaredStorage.of(new).spec if new is not None else None
        if spec is not None and spec.external is not None and spec.external.secret_ref is not None:
            self._secret_of[storage] = storage[0], spec.external.secret_ref
        else:
            self._secret_of.pop(storage, None)
        self._changed.set()

    async def run(self) -> None:
        """Start and stop watches until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._changed.wait()
                self._changed.clear()
                wanted = set(self._secret_of.values())
                for secret in self._watches.keys() - wanted:
                    self._watches.pop(secret).cancel()
                for secret in wanted - self._watches.keys():
                    self._watches[secret] = group.create_task(self._watch(secret))

    async def _watch(self, secret: Key) -> None:
        namespace, name = secret
        only = Selector(namespace=namespace, fields=f"metadata.name={name}")
        await Informer(self._cluster, SECRETS, self._on_secret, selector=only, keep=_identity).run()

    def _on_secret(self, old: Object | None, new: Object | None) -> None:
        secret = key_of(new or old or {})
        for storage, named in self._secret_of.items():
            if named == secret:
                self._enqueue(storage)


def _identity(secret: Object) -> Object:
    """Keep only what changes with every write; the observer reads the content when it needs it."""
    metadata = secret["metadata"]
    return {"metadata": {field: metadata.get(field) for field in ("namespace", "name", "uid", "resourceVersion")}}
