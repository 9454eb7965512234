"""The state of one storage as the observer saw it: all that a plan depends on, parsed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from reconciler.credentials.key_ring import KeyRing
from reconciler.state.instance import Instance
from reconciler.state.kubernetes_nodes import KubernetesNodes
from reconciler.state.owned_objects import original_of
from reconciler.state.rotation_record import RotationRecord
from shared.consumers.access import is_admitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.state.credential_rollout import CredentialRollout
    from reconciler.state.external_store import ExternalFacts
    from reconciler.state.primary_service import PrimaryService
    from reconciler.state.session_storage import DeclaredStorage
    from reconciler.state.write_outcome import Target, WriteOutcome
    from shared.consumers.identity import Consumer, Usage
    from shared.objects.resources import Key, Object, Resource


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who uses a storage, and what their namespaces have of its connection Secret.

    Attributes:
        admitted: Consumers that may use the storage.
        refused: Consumers that refer to the storage and may not use it.
        namespaces: Other namespaces that should have a copy of the connection Secret.
        copies: The copies that exist, by namespace; also where nobody needs them any more.
        obstructed: Namespaces where somebody else's Secret has the copy's name.
        has_auth_data: Whether some auth server keeps its data in the storage; None if the caches may lack one.
    """

    admitted: tuple[Consumer, ...] = ()
    refused: tuple[Consumer, ...] = ()
    namespaces: tuple[str, ...] = ()
    copies: Mapping[str, Object] = field(default_factory=dict, repr=False)
    obstructed: tuple[str, ...] = ()
    has_auth_data: bool | None = False

    @classmethod
    def of(cls, storage: Object, usages: Iterable[Usage]) -> Self:
        """Sort consumers by whether they may use a storage; those that are being deleted no longer count."""
        staying = [usage for usage in usages if not usage.is_terminating]
        admitted = tuple(usage.consumer for usage in staying if is_admitted(storage, usage))
        refused = tuple(usage.consumer for usage in staying if not is_admitted(storage, usage))
        namespaces = {consumer.namespace for consumer in admitted} - {storage["metadata"]["namespace"]}
        return cls(admitted, refused, tuple(sorted(namespaces)))

    def with_secrets(self, storage: Key, secrets: Mapping[str, Object]) -> Self:
        """Add the Secrets that have the copy's name in other namespaces.

        Args:
            storage: The storage whose connection Secret they copy.
            secrets: By namespace; also those that somebody else made.
        """
        copies = {namespace: secret for namespace, secret in secrets.items() if original_of(secret) == storage}
        return replace(self, copies=copies, obstructed=tuple(sorted(secrets.keys() - copies.keys())))


@dataclass(frozen=True, slots=True)
class StorageState:
    """The state of one storage.

    Attributes:
        storage: The SessionStorage.
        children: The objects that exist under the names of its children, by (plural, name); also those
            of another owner. They stay raw, because a plan compares and writes them whole.
        key_ring: The passwords in its auth Secret.
        rotation: The record of its newest rotation.
        instances: Its Valkey instances, in the order of their numbers.
        primary_service: The Service that sends clients to its primary; None if it does not exist yet.
        stray_slices: EndpointSlices of that Service which somebody else writes.
        external: What the observer saw of the user's own store; None for a managed storage.
        sharing: Who uses it, who may, and the copies of its connection Secret.
        rollouts: While passwords change, how far each user of the credential is; None if the caches may lack some.
        is_rotation_due: Whether its schedule asks for a rotation, and no other storage goes first.
        nodes: Kubernetes' nodes, where instances run.
        pull_sources: The Secrets with registry credentials in the release's namespace, by name, as far as they exist.
        taken: Numbers of instances that the storage cannot have: StatefulSets of others have their names.
        claims: PersistentVolumeClaim of each instance that has one, by the instance's number.
        may_update: Whether it has, or may take, a slot for storages that the reconciler updates at the same time.
        gave_slot_back: Whether it had such a slot, got nowhere with it, and lets others go first.
        is_failing: Whether the pass before this one failed; what the status says of that still holds.
        outcomes: What became of the last writes of its objects that did not end as the reconciler wants.
    """

    storage: DeclaredStorage
    children: Mapping[tuple[str, str], Object] = field(repr=False)
    key_ring: KeyRing = field(default_factory=KeyRing, repr=False)
    rotation: RotationRecord = field(default_factory=RotationRecord)
    instances: tuple[Instance, ...] = ()
    primary_service: PrimaryService | None = None
    stray_slices: tuple[Object, ...] = field(default=(), repr=False)
    external: ExternalFacts | None = None
    sharing: Sharing = field(default_factory=Sharing)
    rollouts: tuple[CredentialRollout, ...] | None = ()
    is_rotation_due: bool = False
    nodes: KubernetesNodes = field(default_factory=KubernetesNodes)
    pull_sources: Mapping[str, Object] = field(default_factory=dict, repr=False)
    taken: frozenset[int] = frozenset()
    claims: Mapping[int, Object] = field(default_factory=dict, repr=False)
    may_update: bool = True
    gave_slot_back: bool = False
    is_failing: bool = False
    outcomes: Mapping[Target, WriteOutcome] = field(default_factory=dict, repr=False)

    @property
    def primary(self) -> Instance | None:
        """The instance that the Service names; None if it names none, or that was not seen."""
        number = self.primary_service.primary if self.primary_service is not None else None
        return next((each for each in self.instances if each.index == number), None)

    def instance(self, index: int) -> Instance:
        """Look an instance up by its number; one that the observer did not see has neither pod nor facts."""
        return next((instance for instance in self.instances if instance.index == index), Instance(index))

    def child(self, resource: Resource, name: str) -> Object | None:
        """Look a child up by its name."""
        return self.children.get((resource.plural, name))
