"""Which Secrets are copies of a storage's connection, and which namespaces should have one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import names
from shared.consumers.access import is_admitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.consumers.identity import Usage
    from shared.objects.resources import Key, Object


def storage_of(secret: Object) -> Key | None:
    """Tell whose connection a Secret repeats; None if it is no copy."""
    labels = secret["metadata"].get("labels") or {}
    namespace, name = labels.get(names.LABEL_STORAGE_NAMESPACE), labels.get(names.LABEL_STORAGE)
    if labels.get(names.LABEL_MANAGED_BY) != names.MANAGED_BY or not (namespace and name):
        return None
    return namespace, name


def sharing_namespaces(storage: Object, usages: Iterable[Usage]) -> tuple[str, ...]:
    """List the other namespaces that have a consumer which may use the storage."""
    own = storage["metadata"]["namespace"]
    admitted = {usage.consumer.namespace for usage in usages if not usage.is_going and is_admitted(storage, usage)}
    return tuple(sorted(admitted - {own}))


def taken(storage: Key, present: Mapping[str, Object]) -> tuple[str, ...]:
    """List the namespaces in which a Secret that is not ours has the copy's name."""
    return tuple(sorted(namespace for namespace, secret in present.items() if storage_of(secret) != storage))
