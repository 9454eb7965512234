"""Handles reviews of consumers: fetches what the decision needs and the caches lack, then decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from webhook.admission import consumers
from webhook.admission.consumers import ConsumerWrite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.consumers.targets import Target
    from shared.objects.resources import Key, Object
    from webhook.admission.access_request import AccessRequest
    from webhook.admission.review import AdmissionRequest, Decision


class Storages(Protocol):
    """The webhook's cache of SessionStorages."""

    @property
    def objects(self) -> Mapping[Key, Object]:
        """Return all of them; the mapping shows later changes too."""


class StorageLookup(Protocol):
    """Reads storages that the cache does not have yet."""

    async def ensure_cached(self, key: Key) -> None:
        """Read a storage into the cache, if it exists and can be read in time."""


class Access(Protocol):
    """Asks the API server who may use which storage."""

    async def may_use(self, request: AccessRequest) -> bool | None:
        """Tell whether the user has the right; None if the API server does not say in time."""


class ConsumerHandler:
    """Decides how a consumer must change, or that it is refused."""

    def __init__(self, storages: Storages, lookup: StorageLookup, access: Access, default_target: Target) -> None:
        """Take what a decision needs.

        Args:
            storages: The cached SessionStorages.
            lookup: Reads a storage that is not cached.
            access: Tells whether an author may use the storage of another namespace.
            default_target: Of consumers that do not say which of their parts are connected.
        """
        self._storages = storages
        self._lookup = lookup
        self._access = access
        self._default_target = default_target

    async def decide(self, request: AdmissionRequest) -> Decision:
        """Decide; nearly always the caches have everything, and nothing is awaited."""
        write, storages = ConsumerWrite.of(request), self._storages.objects
        if write.reference is not None and write.reference.key not in storages:
            await self._lookup.ensure_cached(write.reference.key)
        access = consumers.required_access(write, storages)
        may_use = await self._access.may_use(access) if access else False
        return consumers.decide(write, storages, self._default_target, may_use=may_use)
