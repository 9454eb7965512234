"""What a rotation adds to the plan of a storage: its next steps, a condition and a part of the status. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from reconciler.actions.kubernetes import Restart, Write, WriteAuth
from reconciler.actions.valkey import Admit, Retire, TellPassword
from reconciler.credentials import identities
from reconciler.rotation import phases
from reconciler.rotation.progress import RotationProgress, next_wave
from reconciler.rotation.waiting import hindrances
from reconciler.state.rotation_record import revision_of
from shared import names
from shared.consumers.credential_revision import CredentialRevision
from shared.objects.resources import SECRETS
from shared.session_storage.status import RotationPhase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from reconciler.actions.plan import Step
    from reconciler.manifests.storage import Storage
    from reconciler.rotation.phases import RotationSettings
    from reconciler.state.rotation_record import RotationRecord
    from reconciler.state.storage_state import StorageState
    from shared.objects.conditions import Finding
    from shared.objects.resources import Object
    from shared.session_storage.status import RotationStatus

FOLLOWING_SECONDS: Final = 1.0
"""How often the reconciler looks at instances and rollouts while a rotation waits for them; a proxy takes seconds to
restart."""
PUBLISHING_SECONDS: Final = 0.2
"""How soon the reconciler looks at the connection Secret and its copies after it wrote them."""
PUBLISHED_WITHIN: Final = timedelta(seconds=10)
"""If a copy is not written by then, the API server refuses it, and only a person can change that."""
WAITING_SECONDS: Final = 5.0
"""How often the reconciler looks when it waits for time to pass, or for a person."""


@dataclass(frozen=True, slots=True)
class RotationPlan:
    """What a rotation adds to the plan of a storage.

    Attributes:
        steps: The applier carries them out after all repairs.
        condition: None if there never was a rotation.
        status: `status.rotation`.
        pause: Seconds until the next pass; None if the rotation asks for none.
    """

    steps: tuple[Step, ...] = ()
    condition: Finding | None = None
    status: RotationStatus | None = None
    pause: float | None = None
    is_under_way: bool = False

    @classmethod
    def of(cls, progress: RotationProgress, steps: tuple[Step, ...], pause: float | None) -> Self:
        """Add to the next steps the condition and the status that the rotation has now."""
        is_under_way = progress.phase not in {None, RotationPhase.DISCARDED}
        return cls(steps, progress.condition, progress.status, pause, is_under_way)


def plan_managed_rotation(
    state: StorageState, owner: Storage, settings: RotationSettings, now: datetime, *, is_published: bool
) -> RotationPlan:
    """Decide on the next steps of a managed storage's rotation; its auth Secret must be complete.

    `is_published` says whether the connection Secret and its copies are as they should be.
    """
    waits = hindrances(state, settings, now)
    phase = phases.phase(state.key_ring, state.rotation, is_known=not waits, is_published=is_published)
    progress = RotationProgress(state, state.rotation, phase, settings, now, waits)
    steps = (*_password_steps(progress), *_phase_steps(state, owner, progress))
    is_moving = any(isinstance(step, WriteAuth | Admit | TellPassword) for step in steps)
    return RotationPlan.of(progress, steps, 0 if is_moving else _pause(progress))


def plan_external_rotation(
    state: StorageState,
    record: RotationRecord,
    settings: RotationSettings,
    now: datetime,
    *,
    published: Object | None,
) -> RotationPlan:
    """Decide on the next steps after the reconciler handed a user's own new credential to consumers.

    Args:
        state: State of the storage.
        record: Record of the rotation; newer than the one in the state if the rotation begins in this pass.
        settings: Settings of the installation.
        now: When this pass began; aware.
        published: The connection Secret, if it and its copies are as they should be.
    """
    if not record.begun:
        return RotationPlan()
    if not record.is_under_way:
        return RotationPlan.of(RotationProgress(state, record, RotationPhase.DISCARDED, settings, now), (), None)
    phase = RotationPhase.PUBLISHED if published is None else RotationPhase.AWAIT_CONSUMERS
    progress = RotationProgress(state, record, phase, settings, now)
    if published is None:
        return RotationPlan.of(progress, (), _pause(progress))
    if progress.are_restarts_over:
        return RotationPlan.of(progress, (Write(SECRETS, record.end(now).put_on(published)),), 0)
    return RotationPlan.of(progress, tuple(_restarts(progress)), _pause(progress))


def _phase_steps(state: StorageState, owner: Storage, progress: RotationProgress) -> Iterator[Step]:
    """Go on to the next phase, if what the present one waits for has happened; until then, restart consumers."""
    ring, record, now = state.key_ring, state.rotation, progress.now
    auth = state.child(SECRETS, names.auth_secret(owner.name)) or {}
    version: str = auth["metadata"]["resourceVersion"]
    match progress.phase:
        case None | RotationPhase.DISCARDED if (request := _request(state)) is not None:
            begun = record.start(request, revision_of(auth), now, auth["metadata"].get("creationTimestamp", ""))
            yield WriteAuth(owner, ring, version, begun, is_staging=True)
        case RotationPhase.ADDED:
            yield WriteAuth(owner, ring.with_staged_as_current(), version, record.publish(now))
        case RotationPhase.AWAIT_CONSUMERS if not progress.are_restarts_over:
            yield from _restarts(progress)
        case RotationPhase.AWAIT_CONSUMERS if not progress.hindrances and progress.is_mounted:
            yield WriteAuth(owner, ring.without_former(), version, record)
        case RotationPhase.DISCARDING if progress.can_end:
            yield WriteAuth(owner, ring, version, record.end(now))
        case _:
            pass


def _password_steps(progress: RotationProgress) -> Iterator[Step]:
    """Have instances accept, use and refuse the passwords that they must.

    One that does not answer gets its turn later. One that has no link with its primary is told the password all the
    same: it may have none because it does not know the password.
    """
    state, phase = progress.state, progress.phase
    ring, is_discarding = state.key_ring, phase is RotationPhase.DISCARDING and progress.can_end
    for instance in state.instances:
        if not instance.accepts_operator:
            continue
        # In phase Added once more, before the reconciler publishes the password: if the reconciler died between `ACL
        # SETUSER` and `ACL SAVE`, an instance accepts a password that it has not saved.
        if phase is RotationPhase.ADDED or not phases.accepts(instance, ring):
            yield Admit(instance, ring.accepted)
        if not phases.logs_in(instance, ring):
            yield TellPassword(instance, ring.login(identities.REPLICATION))
        if is_discarding:
            yield Retire(instance, ring.retired, _addresses_with_new_password(state))
        elif not phases.refuses(instance, ring):
            yield Retire(instance, ring.retired)


def _addresses_with_new_password(state: StorageState) -> frozenset[str]:
    """List the addresses of the consumers that have restarted, and of the instances themselves."""
    consumers = (address for each in state.rollouts or () for address in each.addresses)
    return frozenset((*consumers, *(instance.address for instance in state.instances)))


def _request(state: StorageState) -> str | None:
    """Return the request to note as handled, if a rotation is to begin; the last one if only the schedule asks."""
    request, handled = state.storage.requests.rotation, state.rotation.handled
    if request and request != handled:
        return request
    return handled if state.is_rotation_due else None


def _restarts(progress: RotationProgress) -> Iterator[Step]:
    stamp = CredentialRevision(progress.record.revision, progress.now).text
    for each in next_wave(progress.state.rollouts or (), progress.settings, progress.now):
        if each.consumer is not None:
            yield Restart(each.consumer, stamp, each.place)


def _pause(progress: RotationProgress) -> float | None:
    """Tell when to look again without an event."""
    match progress.phase:
        case None | RotationPhase.DISCARDED:
            return None
        case RotationPhase.PUBLISHED:
            is_refused = progress.record.has_stood_for(PUBLISHED_WITHIN, progress.now)
            return WAITING_SECONDS if is_refused else PUBLISHING_SECONDS
        case RotationPhase.AWAIT_CONSUMERS if progress.are_restarts_over:
            return WAITING_SECONDS
        case RotationPhase.AWAIT_CONSUMERS if progress.unfinished and progress.stuck == progress.unfinished:
            return WAITING_SECONDS
        case _:
            return FOLLOWING_SECONDS
