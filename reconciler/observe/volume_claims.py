"""Finds the claims on the volumes of a storage's instances, also of those that are gone. It never writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.state.owned_objects import parent_of
from shared import names
from shared.kubernetes.index import Index
from shared.objects.resources import VOLUME_CLAIMS, Object, key_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Key


class VolumeClaims:
    """Finds claims in the cache, which holds those that carry our label."""

    def __init__(self, cache: Informer) -> None:
        """Take the cache of claims."""
        self._cache = cache
        self._labelled = Index(cache, parent_of)

    def of(
        self, storage: Key, instances: Sequence[int], overlooked: Mapping[tuple[str, str], Object]
    ) -> dict[int, Object]:
        """Find the claims of a storage, by the instance's number.

        Args:
            storage: Its namespace and name.
            instances: The numbers of the instances that it has.
            overlooked: What was found past the caches, by (plural, name); also what is no claim.
        """
        namespace, name = storage
        named = (self._cache.get((namespace, names.valkey_claim(name, index))) for index in instances)
        live = (obj for (plural, _), obj in overlooked.items() if plural == VOLUME_CLAIMS.plural)
        known = [claim for claim in (*self._labelled.get(storage), *named, *live) if claim is not None]
        found = ((names.claim_index(name, key_of(claim)[1]), claim) for claim in known)
        return {index: claim for index, claim in found if index is not None}
