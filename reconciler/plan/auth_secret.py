"""The auth Secret, which is the source of truth for a storage's passwords. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.actions.kubernetes import Delete, WriteAuth
from reconciler.credentials import identities
from reconciler.manifests import secrets
from reconciler.plan.drift import is_right
from shared import names
from shared.objects.resources import PODS, SECRETS, last_written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.manifests.storage import Storage
    from reconciler.state.storage_state import StorageState


def complete(state: StorageState, owner: Storage) -> WriteAuth | None:
    """Say what the auth Secret lacks. A password that consumers have already survives the loss of the Secret."""
    secret, ring, record = state.child(SECRETS, names.auth_secret(owner.name)), state.key_ring, state.rotation
    needed, is_staging = set(identities.PASSWORD_KEYS), bool(ring.staged)
    has_all = needed <= ring.current.keys() and (not is_staging or needed <= ring.staged.keys())
    if secret is not None and has_all and is_right(secrets.auth_secret(owner, ring, record.annotations), secret):
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
    """Restart instances that started with the passwords of an auth Secret which was lost since."""
    secret = state.child(SECRETS, names.auth_secret(state.storage.name))
    for instance in state.instances:
        if instance.problem != "refused" or instance.accepts_operator or instance.pod is None or secret is None:
            continue
        metadata = instance.pod["metadata"]
        if not metadata.get("deletionTimestamp") and metadata["creationTimestamp"] <= last_written(secret):
            yield Delete.of(PODS, instance.pod)
