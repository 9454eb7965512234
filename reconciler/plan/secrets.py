"""How the Secrets of a storage become what they should be. Pure.

The auth Secret is the source of truth for a storage's passwords. The connection Secret tells consumers how to log in,
and has copies in other namespaces. A copy has no owner that Kubernetes could delete it with: owners do not cross
namespaces. So the reconciler finds copies by their labels, even when their storage has gone already, and nothing ever
has to wait for their removal.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.actions.kubernetes import Delete, Share, WriteAuth
from reconciler.credentials import identities
from reconciler.manifests.secrets import auth_secret, mirrored_secret
from reconciler.plan.drift import is_right, repair_if_unchanged
from shared import names
from shared.objects.resources import PODS, SECRETS, Object, is_terminating, last_written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.actions.plan import Step
    from reconciler.manifests.storage import Storage
    from reconciler.state.storage_state import Sharing, StorageState


def complete_auth(state: StorageState, owner: Storage) -> WriteAuth | None:
    """Say how to complete the auth Secret; the password that consumers have already survives the Secret's loss."""
    secret, ring, record = state.child(SECRETS, names.auth_secret(owner.name)), state.key_ring, state.rotation
    needed, is_staging = set(identities.PASSWORD_KEYS), bool(ring.staged)
    has_all = needed <= ring.current.keys() and (not is_staging or needed <= ring.staged.keys())
    if secret is not None and has_all and is_right(auth_secret(owner, ring, record.annotations), secret):
        return None
    connection = state.child(SECRETS, names.connection_secret(owner.name))
    if names.KEY_PASSWORD not in ring.current:
        published = identities.decoded((connection or {}).get("data")).get(names.KEY_REDIS_PASSWORD, "")
        if identities.is_password(published):
            ring = replace(ring, current={**ring.current, names.KEY_PASSWORD: published})
    if secret is None and connection is None:
        # Nobody has had these passwords yet, so they need no rotation, even if somebody asked for one before.
        record = replace(record, handled=state.storage.requests.rotation)
    version = secret["metadata"]["resourceVersion"] if secret else ""
    return WriteAuth(owner, ring, version, record, is_staging=is_staging)


def restart_outdated_pods(state: StorageState) -> Iterator[Delete]:
    """Restart instances that started with the passwords of an earlier auth Secret, which is lost."""
    secret = state.child(SECRETS, names.auth_secret(state.storage.name))
    for instance in state.instances:
        if instance.problem != "refused" or instance.accepts_operator or instance.pod is None or secret is None:
            continue
        is_older = instance.pod["metadata"]["creationTimestamp"] <= last_written(secret)
        if is_older and not is_terminating(instance.pod):
            yield Delete.of(PODS, instance.pod)


def publish(desired: Object | None, present: Object | None, sharing: Sharing) -> tuple[Step, ...]:
    """Say how the connection Secret and its copies become as desired; nothing if there is no connection yet."""
    if desired is None:
        return ()
    # A former leader that decides by outdated objects must lose, or consumers would get a password that is gone.
    write = repair_if_unchanged(SECRETS, desired, present)
    return (*([write] if write else []), *_copies(desired, sharing))


def delete_copies(copies: Iterable[Object]) -> Iterator[Step]:
    """Delete copies that nobody needs any more, but for those that are being deleted already."""
    for secret in copies:
        if not is_terminating(secret):
            yield Delete.of(SECRETS, secret)


def _copies(connection: Object, sharing: Sharing) -> Iterator[Step]:
    for namespace in sharing.namespaces:
        if namespace in sharing.obstructed:
            continue
        desired, found = mirrored_secret(connection, namespace), sharing.copies.get(namespace)
        if found is None:
            yield Share(desired)
        elif not is_right(desired, found):
            version = {"resourceVersion": found["metadata"]["resourceVersion"]}
            yield Share({**desired, "metadata": {**desired["metadata"], **version}})
    yield from delete_copies(
        secret for namespace, secret in sharing.copies.items() if namespace not in sharing.namespaces
    )
