"""How far a rotation of passwords is. Pure.

Even if any process crashes at any instant, every instance must accept the password in the connection Secret and in each
of its copies. So the order of effects is the whole point, and one Secret remembers everything:

    Pending         the auth Secret has the next passwords, and so has the `users.acl` that new pods start with
    Added           the reconciler saw every instance accept them, and had it save them for a restart of its container
    Published       they are the current ones of the auth Secret; the connection Secret and its copies follow
    AwaitConsumers  the reconciler restarts consumers in waves, until none is left that started with the former
                    password, and tells instances the new one for replication, until it saw every instance know it
    Discarding      no Secret has the former passwords any more; the reconciler makes instances refuse them, and closes
                    their sessions
    Discarded       the rotation has ended

The reconciler takes a password out of an instance only once the auth Secret lists it as retired (`KeyRing.retired`). A
former leader that still decides by outdated objects may therefore add a password that is gone already, which the next
pass puts right, but it never takes away one that somebody needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.credentials import identities
from shared.session_storage.status import RotationPhase

if TYPE_CHECKING:
    from reconciler.credentials.key_ring import KeyRing
    from reconciler.state.instance import Instance
    from reconciler.state.rotation_record import RotationRecord


@dataclass(frozen=True, slots=True)
class RotationSettings:
    """The settings of the installation for rotations.

    Attributes:
        wave_percent: Share of a storage's consumers that may restart at once; one always may.
        patience: How long a consumer may take to restart before others stop waiting for it.
        refresh: How long kubelet may take to refresh a changed Secret in pods that have it mounted: probes log in with
            what is mounted, and an instance that restarts logs in to its primary with it. Kubelet looks at each pod
            every 60 to 90 s (Kubernetes, "Secrets: mounted Secrets are updated automatically").
        scheduled_at_once: A scheduled rotation begins only while fewer storages than this rotate.
    """

    wave_percent: int = 10
    patience: timedelta = timedelta(minutes=10)
    refresh: timedelta = timedelta(seconds=100)
    scheduled_at_once: int = 1


def phase(ring: KeyRing, record: RotationRecord, *, is_known: bool, is_published: bool) -> RotationPhase | None:
    """Tell how far the rotation of a managed storage is; None if there never was one.

    Args:
        ring: The storage's passwords.
        record: The storage's newest rotation.
        is_known: Whether every instance knows the passwords that it must.
        is_published: Whether the connection Secret and its copies hold the current password.
    """
    if not record.begun:
        return None
    if record.ended:
        return RotationPhase.DISCARDED
    if ring.staged:
        return RotationPhase.ADDED if is_known else RotationPhase.PENDING
    if ring.former:
        return RotationPhase.AWAIT_CONSUMERS if is_published else RotationPhase.PUBLISHED
    return RotationPhase.DISCARDING


def knows(instance: Instance, ring: KeyRing) -> bool:
    """Tell whether the reconciler saw an instance know every password that it must."""
    return accepts(instance, ring) and logs_in(instance, ring)


def accepts(instance: Instance, ring: KeyRing) -> bool:
    """Tell whether the reconciler saw an instance accept every password that it must."""
    hashes = instance.facts.hashes if instance.facts is not None else None
    return hashes is not None and all(wanted <= hashes.get(user, frozenset()) for user, wanted in ring.accepted.items())


def refuses(instance: Instance, ring: KeyRing) -> bool:
    """Tell whether the reconciler saw an instance accept no retired password."""
    hashes = instance.facts.hashes if instance.facts is not None else None
    return hashes is not None and not any(digest in hashes.get(user, ()) for user, digest in ring.retired.items())


def logs_in(instance: Instance, ring: KeyRing) -> bool:
    """Tell whether the reconciler saw an instance log in to its primary with the present password.

    A primary has that password as well, for the time when it is none any more.
    """
    present = identities.sha256(ring.login(identities.REPLICATION).password)
    return instance.facts is not None and instance.facts.upstream_hash == present
