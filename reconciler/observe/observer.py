"""Reads the state of one storage: what its SessionStorage asks for and what exists, parsed once. It never writes."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from reconciler.credentials import identities
from reconciler.credentials.key_ring import KeyRing
from reconciler.observe import external_probe
from reconciler.observe.children import Children
from reconciler.observe.instance_observer import InstanceObserver
from reconciler.observe.volume_claims import VolumeClaims
from reconciler.state.owned_objects import instance_indexes, original_of, storage_of_secret, without_idle_strangers
from reconciler.state.primary_service import PrimaryService, families_of, is_written_here, service_of
from reconciler.state.rotation_record import RotationRecord
from reconciler.state.session_storage import DeclaredStorage
from reconciler.state.storage_state import Sharing, StorageState
from shared import errors, names
from shared.kubernetes.index import Index
from shared.objects.resources import (
    ENDPOINT_SLICES,
    SECRETS,
    SERVICES,
    SESSION_STORAGES,
    VOLUME_CLAIMS,
    Key,
    Object,
)
from shared.objects.timestamps import read_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.observe.children import Found
    from reconciler.observe.credential_rollouts import CredentialRollouts
    from reconciler.observe.surroundings import Surroundings
    from reconciler.state.credential_rollout import CredentialRollout
    from shared.consumers.usage_index import ConsumerIndex
    from shared.kubernetes.client import Cluster
    from shared.kubernetes.informer import Informer
    from shared.objects.resources import Resource
    from shared.session_storage.models import External


ON_CONSUMERS_SECONDS: Final = 0.3
"""How long a look waits for what the API server says of consumers, while the primary does not answer."""
NOTHING: Final[Mapping[tuple[str, str], Object]] = MappingProxyType({})

_log = logging.getLogger(__name__)


class Observer:
    """Reads the state of a storage: from caches, and live only what a decision rests on and no cache knows."""

    def __init__(
        self,
        cluster: Cluster,
        caches: Mapping[str, Informer],
        consumers: ConsumerIndex,
        rollouts: CredentialRollouts,
        surroundings: Surroundings,
    ) -> None:
        self._children = Children(cluster, caches, surroundings.sizes, surroundings.pull_sources)
        self._secrets = Index(caches[SECRETS.plural], storage_of_secret)
        self._volume_claims = VolumeClaims(caches[VOLUME_CLAIMS.plural])
        self._slices = Index(caches[ENDPOINT_SLICES.plural], service_of)
        self._consumers = consumers
        self._rollouts = rollouts
        self._surroundings = surroundings
        self._instances = InstanceObserver(caches, surroundings, cluster.clock.now)

    async def observe(self, obj: Object, overlooked: Mapping[tuple[str, str], Object] = NOTHING) -> StorageState:
        """Read everything that matters for one SessionStorage.

        Args:
            obj: The SessionStorage.
            overlooked: What `overlooked` has found of it.

        Raises:
            ClusterError: A live read failed that a decision rests on.
        """
        storage = DeclaredStorage.of(obj)
        sharing = Sharing.of(obj, self._consumers.usages(storage.key))
        namespaces = {storage.namespace, *sharing.namespaces}
        sharing = replace(sharing, has_auth_data=self._surroundings.has_auth_data(storage.key, namespaces))
        seen = {key: obj for key, obj in overlooked.items() if key[0] != VOLUME_CLAIMS.plural}
        children = {**await self._children.read(storage), **seen}
        if storage.spec is not None and storage.spec.external is not None:
            return await self._observe_external(storage, storage.spec.external, sharing, children)
        own = instance_indexes(without_idle_strangers(children, storage, self._surroundings.sizes), storage.name)
        claims = self._volume_claims.of(storage.key, sorted(own), overlooked)
        return await self._observe_managed(storage, sharing, children, claims)

    async def overlooked(self, state: StorageState, created: Iterable[tuple[Resource, str]]) -> Found:
        """Find what has the name of one of the storage's children, and `observe` has not seen.

        Args:
            state: What `observe` has seen.
            created: Kind and name of what the reconciler is about to create.

        Raises:
            ClusterError: A live read failed.
        """
        return await self._children.overlooked(state, created)

    async def _observe_external(
        self, storage: DeclaredStorage, external: External, sharing: Sharing, children: Found
    ) -> StorageState:
        connection = children.get((SECRETS.plural, names.connection_secret(storage.name)))
        secret = None
        if external.secret_ref is not None:
            secret = await self._surroundings.read_secret((storage.namespace, external.secret_ref.name))
        dial, serves_tls = self._surroundings.dial, self._surroundings.serves_tls()
        facts = await external_probe.probe(dial, storage.namespace, external, secret, connection)
        record, rollouts = await self._rotation(storage.key, sharing, connection, KeyRing())
        sharing = await self._with_copies(storage, sharing)
        return StorageState(
            storage=storage,
            children=children,
            rotation=record,
            external=replace(facts, serves_tls=serves_tls),
            sharing=sharing,
            rollouts=rollouts,
        )

    async def _observe_managed(
        self, storage: DeclaredStorage, sharing: Sharing, found: Found, claims: Mapping[int, Object]
    ) -> StorageState:
        children = without_idle_strangers(found, storage, self._surroundings.sizes)
        auth = children.get((SECRETS.plural, names.auth_secret(storage.name)))
        ring, indexes = KeyRing.of(auth), sorted(instance_indexes(children, storage.name))
        service, strays = self._primary_service(storage, children)
        instances = await self._instances.observe(storage.key, indexes, ring if auth is not None else None)
        primary = service.primary if service is not None else None
        is_serving = all(instance.responds for instance in instances if instance.index == primary)
        patience = None if is_serving else ON_CONSUMERS_SECONDS
        record, rollouts = await self._rotation(storage.key, sharing, auth, ring, patience)
        sharing = await self._with_copies(storage, sharing, patience)
        return StorageState(
            storage=storage,
            children=children,
            key_ring=ring,
            rotation=record,
            instances=self._surroundings.last_seen.update(storage.key, primary, instances),
            primary_service=service,
            stray_slices=strays,
            sharing=sharing,
            rollouts=rollouts,
            is_rotation_due=self._surroundings.is_rotation_due(storage),
            nodes=self._surroundings.nodes(),
            pull_sources=self._surroundings.pull_secrets(),
            taken=instance_indexes(found, storage.name) - frozenset(indexes),
            claims=claims,
            may_update=self._surroundings.may_update(storage.key),
        )

    def _primary_service(
        self, storage: DeclaredStorage, children: Found
    ) -> tuple[PrimaryService | None, tuple[Object, ...]]:
        """Read the Service of the primary, and find the EndpointSlices of it that somebody else writes."""
        name = names.valkey(storage.name)
        known = self._slices.get((storage.namespace, name))
        manifest = children.get((SERVICES.plural, name))
        # Only a Service of two IP families has a second one. By name: anybody can write our labels.
        others = families_of(manifest)[1:] if manifest is not None else ()
        called = {names.valkey_slice(storage.name, family, is_first=False) for family in others} | {name}
        written = [each for each in known if is_written_here(each) and each["metadata"]["name"] in called]
        for each in written:
            children.setdefault((ENDPOINT_SLICES.plural, each["metadata"]["name"]), each)
        ours = [each for (plural, _), each in children.items() if plural == ENDPOINT_SLICES.plural]
        service = PrimaryService.of(manifest, ours) if manifest is not None else None
        return service, tuple(each for each in known if each not in written)

    def copies_of(self, storage: Key) -> list[Object]:
        """List the known copies of a storage's connection Secret, whether the storage exists or not."""
        return [secret for secret in self._secrets.get(storage) if original_of(secret) == storage]

    def passwords_of(self, storage: Key) -> list[str]:
        """List what the known Secrets of a storage hold, so that no message repeats it."""
        known = (identities.decoded(secret.get("data")) for secret in self._secrets.get(storage))
        return [value for values in known for value in values.values()]

    def forget(self, storage: Key) -> None:
        """Drop what the observer remembers of a storage that is gone."""
        self._surroundings.last_seen.forget(storage)

    async def is_current(self, storage: Object) -> bool:
        """Tell whether a storage still exists, past the cache: objects made for one that is gone would be orphans."""
        metadata = storage["metadata"]
        live = await self._children.live(SESSION_STORAGES, metadata["namespace"], metadata["name"])
        return live is not None and live["metadata"]["uid"] == metadata["uid"]

    async def _rotation(
        self,
        storage: Key,
        sharing: Sharing,
        secret: Object | None,
        ring: KeyRing,
        patience: float | None = None,
    ) -> tuple[RotationRecord, tuple[CredentialRollout, ...] | None]:
        """Read the record of a rotation and, once the new credential is published, how far its users are with it."""
        record = RotationRecord.of(secret)
        since = read_time(record.published)
        if since is None or not record.is_under_way:
            return record, ()
        if not self._surroundings.knows_consumers():
            return record, None
        # Once the auth Secret has no former password, the rotation needs all addresses: it closes other sessions.
        is_thorough = bool(ring.current) and not ring.former
        read = self._rollouts.read(storage, sharing.admitted, record.revision, since, is_thorough=is_thorough)
        try:
            async with asyncio.timeout(patience):
                return record, await read
        except (errors.ClusterError, TimeoutError) as error:
            # Everything else about the storage goes on without knowing.
            extra = {"error": str(error)}
            _log.warning("could not read how far the users of a storage's credential are", extra=extra)
            return record, None

    async def _with_copies(self, storage: DeclaredStorage, sharing: Sharing, patience: float | None = None) -> Sharing:
        """Find what has the name of the connection Secret's copy in other namespaces."""
        name = names.mirrored_connection_secret(storage.name, storage.namespace)
        found = {secret["metadata"]["namespace"]: secret for secret in self.copies_of(storage.key)}
        try:
            async with asyncio.timeout(patience):
                for namespace in sharing.namespaces:
                    if namespace not in found and (secret := await self._children.live(SECRETS, namespace, name)):
                        found[namespace] = secret
        except (errors.ClusterError, TimeoutError) as error:
            # The write of a copy shows whether its name is taken.
            _log.warning("could not look for all copies of a connection Secret", extra={"error": str(error)})
        return sharing.with_secrets(storage.key, found)
