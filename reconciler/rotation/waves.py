"""Chooses which consumers restart now, so that no more than a wave restart at once. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconciler.rotation.phases import Settings
    from reconciler.state.credential_rollout import Report
    from shared.consumers.identity import Consumer


def next_ones(reports: Sequence[Report], settings: Settings, now: datetime) -> tuple[Consumer, ...]:
    """Choose the consumers to restart now, so that no more than a wave are restarting at once."""
    total = sum(1 for each in reports if each.consumer is not None)
    restarting = [
        each for each in reports if each.stamp and not each.is_done and not each.is_late(settings.patience, now)
    ]
    waiting = [
        each.consumer for each in reports if each.consumer and not (each.stamp or each.is_done or each.is_refused)
    ]
    return tuple(waiting[: max(0, settings.wave(total) - len(restarting))])
