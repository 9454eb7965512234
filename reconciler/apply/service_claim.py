"""Claims a change of a storage's primary, and points its Service at another one. Of two processes, one loses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from reconciler.state.primary_service import PrimaryService
from reconciler.valkey.replication import replication_session
from shared import errors, names
from shared.objects.resources import ENDPOINT_SLICES, SERVICES, Key, Object, Resource, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from reconciler.actions.valkey import SwitchOver
    from reconciler.state.instance import Instance
    from reconciler.state.primary_record import PrimaryRecord
    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer

REACH_DIAL_SECONDS: Final = 0.1
"""kube-proxy may drop what is sent to a Service in the instant at which it changes it, and TCP repeats that only after
a second. A connection in the same cluster takes a millisecond."""


class PrimaryServices:
    """Writes Services of primaries and their EndpointSlices; lets the caches know what the API server answered."""

    def __init__(self, cluster: Cluster, caches: Mapping[str, Informer], clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._caches = caches
        self._clock = clock
        self._claimed: dict[Key, int] = {}

    async def claim(self, service: PrimaryService, record: PrimaryRecord) -> PrimaryService:
        """Write down a change to come; of two processes that do, one raises Conflict.

        If another process has a claim, this one takes it away first, so that the other one moves clients no more.
        """
        if service.record.is_under_way and service.record.epoch != self._claimed.get(service.key):
            service = await self.withdraw(service)
        self._claimed[service.key] = record.epoch
        answer = await self._replace(SERVICES, service.claimed(record))
        return PrimaryService.of(answer, service.slices.values())

    def forget(self, storage: Key) -> None:
        """Drop what this process remembers of a storage that is gone."""
        namespace, name = storage
        self._claimed.pop((namespace, names.valkey(name)), None)

    async def release(self, service: PrimaryService, epoch: int) -> None:
        """Give up this process's own claim, or raise Conflict if it is there no longer."""
        await self._replace(SERVICES, service.claimed(service.last_change.at(epoch)))

    async def withdraw(self, service: PrimaryService) -> PrimaryService:
        """Take a claim away from the process that has it, or raise Conflict if clients have moved meanwhile."""
        main = await self._replace(ENDPOINT_SLICES, service.withdrawn())
        return PrimaryService.of(service.manifest, {**service.slices, main["addressType"]: main}.values())

    async def point(self, service: PrimaryService, primary: Instance, record: PrimaryRecord, took: float) -> None:
        """Send clients to an instance, if the EndpointSlices still are what they were at the claim."""
        for endpoint_slice in service.pointing_at(primary, record.end(self._clock(), took)):
            await self._replace(ENDPOINT_SLICES, endpoint_slice)

    async def find(self, service: PrimaryService) -> PrimaryService:
        """Read the Service and its EndpointSlices past the caches."""
        slices = [await self._cluster.get(ENDPOINT_SLICES, *key_of(each)) for each in service.slices.values()]
        return PrimaryService.of(await self._cluster.get(SERVICES, *service.key), slices)

    async def _replace(self, resource: Resource, obj: Object) -> Object:
        answer = await self._cluster.replace(resource, obj)
        self._caches[resource.plural].remember(answer)
        return answer


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
        await self._services.point(self._service, self._action.new, self._action.record, took)

    async def release(self) -> None:
        """Restore the record of the last change, at an epoch of its own."""
        await self._services.release(self._service, self._action.record.epoch)

    async def reaches(self, run_id: str) -> bool:
        """Ask by the Service's address which server answers there: its name could give a former address."""
        _, port, operator = self._action.new.endpoint
        address = self._action.service.cluster_ip
        try:
            async with replication_session(address, port, operator, REACH_DIAL_SECONDS) as session:
                return await session.run_id() == run_id
        except errors.SessionStoreError:
            return False
