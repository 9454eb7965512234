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
PATIENCE_SECONDS: Final = 0.1
"""How long a pass waits for the answer, which the next pass finds otherwise: a failover must not wait for it."""


class KubernetesWarnings:
    """Asks the API server for the Events about single objects. It watches none: a cluster has thousands of them."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float]) -> None:
        """Take a monotonic clock, in seconds."""
        self._cluster = cluster
        self._clock = clock
        self._asked: dict[str, tuple[float, asyncio.Task[Obstacle | None]]] = {}

    async def about(self, obj: Object) -> Obstacle | None:
        """Tell what keeps a pod from existing or starting.

        Args:
            obj: The pod, its claim, or the StatefulSet that should have made it.

        Returns:
            None if there is no warning, or the API server has not answered yet.
        """
        now, uid = self._clock(), str(obj["metadata"].get("uid", ""))
        self._asked = {
            key: (since, answer)
            for key, (since, answer) in self._asked.items()
            if now - since < AGAIN_SECONDS or not answer.done()
        }
        if uid not in self._asked:
            self._asked[uid] = now, asyncio.create_task(self._read(obj, uid))
        answer = self._asked[uid][1]
        await asyncio.wait({answer}, timeout=PATIENCE_SECONDS)
        return answer.result() if answer.done() else None

    async def _read(self, obj: Object, uid: str) -> Obstacle | None:
        selector = Selector(obj["metadata"]["namespace"], fields=f"involvedObject.uid={uid},type=Warning")
        try:
            events, _ = await self._cluster.list_all(CORE_EVENTS, selector)
        except errors.ClusterError as error:
            extra = {"object": obj["metadata"]["name"], "error": str(error)}
            _log.warning("the API server does not show the Events about an object", extra=extra)
            return None
        return Obstacle.told_by(obj, events)
