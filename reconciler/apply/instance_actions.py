"""Carries out what was decided about Valkey instances: which is primary, follows, lets whom in, or goes."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final, Protocol

from reconciler.actions.valkey import (
    Admit,
    Fence,
    Follow,
    InstanceAction,
    LogInAnew,
    Promote,
    Remove,
    Resume,
    Retire,
    SwitchOver,
)
from reconciler.apply.switchover import switch_over, try_to_follow
from reconciler.runtime import metrics
from reconciler.state.primary_record import PrimaryRecord, PrimaryService
from reconciler.valkey import users
from reconciler.valkey.replication import replication_session
from shared import errors, names
from shared.objects.resources import SERVICES, STATEFUL_SETS, VOLUME_CLAIMS, Object, Resource, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.kubernetes.informer import Informer

REACH_DIAL_SECONDS: Final = 0.1
"""kube-proxy may drop what is sent to a Service in the instant at which it changes it, and TCP repeats that only after
a second. A connection in the same cluster takes a millisecond."""

_log = logging.getLogger(__name__)


class Cluster(Protocol):
    """The reads and writes that actions on instances need."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Read one object or raise NotFound."""

    async def replace(self, resource: Resource, obj: Object) -> Object:
        """Replace an object by resourceVersion, or raise Conflict."""

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete an object if it still has that uid."""


class InstanceActions:
    """Carries out one action at a time; each can be repeated, and of two that do the same at once, one loses."""

    def __init__(self, cluster: Cluster, caches: Mapping[str, Informer], clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._services = caches[SERVICES.plural]
        self._clock = clock

    async def carry_out(self, action: InstanceAction) -> None:
        """Carry out an action.

        Raises:
            ClusterError: A write failed; what came before it stands.
            SessionStoreError: An instance did not do what it was told.
        """
        match action:
            case Promote():
                await self._promote(action)
            case SwitchOver():
                await self._switch_over(action)
            case Resume():
                await self._resume(action)
            case Remove():
                await self._remove(action)
            case Follow() | LogInAnew() | Fence():
                await _configure(action)
            case Admit(instance, hashes):
                await users.admit(*instance.endpoint, hashes)
            case Retire():
                await _retire(action)

    async def _promote(self, action: Promote) -> None:
        started = time.monotonic()
        service = await self.claim(action.service, action.record)
        async with replication_session(*action.instance.endpoint) as session:
            await session.promote()
        for instance in action.followers:
            # It may have gone as well; clients must reach those that are left all the same.
            await try_to_follow(instance, action.instance, action.replication)
        await self.point(service, action.instance.index, action.record, time.monotonic() - started)

    async def _switch_over(self, action: SwitchOver) -> None:
        result = await switch_over(action, _ServiceClaim(self, action))
        if result.aborted:
            raise errors.StoreUnreachable(f"the operator did not move the primary: {result.aborted}")
        seconds = {name: round(value, 3) for name, value in asdict(result).items() if name != "aborted"}
        _log.info("moved the primary", extra={"storage": "/".join(action.service.key), **seconds})

    async def _resume(self, action: Resume) -> None:
        """Take writes again, but only once nobody can move clients away: who paused them may have been about to."""
        await self.claim(action.service, action.record)
        async with replication_session(*action.instance.endpoint) as session:
            await session.resume()

    async def claim(self, service: PrimaryService, record: PrimaryRecord) -> PrimaryService:
        """Write down what is to happen to the primary; of two processes that do, one raises Conflict."""
        return await self._replace(service.claimed(record))

    async def point(self, service: PrimaryService, primary: int, record: PrimaryRecord, took: float) -> None:
        """Send clients to an instance, if the Service still is what it was when this was claimed."""
        await self._replace(service.pointed(primary, record.end(self._clock(), took)))
        metrics.PRIMARY_CHANGES.labels(record.reason).inc()

    async def _replace(self, service: Object) -> PrimaryService:
        answer = await self._cluster.replace(SERVICES, service)
        self._services.remember(answer)
        return PrimaryService.of(answer)

    async def _remove(self, action: Remove) -> None:
        name = action.workload["metadata"]["name"]
        live = PrimaryService.of(await self._cluster.get(SERVICES, *action.service.key))
        if live.primary == names.instance_index(name) or live.record.epoch != action.service.record.epoch:
            raise errors.Conflict(f"{name} may have become the primary, so the operator does not remove it")
        # The volume's claim first, because only the StatefulSet tells that there is one; it goes when the pod has gone.
        for resource, obj in ((VOLUME_CLAIMS, action.volume_claim), (STATEFUL_SETS, action.workload)):
            if obj is not None:
                await self._cluster.delete(resource, *key_of(obj), uid=obj["metadata"]["uid"])


class _ServiceClaim:
    """The Service of a storage, for the time of a switchover."""

    def __init__(self, actions: InstanceActions, action: SwitchOver) -> None:
        self._actions = actions
        self._action = action
        self._started = time.monotonic()
        self._service = action.service

    async def claim(self) -> None:
        self._service = await self._actions.claim(self._action.service, self._action.record)

    async def point(self) -> None:
        took = time.monotonic() - self._started
        await self._actions.point(self._service, self._action.new.index, self._action.record, took)

    async def release(self) -> None:
        """Restore the record of the last change, at an epoch of its own."""
        previous = replace(self._action.service.record, epoch=self._action.record.epoch)
        self._service = await self._actions.claim(self._service, previous)

    async def reaches(self, run_id: str) -> bool:
        """Ask by the Service's address which server answers there: its name could give a former address."""
        _, port, operator = self._action.new.endpoint
        address = self._action.service.cluster_ip
        try:
            async with replication_session(address, port, operator, REACH_DIAL_SECONDS) as session:
                return await session.run_id() == run_id
        except errors.SessionStoreError:
            return False


async def _configure(action: Follow | LogInAnew | Fence) -> None:
    async with replication_session(*action.instance.endpoint) as session:
        match action:
            case Follow(_, primary, replication):
                await session.follow(primary, replication)
            case LogInAnew(_, replication):
                await session.log_in_anew(replication)
            case Fence(_, replicas):
                await session.fence(replicas)


async def _retire(action: Retire) -> None:
    await users.retire(*action.instance.endpoint, action.hashes)
    if action.spared is not None:
        closed = await users.disconnect(*action.instance.endpoint, action.spared)
        extra = {"instance": action.instance.address, "closed_sessions": closed}
        _log.info("retired the former password", extra=extra)
