"""Looks after the Deployments of proxies: has those looked at again that slipped by the webhook.

ToolHive's operator writes them and is never held up, so one that it made while the webhook was away lacks the
connection Secret.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.consumers import injection
from shared.consumers.proxy_deployment import owner_of, wire
from shared.objects.resources import DEPLOYMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.controllers.readmission import Questions
    from shared.consumers.identity import Consumer
    from shared.objects.resources import Key, Object


class ProxyCaretaker:
    """Makes passes over the Deployments of proxies."""

    def __init__(
        self, questions: Questions, deployments: Mapping[Key, Object], find: Callable[[Consumer], Object | None]
    ) -> None:
        """Take what a pass needs.

        Args:
            questions: Puts them.
            deployments: Every proxy's, as `shared.proxy_deployment.trimmed` leaves them.
            find: Looks a stored consumer up.
        """
        self._questions = questions
        self._deployments = deployments
        self._find = find

    async def look(self, key: Key) -> float | None:
        """Do one pass over a Deployment.

        Returns:
            Seconds after which to look again without an event, or None if nothing is to be seen by then.

        Raises:
            ClusterError: Something transient; to be tried again with a growing pause.
        """
        deployment = self._deployments.get(key)
        if deployment is not None and self._is_stale(deployment):
            return await self._questions.ask(DEPLOYMENTS, deployment, datetime.now(UTC))
        self._questions.settle(DEPLOYMENTS, key)
        return None

    def _is_stale(self, deployment: Object) -> bool:
        owner = owner_of(deployment)
        consumer = self._find(owner) if owner is not None else None
        if consumer is None or any("deletionTimestamp" in obj["metadata"] for obj in (deployment, consumer)):
            return False
        return wire(deployment, injection.proxy_secret_of(consumer)) is not deployment
