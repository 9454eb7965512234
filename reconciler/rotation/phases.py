"""How far a rotation of passwords is, and what comes next. Pure.

At every instant, whatever crashes when, the password in the connection Secret and in each copy of it must get into
every instance. So the order of effects is the whole point, and what is remembered is remembered in one Secret:

    Pending         the next passwords are in the auth Secret, and in the `users.acl` that new pods start with
    Added           every instance was seen to accept them, and has saved that for a restart of its container
    Published       they are the current ones; the connection Secret and its copies follow
    AwaitConsumers  consumers are restarted in waves, until none is left that was started with the former password
    Discarding      the former passwords are in no Secret any more; instances are made to refuse them, their sessions
    closed Discarded       done

Only a password whose end is written down (`KeyRing.retired`) is ever taken out of an instance. A process that takes
itself for the leader still, and sees the past, can therefore add what is gone already, which the next look puts right,
but can never take away what is needed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

import orjson

from reconciler.state.replication_info import PRIMARY
from shared.names import ANNOTATION_ROTATION
from shared.objects.field_path import read
from shared.objects.timestamps import read_time, written
from shared.session_storage.models import RotationPhase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.credentials.key_ring import KeyRing
    from reconciler.state.instance import Instance
    from shared.objects.resources import Object

_RECORD: Final = ("metadata", "annotations", ANNOTATION_ROTATION)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the installation decides about rotations.

    Attributes:
        wave_percent: Share of a storage's consumers that restart at once; at least one does.
        patience: How long a consumer may take before others stop waiting for it.
        refresh: How long kubelet may take to hand a changed Secret to pods that have it mounted already: probes log in
            with what is mounted. It looks at each pod every 60 to 90 s (Kubernetes, "Secrets: mounted Secrets are
            updated automatically").
        scheduled_at_once: How many storages may be rotating for a scheduled rotation to begin.
    """

    wave_percent: int = 10
    patience: timedelta = timedelta(minutes=10)
    refresh: timedelta = timedelta(seconds=100)
    scheduled_at_once: int = 1

    def wave(self, consumers: int) -> int:
        """Tell how many of so many consumers may be restarting at once."""
        return max(1, consumers * self.wave_percent // 100)


@dataclass(frozen=True, slots=True)
class Record:
    """The newest rotation of a storage, as an annotation of the Secret that it changes keeps it.

    Attributes:
        handled: The user's word that was taken up last.
        revision: Name of the newest credential; says nothing about it.
        begun: When it was staged; this and the other times as RFC 3339, empty if it has not come to that.
        published: When it became what consumers are handed.
        ended: When the one before it was gone for good.
    """

    handled: str = ""
    revision: str = ""
    begun: str = ""
    published: str = ""
    ended: str = ""

    @classmethod
    def of(cls, secret: Object | None) -> Self:
        """Read the record of an auth or connection Secret; an empty one if there is nothing intelligible."""
        text = read(secret or {}, _RECORD)
        try:
            content = orjson.loads(text) if isinstance(text, str) else {}
            return cls(**{each.name: str(content.get(each.name, "")) for each in fields(cls)})
        except (ValueError, AttributeError):
            return cls()

    @property
    def text(self) -> str:
        """The annotation's value; empty if there is nothing to remember."""
        content = {key: value for key, value in asdict(self).items() if value}
        return orjson.dumps(content).decode() if content else ""

    @property
    def is_under_way(self) -> bool:
        """Whether there is a rotation that has begun and not ended."""
        return bool(self.begun) and not self.ended

    def start(self, handled: str, revision: str, now: datetime) -> Record:
        """Begin a rotation."""
        return Record(handled, revision, begun=written(now))

    def publish(self, now: datetime) -> Record:
        """Note that consumers are handed the new credential."""
        return replace(self, published=written(now))

    def end(self, now: datetime) -> Record:
        """Note that all is done."""
        return replace(self, ended=written(now))

    def has_refreshed(self, refresh: timedelta, now: datetime) -> bool:
        """Tell whether pods have had the time to get the new credential into the files that they have mounted."""
        published = read_time(self.published)
        return published is None or now - published >= refresh


def revision_of(secret: Object) -> str:
    """Name the credential that comes after what a Secret holds now: never the same for two of them."""
    metadata = secret["metadata"]
    return f"{metadata['uid'][:8]}-{metadata['resourceVersion']}"


def phase(ring: KeyRing, record: Record, instances: Sequence[Instance], *, is_published: bool) -> RotationPhase | None:
    """Tell how far the rotation of a managed storage is; None if there never was one.

    Args:
        ring: Its passwords.
        record: Of the rotation.
        instances: All its Valkey instances.
        is_published: Whether the connection Secret and its copies hold the current password.
    """
    if not record.begun:
        return None
    if record.ended:
        return RotationPhase.DISCARDED
    if ring.staged:
        return RotationPhase.ADDED if all(accepts(instance, ring) for instance in instances) else RotationPhase.PENDING
    if ring.former:
        return RotationPhase.AWAIT_CONSUMERS if is_published else RotationPhase.PUBLISHED
    return RotationPhase.DISCARDING


def accepts(instance: Instance, ring: KeyRing) -> bool:
    """Tell whether an instance was seen to accept every password that it must."""
    hashes = instance.facts.hashes if instance.facts is not None else None
    return hashes is not None and all(wanted <= hashes.get(user, frozenset()) for user, wanted in ring.accepted.items())


def refuses(instance: Instance, ring: KeyRing) -> bool:
    """Tell whether an instance was seen to accept no password whose end is written down."""
    hashes = instance.facts.hashes if instance.facts is not None else None
    return hashes is not None and not any(digest in hashes.get(user, ()) for user, digest in ring.retired.items())


def logs_in(instance: Instance, digest: str) -> bool:
    """Tell whether a replica was seen to use a password at its primary; of a primary, that does not matter."""
    if instance.facts is None:
        return False
    return instance.facts.role == PRIMARY or instance.facts.upstream_hash == digest
