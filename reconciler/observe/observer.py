"""Reads only: what a storage is asked to be and what there is of it, as one frozen value."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from reconciler.credentials.key_ring import KeyRing
from reconciler.observe import instance_probe
from reconciler.rotation.phases import Record
from reconciler.state.external_store import ExternalFacts, Outcome, is_other, login_in, login_of
from reconciler.state.mirrored_secrets import sharing_namespaces, storage_of
from reconciler.state.owned_objects import CHILD_RESOURCES, child_names, initial_workloads, instance_indexes, parent_of
from reconciler.state.primary_record import PrimaryService
from reconciler.state.storage_state import Observed
from reconciler.valkey import external_store
from shared import errors, names
from shared.kubernetes.index import Index
from shared.objects.resources import (
    PODS,
    SECRETS,
    SERVICES,
    SESSION_STORAGES,
    STATEFUL_SETS,
    VOLUME_CLAIMS,
    Key,
    Object,
    Resource,
    key_of,
)
from shared.objects.timestamps import read_time
from shared.session_storage.endpoint import Endpoint
from shared.session_storage.models import External, parse_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from reconciler.observe.last_seen import LastSeen
    from reconciler.state.credential_rollout import Report
    from reconciler.state.instance import Instance
    from reconciler.state.kubernetes_nodes import KubernetesNodes
    from shared.consumers.identity import Usage
    from shared.kubernetes.informer import Informer


class Reader(Protocol):
    """Reads single objects past every cache."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Read one object or raise NotFound."""


class Consumers(Protocol):
    """Knows who uses which storage."""

    def usages(self, storage: Key) -> tuple[Usage, ...]:
        """Consumers of a storage."""


class Credentialed(Protocol):
    """Knows how far the holders of a credential are with a new one."""

    async def look(
        self, storage: Object, usages: Iterable[Usage], revision: str, since: datetime, *, is_thorough: bool
    ) -> tuple[Report, ...]:
        """Report on every holder."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known beyond the objects of one storage.

    Attributes:
        serves_tls: Tells whether ToolHive's CRDs have `sessionStorage.tls`.
        knows_consumers: Tells whether all consumers are known.
        is_due: Tells whether a storage's schedule asks for a rotation, and it is its turn.
        silent_for: Tells for how many seconds the server in a pod has not answered anything.
        nodes: Tells of the nodes that instances run on.
        may_update: Tells whether it is a storage's turn to be brought up to date.
        last_seen: Remembers when instances answered, and heard their primary.
    """

    serves_tls: Callable[[], bool]
    knows_consumers: Callable[[], bool]
    is_due: Callable[[Object], bool]
    silent_for: Callable[[Object], float]
    nodes: Callable[[], KubernetesNodes]
    may_update: Callable[[Key], bool]
    last_seen: LastSeen


class Observer:
    """Gathers what there is of a storage: from caches, and live where a cache knows of nothing."""

    def __init__(
        self,
        cluster: Reader,
        caches: Mapping[str, Informer],
        consumers: Consumers,
        holders: Credentialed,
        outlook: Outlook,
    ) -> None:
        self._cluster = cluster
        self._caches = caches
        self._secrets = Index(caches[SECRETS.plural], parent_of)
        self._workloads = Index(caches[STATEFUL_SETS.plural], parent_of)
        self._consumers = consumers
        self._holders = holders
        self._outlook = outlook

    async def observe(self, storage: Object) -> Observed:
        """Read everything that matters for one storage.

        Raises:
            ClusterError: A live read failed.
        """
        namespace, name = key = key_of(storage)
        usages = self._consumers.usages(key)
        mirrors = await self._mirrors(storage, usages)
        if (external := _external(storage)) is not None:
            connection = names.connection_secret(name)
            found = await self._read(SECRETS, namespace, connection)
            children = {(SECRETS.plural, connection): found} if found is not None else {}
            facts = await self._dial(namespace, external, found)
            holders = await self._credentialed(storage, usages, found)
            return Observed(storage, children, (), facts, usages, mirrors, holders)
        children = await self._children(storage)
        auth = children.get((SECRETS.plural, names.auth_secret(name)))
        indexes = instance_indexes(children)
        manifest = children.get((SERVICES.plural, names.valkey(name)))
        service = PrimaryService.of(manifest) if manifest is not None else None
        instances = await self._probe(key, indexes, auth)
        instances = self._outlook.last_seen.update(key, service.primary if service else None, instances)
        holders = await self._credentialed(storage, usages, auth)
        return Observed(
            storage=storage,
            children=children,
            instances=instances,
            usages=usages,
            mirrors=mirrors,
            holders=holders,
            is_due=self._outlook.is_due(storage),
            nodes=self._outlook.nodes(),
            claims=self._claims(key, indexes),
            may_update=self._outlook.may_update(key),
            primary_service=service,
        )

    def _claims(self, storage: Key, indexes: Iterable[int]) -> dict[int, Object]:
        namespace, name = storage
        found = {
            index: self._caches[VOLUME_CLAIMS.plural].get((namespace, names.valkey_claim(name, index)))
            for index in indexes
        }
        return {index: claim for index, claim in found.items() if claim is not None}

    async def _probe(self, storage: Key, indexes: Sequence[int], auth: Object | None) -> tuple[Instance, ...]:
        namespace, name = storage

        async def probe(index: int) -> Instance:
            pod = self._caches[PODS.plural].get((namespace, names.valkey_pod(name, index)))
            silent_for = self._outlook.silent_for(pod) if pod is not None else 0.0
            return await instance_probe.probe(index, pod, auth, silent_for, is_urgent=len(indexes) > 1)

        return tuple(await asyncio.gather(*(probe(index) for index in indexes)))

    def mirrors_of(self, storage: Key) -> list[Object]:
        """List the known copies of a storage's connection Secret, whether the storage exists or not."""
        return [secret for secret in self._secrets.get(storage) if storage_of(secret) == storage]

    def forget(self, storage: Key) -> None:
        """Drop what is remembered of a storage that is gone."""
        self._outlook.last_seen.forget(storage)

    async def is_current(self, storage: Object) -> bool:
        """Tell whether a storage still exists, past the cache: objects made for one that is gone would be orphans."""
        metadata = storage["metadata"]
        live = await self._live(SESSION_STORAGES, metadata["namespace"], metadata["name"])
        return live is not None and live["metadata"]["uid"] == metadata["uid"]

    async def _children(self, storage: Object) -> dict[tuple[str, str], Object]:
        namespace, name = key_of(storage)
        known = self._workloads.get(key_of(storage))
        workloads = sorted(each["metadata"]["name"] for each in known) or initial_workloads(storage)
        wanted = [(resource, child) for resource in CHILD_RESOURCES for child in child_names(resource, name)]
        wanted += [(STATEFUL_SETS, workload) for workload in workloads]
        found = await asyncio.gather(*(self._read(resource, namespace, name) for resource, name in wanted))
        return {
            (resource.plural, name): obj for (resource, name), obj in zip(wanted, found, strict=True) if obj is not None
        }

    async def _dial(self, namespace: str, external: External, connection: Object | None) -> ExternalFacts:
        secret, endpoint = (
            await self._live(SECRETS, namespace, external.secret_ref or ""),
            Endpoint.of_url(external.url),
        )
        login, handed_out = login_of(external, secret), None
        report = await external_store.dial(endpoint, login) if login is not None else None
        is_usable = report is None or report.outcome is Outcome.OK
        if not is_usable and connection is not None and login is not None and is_other(login, connection):
            handed_out = await external_store.dial(endpoint, login_in(connection))
        return ExternalFacts(secret, report, self._outlook.serves_tls(), handed_out)

    async def _credentialed(
        self, storage: Object, usages: tuple[Usage, ...], secret: Object | None
    ) -> tuple[Report, ...] | None:
        """Look at who holds the credential, once a new one has been handed out."""
        record, ring = Record.of(secret), KeyRing.of(secret)
        since = read_time(record.published)
        if since is None or not record.is_under_way:
            return ()
        if not self._outlook.knows_consumers():
            return None
        # When the former password has been written off, what is needed is the addresses of all.
        is_thorough = bool(ring.current) and not ring.former
        return await self._holders.look(storage, usages, record.revision, since, is_thorough=is_thorough)

    async def _mirrors(self, storage: Object, usages: tuple[Usage, ...]) -> dict[str, Object]:
        metadata = storage["metadata"]
        name = names.mirrored_connection_secret(metadata["name"], metadata["namespace"])
        known = self.mirrors_of((metadata["namespace"], metadata["name"]))
        found = {secret["metadata"]["namespace"]: secret for secret in known}
        for namespace in sharing_namespaces(storage, usages):
            if namespace not in found and (secret := await self._live(SECRETS, namespace, name)):
                found[namespace] = secret
        return found

    async def _read(self, resource: Resource, namespace: str, name: str) -> Object | None:
        # Caches hold only what carries our label. What they miss may still exist: under another owner, or so new
        # that the watch has not told yet.
        cached = self._caches[resource.plural].get((namespace, name))
        return cached or await self._live(resource, namespace, name)

    async def _live(self, resource: Resource, namespace: str, name: str) -> Object | None:
        if not name:
            return None
        try:
            return await self._cluster.get(resource, namespace, name)
        except errors.NotFound:
            return None


def _external(storage: Object) -> External | None:
    try:
        return parse_spec(storage).external
    except errors.InvalidSpec:
        return None
