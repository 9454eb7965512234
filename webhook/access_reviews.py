"""Asks the API server whether a user may use a storage, by SubjectAccessReview."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from shared import errors
from shared.objects.resources import SESSION_STORAGES, SUBJECT_ACCESS_REVIEWS

if TYPE_CHECKING:
    from typing import Any

    from shared.kubernetes.verbs import Creator
    from webhook.admission.access_request import AccessRequest

ANSWER_SECONDS: Final = 3.0
"""Well within the 5 s after which the API server stops waiting for the webhook."""
VERB: Final = "use"

_log = logging.getLogger(__name__)


class AccessReviews:
    """Sends SubjectAccessReviews."""

    def __init__(self, cluster: Creator) -> None:
        self._cluster = cluster

    async def may_use(self, request: AccessRequest) -> bool | None:
        """Tell whether the user has the right; None if the API server does not say in time."""
        review = {"metadata": {}, "spec": _spec(request)}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._cluster.create(SUBJECT_ACCESS_REVIEWS, review)
        except (errors.ClusterError, TimeoutError) as error:
            _log.warning(
                "could not review access: refusing the reference",
                extra={"storage": "/".join(request.storage), "error": repr(error)},
            )
            return None
        return answer.get("status", {}).get("allowed") is True


def _spec(request: AccessRequest) -> dict[str, Any]:
    """Write the spec of a SubjectAccessReview (authorization.k8s.io/v1)."""
    namespace, name = request.storage
    user = request.user
    subject = {"user": user.get("username"), "groups": user.get("groups"), "uid": user.get("uid")}
    return {
        **{key: value for key, value in subject.items() if value},
        "extra": user.get("extra") or {},
        "resourceAttributes": {
            "verb": VERB,
            "group": SESSION_STORAGES.group,
            "version": SESSION_STORAGES.version,
            "resource": SESSION_STORAGES.plural,
            "namespace": namespace,
            "name": name,
        },
    }
