"""What a rotation adds to the plan of a storage: its next steps, and what to tell of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from reconciler.actions.kubernetes import Restart, WriteAuth
from reconciler.actions.valkey import Admit, Retire
from reconciler.credentials import identities
from reconciler.credentials.key_ring import KeyRing
from reconciler.rotation import phases
from reconciler.rotation.phases import Record, revision_of
from reconciler.rotation.progress import Scene, finding, is_over, progress
from reconciler.rotation.waves import next_ones
from shared import names
from shared.consumers.credential_revision import Stamp
from shared.objects.resources import SECRETS, annotation_of
from shared.session_storage.models import RotationPhase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.actions.plan import Step
    from reconciler.manifests.storage import Storage
    from shared.objects.conditions import Finding
    from shared.objects.resources import Object

FOLLOWING_SECONDS: Final = 1.0
"""How often instances and roll-outs are looked at while a rotation waits for them; a proxy takes seconds to restart."""
PUBLISHING_SECONDS: Final = 0.2
"""How soon the connection Secret and its copies are looked at after they were written."""
PUBLISHED_WITHIN: Final = timedelta(seconds=10)
"""A copy that is not written by then is refused, and only a person can change that."""
WAITING_SECONDS: Final = 5.0
"""How often it is looked when time, or a person, is all that is waited for."""


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


def managed(scene: Scene, storage: Storage) -> Turn:
    """Decide on the next steps of a managed storage's rotation; its auth Secret is complete."""
    observed = scene.observed
    auth = observed.child(SECRETS, names.auth_secret(storage.name)) or {}
    ring, record = KeyRing.of(auth), Record.of(auth)
    phase = phases.phase(ring, record, observed.instances, is_published=scene.is_published)
    steps = (*_access(scene, ring, phase), *_moves(scene, _Auth(storage, auth, ring, record), phase))
    pause = 0 if any(isinstance(step, WriteAuth | Admit) for step in steps) else _pause(scene, record, phase)
    return _told(scene, record, phase, steps, pause)


def handed_on(scene: Scene, record: Record) -> tuple[Turn, Record]:
    """Decide on the next steps after the user's own credential was handed on; and the record, as it should be."""
    if not record.is_under_way:
        return _told(scene, record, RotationPhase.DISCARDED if record.begun else None, (), None), record
    phase = RotationPhase.AWAIT_CONSUMERS if scene.is_published else RotationPhase.PUBLISHED
    if scene.is_published and is_over(scene, record):
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
        case RotationPhase.AWAIT_CONSUMERS if not is_over(scene, record):
            yield from _restarts(scene, record)
        case RotationPhase.AWAIT_CONSUMERS if record.has_refreshed(scene.settings.refresh, scene.now):
            yield auth.become(ring.settled(), record)
        case RotationPhase.DISCARDING if _can_discard(scene, ring):
            yield auth.become(ring, record.end(scene.now))
        case _:
            pass


def _access(scene: Scene, ring: KeyRing, phase: RotationPhase | None) -> Iterator[Step]:
    """Have instances accept what they must, and refuse what they must not; those that do not answer are told later."""
    is_discarding = phase is RotationPhase.DISCARDING and _can_discard(scene, ring)
    for instance in scene.observed.instances:
        if not instance.accepts_operator:
            continue
        # Once more before anything is handed out: an instance may accept what it has not saved, if we died in between.
        if phase is RotationPhase.ADDED or not phases.accepts(instance, ring):
            yield Admit(instance, ring.accepted)
        if is_discarding:
            yield Retire(instance, ring.retired, _spared(scene))
        elif not phases.refuses(instance, ring):
            yield Retire(instance, ring.retired)


def _spared(scene: Scene) -> frozenset[str]:
    """Tell where the new password is known: to consumers that have restarted, and to the instances themselves."""
    reports = scene.observed.holders or ()
    consumers = (address for each in reports for address in each.addresses)
    return frozenset((*consumers, *(instance.address for instance in scene.observed.instances)))


def _can_discard(scene: Scene, ring: KeyRing) -> bool:
    """Tell whether all instances can be told, use the new password among themselves, and all holders are known."""
    instances = scene.observed.instances
    replication = identities.sha256(ring.login(identities.REPLICATION).password)
    is_told = bool(instances) and all(instance.accepts_operator for instance in instances)
    return (
        is_told
        and scene.observed.holders is not None
        and all(phases.logs_in(instance, replication) for instance in instances)
    )


def _asked(scene: Scene, record: Record) -> str | None:
    """Return the user's word to be noted as handled, if a rotation is to begin; the last one if only the time asks."""
    word = annotation_of(scene.observed.storage, names.ANNOTATION_ROTATE)
    if word and word != record.handled:
        return word
    return record.handled if scene.observed.is_due else None


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
        case RotationPhase.AWAIT_CONSUMERS if is_over(scene, record) or _are_stuck(scene):
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
    return Turn(steps, phase, finding(scene, record, phase), progress(scene, record, phase), pause)
