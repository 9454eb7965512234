"""What keeps a storage available: one primary, replicas that follow it, and no other node that takes writes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler import failover, pods
from reconciler.members import Member
from reconciler.node_steps import Fence, Follow, LogInAnew, Promote, Resume
from reconciler.primacy import Claim, primary_of
from reconciler.steps import Mark, Step
from shared import credentials, names
from shared.manifests import ROLE_PRIMARY, ROLE_REPLICA
from shared.resources import SERVICES, annotation_of
from shared.sizes import PRESETS, Size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from reconciler.failover import Decision
    from reconciler.nodes import NodeReport
    from reconciler.observed import Observed
    from shared.keyring import KeyRing
    from shared.login import Login
    from shared.resources import Object
    from shared.sizes import Preset

CLOSE_BYTES: Final = 1 << 20
"""A replica that lags by less has what matters within milliseconds."""


@dataclass(frozen=True, slots=True)
class Group:
    """The Valkey nodes of a storage, and which of them is primary.

    Attributes:
        service: Of the storage; None if it is not there yet.
        primary: The node that clients get to.
        others: All others.
        preset: What the wanted size decides.
        ring: The storage's passwords.
    """

    service: Object | None
    primary: NodeReport
    others: tuple[NodeReport, ...]
    preset: Preset
    ring: KeyRing

    @classmethod
    def of(cls, observed: Observed, preset: Preset, ring: KeyRing) -> Group:
        """Sort what was observed by its role."""
        service = observed.child(SERVICES, names.valkey(observed.storage["metadata"]["name"]))
        primary = _recorded(service, observed.nodes)
        others = tuple(node for node in observed.nodes if node.index != primary)
        return cls(service, observed.node(primary), others, preset, ring)

    @property
    def nodes(self) -> tuple[NodeReport, ...]:
        """All of them, the primary first."""
        return self.primary, *self.others

    @property
    def is_serving(self) -> bool:
        """Whether the primary takes logins and writes, as far as can be seen."""
        return self.primary.is_primary and not self.primary.problem

    @property
    def replication(self) -> Login:
        """How a node logs in to its primary."""
        return self.ring.login(credentials.REPLICATION)

    def is_synced(self, node: NodeReport) -> bool:
        """Tell whether a node follows the primary closely."""
        if self.primary.facts is None or node.facts is None or node.problem:
            return False
        lag = self.lag(node)
        return node.facts.replication.is_streaming and lag is not None and lag < CLOSE_BYTES

    def is_attached(self, node: NodeReport) -> bool:
        """Tell whether a node is connected with the primary, in sync or not, as either of them says."""
        if node.facts is not None and node.facts.replication.is_linked:
            return True
        return self.primary.facts is not None and self.primary.facts.replication.attached(node.address) is not None

    def lag(self, node: NodeReport) -> int | None:
        """Tell how many bytes a node is behind the primary; None if that cannot be told."""
        if self.primary.facts is None or node.facts is None:
            return None
        ours, theirs = node.facts.replication, self.primary.facts.replication
        return max(theirs.offset - ours.offset, 0) if ours.lineage == theirs.lineage else None

    @property
    def synced(self) -> tuple[NodeReport, ...]:
        """Nodes that could take over."""
        return tuple(node for node in self.others if self.is_synced(node))

    @property
    def fence(self) -> int:
        """Without how many replicas the primary is to take no writes."""
        wanted = failover.fence(self.primary.index, self.members, self.preset.replicas)
        # If the primary was not made to have replicas, they come only now, and clients need not wait for them.
        was_redundant = self.size is None or PRESETS[self.size].is_redundant
        return wanted if was_redundant or self._has_replica else 0

    @property
    def size(self) -> Size | None:
        """The size that the primary was made as; None if it does not say."""
        return _size(self.primary)

    @property
    def sizes(self) -> frozenset[Size]:
        """The sizes that nodes were made as, as far as they say."""
        return frozenset(size for size in map(_size, self.nodes) if size is not None)

    @property
    def members(self) -> list[Member]:
        """The nodes, as the decision about them wants them."""
        return [Member.of(node) for node in self.nodes]

    @property
    def _has_replica(self) -> bool:
        facts = self.primary.facts
        return facts is not None and any(replica.is_online for replica in facts.replication.replicas)


def _size(node: NodeReport) -> Size | None:
    label = (node.pod or {"metadata": {}})["metadata"].get("labels", {}).get(names.LABEL_SIZE)
    return next((size for size in Size if size.value == label), None)


def _recorded(service: Object | None, nodes: Sequence[NodeReport]) -> int:
    """Tell who is primary by what the Service says; the record counts if the selector names nobody that there is."""
    named, present = primary_of(service), {node.index for node in nodes}
    if named is not None and named in present:
        return named
    settled = Claim.of(service).settled
    stated = named if settled is None else settled
    is_trusted = stated in present or not any(node.is_primary for node in nodes)
    return stated if stated is not None and is_trusted else _leading(nodes)


def _leading(nodes: Sequence[NodeReport]) -> int:
    """Tell who is primary where the Service names nobody that there is: who takes itself for it, and has replicas."""
    primaries = [node for node in nodes if node.is_primary and node.facts is not None]
    best = max(primaries, key=lambda node: len(node.facts.replication.replicas) if node.facts else 0, default=None)
    return best.index if best is not None else min((node.index for node in nodes), default=0)


def decide(group: Group, storage: Object) -> Decision:
    """Decide who has to be primary."""
    asked = annotation_of(storage, names.ANNOTATION_PROMOTE)
    return failover.decide(group.primary.index, group.members, group.preset.replicas, asked)


def steps(group: Group, decision: Decision, now: datetime) -> Iterator[Step]:
    """Say what is to be done to be available, or more so."""
    if isinstance(decision, failover.Promote):
        if group.service is not None:
            yield _promotion(group, group.service, decision, now)
        return
    if not group.is_serving:
        return
    if group.primary.facts is not None and group.primary.facts.is_paused and group.service is not None:
        yield Resume(group.service, Claim.of(group.service).withdrawn(group.primary.index), group.primary)
    yield from _following(group)
    fence = group.fence
    if group.primary.facts is not None and group.primary.facts.fence != fence:
        yield Fence(group.primary, fence)
    yield from _marks(group)


def _promotion(group: Group, service: Object, decision: failover.Promote, now: datetime) -> Promote:
    nodes = {node.index: node for node in group.nodes}
    followers = tuple(
        node for node in group.nodes if node.index != decision.index and node.facts is not None and node.can_be_told
    )
    claim = Claim.of(service).next(decision.index, decision.reason, now)
    return Promote(service, claim, nodes[decision.index], followers, group.replication)


def _following(group: Group) -> Iterator[Step]:
    """Have every node follow the primary, and log in there by the present password."""
    wanted = credentials.sha256(group.replication.password)
    astray = [node for node in group.others if node.can_be_told and _is_astray(group, node)]
    for node in astray:
        yield Follow(node, group.primary.address, group.replication)
    late = [node for node in group.synced if node.facts is not None and node.facts.upstream_hash != wanted]
    # One by one: without any replica, a redundant primary takes no writes.
    if late and not astray and len(group.synced) == len(group.others):
        yield LogInAnew(late[0], group.replication)


def _is_astray(group: Group, node: NodeReport) -> bool:
    """Tell whether a node follows nobody, or somebody else; one that is on its way to the primary is left alone."""
    if node.facts is None or node.facts.is_loading:
        return False
    # Where writes wait, as a leader of the past may have told a replica, what its primary sends waits as well.
    if node.is_primary or node.facts.is_paused:
        return True
    ours = node.facts.replication
    if ours.is_linked and group.lag(node) is None:  # of another history, so of another primary
        return True
    clusters = (group.service or {}).get("spec", {}).get("clusterIP", "")
    return ours.upstream not in {group.primary.address, clusters} and not _is_service(group, ours.upstream)


def _is_service(group: Group, host: str) -> bool:
    metadata = (group.service or {}).get("metadata", {})
    return bool(metadata) and host == names.valkey_host(metadata["name"].removesuffix("-valkey"), metadata["namespace"])


def _marks(group: Group) -> Iterator[Step]:
    """Label each pod by its role, the primary last.

    Kubernetes' disruption controller does not count anew when a pod loses the label by which a budget knows it. If two
    pods had that of the primary for a moment, one of them could be evicted from then on.
    """
    for node in (*group.others, group.primary):
        if node.pod is None or pods.is_deleted(node.pod):
            continue
        role = ROLE_PRIMARY if node.index == group.primary.index else ROLE_REPLICA
        if node.pod["metadata"].get("labels", {}).get(names.LABEL_ROLE) != role:
            yield Mark(node.pod, role)
