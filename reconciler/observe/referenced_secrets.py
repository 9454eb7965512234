"""Reads the Secrets that external storages name, each again only when it has changed.

One watch, or one for each watched namespace, tells in which version every Secret is, and nothing of what is in it. The
content of a Secret that a storage names is read when that storage is looked at, and kept until the watch tells of
another version.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from reconciler.state.session_storage import DeclaredStorage
from shared import errors
from shared.kubernetes.client import Cluster, Selector
from shared.kubernetes.keeping import Keeping, PackedObjects
from shared.kubernetes.namespaces import WHOLE_CLUSTER, WatchedNamespaces
from shared.objects.resources import SECRETS, Key, Object, key_of

if TYPE_CHECKING:
    from collections.abc import Callable


class ReferencedSecrets:
    """Knows the Secrets that storages name, and asks for a look at a storage when its Secret changes."""

    def __init__(
        self, cluster: Cluster, enqueue: Callable[[Key], None], namespaces: WatchedNamespaces = WHOLE_CLUSTER
    ) -> None:
        self._cluster = cluster
        self._enqueue = enqueue
        versions = Selector(versions_only=True)
        self._versions = namespaces.informer(
            cluster, SECRETS, self._on_secret, selector=versions, keep=Keeping(cache=PackedObjects)
        )
        self._secret_of: dict[Key, Key] = {}
        self._storages_of: dict[Key, set[Key]] = {}
        self._contents: dict[Key, Object] = {}
        self._is_needed = asyncio.Event()

    def on_storage(self, old: Object | None, new: Object | None) -> None:
        """Take in a change of a storage."""
        storage = key_of(new or old or {})
        before, after = self._secret_of.pop(storage, None), _secret_of(new)
        if before is not None:
            self._storages_of[before].discard(storage)
            if not self._storages_of[before]:
                del self._storages_of[before]
                self._contents.pop(before, None)
        if after is not None:
            self._secret_of[storage] = after
            self._storages_of.setdefault(after, set()).add(storage)
            self._is_needed.set()

    async def run(self) -> None:
        """Watch the versions of Secrets until cancelled, from the first storage on that names one."""
        await self._is_needed.wait()
        await self._versions.run()

    async def read(self, secret: Key) -> Object | None:
        """Return a Secret that a storage names; None if it does not exist.

        Raises:
            ClusterError: The Secret has changed, or no version is known yet, and the API server did not return it.
        """
        is_known, seen = self._versions.synced.is_set(), self._versions.get(secret)
        if is_known and seen is None:
            return None
        content = self._contents.get(secret)
        if is_known and content is not None and _version(content) == _version(seen):
            return content
        try:
            content = await self._cluster.get(SECRETS, *secret)
        except errors.NotFound:
            return None
        if secret in self._storages_of:
            self._contents[secret] = content
        return content

    def _on_secret(self, old: Object | None, new: Object | None) -> None:
        secret = key_of(new or old or {})
        if new is None:
            self._contents.pop(secret, None)
        for storage in self._storages_of.get(secret, ()):
            self._enqueue(storage)


def _secret_of(storage: Object | None) -> Key | None:
    """Tell which Secret a storage names."""
    spec = DeclaredStorage.of(storage).spec if storage is not None else None
    if storage is None or spec is None or spec.external is None or spec.external.secret_ref is None:
        return None
    return storage["metadata"]["namespace"], spec.external.secret_ref.name


def _version(secret: Object | None) -> tuple[str, str]:
    """Tell a Secret's versions apart, also from those of a former one of its name."""
    metadata = (secret or {}).get("metadata", {})
    return metadata.get("uid", ""), metadata.get("resourceVersion", "")
