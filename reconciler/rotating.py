"""What a rotation adds to the plan of a storage: its next steps, and what to tell of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from reconciler import rotation
from reconciler.rollouts import next_ones
from reconciler.rotation import Record, read_time, revision_of, written
from reconciler.steps import Admit, Restart, Retire, Step, WriteAuth
from shared import names
from shared.conditions import Finding
from shared.keyring import KeyRing
from shared.resources import SECRETS
from shared.sessionstorage import RotationPhase
from shared.stamp import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from reconciler.observe import Observed
    from reconciler.rotation import Settings
    from shared.manifests import Storage
    from shared.resources import Object

ROTATED: Final = "CredentialRotated"
"""Type of the condition; written once there has been a rotation."""
CONSUMERS_WAIT: Final = "ConsumersWait"
FOLLOWING_SECONDS: Final = 1.0
"""How often nodes and roll-outs are looked at while a rotation waits for them; a proxy takes seconds to restart."""
PUBLISHING_SECONDS: Final = 0.2
"""How soon the connection Secret and its copies are looked at after they were written."""
PUBLISHED_WITHIN: Final = timedelta(seconds=10)
"""A copy that is not written by then is refused, and only a person can change that."""
WAITING_SECONDS: Final = 5.0
"""How often it is looked when time, or a person, is all that is waited for."""
LISTED: Final = 10
"""How many late consumers a message names; the rest is counted."""

_TOLD: Final = {
    RotationPhase.PENDING: "the next password is staged; it is handed out once every node was seen to accept it",
    RotationPhase.ADDED: "every node accepts the next password",
    RotationPhase.PUBLISHED: "the next password is being handed out",
    RotationPhase.AWAIT_CONSUMERS: "consumers are restarted in waves; both passwords are accepted meanwhile",
    RotationPhase.DISCARDING: "the former password is being taken out of every node",
    RotationPhase.DISCARDED: "consumers run with the present password, and the one before is no longer needed",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """What comes of a rotation in one pass.

    Attributes:
        steps: To be carried out after all repairs.
        phase: How far it is; None if there never was one.
        finding: The condition that tells of it.
        progress: `status.rotation`.
        pause: Seconds until the next look; None if the rotation asks for none.
    """

    steps: tuple[Step, ...] = ()
    phase: RotationPhase | None = None
    finding: Finding | None = None
    progress: Object | None = None
    pause: float | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether the storage is rotating."""
        return self.phase not in {None, RotationPhase.DISCARDED}


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


def managed(scene: Scene, storage: Storage) -> Turn:
    """Decide on the next steps of a managed storage's rotation; its auth Secret is complete."""
    observed = scene.observed
    auth = observed.child(SECRETS, names.auth_secret(storage.name)) or {}
    ring, record = KeyRing.of(auth), Record.of(auth)
    phase = rotation.phase(ring, record, (observed.node,), is_published=scene.is_published)
    steps = (*_access(scene, ring, phase), *_moves(scene, _Auth(storage, auth, ring, record), phase))
    pause = 0 if any(isinstance(step, WriteAuth | Admit) for step in steps) else _pause(scene, record, phase)
    return _told(scene, record, phase, steps, pause)


def handed_on(scene: Scene, record: Record) -> tuple[Turn, Record]:
    """Decide on the next steps after the user's own credential was handed on; and the record, as it should be."""
    if not record.is_under_way:
        return _told(scene, record, RotationPhase.DISCARDED if record.begun else None, (), None), record
    phase = RotationPhase.AWAIT_CONSUMERS if scene.is_published else RotationPhase.PUBLISHED
    if scene.is_published and _is_over(scene, record):
        return _told(scene, record, phase, (), 0), record.end(scene.now)
    steps = tuple(_restarts(scene, record)) if scene.is_published else ()
    return _told(scene, record, phase, steps, _pause(scene, record, phase)), record


@dataclass(frozen=True, slots=True)
class _Auth:
    """The auth Secret, and what stands in it."""

    storage: Storage
    secret: Object
    ring: KeyRing
    record: Record

    def become(self, ring: KeyRing, record: Record, *, is_staging: bool = False) -> WriteAuth:
        version: str = self.secret["metadata"]["resourceVersion"]
        return WriteAuth(self.storage, ring, version, record.text, is_staging=is_staging)


def _moves(scene: Scene, auth: _Auth, phase: RotationPhase | None) -> Iterator[Step]:
    ring, record = auth.ring, auth.record
    match phase:
        case None | RotationPhase.DISCARDED if (word := _asked(scene, record)) is not None:
            yield auth.become(ring, record.start(word, revision_of(auth.secret), scene.now), is_staging=True)
        case RotationPhase.ADDED:
            yield auth.become(ring.promoted(), record.publish(scene.now))
        case RotationPhase.AWAIT_CONSUMERS if not _is_over(scene, record):
            yield from _restarts(scene, record)
        case RotationPhase.AWAIT_CONSUMERS if record.has_refreshed(scene.settings.refresh, scene.now):
            yield auth.become(ring.settled(), record)
        case RotationPhase.DISCARDING if _can_discard(scene):
            yield auth.become(ring, record.end(scene.now))
        case _:
            pass


def _access(scene: Scene, ring: KeyRing, phase: RotationPhase | None) -> Iterator[Step]:
    """Have a node accept what it must, and refuse what it must not; nothing can be said to one that does not answer."""
    node = scene.observed.node
    if not node.can_be_told:
        return
    # Once more before anything is handed out: a node may accept what it has not saved, if we died in between.
    if phase is RotationPhase.ADDED or not rotation.accepts(node, ring):
        yield Admit(node, ring.accepted)
    if phase is RotationPhase.DISCARDING and _can_discard(scene):
        reports = scene.observed.holders or ()
        yield Retire(node, ring.retired, frozenset(address for each in reports for address in each.addresses))
    elif not rotation.refuses(node, ring):
        yield Retire(node, ring.retired)


def _can_discard(scene: Scene) -> bool:
    """Tell whether the node can be spoken to, and it is known whose sessions are to go on."""
    return scene.observed.node.can_be_told and scene.observed.holders is not None


def _asked(scene: Scene, record: Record) -> str | None:
    """Return the user's word to be noted as handled, if a rotation is to begin; the last one if only the time asks."""
    word = _annotation(scene, names.ANNOTATION_ROTATE)
    if word and word != record.handled:
        return word
    return record.handled if scene.observed.is_due else None


def _is_over(scene: Scene, record: Record) -> bool:
    """Tell whether nobody is left who has to be restarted, or the user does not want to wait for who is."""
    is_forced = _annotation(scene, names.ANNOTATION_ROTATE_FORCE) == record.revision
    holders = scene.observed.holders
    return is_forced or (holders is not None and all(each.is_done for each in holders))


def _annotation(scene: Scene, name: str) -> str:
    value: str = (scene.observed.storage["metadata"].get("annotations") or {}).get(name, "")
    return value


def _restarts(scene: Scene, record: Record) -> Iterator[Step]:
    for consumer in next_ones(scene.observed.holders or (), scene.settings, scene.now):
        yield Restart(consumer, Stamp(record.revision, scene.now).text)


def _pause(scene: Scene, record: Record, phase: RotationPhase | None) -> float | None:
    """Tell when to look again without an event."""
    match phase:
        case None | RotationPhase.DISCARDED:
            return None
        case RotationPhase.PUBLISHED:
            return WAITING_SECONDS if record.has_refreshed(PUBLISHED_WITHIN, scene.now) else PUBLISHING_SECONDS
        case RotationPhase.AWAIT_CONSUMERS if _is_over(scene, record) or _are_stuck(scene):
            return WAITING_SECONDS
        case _:
            return FOLLOWING_SECONDS


def _are_stuck(scene: Scene) -> bool:
    """Tell whether all holders that are left are late."""
    left = [each for each in scene.observed.holders or () if not each.is_done]
    return bool(left) and all(each.is_late(scene.settings.patience, scene.now) for each in left)


def _told(
    scene: Scene, record: Record, phase: RotationPhase | None, steps: tuple[Step, ...], pause: float | None
) -> Turn:
    if phase is None:
        return Turn(steps, pause=pause)
    return Turn(steps, phase, _finding(scene, record, phase), _progress(scene, record, phase), pause)


def _finding(scene: Scene, record: Record, phase: RotationPhase) -> Finding:
    if phase is RotationPhase.DISCARDED:
        return Finding(ROTATED, "True", phase.value, f"{_TOLD[phase]} (revision {record.revision})")
    message = _TOLD[phase]
    if phase is RotationPhase.AWAIT_CONSUMERS:
        if complaint := _complaint(scene, record):
            return Finding(ROTATED, "False", CONSUMERS_WAIT, complaint)
        if scene.observed.holders is None:
            message = "waiting until it is known which consumers there are"
        elif _is_over(scene, record):
            message = "consumers run with the present password; the former one goes once mounted files were refreshed"
    elif phase in {RotationPhase.PENDING, RotationPhase.DISCARDING} and not scene.observed.node.can_be_told:
        message = f"{message}: waiting for a node that does not answer"
    return Finding(ROTATED, "False", phase.value, message)


def _complaint(scene: Scene, record: Record) -> str:
    """Name those that nobody waits for any more, with what is in their way and how to go on without them."""
    late = [each for each in scene.observed.holders or () if each.is_late(scene.settings.patience, scene.now)]
    if not late or _is_over(scene, record):
        return ""
    listed = "; ".join(f"{each.name}: {each.obstacle}" for each in late[:LISTED])
    more = f"; and {len(late) - LISTED} more" if len(late) > LISTED else ""
    return (
        f"{listed}{more}: the former password is accepted until that is put right, or until you end the rotation"
        f" without them: annotate this storage with {names.ANNOTATION_ROTATE_FORCE}={record.revision}"
    )


def _progress(scene: Scene, record: Record, phase: RotationPhase) -> Object:
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
