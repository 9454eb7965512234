"""Handles reviews of consumers: asks the API server for what the decision needs and the caches lack, then decides."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from shared import errors
from shared.objects.resources import SESSION_STORAGES
from webhook.access_reviews import Access, has_access
from webhook.admission import consumers
from webhook.admission.consumers import ConsumerWrite

if TYPE_CHECKING:
    from shared.consumers.targets import Target
    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Key
    from webhook.admission.review import AdmissionRequest, Decision

READ_SECONDS: Final = 1.0
"""With `access_reviews.ACCESS_SECONDS` well within the 5 s after which the API server stops waiting for the webhook."""

_log = logging.getLogger(__name__)


class ConsumerHandler:
    """Decides how a consumer must change, or refuses it."""

    def __init__(self, cluster: Cluster, storages: Informer, default_target: Target) -> None:
        """Take what a decision needs.

        Args:
            cluster: Answers what the caches cannot.
            storages: The cached SessionStorages.
            default_target: Which parts of a consumer are connected, if the consumer does not say.
        """
        self._cluster = cluster
        self._storages = storages
        self._default_target = default_target

    async def decide(self, request: AdmissionRequest) -> Decision:
        """Decide; the caches nearly always have everything, so that this awaits nothing."""
        write, storages = ConsumerWrite.of(request), self._storages.objects
        if write.reference is not None and write.reference.key not in storages:
            await self._read_into_cache(write.reference.key)
        storage = consumers.required_access(write, storages)
        access = Access("use", SESSION_STORAGES, *storage) if storage else None
        may_use = await has_access(self._cluster, request.user, access) if access else False
        return consumers.decide(write, storages, self._default_target, may_use=may_use)

    async def _read_into_cache(self, key: Key) -> None:
        """Read a storage if it exists; one that cannot be read in time counts as not there yet.

        A user who applies a storage and its consumer in one go is faster than any watch. Without the storage, that
        consumer would get wrong warnings, and not what the storage's spec asks for.
        """
        try:
            async with asyncio.timeout(READ_SECONDS):
                self._storages.remember(await self._cluster.get(SESSION_STORAGES, *key))
        except errors.NotFound:
            return
        except (errors.ClusterError, TimeoutError) as error:
            _log.warning(
                "could not read the storage: going on as if it did not exist",
                extra={"storage": "/".join(key), "error": repr(error)},
            )
