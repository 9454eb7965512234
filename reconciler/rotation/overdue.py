"""Whether a storage accepts a password that is older than its schedule allows, and why it still does. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from reconciler.rotation.progress import ROTATED
from shared import names
from shared.objects.conditions import Finding
from shared.objects.resources import SECRETS
from shared.objects.timestamps import read_time

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.state.storage_state import StorageState

OVERDUE: Final = "PasswordOverdue"
"""Type of the condition; written once a password has become too old."""
TOLERANCE: Final = timedelta(minutes=10)
"""A rotation falls due at the end of the interval at the latest, and usually takes minutes until it has ended."""


def password_overdue(state: StorageState, now: datetime) -> Finding | None:
    """Tell that the oldest password which Valkey accepts is older than `spec.rotation.every`; None if it never was.

    The message stays the same from look to look, and names no other storage: whoever may read this one may not know
    those of other namespaces.
    """
    spec = state.storage.spec
    if spec is None or spec.external is not None or spec.rotation is None:
        return None
    made = oldest_password_made(state)
    if made is None or now - made <= spec.rotation.interval + TOLERANCE:
        if state.storage.condition(OVERDUE) is None:
            return None
        return Finding(OVERDUE, "False", "Rotated", "no password is older than spec.rotation.every")
    reason, why = _why(state)
    return Finding(OVERDUE, "True", reason, f"Valkey accepts a password that is older than spec.rotation.every: {why}")


def oldest_password_made(state: StorageState) -> datetime | None:
    """Tell when the oldest password was made that Valkey accepts: until a rotation ends, that is the former one."""
    record = state.rotation
    if record.is_under_way:
        return read_time(record.replaces)
    auth = state.child(SECRETS, names.auth_secret(state.storage.name))
    return read_time(record.begun) or (read_time(auth["metadata"]["creationTimestamp"]) if auth is not None else None)


def _why(state: StorageState) -> tuple[str, str]:
    if state.rotation.is_under_way:
        return "RotationUnfinished", f"the rotation that replaces it has not ended, see the condition {ROTATED}"
    if state.is_rotation_due:
        return "RotationCannotBegin", "its rotation begins once the reconciler can write all objects, see Ready"
    return "OthersRotateFirst", (
        "its rotation waits while others go on, as many as the chart value rotation.scheduledAtOnce allows; `kubectl"
        " get sessionstorages -A` shows those in phase Rotating"
    )
