"""How far a rotation is, and what the reconciler tells users of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared import names
from shared.objects.conditions import Finding
from shared.session_storage.status import RotationPhase, RotationStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconciler.rotation.phases import RotationSettings
    from reconciler.rotation.waiting import Awaited
    from reconciler.state.credential_rollout import CredentialRollout
    from reconciler.state.rotation_record import RotationRecord
    from reconciler.state.storage_state import StorageState

ROTATED: Final = "CredentialRotated"
"""Type of the condition; written once there has been a rotation."""
CONSUMERS_WAIT: Final = "ConsumersWait"
LISTED: Final = 10
"""How many stuck consumers a message names; it counts the rest."""

_MESSAGES: Final = {
    RotationPhase.PENDING: (
        "the auth Secret has the next password; consumers get it once the reconciler saw every instance accept it"
    ),
    RotationPhase.ADDED: "every instance accepts the next password",
    RotationPhase.PUBLISHED: "the reconciler writes the next password into the connection Secret and its copies",
    RotationPhase.AWAIT_CONSUMERS: (
        "the reconciler restarts consumers in waves; instances accept both passwords meanwhile"
    ),
    RotationPhase.DISCARDING: "the reconciler takes the former password out of every instance",
    RotationPhase.DISCARDED: "consumers run with the present password, and nobody needs the one before",
}


@dataclass(frozen=True, slots=True)
class RotationProgress:
    """How far a storage's newest rotation is.

    Attributes:
        state: State of the storage.
        record: Record of the rotation; newer than the one in the state if the rotation begins in this pass.
        phase: None if there never was a rotation.
        now: When this pass began; aware.
        hindrances: The instances that it waits for.
    """

    state: StorageState
    record: RotationRecord
    phase: RotationPhase | None
    settings: RotationSettings
    now: datetime
    hindrances: tuple[Awaited, ...] = ()

    @property
    def is_mounted(self) -> bool:
        """Whether all pods have mounted the new passwords by now."""
        return self.record.has_stood_for(self.settings.refresh, self.now)

    @property
    def can_end(self) -> bool:
        """Whether all instances know the new passwords, and the reconciler knows all users of the credential."""
        return not self.hindrances and self.state.rollouts is not None

    @property
    def are_restarts_over(self) -> bool:
        """Whether the reconciler has no consumer left to restart, or the user does not want to wait for the rest."""
        is_forced = self.state.storage.requests.forced_rotation == self.record.revision
        return is_forced or (self.state.rollouts is not None and not self.unfinished)

    @property
    def unfinished(self) -> list[CredentialRollout]:
        """Users of the credential that do not run with the new one yet."""
        return [each for each in self.state.rollouts or () if not each.is_done]

    @property
    def stuck(self) -> list[CredentialRollout]:
        """Unfinished users of the credential that the others no longer wait for."""
        return [each for each in self.unfinished if each.is_stuck(self.settings.patience, self.now)]

    @property
    def condition(self) -> Finding | None:
        """What the storage's conditions say of the rotation; None if there never was one."""
        match self.phase:
            case None:
                return None
            case RotationPhase.DISCARDED:
                message = f"{_MESSAGES[self.phase]} (revision {self.record.revision})"
                return Finding(ROTATED, "True", self.phase.value, message)
            case RotationPhase.AWAIT_CONSUMERS if self.stuck and not self.are_restarts_over:
                return Finding(ROTATED, "False", CONSUMERS_WAIT, self._complaint)
            case _:
                return Finding(ROTATED, "False", self.phase.value, self._message(self.phase))

    def _message(self, phase: RotationPhase) -> str:
        message = _MESSAGES[phase]
        if phase is RotationPhase.AWAIT_CONSUMERS and self.state.rollouts is None:
            return "the reconciler waits until it knows all consumers"
        if phase is RotationPhase.AWAIT_CONSUMERS and self.are_restarts_over:
            what = (
                "every instance knows the present one" if self.is_mounted else "kubelets have refreshed mounted files"
            )
            message = f"consumers run with the present password; the reconciler discards the former one once {what}"
        elif phase not in {RotationPhase.PENDING, RotationPhase.DISCARDING}:
            return message
        return f"{message}: waiting for {'; '.join(map(str, self.hindrances))}" if self.hindrances else message

    @property
    def _complaint(self) -> str:
        """Name those that are stuck, say what is in their way, and how to go on without them."""
        stuck = self.stuck
        listed = "; ".join(f"{each.name}: {each.obstacle}" for each in stuck[:LISTED])
        more = f"; and {len(stuck) - LISTED} more" if len(stuck) > LISTED else ""
        return (
            f"{listed}{more}: instances accept the former password until somebody puts that right, or until you end the"
            f" rotation without them: annotate this storage with {names.ANNOTATION_ROTATE_FORCE}={self.record.revision}"
        )

    @property
    def status(self) -> RotationStatus | None:
        """What the storage's status says of the rotation; None if there never was one."""
        if self.phase is None:
            return None
        before, revision = self.state.storage.status.rotation, self.record.revision
        known = before if before is not None and before.revision == revision else None
        since = known.since if known is not None and known.phase is self.phase else self.now.replace(microsecond=0)
        done, total = (known.consumers_done, known.consumers_total) if known is not None else (None, None)
        counted = [each for each in self.state.rollouts or () if each.consumer is not None]
        if counted and self.phase in {RotationPhase.AWAIT_CONSUMERS, RotationPhase.DISCARDING}:
            done, total = sum(each.is_done for each in counted), len(counted)
        return RotationStatus(
            phase=self.phase, since=since, revision=revision, consumers_done=done, consumers_total=total
        )


def next_wave(
    rollouts: Sequence[CredentialRollout], settings: RotationSettings, now: datetime
) -> tuple[CredentialRollout, ...]:
    """Choose the consumers to restart now; one that is stuck holds no place in the wave."""
    total = sum(1 for each in rollouts if each.consumer is not None)
    wave = max(1, total * settings.wave_percent // 100)
    restarting = [
        each for each in rollouts if each.stamp and not each.is_done and not each.is_stuck(settings.patience, now)
    ]
    waiting = [each for each in rollouts if each.consumer and not (each.stamp or each.is_done or each.is_refused)]
    return tuple(waiting[: max(0, wave - len(restarting))])
