"""The Valkey instances of a storage, seen from the one that the Service sends clients to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.credentials import identities
from reconciler.manifests.eviction import Eviction, eviction_for
from reconciler.state.owned_objects import is_owned_by
from shared import names
from shared.objects.resources import CONFIG_MAPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.credentials.key_ring import KeyRing
    from reconciler.credentials.login import Login
    from reconciler.state.instance import Instance
    from reconciler.state.primary_service import PrimaryService
    from reconciler.state.storage_state import StorageState
    from shared.objects.resources import Key
    from shared.session_storage.sizes import Preset, Size


CLOSE_BYTES: Final = 1 << 20
"""A replica that is fewer bytes behind its primary catches up within milliseconds."""


@dataclass(frozen=True, slots=True)
class ReplicationGroup:
    """The Valkey instances of a storage, and which of them is primary.

    Attributes:
        service: The Service that sends clients to the primary; None if it does not exist yet.
        primary: The instance that the Service sends clients to, even if it considers itself a replica.
        preset: What the wanted size decides.
        eviction: Which keys the instances may remove when their memory is full.
    """

    storage: Key
    service: PrimaryService | None
    primary: Instance
    others: tuple[Instance, ...]
    preset: Preset
    ring: KeyRing
    eviction: Eviction = Eviction.ANY_KEY

    @classmethod
    def of(cls, state: StorageState, preset: Preset) -> ReplicationGroup:
        """Tell the primary and the others apart among the instances that the observer saw."""
        service = state.primary_service
        volumes = [index for index, claim in state.claims.items() if is_owned_by(claim, state.storage.uid)]
        primary = _primary_index(service, state.instances, volumes)
        others = tuple(instance for instance in state.instances if instance.index != primary)
        config = state.child(CONFIG_MAPS, names.valkey(state.storage.name))
        leader = state.instance(primary)
        eviction = eviction_for(
            config,
            has_auth_data=state.sharing.has_auth_data,
            has_lasting_keys=leader.replication.has_lasting_keys if leader.is_loaded else None,
        )
        return cls(state.storage.key, service, leader, others, preset, state.key_ring, eviction)

    @property
    def instances(self) -> tuple[Instance, ...]:
        """All of them, the primary first."""
        return self.primary, *self.others

    @property
    def in_order(self) -> tuple[Instance, ...]:
        """All of them, in the order of their numbers."""
        return tuple(sorted(self.instances, key=lambda instance: instance.index))

    def name(self, *instances: Instance) -> str:
        """Name instances for people: by their StatefulSets."""
        return ", ".join(names.valkey_instance(self.storage[1], instance.index) for instance in instances)

    @property
    def replication(self) -> Login:
        """How an instance logs in to its primary."""
        return self.ring.login(identities.REPLICATION)

    @property
    def primary_addresses(self) -> frozenset[str]:
        """Addresses by which a replica reaches the primary without DNS: the primary's own, and the Service's."""
        of_service = self.service.cluster_ip if self.service is not None else ""
        return frozenset({self.primary.address, of_service} - {""})

    @property
    def service_name(self) -> str:
        """The host name by which DNS knows the Service."""
        namespace, name = self.storage
        return names.valkey_host(name, namespace)

    @property
    def service_host(self) -> str:
        """The host by which an instance that starts reaches the primary; a name only until the Service exists."""
        return (self.service.cluster_ip if self.service is not None else "") or self.service_name

    @property
    def size(self) -> Size | None:
        """The size that the reconciler made the primary for; None if its pod does not say."""
        return self.primary.size

    @property
    def sizes(self) -> frozenset[Size]:
        """The sizes that the reconciler made the instances for, as far as their pods say."""
        return frozenset(each.size for each in self.instances if each.size is not None)

    # Who serves, and who could take over in good order

    @property
    def is_serving(self) -> bool:
        """Whether the primary takes logins and writes, as far as can be seen."""
        return self.primary.is_primary and not self.primary.problem

    @property
    def is_leading(self) -> bool:
        """Whether the primary is one in its own eyes, and answers the reconciler, even if it fails its clients."""
        return self.primary.is_primary and self.primary.problem in {"", "failing"}

    @property
    def takes_writes(self) -> bool:
        """Whether a client's write succeeds: the primary serves, and has the replicas that its fence asks for.

        What counts is the fence that the primary is to have: the reconciler sets it before it writes the status.
        """
        return self.is_serving and self.primary.replication.good_replicas >= self.fence

    @property
    def synced(self) -> tuple[Instance, ...]:
        """Replicas that could take over."""
        return tuple(instance for instance in self.others if self.is_synced(instance))

    def is_synced(self, instance: Instance) -> bool:
        """Tell whether an instance follows the primary closely, and could take writes in its place."""
        lag = self.lag(instance)
        is_well = not instance.problem and not instance.disk_fails
        return is_well and instance.replication.is_streaming and lag is not None and lag < CLOSE_BYTES

    def is_attached(self, instance: Instance) -> bool:
        """Tell whether an instance is connected with the primary, in sync or not, as either of them says."""
        return instance.replication.is_linked or self.primary.replication.attached(instance.address) is not None

    def lag(self, instance: Instance) -> int | None:
        """Tell how many bytes an instance is behind the primary; None if their lineages or answers do not tell."""
        if not self.primary.responds or not instance.responds:
            return None
        own, primary = instance.replication, self.primary.replication
        return max(primary.offset - own.offset, 0) if own.lineage == primary.lineage else None

    @property
    def fence(self) -> int:
        """The `min-replicas-to-write` that the primary is to have; in doubt the fence stays up.

        A storage that should have one instance takes writes alone, even while a second instance is being made.
        """
        if all(instance.is_gone for instance in self.others):
            return 0
        # If the primary was not made to have replicas, they come only now, and clients need not wait for them.
        made_for = self.primary.made_for
        was_redundant = made_for is None or made_for > 1
        has_replica = any(replica.is_online for replica in self.primary.replication.replicas)
        return self.preset.fence if was_redundant or has_replica else 0

    # What a failover depends on

    @property
    def hearing(self) -> tuple[Instance, ...]:
        """Replicas that still hear the primary, which therefore lives."""
        return tuple(instance for instance in self.linked if instance.hears_primary)

    @property
    def linked(self) -> tuple[Instance, ...]:
        """Replicas that may have a connection with the primary, however long it has been silent."""
        return _linked(self.others)

    @property
    def unaccounted(self) -> tuple[Instance, ...]:
        """Instances that may follow the primary unseen, and so let it go on taking writes."""
        return tuple(instance for instance in self.others if not (instance.responds or instance.is_gone))

    @property
    def missing(self) -> tuple[Instance, ...]:
        """Instances that might have data, and do not tell."""
        return tuple(instance for instance in self.in_order if not instance.is_loaded)

    @property
    def is_complete(self) -> bool:
        """Whether every instance that there should be is loaded."""
        return len(self.instances) >= self.preset.replicas and not self.missing


def primary_silent_for(primary: Instance, others: Sequence[Instance]) -> float:
    """Tell how many seconds ago the primary gave its last sign of life, to the reconciler or to a replica.

    The observer keeps the latest of these instants: a primary that only the reconciler cannot reach goes on taking
    writes, and a replica that was cut off together with the reconciler must not pass for one that has all of them.
    `primary.silent_for` is what the reconciler itself knows.
    """
    # Valkey cuts off fractions: the sign of life came up to a second earlier than it says.
    return min([primary.silent_for, *((replica.replication.silence or 0) + 1.0 for replica in _linked(others))])


def _linked(others: Sequence[Instance]) -> tuple[Instance, ...]:
    """Find linked replicas, but for those that follow another primary, as in a failover that broke off half-way."""
    lineages = {other.replication.lineage for other in others if other.is_primary}
    return tuple(other for other in others if other.is_linked and other.replication.lineage not in lineages)


def _primary_index(service: PrimaryService | None, instances: Sequence[Instance], volumes: Sequence[int]) -> int:
    """Tell by the Service which instance is primary, or by its record if the Service names one that is not there.

    If there is neither, as in a backup that has only volumes, it is an instance that has a volume.
    """
    named = service.primary if service is not None else None
    present = {instance.index for instance in instances}
    if named is not None and named in present:
        return named
    recorded = service.record.settled_primary if service is not None else None
    stated = named if recorded is None else recorded
    is_trusted = stated in present or not any(instance.is_primary for instance in instances)
    return stated if stated is not None and is_trusted else _most_followed(instances, volumes)


def _most_followed(instances: Sequence[Instance], volumes: Sequence[int]) -> int:
    """Tell which instance considers itself the primary and has the most replicas; the first if none does."""
    primaries = [instance for instance in instances if instance.is_primary]
    best = max(primaries, key=lambda instance: len(instance.replication.replicas), default=None)
    known = [instance.index for instance in instances] or volumes
    return best.index if best is not None else min(known, default=0)
