"""Reads how far the users of a storage's credential are with a new one, and remembers what need not be read again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from reconciler.state.credential_rollout import (
    CredentialRollout,
    StampPlace,
    Workload,
    addresses_of,
    is_alive,
    rollout_of,
)
from shared import errors, names
from shared.consumers.credential_revision import CredentialRevision
from shared.consumers.identity import consumer_of
from shared.consumers.injection_record import InjectionRecord
from shared.consumers.kinds import KINDS
from shared.kubernetes.client import Cluster, Selector
from shared.objects.resources import DEPLOYMENTS, PODS, STATEFUL_SETS, Key, Object, Resource, is_terminating, key_of
from shared.objects.timestamps import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    from shared.consumers.identity import Consumer

REFUSAL_SECONDS: Final = 60.0
"""How long the reconciler leaves a consumer alone that the API server refused to stamp."""
READS_AT_ONCE: Final = 8


class AuthServers(Protocol):
    """Knows the objects that describe auth servers, and those that run them."""

    def of_storage(self, storage: Key, namespaces: Collection[str]) -> Iterable[Object]:
        """Find what describes an auth server that keeps its data in a managed storage, in these namespaces."""
        ...

    def hosts(self, described: Object) -> Iterable[Object]:
        """Find what runs the auth server that an object describes: others, itself, or nothing."""
        ...


@dataclass(slots=True)
class _Memory:
    """The rollouts of one storage's credential that are done with a revision; none of them goes back.

    An object may have two, its own and that of the auth server which it runs, so each is known by the object's uid and
    the annotation that bears its stamp.
    """

    revision: str
    done: dict[tuple[str, str], CredentialRollout] = field(default_factory=dict)


class CredentialRollouts:
    """Tells how far consumers are with a new credential, and which other pods use it."""

    def __init__(
        self,
        cluster: Cluster,
        find: Callable[[Consumer], Object | None],
        auth_servers: AuthServers,
    ) -> None:
        """Take among others what looks a consumer up."""
        self._cluster = cluster
        self._find = find
        self._auth_servers = auth_servers
        self._memory: dict[Key, _Memory] = {}
        self._refused: dict[Consumer, tuple[float, str]] = {}
        self._reads = asyncio.Semaphore(READS_AT_ONCE)

    def note_refusal(self, consumer: Consumer, reason: str) -> None:
        """Remember that the API server refused to stamp a consumer, and why."""
        self._refused[consumer] = time.monotonic(), reason

    async def read(
        self, storage: Key, consumers: Iterable[Consumer], revision: str, since: datetime, *, is_thorough: bool
    ) -> tuple[CredentialRollout, ...]:
        """Tell how far every user of a storage's credential is, consumers first.

        Args:
            storage: The storage whose credential changes.
            consumers: Those that may use the storage.
            revision: Revision of the new credential.
            since: When the reconciler published it.
            is_thorough: Whether to read those again that were done before.

        Raises:
            ClusterError: A read failed.
        """
        memory = self._memory.get(storage)
        if memory is None or memory.revision != revision or is_thorough:
            memory = self._memory[storage] = _Memory(revision)
        found = [(who, obj) for who in consumers if (obj := self._find(who))]
        connected = [(who, obj) for who, obj in found if _is_connected(obj, storage)]
        by_themselves = [(who, obj) for who, obj in connected if KINDS[who.kind].has_sessions]
        rollouts = await asyncio.gather(
            *(self._rollout(who, obj, memory, list(_resources(obj))) for who, obj in by_themselves),
            *(
                self._rollout(who, obj, memory, [DEPLOYMENTS], names.ANNOTATION_AUTH_REVISION)
                for who, obj in self._further_hosts(storage, connected)
            ),
        )
        namespaces = sorted(_namespaces(storage, connected))
        others = await asyncio.gather(*(self._other_pods(storage[1], namespace, since) for namespace in namespaces))
        return (*rollouts, *(each for found in others for each in found))

    def _further_hosts(
        self, storage: Key, connected: Sequence[tuple[Consumer, Object]]
    ) -> list[tuple[Consumer, Object]]:
        """Find what runs an auth server with the credential; not those whose proxies get it by their own reference.

        Users may have connected an auth server by hand. An external storage knows those that refer to it.
        """
        own = {who for who, obj in connected if DEPLOYMENTS in _resources(obj)}
        referring = [obj for _, obj in connected if _has_connected_proxy(obj)]
        described = (*referring, *self._auth_servers.of_storage(storage, _namespaces(storage, connected)))
        hosts = {consumer_of(host): host for obj in described for host in self._auth_servers.hosts(obj)}
        return [(who, host) for who, host in sorted(hosts.items()) if who not in own and not is_terminating(host)]

    async def _rollout(
        self,
        who: Consumer,
        obj: Object,
        memory: _Memory,
        resources: Iterable[Resource],
        annotation: str = names.ANNOTATION_REVISION,
    ) -> CredentialRollout:
        """Tell how far one object's workloads are with the revision that the annotation names."""
        key = obj["metadata"]["uid"], annotation
        if done := memory.done.get(key):
            return done
        stamp = CredentialRevision.of(obj, annotation)
        if stamp is None or stamp.revision != memory.revision:
            at, reason = self._refused.get(who, (-REFUSAL_SECONDS, ""))
            is_refused = time.monotonic() - at < REFUSAL_SECONDS
            obstacle = reason or "it has not been restarted yet"
            place = StampPlace.of(obj, annotation)
            return CredentialRollout(str(who), who, obstacle=obstacle, is_refused=is_refused, place=place)
        self._refused.pop(who, None)
        workloads = [await self._workload(resource, who) for resource in resources]
        rollout = rollout_of(who, stamp, [workload for workload in workloads if workload is not None])
        if rollout.is_done:
            memory.done[key] = rollout
        return rollout

    async def _workload(self, resource: Resource, who: Consumer) -> Workload | None:
        async with self._reads:
            try:
                obj = await self._cluster.get(resource, who.namespace, who.name)
            except errors.NotFound:
                return None
            labels = obj["spec"]["selector"].get("matchLabels", {})
            selector = Selector(who.namespace, ",".join(f"{key}={value}" for key, value in sorted(labels.items())))
            pods, _ = await self._cluster.list_all(PODS, selector)
        return Workload(obj, tuple(pods))

    async def _other_pods(self, storage: str, namespace: str, since: datetime) -> list[CredentialRollout]:
        """Tell how far pods are that ToolHive does not run, and that somebody labelled as users of the credential."""
        selector = Selector(namespace, f"{names.LABEL_CONSUMER_OF}={storage}")
        async with self._reads:
            pods, _ = await self._cluster.list_all(PODS, selector)
        return [_rollout_of_pod(pod, since) for pod in pods if is_alive(pod) and not _is_run_by_toolhive(pod)]


def _rollout_of_pod(pod: Object, since: datetime) -> CredentialRollout:
    """Tell how far a pod of no consumer is: one made after the publication has read that credential."""
    namespace, name = key_of(pod)
    title = f"Pod {namespace}/{name}"
    if parse_time(pod["metadata"]["creationTimestamp"]) > since:
        return CredentialRollout(title, is_done=True, addresses=frozenset(addresses_of(pod)))
    return CredentialRollout(title, obstacle="it belongs to no consumer, so whoever runs it has to restart it")


def _is_connected(consumer: Object, storage: Key) -> bool:
    record = InjectionRecord.of(consumer)
    return record is not None and record.reference.key == storage


def _namespaces(storage: Key, connected: Iterable[tuple[Consumer, Object]]) -> set[str]:
    """Name the namespaces that have the credential."""
    return {storage[0], *(who.namespace for who, _ in connected)}


def _has_connected_proxy(consumer: Object) -> bool:
    record = InjectionRecord.of(consumer)
    return record is not None and record.target.has_proxy


def _resources(consumer: Object) -> Iterator[Resource]:
    """Name the kinds of workload that run a consumer's pods with the credential; each bears the consumer's name."""
    record, kind = InjectionRecord.of(consumer), KINDS[consumer["kind"]]
    if record is None:
        return
    if record.target.has_proxy and kind.has_sessions:
        yield DEPLOYMENTS
    if record.target.has_backend and kind.backend is not None:
        yield STATEFUL_SETS


def _is_run_by_toolhive(pod: Object) -> bool:
    return bool(pod["metadata"].get("labels", {}).get("toolhive") == "true")
