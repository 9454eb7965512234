"""How the Secrets of a storage become what they should be. Pure.

The auth Secret is the source of truth for a storage's passwords. The connection Secret tells consumers how to log in,
and has copies in other namespaces. A copy has no owner that Kubernetes could delete it with: owners do not cross
namespaces. So the reconciler finds copies by their labels, even when their storage has gone already, and nothing ever
has to wait for their removal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.actions.kubernetes import Delete, Share, WriteAuth
from reconciler.credentials import identities
from reconciler.manifests.secrets import auth_secret, mirrored_secret
from reconciler.plan.drift import merged, repair_if_unchanged
from reconciler.plan.repairs import MAX_QUOTED
from reconciler.state.write_outcome import Deviation, digest
from shared import names
from shared.objects.resources import PODS, SECRETS, Object, is_terminating, last_written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.actions.plan import Step
    from reconciler.manifests.storage import Storage
    from reconciler.plan.repairs import Make, Mending, Repair
    from reconciler.state.credential_rollout import CredentialRollout
    from reconciler.state.storage_state import StorageState
    from shared.objects.resources import Resource


@dataclass(frozen=True, slots=True)
class Publication:
    """How the connection Secret and its copies become what they should be.

    Attributes:
        connection: What is the matter with the connection Secret; None if nothing is.
        copies: What is the matter with its copies.
        superfluous: Deletions of copies that nobody needs any more.
    """

    connection: Repair | None = None
    copies: tuple[Repair, ...] = ()
    superfluous: tuple[Step, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The writes to make now, the connection Secret first."""
        repairs = (*((self.connection,) if self.connection else ()), *self.copies)
        return (*(each.step for each in repairs if each.step is not None), *self.superfluous)

    @property
    def is_over(self) -> bool:
        """Whether every consumer has the credential that can get it.

        A namespace that refuses its copy keeps only its own consumers from it.
        """
        is_written = self.connection is None or not self.connection.is_awaited
        return is_written and not any(each.step is not None and not each.refusal for each in self.copies)

    def known_to(self, state: StorageState) -> StorageState:
        """Mark those users of the credential that cannot get the new one, because their namespace refuses it.

        A restart of theirs would be in vain. The others do not wait for them, and the instances go on accepting the
        password that they may run with, even if somebody deleted the copy that they had it from.
        """
        if state.rollouts is None:
            return state
        refused = {each.target.namespace: each.refusal for each in self.copies if each.refusal}
        return replace(state, rollouts=tuple(_kept_from(each, refused) for each in state.rollouts))


def complete_auth(state: StorageState, owner: Storage, mending: Mending) -> Repair | None:
    """Say how to complete the auth Secret; the password that consumers have already survives the Secret's loss."""
    secret, ring, record = state.child(SECRETS, names.auth_secret(owner.name)), state.key_ring, state.rotation
    needed, is_staging = set(identities.PASSWORD_KEYS), bool(ring.staged)
    missing = (needed - ring.current.keys()) | (needed - ring.staged.keys() if is_staging else set())
    connection = connection_of(state)
    if names.KEY_PASSWORD not in ring.current:
        published = identities.decoded((connection or {}).get("data")).get(names.KEY_REDIS_PASSWORD, "")
        if identities.is_password(published):
            ring = replace(ring, current={**ring.current, names.KEY_PASSWORD: published})
    if secret is None and connection is None:
        # Nobody has had these passwords yet, so they need no rotation, even if somebody asked for one before.
        record = replace(record, handled=state.storage.requests.rotation)
    version = secret["metadata"]["resourceVersion"] if secret else ""
    write = WriteAuth(owner, ring, version, record, is_staging=is_staging)
    lacking = [Deviation(("data", key)) for key in sorted(missing)]
    return mending.object(lambda *_: write, SECRETS, auth_secret(owner, ring, record.annotations), secret, lacking)


def restart_outdated_pods(state: StorageState) -> Iterator[Delete]:
    """Restart instances that started with the passwords of an earlier auth Secret, which is lost."""
    secret = state.child(SECRETS, names.auth_secret(state.storage.name))
    for instance in state.instances:
        if instance.problem != "refused" or instance.accepts_operator or instance.pod is None or secret is None:
            continue
        is_older = instance.pod["metadata"]["creationTimestamp"] <= last_written(secret)
        if is_older and not is_terminating(instance.pod):
            yield Delete.of(PODS, instance.pod)


def connection_of(state: StorageState) -> Object | None:
    """Find the connection Secret of a storage."""
    return state.child(SECRETS, names.connection_secret(state.storage.name))


def publish(desired: Object | None, state: StorageState, mending: Mending) -> Publication:
    """Say how the connection Secret and its copies become as desired; nothing if there is no connection yet."""
    if desired is None:
        return Publication()
    present, sharing = connection_of(state), state.sharing
    # A former leader that decides by outdated objects must lose, or consumers would get a password that is gone.
    connection = mending.object(repair_if_unchanged, SECRETS, desired, present)
    superfluous = tuple(
        delete_copies(secret for namespace, secret in sharing.copies.items() if namespace not in sharing.namespaces)
    )
    if connection is not None and connection.step is not None:
        return Publication(connection, superfluous=superfluous)
    found = (
        _copy(mirrored_secret(desired, namespace), sharing.copies.get(namespace), mending)
        for namespace in sharing.namespaces
        if namespace not in sharing.obstructed
    )
    return Publication(connection, tuple(each for each in found if each is not None), superfluous)


def _kept_from(rollout: CredentialRollout, refused: Mapping[str, str]) -> CredentialRollout:
    words = refused.get(rollout.consumer.namespace) if rollout.consumer is not None else None
    if words is None:
        return rollout
    obstacle = f"its namespace refuses the credential: {words[:MAX_QUOTED]}"
    return replace(rollout, is_done=False, is_refused=True, obstacle=obstacle)


def delete_copies(copies: Iterable[Object]) -> Iterator[Step]:
    """Delete copies that nobody needs any more, but for those that are being deleted already."""
    for secret in copies:
        if not is_terminating(secret):
            yield Delete.of(SECRETS, secret)


def _copy(desired: Object, present: Object | None, mending: Mending) -> Repair | None:
    """Say what is the matter with one copy."""
    former = _label_of_former_releases(desired["metadata"]["labels"][names.LABEL_STORAGE], present)
    return mending.object(_share_without(former), SECRETS, desired, present, former)


def _label_of_former_releases(storage: str, copied: Object | None) -> tuple[Deviation, ...]:
    """Find the label by which Argo CD might take a copy for a part of an application, and delete it.

    Argo CD tracks resources by it, unless told otherwise ("Resource tracking"). An object with an owner is safe; a
    copy has none.
    """
    labels = (copied or {}).get("metadata", {}).get("labels") or {}
    if labels.get(names.LABEL_APP_INSTANCE) != storage:
        return ()
    return (Deviation(("metadata", "labels", names.LABEL_APP_INSTANCE), digest(storage)),)


def _share_without(former: tuple[Deviation, ...]) -> Make:
    """Build the write of a copy, which loses these labels."""

    def share(_: Resource, desired: Object, present: Object | None) -> Share:
        if present is None:
            return Share(desired, desired)
        gone = {each.path[-1] for each in former}
        copied = merged(desired, present)
        labels = {key: value for key, value in copied["metadata"]["labels"].items() if key not in gone}
        return Share({**copied, "metadata": {**copied["metadata"], "labels": labels}}, desired)

    return share
