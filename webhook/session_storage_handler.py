"""Handles reviews of SessionStorages: asks the API server for what the decision needs, then decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.objects.resources import SECRETS
from shared.session_storage.sizes import DEFAULT_SIZES
from webhook.access_reviews import Access
from webhook.admission import session_storages

if TYPE_CHECKING:
    from shared.session_storage.allowed_hosts import AllowedHosts
    from shared.session_storage.sizes import Sizes
    from webhook.access_reviews import AccessReviews
    from webhook.admission.review import AdmissionRequest, Decision


@dataclass(frozen=True, slots=True)
class SessionStorageHandler:
    """Decides whether a SessionStorage is valid, and whether its author may have it.

    Attributes:
        reviews: Answers what its author may do.
        allowed_hosts: Which hosts external storages may name.
        sizes: What the sizes stand for.
    """

    reviews: AccessReviews
    allowed_hosts: AllowedHosts
    sizes: Sizes = DEFAULT_SIZES

    async def decide(self, request: AdmissionRequest) -> Decision:
        """Decide; only a write that sends a Secret's password somewhere else awaits the API server."""
        secret = session_storages.secret_to_read(request)
        access = Access("get", SECRETS, request.namespace, secret) if secret else None
        may_read = await self.reviews.has_access(request.user, access) if access else True
        return session_storages.decide(request, self.allowed_hosts, self.sizes, may_read=may_read)
