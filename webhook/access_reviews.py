"""Asks the API server what the author of a request may do."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import errors
from shared.objects.resources import SUBJECT_ACCESS_REVIEWS

if TYPE_CHECKING:
    from shared.kubernetes.client import Cluster
    from shared.objects.resources import Object, Resource

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """The right to do something with one object."""

    verb: str
    resource: Resource
    namespace: str
    name: str

    @property
    def attributes(self) -> Object:
        """The right as `resourceAttributes` of a SubjectAccessReview."""
        return {
            "verb": self.verb,
            "group": self.resource.group,
            "version": self.resource.version,
            "resource": self.resource.plural,
            "namespace": self.namespace,
            "name": self.name,
        }


@dataclass(frozen=True, slots=True)
class AccessReviews:
    """Asks an API server what users may do.

    Attributes:
        cluster: The API server.
        seconds: How long to wait for each answer.
    """

    cluster: Cluster
    seconds: float

    async def has_access(self, user: Object, access: Access) -> bool | None:
        """Tell whether a user has a right; None if the API server does not say in time.

        Args:
            user: `userInfo` of the request.
            access: The right.
        """
        try:
            async with asyncio.timeout(self.seconds):
                answer = await self.cluster.create(SUBJECT_ACCESS_REVIEWS, _access_review(user, access))
        except (errors.ClusterError, TimeoutError) as error:
            _log.warning(
                "could not review access: refusing the request",
                extra={"object": f"{access.resource.kind} {access.namespace}/{access.name}", "error": repr(error)},
            )
            return None
        return answer.get("status", {}).get("allowed") is True


def _access_review(user: Object, access: Access) -> Object:
    """Write a SubjectAccessReview (authorization.k8s.io/v1)."""
    subject = {"user": user.get("username"), "groups": user.get("groups"), "uid": user.get("uid")}
    spec = {key: value for key, value in subject.items() if value}
    return {"metadata": {}, "spec": {**spec, "extra": user.get("extra") or {}, "resourceAttributes": access.attributes}}
