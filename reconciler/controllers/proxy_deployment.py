"""Reconciles the Deployments of proxies: readmits those that lack the connection Secret.

ToolHive's operator writes these Deployments, and the API server takes them even while the webhook is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.consumers.proxy_deployment import inject_secret, owner_of, proxy_secret_of
from shared.objects.resources import DEPLOYMENTS, is_terminating

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from reconciler.controllers.readmission import Readmissions
    from shared.consumers.identity import Consumer
    from shared.objects.resources import Key, Object


class ProxyDeploymentReconciler:
    """Reconciles Deployments, one at a time."""

    def __init__(
        self,
        readmissions: Readmissions,
        deployments: Mapping[Key, Object],
        find: Callable[[Consumer], Object | None],
        clock: Callable[[], datetime],
    ) -> None:
        """Take among others every proxy's Deployment, reduced by `source_fields_of`, and the API server's clock."""
        self._readmissions = readmissions
        self._clock = clock
        self._deployments = deployments
        self._find = find

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile one Deployment.

        Returns:
            Seconds after which to reconcile it again without an event; None if only an event is a reason to.

        Raises:
            ClusterError: A transient error; the caller tries again with a growing pause.
        """
        deployment = self._deployments.get(key)
        if deployment is not None and self._needs_readmission(deployment):
            return await self._readmissions.readmit(DEPLOYMENTS, deployment, self._clock())
        self._readmissions.forget(DEPLOYMENTS, key)
        return None

    def _needs_readmission(self, deployment: Object) -> bool:
        owner = owner_of(deployment)
        consumer = self._find(owner) if owner is not None else None
        if consumer is None or is_terminating(deployment) or is_terminating(consumer):
            return False
        return inject_secret(deployment, proxy_secret_of(consumer)) is not deployment
