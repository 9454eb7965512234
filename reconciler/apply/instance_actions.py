"""Carries out actions on Valkey instances: who is primary, who follows, which passwords are valid, who goes."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from reconciler.actions.valkey import (
    Admit,
    Fence,
    Follow,
    InstanceAction,
    Promote,
    Remove,
    Resume,
    Retire,
    SwitchOver,
    TellPassword,
)
from reconciler.apply.service_claim import PrimaryServices, SwitchoverClaim
from reconciler.apply.switchover import switch_over
from reconciler.state.primary_record import PrimaryService
from reconciler.valkey import users
from reconciler.valkey.replication import replication_session, try_to_follow
from shared import errors, names
from shared.objects.resources import SERVICES, STATEFUL_SETS, VOLUME_CLAIMS, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer

_log = logging.getLogger(__name__)


class InstanceActions:
    """Carries out one action at a time; each can be repeated, and of two that do the same at once, one loses."""

    def __init__(self, cluster: Cluster, caches: Mapping[str, Informer], clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._services = PrimaryServices(cluster, caches[SERVICES.plural], clock)

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
            case Follow() | TellPassword() | Fence():
                await _configure(action)
            case Admit(instance, hashes):
                await users.admit(*instance.endpoint, hashes)
            case Retire():
                await _retire(action)

    async def _promote(self, action: Promote) -> None:
        started = time.monotonic()
        service = await self._services.claim(action.service, action.record)
        async with replication_session(*action.instance.endpoint) as session:
            await session.promote()
        for instance in action.followers:
            # A follower may be gone as well; that must not keep clients from the new primary.
            await try_to_follow(instance, action.instance, action.replication)
        await self._services.point(service, action.instance.index, action.record, time.monotonic() - started)

    async def _switch_over(self, action: SwitchOver) -> None:
        result = await switch_over(action, SwitchoverClaim(self._services, action))
        if result.aborted:
            raise errors.StoreUnreachable(f"the reconciler did not move the primary: {result.aborted}")
        seconds = {name: round(value, 3) for name, value in asdict(result).items() if name != "aborted"}
        _log.info("moved the primary", extra={"storage": "/".join(action.service.key), **seconds})

    async def _resume(self, action: Resume) -> None:
        """Have the primary take writes again, but first take the claim from the process that paused them.

        That process may be about to move clients to another instance.
        """
        await self._services.claim(action.service, action.record)
        async with replication_session(*action.instance.endpoint) as session:
            await session.resume()

    async def _remove(self, action: Remove) -> None:
        name = action.workload["metadata"]["name"]
        live = PrimaryService.of(await self._cluster.get(SERVICES, *action.service.key))
        if live.primary == names.instance_index(name) or live.record.epoch != action.service.record.epoch:
            raise errors.Conflict(f"{name} may have become the primary, so the reconciler does not remove it")
        # The volume's claim first, because only the StatefulSet tells that there is one; it goes when the pod has gone.
        for resource, obj in ((VOLUME_CLAIMS, action.volume_claim), (STATEFUL_SETS, action.workload)):
            if obj is not None:
                await self._cluster.delete(resource, *key_of(obj), uid=obj["metadata"]["uid"])


async def _configure(action: Follow | TellPassword | Fence) -> None:
    async with replication_session(*action.instance.endpoint) as session:
        match action:
            case Follow(_, primary, replication):
                await session.follow(primary, replication)
            case TellPassword(_, replication):
                await session.tell_password(replication)
            case Fence(_, replicas):
                await session.fence(replicas)


async def _retire(action: Retire) -> None:
    await users.retire(*action.instance.endpoint, action.hashes)
    if action.spared is not None:
        closed = await users.disconnect(*action.instance.endpoint, action.spared)
        extra = {"instance": action.instance.address, "closed_sessions": closed}
        _log.info("retired the former password", extra=extra)
