"""The names of a storage's children, and which storage an object belongs to or is a copy from. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared import names
from shared.objects.resources import (
    CONFIG_MAPS,
    DISRUPTION_BUDGETS,
    ENDPOINT_SLICES,
    NETWORK_POLICIES,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Key,
    Object,
    Resource,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.state.session_storage import DeclaredStorage

CHILD_RESOURCES: Final = (
    SECRETS,
    NETWORK_POLICIES,
    CONFIG_MAPS,
    STATEFUL_SETS,
    SERVICES,
    ENDPOINT_SLICES,
    DISRUPTION_BUDGETS,
)


def parent_of(child: Object) -> Key | None:
    """Tell by its labels which storage an object belongs to; None if to none."""
    labels = child["metadata"].get("labels") or {}
    # A copy of a connection Secret is in another namespace than its storage.
    namespace = labels.get(names.LABEL_STORAGE_NAMESPACE) or child["metadata"].get("namespace", "")
    storage = labels.get(names.LABEL_STORAGE)
    return (namespace, storage) if storage else None


def original_of(secret: Object) -> Key | None:
    """Tell which storage's connection Secret a Secret is a copy of, by its labels; None if it is no copy."""
    labels = secret["metadata"].get("labels") or {}
    namespace, name = labels.get(names.LABEL_STORAGE_NAMESPACE), labels.get(names.LABEL_STORAGE)
    if labels.get(names.LABEL_MANAGED_BY) != names.MANAGED_BY or not (namespace and name):
        return None
    return namespace, name


def is_owned_by(obj: Object, uid: str) -> bool:
    """Tell whether the object with this UID is among an object's owners."""
    return any(owner.get("uid") == uid for owner in obj["metadata"].get("ownerReferences") or [])


def child_names(resource: Resource, storage: str) -> tuple[str, ...]:
    """Name a storage's children of one kind; none for StatefulSets, which a label ties to their storage."""
    return {
        SECRETS.plural: (names.auth_secret(storage), names.connection_secret(storage)),
        NETWORK_POLICIES.plural: (names.valkey(storage),),
        CONFIG_MAPS.plural: (names.valkey(storage),),
        SERVICES.plural: (names.valkey(storage), names.valkey_headless(storage), names.valkey_replicas(storage)),
        ENDPOINT_SLICES.plural: (names.valkey(storage),),
        DISRUPTION_BUDGETS.plural: tuple(names.valkey_budget(storage, role) for role in names.ROLES),
    }.get(resource.plural, ())


def initial_workloads(storage: DeclaredStorage) -> list[str]:
    """Name the StatefulSets that a storage begins with."""
    replicas = storage.spec.preset.replicas if storage.spec is not None else 1
    return [names.valkey_instance(storage.name, index) for index in range(replicas)]


def instance_indexes(children: Mapping[tuple[str, str], Object]) -> list[int]:
    """List the numbers of the instances that exist, or existed: each has a StatefulSet."""
    return sorted(names.instance_index(name) for plural, name in children if plural == STATEFUL_SETS.plural)
