"""Whose the objects are that have the names of a storage's own. Pure.

    own         the storage is their owner
    ownerless   they have the storage's labels, no owner, and hold neither passwords nor data: the planner repairs them
    remnants    they have the storage's labels, and no owner or a storage of this name with another UID. After a restore
                of a cluster's backup, all objects are such; so are those that a deleted storage left behind
    strangers   all others

A storage takes remnants over with consent only: the annotation `adopt` names the UID of each. Whoever may create
Secrets or PersistentVolumeClaims, and nothing else, could otherwise choose a storage's passwords or plant its data, and
a storage whose name was used before would inherit sessions. Who may write the SessionStorage may use it anyway, and a
UID is the API server's choice: the consent holds for these objects, and for none that comes later.

As long as there are strangers or remnants, the storage makes nothing: no pod may start with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from reconciler.actions.kubernetes import Delete, Write
from reconciler.plan.desired_objects import owner_of
from reconciler.plan.verdict import Verdict
from reconciler.state import pod_status
from reconciler.state.owned_objects import CHILD_RESOURCES, is_owned_by, is_storage, was_made_for
from shared import names
from shared.objects.resources import (
    ENDPOINT_SLICES,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    VOLUME_CLAIMS,
    is_terminating,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from reconciler.actions.plan import Step
    from reconciler.manifests.storage import Storage
    from reconciler.state.storage_state import StorageState
    from shared.objects.resources import Object, Resource

_RESOURCES: Final = {resource.plural: resource for resource in CHILD_RESOURCES}
_CONFIDENTIAL: Final = frozenset({SECRETS, VOLUME_CLAIMS})
"""What holds passwords or data."""
_LEADING: Final = frozenset({SERVICES, ENDPOINT_SLICES, STATEFUL_SETS})
"""What clients and a failover depend on."""
_ORPHANING: Final = "orphan"
"""Finalizer of an object that Kubernetes deletes without what it owns (Kubernetes, "Garbage collection")."""
_LEAVING: Final = " (which is being deleted)"


@dataclass(frozen=True, slots=True)
class NamedObject:
    """An object that has a name which is a storage's."""

    resource: Resource
    obj: Object
    storage: Storage

    @property
    def title(self) -> str:
        """Its kind and name."""
        return f"{self.obj.get('kind') or self.resource.kind} {self.obj['metadata']['name']}"

    @property
    def uid(self) -> str:
        """What a consent names it by."""
        return str(self.obj["metadata"].get("uid", ""))

    @property
    def owners(self) -> list[Object]:
        """Its owners, as it names them."""
        return self.obj["metadata"].get("ownerReferences") or []

    @property
    def is_own(self) -> bool:
        """Whether the storage is its owner; the storage does not control the claims on volumes."""
        if self.resource is VOLUME_CLAIMS:
            return is_owned_by(self.obj, self.storage.uid)
        return any(each.get("uid") == self.storage.uid and each.get("controller") for each in self.owners)

    @property
    def was_ours(self) -> bool:
        """Whether it has the storage's labels, and no owner but storages of this name."""
        return was_made_for(self.obj, self.storage.name)

    @property
    def needs_consent(self) -> bool:
        """Whether it holds passwords or data, or Kubernetes deletes it as the object of a storage that is gone."""
        return self.resource in _CONFIDENTIAL or any(map(self._is_former, self.owners))

    @property
    def is_being_left(self) -> bool:
        """Whether Kubernetes deletes it, and then leaves alone what it owned."""
        return is_terminating(self.obj) and _ORPHANING in (self.obj["metadata"].get("finalizers") or [])

    @property
    def makes_lost_claims(self) -> bool:
        """Whether it is a StatefulSet whose claims would belong to another storage.

        Kubernetes would delete each claim that it makes from now on, and nobody can change its template.
        """
        if self.resource is not STATEFUL_SETS:
            return False
        templates: list[Object] = self.obj["spec"].get("volumeClaimTemplates") or []
        owners = [each for template in templates for each in template["metadata"].get("ownerReferences") or []]
        return any(map(self._is_former, owners))

    def leads_elsewhere(self, addresses: Collection[str]) -> bool:
        """Whether it is an EndpointSlice that sends clients to an address at which the storage has no pod."""
        endpoints: list[Object] = (self.obj.get("endpoints") or []) if self.resource is ENDPOINT_SLICES else []
        return any(each not in addresses for endpoint in endpoints for each in endpoint.get("addresses") or [])

    @property
    def adoption(self) -> Step:
        """Make it the storage's own; a StatefulSet with another one's claims goes without its pod, and comes back."""
        if self.makes_lost_claims:
            return Delete.of(self.resource, self.obj, keeps_dependents=True)
        storage = self.storage
        own = storage.reference if self.resource is VOLUME_CLAIMS else storage.control
        others = [each for each in self.owners if not is_storage(each, self.storage.name)]
        metadata = {**self.obj["metadata"], "ownerReferences": [*others, own]}
        return Write(self.resource, {**self.obj, "metadata": metadata})

    def _is_former(self, owner: Object) -> bool:
        """Tell whether an owner is a storage of this name that exists no more: the one that exists has another UID."""
        return is_storage(owner, self.storage.name) and owner.get("uid") != self.storage.uid


@dataclass(frozen=True, slots=True)
class Ownership:
    """The objects under a storage's names that are not its own.

    Attributes:
        strangers: Objects that the storage never takes over, and those that are being deleted.
        remnants: Objects that it takes over with consent.
        orphaning: StatefulSets that Kubernetes deletes without their pods.
        outdated: StatefulSets without an owner that make claims for another storage.
        misleading: EndpointSlices without an owner that send clients to addresses where the storage has no pod.
        consent: The UIDs that the annotation `adopt` names.
        has_instances: Whether a StatefulSet is the storage's own.
    """

    storage: Storage
    strangers: tuple[NamedObject, ...]
    remnants: tuple[NamedObject, ...]
    orphaning: tuple[NamedObject, ...]
    outdated: tuple[NamedObject, ...]
    misleading: tuple[NamedObject, ...]
    consent: frozenset[str]
    has_instances: bool

    @classmethod
    def of(cls, state: StorageState) -> Self:
        """Sort what exists under a storage's names."""
        storage = owner_of(state.storage)
        children = [NamedObject(_RESOURCES[plural], obj, storage) for (plural, _), obj in state.children.items()]
        has_instances = any(each.resource is STATEFUL_SETS and each.is_own for each in children)
        # No instance of the storage's own was made while there were others' claims, so what it mounts is the storage's.
        claims = () if has_instances else _claims(state, storage).values()
        others = [each for each in (*children, *claims) if not each.is_own]
        ours = [each for each in others if each.was_ours and not each.is_being_left]
        held = [each for each in ours if each.needs_consent]
        addresses = {address for instance in state.instances for address in pod_status.addresses(instance.pod)}
        return cls(
            storage,
            strangers=(
                *(each for each in others if not each.was_ours),
                *(each for each in held if is_terminating(each.obj)),
            ),
            remnants=tuple(each for each in held if not is_terminating(each.obj)),
            orphaning=tuple(each for each in others if each.was_ours and each.is_being_left),
            outdated=tuple(each for each in ours if each.makes_lost_claims and not each.needs_consent),
            misleading=tuple(each for each in ours if each.leads_elsewhere(addresses)),
            consent=state.storage.requests.adoption,
            has_instances=has_instances,
        )

    @property
    def obstacle(self) -> Verdict | None:
        """Say what is in the storage's way and needs a person; None if nothing is."""
        if self.strangers:
            found = [f"{each.title}{_LEAVING if is_terminating(each.obj) else ''}" for each in self.strangers]
            return Verdict.name_taken(found, is_leaving=all(is_terminating(each.obj) for each in self.strangers))
        if all(each.uid in self.consent for each in self.remnants):
            return None
        uids = ",".join(each.uid for each in self.remnants)
        command = (
            f"kubectl annotate --overwrite -n {self.storage.namespace} sessionstorage {self.storage.name}"
            f" {names.ANNOTATION_ADOPT}={uids}"
        )
        return Verdict.adoption_needed([each.title for each in self.remnants], command)

    @property
    def leads_clients(self) -> bool:
        """Whether the storage has instances of its own, and nobody else has what leads clients to them."""
        in_the_way = {each.resource for each in (*self.strangers, *self.remnants)}
        return self.has_instances and in_the_way.isdisjoint(_LEADING)

    @property
    def safeguards(self) -> tuple[Step, ...]:
        """Send clients nowhere rather than to an address of another cluster's pod, who would get the password."""
        return tuple(Write(each.resource, {**each.obj, "endpoints": []}) for each in self.misleading)

    @property
    def adoptions(self) -> tuple[Step, ...]:
        """Take over what a person has agreed to, and what needs no agreement but another template."""
        return tuple(each.adoption for each in (*self.remnants, *self.outdated))

    @property
    def is_pending(self) -> bool:
        """Whether Kubernetes still deletes a StatefulSet that has to come back with another template."""
        return bool(self.orphaning)


def own_claims(state: StorageState) -> Mapping[int, Object]:
    """Find the claims that belong to a storage and are to stay, by the instance's number."""
    found = _claims(state, owner_of(state.storage))
    return {index: each.obj for index, each in found.items() if each.is_own and not is_terminating(each.obj)}


def foreign_claims(state: StorageState) -> frozenset[int]:
    """List the numbers of instances to come that would mount a volume which is not the storage's."""
    found = _claims(state, owner_of(state.storage))
    return frozenset(index for index, each in found.items() if not each.is_own)


def adopt_mounted_claims(state: StorageState) -> Iterator[Step]:
    """Have a storage own the volumes of its own instances, so that they go when the storage goes."""
    storage = owner_of(state.storage)
    for index, each in _claims(state, storage).items():
        workload = state.child(STATEFUL_SETS, names.valkey_instance(storage.name, index))
        is_mounted = workload is not None and NamedObject(STATEFUL_SETS, workload, storage).is_own
        if is_mounted and each.was_ours and not each.is_own and not is_terminating(each.obj):
            yield each.adoption


def _claims(state: StorageState, storage: Storage) -> dict[int, NamedObject]:
    return {index: NamedObject(VOLUME_CLAIMS, claim, storage) for index, claim in sorted(state.claims.items())}
