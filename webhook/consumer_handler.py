"""Handles reviews of consumers: asks the API server for what the decision needs and the caches lack, then decides."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from shared import errors
from shared.objects.resources import SESSION_STORAGES, SUBJECT_ACCESS_REVIEWS
from webhook.admission import consumers
from webhook.admission.consumers import ConsumerWrite

if TYPE_CHECKING:
    from shared.consumers.targets import Target
    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Key, Object
    from webhook.admission.review import AdmissionRequest, Decision

READ_SECONDS: Final = 1.0
ACCESS_SECONDS: Final = 3.0
"""Both together are well within the 5 s after which the API server stops waiting for the webhook."""

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
        may_use = await self._may_use(request.user, storage) if storage else False
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
