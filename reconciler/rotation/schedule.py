"""When the reconciler rotates passwords without a request, and which storages go first. Pure."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING, Final

from reconciler.state.rotation_record import RotationRecord
from reconciler.state.session_storage import DeclaredStorage
from shared import names
from shared.objects.timestamps import read_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, timedelta

    from shared.objects.resources import Key, Object

EARLIEST: Final = 0.9
"""Fraction of the interval after which a rotation may come: storages of the same age spread over the rest."""


def due_at(uid: str, every: timedelta, last: datetime) -> datetime:
    """Tell when a storage is due: within the last tenth of its interval, at a point of its own that never changes."""
    digest = hashlib.sha256(uid.encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    return last + every * (EARLIEST + (1 - EARLIEST) * share)


def is_due(
    storage: DeclaredStorage, storages: Iterable[Object], secrets: Mapping[Key, Object], at_once: int, now: datetime
) -> bool:
    """Tell whether a storage is due for a scheduled rotation that leaves at most `at_once` under way.

    All passes see the same order: rotations under way come first, then storages in the order in which they fall due. So
    two passes at the same moment cannot both take the last place. `storages` are all SessionStorages, and among
    `secrets` is the auth Secret of each.
    """
    at, _ = _scheduled(storage, secrets)
    if at is None or at > now:
        return False
    before = (
        other
        for other in map(DeclaredStorage.of, storages)
        if other.key != storage.key and _comes_before(other, (at, storage.key), secrets, now)
    )
    # After an outage thousands may be due at once, and each looks at all others: so it stops once it knows the answer.
    return sum(1 for _ in islice(before, at_once)) < at_once


def _comes_before(
    other: DeclaredStorage, place: tuple[datetime, Key], secrets: Mapping[Key, Object], now: datetime
) -> bool:
    at, is_rotating = _scheduled(other, secrets)
    return is_rotating or (at is not None and at <= now and (at, other.key) < place)


def _scheduled(storage: DeclaredStorage, secrets: Mapping[Key, Object]) -> tuple[datetime | None, bool]:
    """Tell when a storage is due, None if it has no schedule or is rotating; and whether it is rotating."""
    auth = secrets.get((storage.namespace, names.auth_secret(storage.name)))
    record, spec = RotationRecord.of(auth), storage.spec
    if record.is_under_way:
        return None, True
    if auth is None or spec is None or spec.external is not None or spec.rotation is None:
        return None, False
    last = read_time(record.begun) or read_time(auth["metadata"].get("creationTimestamp", ""))
    return (due_at(storage.uid, spec.rotation.interval, last) if last is not None else None), False
