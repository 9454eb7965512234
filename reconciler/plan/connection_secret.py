"""The connection Secret, which tells consumers how to log in, and its copies in other namespaces. Pure.

A copy has no owner that Kubernetes could delete it with: owners do not cross namespaces. So the reconciler finds copies
by their labels, even when their storage has gone already, and nothing ever has to wait for their removal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.actions.kubernetes import Delete, Share
from reconciler.manifests.secrets import mirrored_secret
from reconciler.plan.drift import is_right, versioned
from shared.objects.resources import SECRETS, Object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.actions.plan import Step
    from reconciler.state.sharing import Sharing


def publish(desired: Object | None, present: Object | None, sharing: Sharing) -> tuple[Step, ...]:
    """Say how the connection Secret and its copies become what they should be.

    Args:
        desired: The connection Secret as it should be; None if consumers cannot be told anything yet.
        present: The connection Secret that exists.
        sharing: Who should have a copy, and who has one.
    """
    if desired is None:
        return ()
    # A process that decides on the past must lose, or consumers would get a password that is gone.
    write = versioned(SECRETS, desired, present)
    return (*([write] if write else []), *_copies(desired, sharing))


def delete_copies(copies: Iterable[Object]) -> Iterator[Step]:
    """Delete copies that nobody needs any more, but for those that are being deleted already."""
    for secret in copies:
        if not secret["metadata"].get("deletionTimestamp"):
            yield Delete.of(SECRETS, secret)


def _copies(connection: Object, sharing: Sharing) -> Iterator[Step]:
    for namespace in sharing.namespaces:
        desired, found = mirrored_secret(connection, namespace), sharing.copies.get(namespace)
        if namespace in sharing.obstructed:
            continue
        if found is None:
            yield Share(desired)
        elif not is_right(desired, found):
            version = {"resourceVersion": found["metadata"]["resourceVersion"]}
            yield Share({**desired, "metadata": {**desired["metadata"], **version}})
    yield from delete_copies(
        secret for namespace, secret in sharing.copies.items() if namespace not in sharing.namespaces
    )
