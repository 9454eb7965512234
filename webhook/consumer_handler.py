"""Handles reviews of consumers: asks the API server for what the decision needs and the caches lack, then decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.objects.resources import SESSION_STORAGES
from webhook.access_reviews import Access, has_access
from webhook.admission import consumers
from webhook.admission.consumers import ConsumerWrite
from webhook.storage_lookup import StorageLookup

if TYPE_CHECKING:
    from shared.consumers.access import TrustedAccounts
    from shared.consumers.targets import Target
    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer
    from webhook.admission.review import AdmissionRequest, Decision


class ConsumerHandler:
    """Decides how a consumer must change, or refuses it."""

    def __init__(self, cluster: Cluster, storages: Informer, default_target: Target, trusted: TrustedAccounts) -> None:
        """Take what a decision needs.

        Args:
            cluster: Answers what the caches cannot.
            storages: The cached SessionStorages.
            default_target: Which parts of a consumer are connected, if the consumer does not say.
            trusted: Service accounts whose right to use a storage counts.
        """
        self._cluster = cluster
        self._storages = StorageLookup(cluster, storages)
        self._default_target = default_target
        self._trusted = trusted

    async def decide(self, request: AdmissionRequest) -> Decision:
        """Decide; the caches nearly always have everything, so that this awaits nothing."""
        write, storages = ConsumerWrite.of(request), self._storages.objects
        if write.reference is not None and write.reference.key not in storages:
            await self._storages.read(write.reference.key)
        storage = consumers.required_access(write, storages)
        is_judged = storage is not None and self._trusted.is_judged(request.user.get("username"))
        access = Access("use", SESSION_STORAGES, *storage) if storage and is_judged else None
        may_use = await has_access(self._cluster, request.user, access) if access else False
        return consumers.decide(write, storages, self._default_target, may_use=may_use)
