"""Reads only: what a storage is asked to be and what there is of it, as one frozen value."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

from reconciler import pods
from reconciler.external import ExternalFacts, login_of
from reconciler.mirrors import sharing_namespaces, storage_of
from shared import credentials, errors, external_store, names, valkey_node
from shared.endpoint import Endpoint
from shared.resources import (
    CONFIG_MAPS,
    NETWORK_POLICIES,
    PODS,
    SECRETS,
    SERVICES,
    SESSION_STORAGES,
    STATEFUL_SETS,
    Key,
    Object,
    Resource,
)
from shared.sessionstorage import External, parse_spec
from shared.valkey_node import Login, NodeFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.consumer_index import Usage
    from shared.informer import Informer

CHILD_RESOURCES: Final = (SECRETS, NETWORK_POLICIES, CONFIG_MAPS, STATEFUL_SETS, SERVICES)

Problem = Literal["", "unreachable", "refused"]


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One Valkey node, as its pod and its server show it.

    Attributes:
        pod: The pod, if there is one.
        facts: What the server says; None if it did not answer.
        problem: Why there are no facts: no answer, or a refused credential.
        detail: The problem in words.
    """

    pod: Object | None = None
    facts: NodeFacts | None = None
    problem: Problem = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a plan depends on.

    Attributes:
        storage: The SessionStorage.
        children: What exists of its objects, by (plural, name); those of another owner too.
        node: Its Valkey node.
        external: What was seen of the user's own store.
        usages: Who uses it.
        mirrors: What has the name of the connection Secret's copy, by namespace; other people's Secrets too.
    """

    storage: Object
    children: Mapping[tuple[str, str], Object] = field(repr=False)
    node: NodeReport
    external: ExternalFacts | None = None
    usages: tuple[Usage, ...] = ()
    mirrors: Mapping[str, Object] = field(default_factory=dict, repr=False)

    def child(self, resource: Resource, name: str) -> Object | None:
        """Look a child up by its name."""
        return self.children.get((resource.plural, name))


class Reader(Protocol):
    """Reads single objects past every cache."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Read one object or raise NotFound."""


class Consumers(Protocol):
    """Knows who uses which storage."""

    def usages(self, storage: Key) -> tuple[Usage, ...]:
        """Consumers of a storage."""


class Observer:
    """Gathers what there is of a storage: from caches, and live where a cache knows of nothing."""

    def __init__(
        self, cluster: Reader, caches: Mapping[str, Informer], consumers: Consumers, serves_tls: Callable[[], bool]
    ) -> None:
        self._cluster = cluster
        self._caches = caches
        self._consumers = consumers
        self._serves_tls = serves_tls

    async def observe(self, storage: Object) -> Observed:
        """Read everything that matters for one storage.

        Raises:
            ClusterError: A live read failed.
        """
        name, namespace = storage["metadata"]["name"], storage["metadata"]["namespace"]
        usages = self._consumers.usages((namespace, name))
        mirrors = await self._mirrors(storage, usages)
        if (external := _external(storage)) is not None:
            connection = names.connection_secret(name)
            found = await self._read(SECRETS, namespace, connection)
            children = {(SECRETS.plural, connection): found} if found is not None else {}
            facts = await self._dial(namespace, external)
            return Observed(storage, children, NodeReport(), facts, usages, mirrors)
        children = await self._children(namespace, name)
        node = await self._node(namespace, name, children.get((SECRETS.plural, names.auth_secret(name))))
        return Observed(storage, children, node, None, usages, mirrors)

    def mirrors_of(self, storage: Key) -> list[Object]:
        """List the known copies of a storage's connection Secret, whether the storage exists or not."""
        return [secret for secret in self._caches[SECRETS.plural].objects.values() if storage_of(secret) == storage]

    async def is_current(self, storage: Object) -> bool:
        """Tell whether a storage still exists, past the cache: objects made for one that is gone would be orphans."""
        metadata = storage["metadata"]
        live = await self._live(SESSION_STORAGES, metadata["namespace"], metadata["name"])
        return live is not None and live["metadata"]["uid"] == metadata["uid"]

    async def _children(self, namespace: str, storage: str) -> dict[tuple[str, str], Object]:
        wanted = [(resource, name) for resource in CHILD_RESOURCES for name in child_names(resource, storage)]
        found = await asyncio.gather(*(self._read(resource, namespace, name) for resource, name in wanted))
        return {
            (resource.plural, name): obj for (resource, name), obj in zip(wanted, found, strict=True) if obj is not None
        }

    async def _dial(self, namespace: str, external: External) -> ExternalFacts:
        secret = await self._live(SECRETS, namespace, external.secret_ref or "")
        login = login_of(external, secret)
        report = await external_store.dial(Endpoint.of_url(external.url), login) if login is not None else None
        return ExternalFacts(secret, report, self._serves_tls())

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

    async def _node(self, namespace: str, storage: str, auth: Object | None) -> NodeReport:
        pod = self._caches[PODS.plural].get((namespace, f"{names.valkey_node(storage, 0)}-0"))
        address = pods.address(pod)
        if not address or auth is None:
            return NodeReport(pod)
        passwords = credentials.decoded(auth.get("data"))
        try:
            facts = await valkey_node.observe(address, names.VALKEY_PORT, _login(credentials.OPERATOR, passwords))
            if not facts.is_loading:  # it would answer INFO and refuse all else
                await valkey_node.ping(address, names.VALKEY_PORT, _login(credentials.CONSUMER, passwords))
        except errors.StoreRefused as error:
            return NodeReport(pod, problem="refused", detail=str(error))
        except errors.StoreUnreachable as error:
            return NodeReport(pod, problem="unreachable", detail=str(error))
        return NodeReport(pod, facts)


def child_names(resource: Resource, storage: str) -> tuple[str, ...]:
    """Names of a storage's children of one kind."""
    return {
        SECRETS.plural: (names.auth_secret(storage), names.connection_secret(storage)),
        NETWORK_POLICIES.plural: (names.valkey(storage),),
        CONFIG_MAPS.plural: (names.valkey(storage),),
        STATEFUL_SETS.plural: (names.valkey_node(storage, 0),),
        SERVICES.plural: (names.valkey(storage), names.valkey_headless(storage)),
    }[resource.plural]


def _external(storage: Object) -> External | None:
    try:
        return parse_spec(storage).external
    except errors.InvalidSpec:
        return None


def _login(identity: credentials.Identity, passwords: Mapping[str, str]) -> Login:
    return Login(identity.user, passwords.get(identity.key, ""))
