"""Finds the objects that exist under the names of a storage's children: in caches, and past them where that matters."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

from reconciler.state.owned_objects import CHILD_RESOURCES, child_names, initial_workloads, parent_of
from shared import errors, names
from shared.kubernetes.index import Index
from shared.objects.resources import ENDPOINT_SLICES, SECRETS, SERVICES, STATEFUL_SETS, Object, Resource
from shared.session_storage.sizes import DEFAULT_SIZES, Sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.state.session_storage import DeclaredStorage
    from reconciler.state.storage_state import StorageState
    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer

_WAY: Final = (SERVICES, ENDPOINT_SLICES)
"""What leads clients to the primary, and so names it."""

Found: TypeAlias = dict[tuple[str, str], Object]
"""Objects by (plural, name)."""


class Children:
    """Reads the children of storages.

    Caches hold only what carries our label. What they miss may still exist: under another owner, or so new that the
    watch has not reported it yet. A look at every storage would cost the API server hundreds of reads a second, so only
    two cases are worth one: a decision rests on the object, or the reconciler is about to create one.
    """

    def __init__(
        self,
        cluster: Cluster,
        caches: Mapping[str, Informer],
        sizes: Sizes = DEFAULT_SIZES,
        pull_sources: Sequence[str] = (),
    ) -> None:
        """Take among others the names of the Secrets with registry credentials that storages have copies of."""
        self._cluster = cluster
        self._caches = caches
        self._sizes = sizes
        self._pull_sources = pull_sources
        self._secrets = Index(caches[SECRETS.plural], parent_of)
        self._workloads = Index(caches[STATEFUL_SETS.plural], parent_of)

    async def read(self, storage: DeclaredStorage) -> Found:
        """Read the children of a storage.

        Raises:
            ClusterError: The API server did not tell whether an object exists on which decisions rest.
        """
        wanted = self._names(storage)
        cached = ((each, self._caches[each[0].plural].get((storage.namespace, each[1]))) for each in wanted)
        found = {(resource.plural, name): obj for (resource, name), obj in cached if obj is not None}
        missing = [each for each in wanted if _is_vital(storage, *each) and (each[0].plural, each[1]) not in found]
        return found | await self._read_live(storage.namespace, missing)

    async def overlooked(self, state: StorageState, created: Iterable[tuple[Resource, str]]) -> Found:
        """Find what was not seen, and has the name of a child or of what is about to be created.

        Raises:
            ClusterError: The API server did not tell.
        """
        wanted = dict.fromkeys((*self._names(state.storage), *created))
        unseen = [(resource, name) for resource, name in wanted if state.child(resource, name) is None]
        return await self._read_live(state.storage.namespace, unseen)

    async def live(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Read one object past the caches; None if it does not exist."""
        try:
            return await self._cluster.get(resource, namespace, name)
        except errors.NotFound:
            return None

    async def _read_live(self, namespace: str, wanted: list[tuple[Resource, str]]) -> Found:
        answers = await asyncio.gather(*(self.live(resource, namespace, name) for resource, name in wanted))
        pairs = zip(wanted, answers, strict=True)
        return {(resource.plural, name): obj for (resource, name), obj in pairs if obj is not None}

    def _names(self, storage: DeclaredStorage) -> list[tuple[Resource, str]]:
        if storage.spec is not None and storage.spec.external is not None:
            return [(SECRETS, names.connection_secret(storage.name))]
        known = self._workloads.get(storage.key)
        called = {each["metadata"]["name"] for each in known}
        # Anybody can write our labels, but no instance is called otherwise.
        workloads = sorted(each for each in called if names.instance_of(storage.name, each) is not None)
        workloads = workloads or initial_workloads(storage, self._sizes)
        others = [(resource, name) for resource in CHILD_RESOURCES for name in child_names(resource, storage.name)]
        copies = [(SECRETS, each) for each in self._pull_secrets(storage)]
        return [*others, *copies, *((STATEFUL_SETS, workload) for workload in workloads)]

    def _pull_secrets(self, storage: DeclaredStorage) -> list[str]:
        """Name the copies of registry credentials: those that are to be, and those that are there."""
        known = (each["metadata"]["name"] for each in self._secrets.get(storage.key))
        there = [name for name in known if names.is_pull_secret(storage.name, name)]
        return sorted({*(names.pull_secret(storage.name, source) for source in self._pull_sources), *there})


def _is_vital(storage: DeclaredStorage, resource: Resource, name: str) -> bool:
    """Tell whether decisions rest on an object: who is primary, which instances there are, which passwords.

    Nothing is decided about a storage whose spec is invalid or that is being deleted. Of an external one, what
    consumers have counts while the user's own store is away; if a cache lacks it, somebody took its labels off.
    """
    if storage.spec is None or storage.is_terminating:
        return False
    if storage.spec.external is not None:
        return bool(storage.status.connection_secret)
    vital = (SECRETS, names.auth_secret(storage.name)), *((each, names.valkey(storage.name)) for each in _WAY)
    return resource == STATEFUL_SETS or (resource, name) in vital
