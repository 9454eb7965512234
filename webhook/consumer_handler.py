"""Handles reviews of consumers: asks the API server for what the decision needs and the caches lack, then decides."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from shared import errors
from shared.objects.resources import SESSION_STORAGES, SUBJECT_ACCESS_REVIEWS
from webhook.admission import consumers
from webhook.admission.consumers import ConsumerWrite
from webhook.storage_lookup import StorageLookup

if TYPE_CHECKING:
    from shared.consumers.access import TrustedAccounts
    from shared.consumers.targets import Target
    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Key, Object
    from webhook.admission.review import AdmissionRequest, Decision

ACCESS_SECONDS: Final = 3.0
"""With a read of the storage before it, this is well within the 5 s after which the API server stops waiting."""

_log = logging.getLogger(__name__)


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
        may_use = await self._may_use(request.user, storage) if storage and is_judged else False
        return consumers.decide(write, storages, self._default_target, may_use=may_use)

    async def _may_use(self, user: Object, storage: Key) -> bool | None:
        """Tell whether the user has the right; None if the API server does not say in time."""
        try:
            async with asyncio.timeout(ACCESS_SECONDS):
                answer = await self._cluster.create(SUBJECT_ACCESS_REVIEWS, _access_review(user, storage))
        except (errors.ClusterError, TimeoutError) as error:
            _log.warning(
                "could not review access: refusing the reference",
                extra={"storage": "/".join(storage), "error": repr(error)},
            )
            return None
        return answer.get("status", {}).get("allowed") is True


def _access_review(user: Object, storage: Key) -> Object:
    """Write a SubjectAccessReview (authorization.k8s.io/v1)."""
    namespace, name = storage
    subject = {"user": user.get("username"), "groups": user.get("groups"), "uid": user.get("uid")}
    attributes = {
        "verb": "use",
        "group": SESSION_STORAGES.group,
        "version": SESSION_STORAGES.version,
        "resource": SESSION_STORAGES.plural,
        "namespace": namespace,
        "name": name,
    }
    spec = {key: value for key, value in subject.items() if value}
    return {"metadata": {}, "spec": {**spec, "extra": user.get("extra") or {}, "resourceAttributes": attributes}}
