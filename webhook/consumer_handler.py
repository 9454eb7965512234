"""Handles reviews of consumers: asks the API server for what the decision needs and the caches lack, then decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.objects.resources import SESSION_STORAGES
from webhook.access_reviews import Access
from webhook.admission import consumers
from webhook.admission.consumers import ConsumerWrite

if TYPE_CHECKING:
    from shared.consumers.access import TrustedAccounts
    from shared.consumers.targets import Target
    from webhook.access_reviews import AccessReviews
    from webhook.admission.review import AdmissionRequest, Decision
    from webhook.storage_lookup import StorageLookup


class ConsumerHandler:
    """Decides how a consumer must change, or refuses it."""

    def __init__(
        self, reviews: AccessReviews, storages: StorageLookup, default_target: Target, trusted: TrustedAccounts
    ) -> None:
        """Take what a decision needs.

        Args:
            reviews: Answers what the author of a consumer may do.
            storages: The cached SessionStorages, and those that the cache lacks.
            default_target: Which parts of a consumer are connected, if the consumer does not say.
            trusted: Service accounts whose right to use a storage counts.
        """
        self._reviews = reviews
        self._storages = storages
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
        may_use = await self._reviews.has_access(request.user, access) if access else False
        return consumers.decide(write, storages, self._default_target, may_use=may_use)
