"""Carries out what is decided about Valkey instances: who is primary, who follows, who gets in, who goes."""

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
from reconciler.apply.switchover import Move, Place, have_follow, switch_over
from reconciler.runtime import metrics
from reconciler.state.primary_record import Claim, claimed, pointed, primary_of
from reconciler.valkey import users
from reconciler.valkey.replication import told
from shared import errors, names
from shared.objects.resources import SERVICES, STATEFUL_SETS, VOLUME_CLAIMS, Object, Resource, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from reconciler.credentials.login import Login
    from reconciler.state.instance import Instance
    from shared.kubernetes.informer import Informer

REACH_DIAL_SECONDS: Final = 0.1
"""What is sent to a Service in the instant at which kube-proxy changes it may be dropped, and TCP repeats it after a
second only. A connection in the same cluster takes a millisecond."""

_log = logging.getLogger(__name__)


class Cluster(Protocol):
    """The reads and writes that moves need."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Read one object or raise NotFound."""

    async def replace(self, resource: Resource, obj: Object) -> Object:
        """Replace an object by resourceVersion, or raise Conflict."""

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete an object if it still has that uid."""


class Mover:
    """Carries out one step at a time; each can be repeated, and of two who do the same at once, one loses."""

    def __init__(self, cluster: Cluster, caches: Mapping[str, Informer], clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._services = caches[SERVICES.plural]
        self._clock = clock

    async def carry_out(self, step: InstanceAction) -> None:
        """Carry out a step.

        Raises:
            ClusterError: A write failed; what came before it stands.
            SessionStoreError: An instance did not do what it was told.
        """
        match step:
            case Promote():
                await self._promote(step)
            case SwitchOver():
                await self._switch_over(step)
            case Follow() | LogInAnew() | Fence():
                await _tell(step)
            case Resume():
                await self._resume(step)
            case Admit(instance, hashes):
                await users.admit(*_where(instance), hashes)
            case Retire(instance, hashes, spared):
                await users.retire(*_where(instance), hashes)
                if spared is not None:
                    closed = await users.disconnect(*_where(instance), spared)
                    _log.info(
                        "former password retired", extra={"instance": instance.address, "closed_sessions": closed}
                    )
            case Remove():
                await self._remove(step)

    async def _promote(self, step: Promote) -> None:
        started = time.monotonic()
        service = await self.claim(step.service, step.claim)
        async with told(*_where(step.instance)) as there:
            await there.promote()
        for instance in step.followers:
            # It may have gone as well; who is left must be reached by clients all the same.
            await have_follow(_place(instance), _place(step.instance), step.replication)
        await self.point(service, step.instance.index, step.claim, time.monotonic() - started)

    async def _switch_over(self, step: SwitchOver) -> None:
        started = time.monotonic()
        others = tuple(_place(instance) for instance in step.others)
        move = Move(_place(step.old), _place(step.new), others, step.replication, step.fence)
        outcome = await switch_over(move, _Service(self, step, started))
        if outcome.aborted:
            raise errors.StoreUnreachable(f"the primary was not moved: {outcome.aborted}")
        seconds = {name: round(value, 3) for name, value in asdict(outcome).items() if name != "aborted"}
        _log.info("primary moved", extra={"storage": "/".join(key_of(step.service)), **seconds})

    async def _resume(self, step: Resume) -> None:
        """Only once nobody can move clients away any more: who stopped the writes may have been about to."""
        await self.claim(step.service, step.claim)
        async with told(*_where(step.instance)) as there:
            await there.resume()

    async def claim(self, service: Object, claim: Claim) -> Object:
        """Write down what is to happen to the primary; of two who do, one raises Conflict."""
        answer = await self._cluster.replace(SERVICES, claimed(service, claim))
        self._services.remember(answer)
        return answer

    async def point(self, service: Object, instance: int, claim: Claim, took: float) -> None:
        """Send clients to an instance, if the Service still is what it was when this was claimed."""
        answer = await self._cluster.replace(SERVICES, pointed(service, instance, claim.end(self._clock(), took)))
        metrics.PRIMARY_CHANGES.labels(claim.reason).inc()
        self._services.remember(answer)

    async def _remove(self, step: Remove) -> None:
        index = names.instance_index(step.workload["metadata"]["name"])
        live = await self._cluster.get(SERVICES, *key_of(step.service))
        if primary_of(live) == index or Claim.of(live).epoch != Claim.of(step.service).epoch:
            raise errors.Conflict(f"{step.workload['metadata']['name']} is no longer one that may be removed")
        # The claim first, because only the StatefulSet tells that there is one; it goes when the pod has gone.
        for resource, obj in ((VOLUME_CLAIMS, step.claim), (STATEFUL_SETS, step.workload)):
            if obj is not None:
                await self._cluster.delete(resource, *key_of(obj), uid=obj["metadata"]["uid"])


class _Service:
    """The Service of a storage, for the time of a move."""

    def __init__(self, mover: Mover, step: SwitchOver, started: float) -> None:
        self._mover = mover
        self._step = step
        self._started = started
        self._service = step.service

    async def claim(self) -> None:
        self._service = await self._mover.claim(self._step.service, self._step.claim)

    async def point(self) -> None:
        took = time.monotonic() - self._started
        await self._mover.point(self._service, self._step.new.index, self._step.claim, took)

    async def release(self) -> None:
        """Have the record of the last change back, at an epoch of its own."""
        previous = Claim.of(self._step.service)
        self._service = await self._mover.claim(self._service, replace(previous, epoch=self._step.claim.epoch))

    async def reaches(self, run_id: str) -> bool:
        """Ask by the Service's address who answers there: its name could be an answer of the past."""
        address, (_, port, operator) = self._step.service["spec"]["clusterIP"], _where(self._step.new)
        try:
            async with told(address, port, operator, REACH_DIAL_SECONDS) as there:
                return await there.run_id() == run_id
        except errors.SessionStoreError:
            return False


async def _tell(step: Follow | LogInAnew | Fence) -> None:
    async with told(*_where(step.instance)) as there:
        match step:
            case Follow(_, primary, replication):
                await there.follow(primary, replication)
            case LogInAnew(_, replication):
                await there.relogin(replication)
            case Fence(_, replicas):
                await there.fence(replicas)


def _place(instance: Instance) -> Place:
    return Place(instance.address, instance.operator)


def _where(instance: Instance) -> tuple[str, int, Login]:
    return instance.address, names.VALKEY_PORT, instance.operator
