"""When passwords are rotated without anybody asking, and which storages go first. Pure."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING, Final

from reconciler.rotation.phases import Record
from shared import errors, names
from shared.objects.resources import Key, Object, key_of
from shared.objects.timestamps import read_time
from shared.session_storage.models import parse_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, timedelta

EARLIEST: Final = 0.9
"""Part of the interval after which a rotation may come: storages that were made together spread over the rest."""


def due_at(uid: str, every: timedelta, last: datetime) -> datetime:
    """Tell when a storage is due: within the last tenth of its interval, at a point of its own that never changes."""
    digest = hashlib.sha256(uid.encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    return last + every * (EARLIEST + (1 - EARLIEST) * share)


def is_due(
    storage: Object, storages: Iterable[Object], secrets: Mapping[Key, Object], at_once: int, now: datetime
) -> bool:
    """Tell whether a storage's schedule asks for a rotation that leaves no more than so many under way at once.

    Everybody who asks gets the same answer, because those under way come first and all others by the time that they
    are due: two storages that are decided on at the same moment cannot both take the last place.
    """
    at = _due(storage, _auth(storage, secrets))
    if at is None or at > now:
        return False
    others = (other for other in storages if key_of(other) != key_of(storage))
    before = (other for other in others if _comes_before(other, storage, secrets, now))
    # After an outage thousands may be due at once, each of which looks at all others: no further than it must.
    return sum(1 for _ in islice(before, at_once)) < at_once


def _comes_before(other: Object, storage: Object, secrets: Mapping[Key, Object], now: datetime) -> bool:
    if Record.of(_auth(other, secrets)).is_under_way:
        return True
    theirs, ours = _due(other, _auth(other, secrets)), _due(storage, _auth(storage, secrets))
    if theirs is None or theirs > now:
        return False
    return ours is None or (theirs, key_of(other)) < (ours, key_of(storage))


def _auth(storage: Object, secrets: Mapping[Key, Object]) -> Object | None:
    namespace, name = key_of(storage)
    return secrets.get((namespace, names.auth_secret(name)))


def _due(storage: Object, auth: Object | None) -> datetime | None:
    """Tell when a storage is due; None if it has no schedule, or is rotating."""
    try:
        spec = parse_spec(storage)
    except errors.InvalidSpec:
        return None
    record = Record.of(auth)
    if spec.external is not None or spec.rotation is None or auth is None or record.is_under_way:
        return None
    last = read_time(record.begun) or read_time(auth["metadata"].get("creationTimestamp", ""))
    return due_at(storage["metadata"]["uid"], spec.rotation.interval, last) if last is not None else None
