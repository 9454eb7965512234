"""What a storage is asked to be and what there is of it, as one frozen value: all that a plan depends on. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.state.instance import Instance
from reconciler.state.kubernetes_nodes import KubernetesNodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.state.credential_rollout import Report
    from reconciler.state.external_store import ExternalFacts
    from reconciler.state.primary_record import PrimaryService
    from shared.consumers.identity import Usage
    from shared.objects.resources import Object, Resource


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a plan depends on.

    Attributes:
        storage: The SessionStorage.
        children: What exists of its objects, by (plural, name); those of another owner too.
        instances: Its Valkey instances, in the order of their numbers.
        primary_service: The Service that names its primary; None if it does not exist yet.
        external: What was seen of the user's own store.
        usages: Who uses it.
        mirrors: What has the name of the connection Secret's copy, by namespace; other people's Secrets too.
        holders: While passwords change, how far each holder of the credential is; None if not all are known.
        is_due: Whether its schedule asks for a rotation, and it is its turn.
        nodes: What is known of the nodes that instances run on.
        claims: On the volumes of instances, by number.
        may_update: Whether it is its turn to be brought up to date.
    """

    storage: Object
    children: Mapping[tuple[str, str], Object] = field(repr=False)
    instances: tuple[Instance, ...] = ()
    external: ExternalFacts | None = None
    usages: tuple[Usage, ...] = ()
    mirrors: Mapping[str, Object] = field(default_factory=dict, repr=False)
    holders: tuple[Report, ...] | None = ()
    is_due: bool = False
    nodes: KubernetesNodes = field(default_factory=KubernetesNodes)
    claims: Mapping[int, Object] = field(default_factory=dict, repr=False)
    may_update: bool = True
    primary_service: PrimaryService | None = None

    def instance(self, index: int) -> Instance:
        """Look an instance up by its number; one of which nothing is known, if it is not there."""
        return next((instance for instance in self.instances if instance.index == index), Instance(index))

    def child(self, resource: Resource, name: str) -> Object | None:
        """Look a child up by its name."""
        return self.children.get((resource.plural, name))
