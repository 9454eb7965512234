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
    SESSION_STORAGES,
    STATEFUL_SETS,
    Key,
    Object,
    Resource,
)
from shared.session_storage.sizes import DEFAULT_SIZES, Sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    """Tell by its labels which storage of its own namespace an object belongs to; None if to none."""
    metadata = child.get("metadata") or {}
    storage = (metadata.get("labels") or {}).get(names.LABEL_STORAGE)
    return (metadata.get("namespace", ""), storage) if storage else None


def original_of(secret: Object) -> Key | None:
    """Tell which storage's connection Secret a Secret is a copy of; None if it is no copy.

    Anybody can give any Secret these labels. Only in a copy do they and the name say the same.
    """
    metadata = secret.get("metadata") or {}
    labels = metadata.get("labels") or {}
    namespace, name = labels.get(names.LABEL_STORAGE_NAMESPACE), labels.get(names.LABEL_STORAGE)
    if labels.get(names.LABEL_MANAGED_BY) != names.MANAGED_BY or not (namespace and name):
        return None
    is_called_so = metadata.get("name") == names.mirrored_connection_secret(name, namespace)
    return (namespace, name) if is_called_so else None


def storage_of_secret(secret: Object) -> Key | None:
    """Tell which storage a Secret matters to: the one that it is a copy from, or else the one that it belongs to."""
    return original_of(secret) or parent_of(secret)


def place_of_pod(pod: Object) -> tuple[Key, int] | None:
    """Tell which instance a pod is, by its labels and its name alike; None if it is none."""
    parent, metadata = parent_of(pod), pod.get("metadata") or {}
    if parent is None or names.LABEL_INSTANCE not in (metadata.get("labels") or {}):
        return None
    workload, _, ordinal = str(metadata.get("name", "")).rpartition("-")
    index = names.instance_of(parent[1], workload)
    return (parent, index) if index is not None and ordinal == "0" else None


def is_storage(owner: Object, name: str) -> bool:
    """Tell whether an owner reference names a storage of this name, now or formerly."""
    group = str(owner.get("apiVersion", "")).partition("/")[0]
    return (group, owner.get("kind"), owner.get("name")) == (SESSION_STORAGES.group, SESSION_STORAGES.kind, name)


def was_made_for(obj: Object, storage: str) -> bool:
    """Tell whether an object has a storage's labels, and no owner in control of it but storages of this name."""
    labels = obj["metadata"].get("labels") or {}
    is_labelled = labels.get(names.LABEL_MANAGED_BY) == names.MANAGED_BY and labels.get(names.LABEL_STORAGE) == storage
    owners = obj["metadata"].get("ownerReferences") or []
    return is_labelled and all(is_storage(each, storage) for each in owners if each.get("controller"))


def _is_strange(obj: Object, storage: DeclaredStorage) -> bool:
    """Tell whether an object is neither a storage's own nor left by one of this name (`plan.ownership`)."""
    return not is_owned_by(obj, storage.uid) and not was_made_for(obj, storage.name)


def without_idle_strangers(
    children: Mapping[tuple[str, str], Object], storage: DeclaredStorage, sizes: Sizes = DEFAULT_SIZES
) -> dict[tuple[str, str], Object]:
    """Leave out the objects of others that are in nobody's way: the storage can do without their names.

    It can choose other numbers for its instances, but for the one that has been primary, and needs no objects for
    replicas where there are to be none.
    """
    sets = [obj for (plural, _), obj in children.items() if plural == STATEFUL_SETS.plural]
    has_instance = any(is_owned_by(obj, storage.uid) for obj in sets)
    is_redundant = storage.spec is not None and sizes.of(storage.spec.size).is_redundant
    for_replicas = {
        (SERVICES.plural, names.valkey_replicas(storage.name)),
        (DISRUPTION_BUDGETS.plural, names.valkey_budget(storage.name, names.ROLE_REPLICA)),
    }

    primary = children.get((ENDPOINT_SLICES.plural, names.valkey(storage.name)), {}).get("metadata", {})
    number = (primary.get("labels") or {}).get(names.LABEL_INSTANCE, "")

    def is_idle(key: tuple[str, str]) -> bool:
        plural, name = key
        if plural == STATEFUL_SETS.plural:
            return has_instance and not name.endswith(f"-{number}")
        return key in for_replicas and not is_redundant

    return {key: obj for key, obj in children.items() if not (is_idle(key) and _is_strange(obj, storage))}


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


def initial_workloads(storage: DeclaredStorage, sizes: Sizes = DEFAULT_SIZES) -> list[str]:
    """Name the StatefulSets that a storage begins with."""
    replicas = sizes.of(storage.spec.size).replicas if storage.spec is not None else 1
    return [names.valkey_instance(storage.name, index) for index in range(replicas)]


def instance_indexes(children: Iterable[tuple[str, str]], storage: str) -> frozenset[int]:
    """List the numbers of the instances that exist, or existed: each has a StatefulSet."""
    found = (names.instance_of(storage, name) for plural, name in children if plural == STATEFUL_SETS.plural)
    return frozenset(index for index in found if index is not None)
