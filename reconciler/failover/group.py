"""The Valkey instances of a storage and which of them is primary. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.credentials import identities
from reconciler.failover import decision
from reconciler.failover.members import Member
from reconciler.state.primary_record import Claim, primary_of
from shared import names
from shared.objects.resources import SERVICES
from shared.session_storage.sizes import PRESETS, Size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.credentials.key_ring import KeyRing
    from reconciler.credentials.login import Login
    from reconciler.state.instance import Instance
    from reconciler.state.storage_state import StorageState
    from shared.objects.resources import Object
    from shared.session_storage.sizes import Preset


CLOSE_BYTES: Final = 1 << 20
"""A replica that lags by less has what matters within milliseconds."""


@dataclass(frozen=True, slots=True)
class Group:
    """The Valkey instances of a storage, and which of them is primary.

    Attributes:
        service: Of the storage; None if it is not there yet.
        primary: The instance that clients get to.
        others: All others.
        preset: What the wanted size decides.
        ring: The storage's passwords.
    """

    service: Object | None
    primary: Instance
    others: tuple[Instance, ...]
    preset: Preset
    ring: KeyRing

    @classmethod
    def of(cls, state: StorageState, preset: Preset, ring: KeyRing) -> Group:
        """Sort what was observed by its role."""
        service = state.child(SERVICES, names.valkey(state.storage.name))
        primary = _recorded(service, state.instances)
        others = tuple(instance for instance in state.instances if instance.index != primary)
        return cls(service, state.instance(primary), others, preset, ring)

    @property
    def instances(self) -> tuple[Instance, ...]:
        """All of them, the primary first."""
        return self.primary, *self.others

    @property
    def is_serving(self) -> bool:
        """Whether the primary takes logins and writes, as far as can be seen."""
        return self.primary.is_primary and not self.primary.problem

    @property
    def replication(self) -> Login:
        """How an instance logs in to its primary."""
        return self.ring.login(identities.REPLICATION)

    def is_synced(self, instance: Instance) -> bool:
        """Tell whether an instance follows the primary closely."""
        if self.primary.facts is None or instance.facts is None or instance.problem:
            return False
        lag = self.lag(instance)
        return instance.facts.replication.is_streaming and lag is not None and lag < CLOSE_BYTES

    def is_attached(self, instance: Instance) -> bool:
        """Tell whether an instance is connected with the primary, in sync or not, as either of them says."""
        if instance.facts is not None and instance.facts.replication.is_linked:
            return True
        return self.primary.facts is not None and self.primary.facts.replication.attached(instance.address) is not None

    def lag(self, instance: Instance) -> int | None:
        """Tell how many bytes an instance is behind the primary; None if that cannot be told."""
        if self.primary.facts is None or instance.facts is None:
            return None
        ours, theirs = instance.facts.replication, self.primary.facts.replication
        return max(theirs.offset - ours.offset, 0) if ours.lineage == theirs.lineage else None

    @property
    def synced(self) -> tuple[Instance, ...]:
        """Instances that could take over."""
        return tuple(instance for instance in self.others if self.is_synced(instance))

    @property
    def fence(self) -> int:
        """Without how many replicas the primary is to take no writes."""
        wanted = decision.fence(self.primary.index, self.members, self.preset.replicas)
        # If the primary was not made to have replicas, they come only now, and clients need not wait for them.
        was_redundant = self.size is None or PRESETS[self.size].is_redundant
        return wanted if was_redundant or self._has_replica else 0

    @property
    def size(self) -> Size | None:
        """The size that the primary was made as; None if it does not say."""
        return _size(self.primary)

    @property
    def sizes(self) -> frozenset[Size]:
        """The sizes that instances were made as, as far as they say."""
        return frozenset(size for size in map(_size, self.instances) if size is not None)

    @property
    def members(self) -> list[Member]:
        """The instances, as the decision about them wants them."""
        return [Member.of(instance) for instance in self.instances]

    @property
    def _has_replica(self) -> bool:
        facts = self.primary.facts
        return facts is not None and any(replica.is_online for replica in facts.replication.replicas)


def _size(instance: Instance) -> Size | None:
    label = (instance.pod or {"metadata": {}})["metadata"].get("labels", {}).get(names.LABEL_SIZE)
    return next((size for size in Size if size.value == label), None)


def _recorded(service: Object | None, instances: Sequence[Instance]) -> int:
    """Tell who is primary by what the Service says; the record counts if the selector names nobody that there is."""
    named, present = primary_of(service), {instance.index for instance in instances}
    if named is not None and named in present:
        return named
    settled = Claim.of(service).settled
    stated = named if settled is None else settled
    is_trusted = stated in present or not any(instance.is_primary for instance in instances)
    return stated if stated is not None and is_trusted else _leading(instances)


def _leading(instances: Sequence[Instance]) -> int:
    """Tell who is primary where the Service names nobody that there is: who takes itself for it, and has replicas."""
    primaries = [instance for instance in instances if instance.is_primary and instance.facts is not None]
    best = max(
        primaries, key=lambda instance: len(instance.facts.replication.replicas) if instance.facts else 0, default=None
    )
    return best.index if best is not None else min((instance.index for instance in instances), default=0)
