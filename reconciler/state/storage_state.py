"""The state of one storage, as it was observed: all that a plan depends on, parsed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.credentials.key_ring import KeyRing
from reconciler.state.instance import Instance
from reconciler.state.kubernetes_nodes import KubernetesNodes
from reconciler.state.rotation_record import RotationRecord
from reconciler.state.sharing import Sharing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.state.credential_rollout import CredentialRollout
    from reconciler.state.external_store import ExternalFacts
    from reconciler.state.primary_record import PrimaryService
    from reconciler.state.session_storage import DeclaredStorage
    from shared.objects.resources import Object, Resource


@dataclass(frozen=True, slots=True)
class StorageState:
    """The state of one storage.

    Attributes:
        storage: The SessionStorage.
        children: The objects that exist under the names of its children, by (plural, name); those of another owner
            too. They stay raw, because a plan compares and writes them whole.
        key_ring: The passwords in its auth Secret.
        rotation: The record of its newest rotation.
        instances: Its Valkey instances, in the order of their numbers.
        primary_service: The Service that names its primary; None if it does not exist yet.
        external: What was seen of the user's own store.
        sharing: Who uses it, who may, and the copies of its connection Secret.
        rollouts: While passwords change, how far each user of the credential is; None if not all are known.
        is_rotation_due: Whether its schedule asks for a rotation, and no other storage goes first.
        nodes: Kubernetes' nodes, where instances run.
        claims: PersistentVolumeClaim of each instance that has one, by the instance's number.
        may_update: Whether it has one of the slots for storages that are updated at the same time.
    """

    storage: DeclaredStorage
    children: Mapping[tuple[str, str], Object] = field(repr=False)
    key_ring: KeyRing = field(default_factory=KeyRing, repr=False)
    rotation: RotationRecord = field(default_factory=RotationRecord)
    instances: tuple[Instance, ...] = ()
    primary_service: PrimaryService | None = None
    external: ExternalFacts | None = None
    sharing: Sharing = field(default_factory=Sharing)
    rollouts: tuple[CredentialRollout, ...] | None = ()
    is_rotation_due: bool = False
    nodes: KubernetesNodes = field(default_factory=KubernetesNodes)
    claims: Mapping[int, Object] = field(default_factory=dict, repr=False)
    may_update: bool = True

    def instance(self, index: int) -> Instance:
        """Look an instance up by its number; an unknown one shows nothing."""
        return next((instance for instance in self.instances if instance.index == index), Instance(index))

    def child(self, resource: Resource, name: str) -> Object | None:
        """Look a child up by its name."""
        return self.children.get((resource.plural, name))
