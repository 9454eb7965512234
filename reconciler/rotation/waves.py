"""Chooses which consumers restart now, so that no more than a wave of them restart at once. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconciler.rotation.phases import RotationSettings
    from reconciler.state.credential_rollout import CredentialRollout
    from shared.consumers.identity import Consumer


def next_wave(rollouts: Sequence[CredentialRollout], settings: RotationSettings, now: datetime) -> tuple[Consumer, ...]:
    """Choose the consumers to restart now; one that is stuck holds no place in the wave."""
    total = sum(1 for each in rollouts if each.consumer is not None)
    restarting = [
        each for each in rollouts if each.stamp and not each.is_done and not each.is_stuck(settings.patience, now)
    ]
    waiting = [
        each.consumer for each in rollouts if each.consumer and not (each.stamp or each.is_done or each.is_refused)
    ]
    return tuple(waiting[: max(0, settings.wave(total) - len(restarting))])
