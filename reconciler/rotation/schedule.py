"""When the reconciler rotates passwords without a request, and which storages go first. Pure."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING, Final

from reconciler.state.rotation_record import RotationRecord
from reconciler.state.session_storage import DeclaredStorage
from shared import names
from shared.objects.timestamps import read_time
from shared.session_storage.status import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, timedelta

    from reconciler.rotation.phases import RotationSettings
    from shared.objects.resources import Key, Object

EARLIEST: Final = 0.9
"""Fraction of the interval after which a rotation may come: storages of the same age spread over the rest."""


def due_at(uid: str, every: timedelta, last: datetime) -> datetime:
    """Tell when a storage is due: within the last tenth of its interval, at a point of its own that never changes."""
    digest = hashlib.sha256(uid.encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    return last + every * (EARLIEST + (1 - EARLIEST) * share)


def is_due(
    storage: DeclaredStorage,
    storages: Iterable[Object],
    secrets: Mapping[Key, Object],
    settings: RotationSettings,
    now: datetime,
) -> bool:
    """Tell whether a storage is due for a scheduled rotation that leaves at most `scheduled_at_once` under way.

    All passes see the same order: rotations under way come first, then storages in the order in which they fall due. So
    two passes at the same moment cannot both take the last place. A rotation that has got no further within the
    installation's patience holds no place any more, and a storage that cannot begin one holds none at all: others must
    not become overdue with it.

    Args:
        storage: The storage.
        storages: All SessionStorages.
        secrets: Among others the auth Secret of each.
        settings: Settings of the installation.
        now: By the API server's clock; aware.
    """
    at = _due(storage, secrets)
    if at is None or at > now:
        return False
    before = (
        other
        for other in map(DeclaredStorage.of, storages)
        if other.key != storage.key and _comes_before(other, (at, storage.key), secrets, settings, now)
    )
    # After an outage thousands may be due at once, and each looks at all others: so it stops once it knows the answer.
    at_once = settings.scheduled_at_once
    return sum(1 for _ in islice(before, at_once)) < at_once


def _comes_before(
    other: DeclaredStorage,
    place: tuple[datetime, Key],
    secrets: Mapping[Key, Object],
    settings: RotationSettings,
    now: datetime,
) -> bool:
    record = _record(other, secrets)
    if record.is_under_way:
        return not record.has_stood_for(settings.patience, now)
    at = _due(other, secrets)
    return at is not None and at <= now and (at, other.key) < place and _can_begin(other)


def _can_begin(storage: DeclaredStorage) -> bool:
    """Tell whether the reconciler gets as far as passwords in a pass over a storage."""
    return not storage.is_terminating and storage.status.phase not in {Phase.FAILED, Phase.PENDING}


def _due(storage: DeclaredStorage, secrets: Mapping[Key, Object]) -> datetime | None:
    """Tell when a storage is due; None if it has no schedule, or is rotating."""
    auth, spec = secrets.get((storage.namespace, names.auth_secret(storage.name))), storage.spec
    record = RotationRecord.of(auth)
    if record.is_under_way or auth is None or spec is None or spec.external is not None or spec.rotation is None:
        return None
    last = read_time(record.begun) or read_time(auth["metadata"].get("creationTimestamp", ""))
    return due_at(storage.uid, spec.rotation.interval, last) if last is not None else None


def _record(storage: DeclaredStorage, secrets: Mapping[Key, Object]) -> RotationRecord:
    return RotationRecord.of(secrets.get((storage.namespace, names.auth_secret(storage.name))))
