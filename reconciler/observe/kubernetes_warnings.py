"""Reads in Kubernetes' Events why a pod does not exist or start, where no object says it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from reconciler.state.obstacle import Obstacle
from shared import errors
from shared.kubernetes.client import Selector
from shared.objects.resources import CORE_EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.kubernetes.client import Cluster
    from shared.objects.resources import Object

_log = logging.getLogger(__name__)
AGAIN_SECONDS: Final = 10.0
"""How long an answer counts: the same object is asked about at most that often, however many passes there are."""
PATIENCE_SECONDS: Final = 1.0
"""How long a pass waits for the answer: a failover must not wait for an explanation."""


class KubernetesWarnings:
    """Asks the API server for the Events about single objects. It watches none: a cluster has thousands of them."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float]) -> None:
        """Take a monotonic clock, in seconds."""
        self._cluster = cluster
        self._clock = clock
        self._known: dict[str, tuple[float, Obstacle | None]] = {}

    async def about(self, obj: Object) -> Obstacle | None:
        """Tell what keeps a pod from existing or starting.

        Args:
            obj: The pod, its claim, or the StatefulSet that should have made it.

        Returns:
            None if there is no warning, or the API server does not answer in time.
        """
        now, uid = self._clock(), str(obj["metadata"].get("uid", ""))
        self._known = {key: known for key, known in self._known.items() if now - known[0] < AGAIN_SECONDS}
        if uid not in self._known:
            self._known[uid] = now, await self._read(obj, uid)
        return self._known[uid][1]

    async def _read(self, obj: Object, uid: str) -> Obstacle | None:
        selector = Selector(obj["metadata"]["namespace"], fields=f"involvedObject.uid={uid},type=Warning")
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                events, _ = await self._cluster.list_all(CORE_EVENTS, selector)
        except (errors.ClusterError, TimeoutError) as error:
            extra = {"object": obj["metadata"]["name"], "error": str(error) or type(error).__name__}
            _log.warning("the API server does not show the Events about an object", extra=extra)
            return None
        return Obstacle.told_by(obj, events)
