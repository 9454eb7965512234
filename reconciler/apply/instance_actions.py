"""Carries out actions on Valkey instances: who is primary, who follows, which passwords are valid, who goes."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from reconciler.actions.valkey import (
    Admit,
    EndScript,
    Evict,
    Fence,
    Follow,
    Hold,
    InstanceAction,
    Promote,
    Remove,
    RestartServer,
    Resume,
    Retire,
    SwitchOver,
    TellPassword,
)
from reconciler.apply.service_claim import PrimaryServices, SwitchoverClaim
from reconciler.apply.switchover import switch_over
from reconciler.valkey import users
from reconciler.valkey.replication import replication_session, try_to_follow
from shared import errors, names
from shared.objects.resources import STATEFUL_SETS, VOLUME_CLAIMS, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from reconciler.state.instance import Instance
    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Key

_log = logging.getLogger(__name__)


class InstanceActions:
    """Carries out one action at a time; each can be repeated, and of two that do the same at once, one loses."""

    def __init__(
        self,
        cluster: Cluster,
        caches: Mapping[str, Informer],
        clock: Callable[[], datetime],
        on_endless_script: Callable[[Instance], None],
    ) -> None:
        """Take among others a callback, which gets each instance whose script Valkey refused to end."""
        self._cluster = cluster
        self._on_endless_script = on_endless_script
        self._services = PrimaryServices(cluster, caches, clock)

    def forget(self, storage: Key) -> None:
        """Drop what is remembered of a storage that is gone."""
        self._services.forget(storage)

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
            case EndScript() | RestartServer():
                await self._end_script(action)
            case Follow() | TellPassword() | Fence() | Evict():
                await _configure(action)
            case Admit(instance, hashes):
                await users.admit(*instance.endpoint, hashes)
            case Retire():
                await _retire(action)
            case Hold(instance):
                await _hold(instance)

    async def _end_script(self, action: EndScript | RestartServer) -> None:
        endpoint = action.instance.endpoint
        if isinstance(action, RestartServer):
            await users.restart(*endpoint)
        elif not await users.end_script(*endpoint):
            self._on_endless_script(action.instance)

    async def _promote(self, action: Promote) -> None:
        started = time.monotonic()
        service = await self._services.claim(action.service, action.record)
        try:
            async with replication_session(*action.instance.endpoint) as session:
                lineage = await session.promote(action.instance.replication.lineage)
            for instance in action.followers:
                await _take_over(instance, action, lineage)
        except errors.StoreMovedOn:
            # The old primary is back, and clients get to it: it needs its replicas.
            await try_to_follow(action.instance, service.cluster_ip, action.replication)
            raise
        await self._services.point(service, action.instance, action.record, time.monotonic() - started)

    async def _switch_over(self, action: SwitchOver) -> None:
        result = await switch_over(action, SwitchoverClaim(self._services, action))
        if result.aborted:
            raise errors.StoreUnreachable(f"the reconciler did not move the primary: {result.aborted}")
        seconds = {name: round(value, 3) for name, value in asdict(result).items() if name != "aborted"}
        _log.info("moved the primary", extra=seconds)

    async def _resume(self, action: Resume) -> None:
        """Have the primary take writes again, but first take the claim from the process that paused them.

        That process may be about to move clients to another instance.
        """
        await self._services.withdraw(action.service)
        async with replication_session(*action.instance.endpoint) as session:
            await session.resume()

    async def _remove(self, action: Remove) -> None:
        name = action.workload["metadata"]["name"]
        live = await self._services.find(action.service)
        if live.primary == names.instance_index(name) or live.record.epoch != action.service.record.epoch:
            raise errors.Conflict(f"{name} may have become the primary, so the reconciler does not remove it")
        # The volume's claim first, because only the StatefulSet tells that there is one; it goes when the pod has gone.
        for resource, obj in ((VOLUME_CLAIMS, action.volume_claim), (STATEFUL_SETS, action.workload)):
            if obj is not None:
                await self._cluster.delete(resource, *key_of(obj), uid=obj["metadata"]["uid"])


async def _take_over(follower: Instance, action: Promote, lineage: str) -> None:
    """Have an instance follow the new primary, if the old one has not come back and got it to follow.

    A redundant primary takes writes only while a replica follows it. So if all instances leave the old one without
    having seen more of it, it has taken no write since the decision, whatever it does.
    """
    # It may follow the new primary already: by the Service's address, or since a failover that broke off.
    lineages = follower.replication.lineage, lineage
    try:
        async with replication_session(*follower.endpoint) as session:
            await session.follow(action.instance.address, action.replication, lineages)
    except errors.StoreDown as error:
        # It died as well, and that must not keep clients from the new primary.
        extra = {"instance": follower.address, "error": str(error)}
        _log.warning("an instance does not follow the primary yet", extra=extra)


async def _configure(action: Follow | TellPassword | Fence | Evict) -> None:
    async with replication_session(*action.instance.endpoint) as session:
        match action:
            case Follow(_, primary, replication):
                await session.follow(primary, replication)
            case TellPassword(_, replication):
                await session.tell_password(replication)
            case Fence(_, replicas):
                await session.fence(replicas)
            case Evict(_, eviction):
                await session.evict(eviction)


async def _hold(instance: Instance) -> None:
    """Ask an ending primary to go on, if it still listens; whatever else the pass has to do goes on without it."""
    try:
        await users.save(*instance.endpoint)
    except errors.SessionStoreError as error:
        extra = {"instance": instance.address, "error": str(error)}
        _log.warning("an instance that ends was not asked to go on", extra=extra)


async def _retire(action: Retire) -> None:
    await users.retire(*action.instance.endpoint, action.hashes)
    if action.spared is not None:
        closed = await users.disconnect(*action.instance.endpoint, action.spared)
        extra = {"instance": action.instance.address, "closed_sessions": closed}
        _log.info("retired the former password", extra=extra)
