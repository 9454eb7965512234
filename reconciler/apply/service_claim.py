"""Claims the Service that names a storage's primary, and points it at another one. Of two processes, one loses."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from reconciler.runtime import metrics
from reconciler.state.primary_record import PrimaryRecord, PrimaryService
from reconciler.valkey.replication import replication_session
from shared import errors
from shared.objects.resources import SERVICES, Object

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from reconciler.actions.valkey import SwitchOver
    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer

REACH_DIAL_SECONDS: Final = 0.1
"""kube-proxy may drop what is sent to a Service in the instant at which it changes it, and TCP repeats that only after
a second. A connection in the same cluster takes a millisecond."""


class PrimaryServices:
    """Writes the Services that name primaries, and lets the cache know at once what the API server answered."""

    def __init__(self, cluster: Cluster, cache: Informer, clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._cache = cache
        self._clock = clock

    async def claim(self, service: PrimaryService, record: PrimaryRecord) -> PrimaryService:
        """Write the record of a change to come into the Service; of two processes that do, one raises Conflict."""
        return await self._replace(service.with_record(record))

    async def point(self, service: PrimaryService, primary: int, record: PrimaryRecord, took: float) -> None:
        """Send clients to an instance, if the Service still is what it was at the claim."""
        await self._replace(service.pointing_at(primary, record.end(self._clock(), took)))
        metrics.PRIMARY_CHANGES.labels(record.reason).inc()

    async def _replace(self, service: Object) -> PrimaryService:
        answer = await self._cluster.replace(SERVICES, service)
        self._cache.remember(answer)
        return PrimaryService.of(answer)


class ServiceClaim(Protocol):
    """A storage's Service, as a switchover uses it."""

    async def claim(self) -> None:
        """Write down what is to happen, or raise Conflict."""

    async def release(self) -> None:
        """Write down that it does not happen, or raise Conflict if the claim is no longer there."""

    async def point(self) -> None:
        """Send new connections to the new primary, or raise Conflict if the claim is no longer there."""

    async def reaches(self, run_id: str) -> bool:
        """Tell whether a new connection by the Service's address gets to the server with this run ID."""


class SwitchoverClaim(ServiceClaim):
    """A storage's Service during one switchover."""

    def __init__(self, services: PrimaryServices, action: SwitchOver) -> None:
        self._services = services
        self._action = action
        self._started = time.monotonic()
        self._service = action.service

    async def claim(self) -> None:
        """Write down what is to happen, or raise Conflict."""
        self._service = await self._services.claim(self._action.service, self._action.record)

    async def point(self) -> None:
        """Send new connections to the new primary, or raise Conflict."""
        took = time.monotonic() - self._started
        await self._services.point(self._service, self._action.new.index, self._action.record, took)

    async def release(self) -> None:
        """Restore the record of the last change, at an epoch of its own."""
        previous = replace(self._action.service.record, epoch=self._action.record.epoch)
        self._service = await self._services.claim(self._service, previous)

    async def reaches(self, run_id: str) -> bool:
        """Ask by the Service's address which server answers there: its name could give a former address."""
        _, port, operator = self._action.new.endpoint
        address = self._action.service.cluster_ip
        try:
            async with replication_session(address, port, operator, REACH_DIAL_SECONDS) as session:
                return await session.run_id() == run_id
        except errors.SessionStoreError:
            return False
