"""Finds the claims on the volumes of a storage's instances, also of those that are gone. It never writes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from reconciler.state.owned_objects import initial_workloads, parent_of
from shared import names
from shared.kubernetes.informer import Index
from shared.objects.resources import VOLUME_CLAIMS, Object, Resource, key_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from reconciler.state.session_storage import DeclaredStorage
    from shared.kubernetes.informer import Informer


class VolumeClaims:
    """Finds claims: in the cache, and past it where a claim could become the volume of a storage's first instance."""

    def __init__(self, cache: Informer, look: Callable[[Resource, str, str], Awaitable[Object | None]]) -> None:
        """Take the cache of claims that carry our label, and a function that reads an object live, by its name."""
        self._cache = cache
        self._labelled = Index(cache, parent_of)
        self._look = look

    async def of(self, storage: DeclaredStorage, instances: Sequence[int]) -> dict[int, Object]:
        """Find the claims of a storage that has these instances, by the instance's number.

        As long as it has none, this looks past the cache: a StatefulSet mounts any claim of the right name.

        Raises:
            ClusterError: A live read failed.
        """
        namespace, name = storage.key
        labelled = ((names.claim_index(name, key_of(each)[1]), each) for each in self._labelled.get(storage.key))
        found = {index: claim for index, claim in labelled if index is not None}
        named = ((index, self._cache.get((namespace, names.valkey_claim(name, index)))) for index in instances)
        found |= {index: claim for index, claim in named if claim is not None}
        is_persistent = storage.spec is not None and storage.spec.preset.is_persistent
        if instances or not is_persistent:
            return found
        first = [index for each in initial_workloads(storage) if (index := names.instance_index(each)) not in found]
        looks = (self._look(VOLUME_CLAIMS, namespace, names.valkey_claim(name, index)) for index in first)
        looked = zip(first, await asyncio.gather(*looks), strict=True)
        return found | {index: claim for index, claim in looked if claim is not None}
