"""Which copies of a connection Secret stand beside consumers in other namespaces, and which should. Pure.

A copy has no owner that Kubernetes could delete it with: owners do not cross namespaces. So copies are found by their
labels, also when their storage is gone already, and nothing ever has to wait for their removal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.drift import has_additions, is_covered
from reconciler.steps import Delete, Share, Step
from shared import names
from shared.manifests import mirrored_secret
from shared.resources import SECRETS, Key, Object
from shared.sharing import is_admitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from shared.consumer_index import Usage


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


def mirror_steps(connection: Object, wanted: Iterable[str], present: Mapping[str, Object]) -> Iterator[Step]:
    """Say how the copies become what they should be.

    Args:
        connection: The connection Secret, as it should be.
        wanted: Namespaces that should have a copy.
        present: What has the copy's name in each namespace.
    """
    metadata = connection["metadata"]
    key = metadata["namespace"], metadata["labels"][names.LABEL_STORAGE]
    wanted = frozenset(wanted)
    for namespace in sorted(wanted):
        desired, found = mirrored_secret(connection, namespace), present.get(namespace)
        if found is None:
            yield Share(desired)
        elif storage_of(found) == key and (not is_covered(desired, found) or has_additions(desired, found)):
            version = {"resourceVersion": found["metadata"]["resourceVersion"]}
            yield Share({**desired, "metadata": {**desired["metadata"], **version}})
    yield from removals(key, (secret for namespace, secret in present.items() if namespace not in wanted))


def removals(storage: Key, secrets: Iterable[Object]) -> Iterator[Step]:
    """Delete those Secrets that are copies of the storage's connection."""
    for secret in secrets:
        if storage_of(secret) == storage and not secret["metadata"].get("deletionTimestamp"):
            yield Delete.of(SECRETS, secret)
