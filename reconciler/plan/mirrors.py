"""Which copies of a connection Secret stand beside consumers in other namespaces, and which should. Pure.

A copy has no owner that Kubernetes could delete it with: owners do not cross namespaces. So copies are found by their
labels, also when their storage is gone already, and nothing ever has to wait for their removal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.actions.kubernetes import Delete, Share
from reconciler.manifests.secrets import mirrored_secret
from reconciler.plan.drift import has_additions, is_covered
from reconciler.state.mirrored_secrets import storage_of
from shared import names
from shared.objects.resources import SECRETS, Key, Object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.actions.plan import Step


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
