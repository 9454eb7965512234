"""Handles reviews of deletions: reads the storage if the cache does not know it as the request does, then decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.admission import deletions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.consumers.identity import Usage
    from shared.objects.resources import Key, Object
    from webhook.admission.review import AdmissionRequest, Decision
    from webhook.storage_lookup import StorageLookup


class DeletionHandler:
    """Decides whether a storage may be deleted."""

    def __init__(
        self, storages: StorageLookup, usages: Callable[[Key], tuple[Usage, ...]], namespaces: Mapping[Key, Object]
    ) -> None:
        self._storages = storages
        self._usages = usages
        self._namespaces = namespaces

    async def decide(self, request: AdmissionRequest) -> Decision:
        """Decide; this awaits something only if the storage is newer than the cache."""
        storage = deletions.storage_of(request)
        if storage is not None and not storage.is_known(self._storages.objects):
            await self._storages.read(storage.key)
        return deletions.decide(request, self._storages.objects, self._usages, self._namespaces)
