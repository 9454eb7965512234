"""How far a rotation is: what it is decided on, and what users are told of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared import names
from shared.objects.conditions import Finding
from shared.objects.resources import annotation_of
from shared.objects.timestamps import read_time, written
from shared.session_storage.models import RotationPhase

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.rotation.phases import Record, Settings
    from reconciler.state.storage_state import Observed
    from shared.objects.resources import Object

ROTATED: Final = "CredentialRotated"
"""Type of the condition; written once there has been a rotation."""
CONSUMERS_WAIT: Final = "ConsumersWait"
LISTED: Final = 10
"""How many late consumers a message names; the rest is counted."""

_TOLD: Final = {
    RotationPhase.PENDING: "the next password is staged; it is handed out once every instance was seen to accept it",
    RotationPhase.ADDED: "every instance accepts the next password",
    RotationPhase.PUBLISHED: "the next password is being handed out",
    RotationPhase.AWAIT_CONSUMERS: "consumers are restarted in waves; both passwords are accepted meanwhile",
    RotationPhase.DISCARDING: "the former password is being taken out of every instance",
    RotationPhase.DISCARDED: "consumers run with the present password, and the one before is no longer needed",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What a rotation is decided on.

    Attributes:
        observed: What there is of the storage.
        settings: Of the installation.
        now: Aware instant.
        is_published: Whether the connection Secret and its copies are as they should be.
    """

    observed: Observed
    settings: Settings
    now: datetime
    is_published: bool


def is_over(scene: Scene, record: Record) -> bool:
    """Tell whether nobody is left who has to be restarted, or the user does not want to wait for who is."""
    is_forced = annotation_of(scene.observed.storage, names.ANNOTATION_ROTATE_FORCE) == record.revision
    holders = scene.observed.holders
    return is_forced or (holders is not None and all(each.is_done for each in holders))


def finding(scene: Scene, record: Record, phase: RotationPhase) -> Finding:
    """Tell how far a rotation is, as a condition."""
    if phase is RotationPhase.DISCARDED:
        return Finding(ROTATED, "True", phase.value, f"{_TOLD[phase]} (revision {record.revision})")
    message = _TOLD[phase]
    if phase is RotationPhase.AWAIT_CONSUMERS:
        if complaint := _complaint(scene, record):
            return Finding(ROTATED, "False", CONSUMERS_WAIT, complaint)
        if scene.observed.holders is None:
            message = "waiting until it is known which consumers there are"
        elif is_over(scene, record):
            message = "consumers run with the present password; the former one goes once mounted files were refreshed"
    elif phase in {RotationPhase.PENDING, RotationPhase.DISCARDING} and not all(
        instance.accepts_operator for instance in scene.observed.instances
    ):
        message = f"{message}: waiting for an instance that does not answer"
    return Finding(ROTATED, "False", phase.value, message)


def _complaint(scene: Scene, record: Record) -> str:
    """Name those that nobody waits for any more, with what is in their way and how to go on without them."""
    late = [each for each in scene.observed.holders or () if each.is_late(scene.settings.patience, scene.now)]
    if not late or is_over(scene, record):
        return ""
    listed = "; ".join(f"{each.name}: {each.obstacle}" for each in late[:LISTED])
    more = f"; and {len(late) - LISTED} more" if len(late) > LISTED else ""
    return (
        f"{listed}{more}: the former password is accepted until that is put right, or until you end the rotation"
        f" without them: annotate this storage with {names.ANNOTATION_ROTATE_FORCE}={record.revision}"
    )


def progress(scene: Scene, record: Record, phase: RotationPhase) -> Object:
    """Tell how far a rotation is, as `status.rotation`."""
    before: Object = scene.observed.storage.get("status", {}).get("rotation") or {}
    is_same = (before.get("phase"), before.get("revision")) == (phase.value, record.revision)
    progress: Object = {
        "phase": phase.value,
        "since": before["since"] if is_same and read_time(str(before.get("since"))) else written(scene.now),
        "revision": record.revision,
    }
    counted = [each for each in scene.observed.holders or () if each.consumer is not None]
    if counted and phase in {RotationPhase.AWAIT_CONSUMERS, RotationPhase.DISCARDING}:
        done = sum(1 for each in counted if each.is_done)
        return progress | {"consumersDone": done, "consumersTotal": len(counted)}
    if before.get("revision") == record.revision:
        return progress | {key: before[key] for key in ("consumersDone", "consumersTotal") if key in before}
    return progress
